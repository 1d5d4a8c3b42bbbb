//! Names of virtual addresses, made of what people write as the original makes them.

use std::sync::Arc;

use super::label::{Fault, shortened};

/// What stands behind each name in DNS.
pub const ZONE: &str = "l4lb.thisdcos.directory";
/// Of a label in DNS.
const LONGEST_LABEL: usize = 63;
/// Of a whole name in DNS, as text.
const LONGEST_NAME: usize = 253;

/// `<name>.<framework>`, of a label and the name of a framework.
pub fn full(label: &str, framework: &str) -> Result<Arc<str>, Fault> {
    let mut name = part(label)?;
    name.push('.');
    name.push_str(&part(framework)?);
    if name.len() + 1 + ZONE.len() > LONGEST_NAME {
        return Err(Fault::Long);
    }
    Ok(name.into())
}

fn part(text: &str) -> Result<String, Fault> {
    let part = fragment(text);
    if part.is_empty() { Err(Fault::Name(shortened(text))) } else { Ok(part) }
}

/// One or more labels of a host name: dots separate, slashes and all else that cannot be there
/// is left out.
pub fn fragment(text: &str) -> String {
    let labels = text.split('.').map(mangled).filter(|label| !label.is_empty());
    labels.collect::<Vec<_>>().join(".")
}

/// Begins with a letter or digit; `_` becomes `-`; no dashes at the end, and none where it is cut.
fn mangled(text: &str) -> String {
    let mut label = String::with_capacity(text.len().min(LONGEST_LABEL));
    let mut cut = false;
    for one in text.chars().map(|one| one.to_ascii_lowercase()) {
        if label.len() >= LONGEST_LABEL && !cut {
            trim(&mut label);
            cut = true;
        }
        if label.len() >= LONGEST_LABEL {
            break;
        }
        match one {
            'a'..='z' | '0'..='9' => label.push(one),
            '-' | '_' if !label.is_empty() && !cut => label.push('-'),
            _ => {}
        }
    }
    trim(&mut label);
    label
}

fn trim(label: &mut String) {
    label.truncate(label.trim_end_matches('-').len());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The original's own cases.
    #[test]
    fn labels_are_mangled_as_the_original_does() {
        for (text, label) in [
            ("fd%gsf---gs7-f$gs--d7fddg-123", "fdgsf---gs7-fgs--d7fddg-123"),
            ("4abc123", "4abc123"),
            ("-4abc123", "4abc123"),
            ("89fdgsf---gs7-fgs--d7fddg-", "89fdgsf---gs7-fgs--d7fddg"),
            ("0-0", "0-0"),
            ("a_b", "a-b"),
            ("/group/Service", "groupservice"),
            (
                "##fdgsf---gs7-fgs--d7fddg123456789012345678901234567890123456789-",
                "fdgsf---gs7-fgs--d7fddg123456789012345678901234567890123456789",
            ),
            (
                "fd%gsf---gs7-f$gs--d7fddg123456789012345678901234567890123456789-123",
                "fdgsf---gs7-fgs--d7fddg1234567890123456789012345678901234567891",
            ),
            (
                "%%fdgsf---gs7-fgs--d7fddg123456789012345678901234567890123456789---123",
                "fdgsf---gs7-fgs--d7fddg1234567890123456789012345678901234567891",
            ),
        ] {
            assert_eq!(mangled(text), label, "{text}");
        }
        assert_eq!(fragment("a..b_c./d/"), "a.b-c.d");
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_written_gives_a_host_name(text in ".{0,200}") {
            for label in fragment(&text).split('.').filter(|label| !label.is_empty()) {
                assert!(label.len() <= LONGEST_LABEL);
                assert!(!label.starts_with('-') && !label.ends_with('-'));
                assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            }
        }

        #[test]
        fn a_host_name_stays_what_it_is(text in ".{0,200}") {
            let once = fragment(&text);
            assert_eq!(fragment(&once), once);
        }
    }
}
