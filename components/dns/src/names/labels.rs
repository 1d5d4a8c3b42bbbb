//! What is made of the names of tasks and frameworks, so that they can be asked for.

/// How long a label may be, and how long a whole name, as it is written.
pub(crate) const MOST_LABEL: usize = 63;
const MOST_NAME: usize = 253;

/// The rules that a label keeps to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// At most 63 letters, digits and dashes, none of those at the ends.
    #[default]
    Rfc1123,
    /// At most 24, the first of which is a letter.
    Rfc952,
}

// === impl Rule ===

impl Rule {
    fn most(self) -> usize {
        match self {
            Rule::Rfc1123 => MOST_LABEL,
            Rule::Rfc952 => 24,
        }
    }

    fn may_begin(self, byte: u8) -> bool {
        byte.is_ascii_lowercase() || (self == Rule::Rfc1123 && byte.is_ascii_digit())
    }

    /// One label made of a name; empty if nothing of it can stay. Where dashes had to go at the
    /// cut, what comes after them moves up.
    pub fn label(self, name: &str) -> String {
        let mut label: Vec<u8> = name.bytes().filter_map(mapped).collect();
        let begin = label.iter().position(|byte| self.may_begin(*byte)).unwrap_or(label.len());
        label.drain(..begin);
        if label.len() > self.most() {
            let rest = label.split_off(self.most());
            let room = self.most() - trim_end(&mut label);
            label.extend(rest.into_iter().skip_while(|byte| *byte == b'-').take(room));
            // What moved up may end with a dash where there was room for no more; the original
            // leaves that one.
        } else {
            trim_end(&mut label);
        }
        String::from_utf8(label).unwrap_or_default()
    }

    /// Labels made of a name that has dots; those of which nothing stays are left out.
    pub fn labels(self, name: &str) -> String {
        let mut labels = String::with_capacity(name.len());
        for label in name.split('.').map(|part| self.label(part)).filter(|label| !label.is_empty())
        {
            if !labels.is_empty() {
                labels.push('.');
            }
            labels.push_str(&label);
        }
        labels
    }
}

/// Bytes of other letters than those of ASCII are left out like all others.
fn mapped(byte: u8) -> Option<u8> {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => Some(byte.to_ascii_lowercase()),
        b'-' | b'.' | b'_' => Some(b'-'),
        _ => None,
    }
}

/// Drops dashes at the end; how long it is then.
fn trim_end(label: &mut Vec<u8>) -> usize {
    let end = label.iter().rposition(|byte| *byte != b'-').map_or(0, |last| last + 1);
    label.truncate(end);
    end
}

/// Whether a name can be asked for at all: no empty label, none too long, not too long as a whole.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |label: &str| !label.is_empty() && label.len() <= MOST_LABEL;
    name.len() <= MOST_NAME && name.split('.').all(fits)
}

/// As much of a text as fits into so many bytes.
pub(super) fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Those of Mesos-DNS's own tests.
    #[test]
    fn labels_are_those_of_the_original() {
        let any = [
            ("", ""),
            ("a", "a"),
            ("-", ""),
            ("a---", "a"),
            ("---a---", "a"),
            ("---a---b", "a---b"),
            ("a.b.c.d.e", "a-b-c-d-e"),
            ("a.c.d_de.", "a-c-d-de"),
            ("abc123", "abc123"),
            ("-abc123", "abc123"),
            ("abc123-", "abc123"),
            ("abc-123", "abc-123"),
            ("abc--123", "abc--123"),
            ("r29f.dev.angrypigs", "r29f-dev-angrypigs"),
            ("hello----------------------------------------------------------f", "hellof"),
        ];
        let rfc952 = [
            ("4abc123", "abc123"),
            ("-4abc123", "abc123"),
            ("fd%gsf---gs7-f$gs--d7fddg-123", "fdgsf---gs7-fgs--d7fddg1"),
            ("89fdgsf---gs7-fgs--d7fddg-123", "fdgsf---gs7-fgs--d7fddg1"),
            ("89fdgsf---gs7-fgs--d7fddg---123", "fdgsf---gs7-fgs--d7fddg1"),
            ("89fdgsf---gs7-fgs--d7fddg-", "fdgsf---gs7-fgs--d7fddg"),
            ("chronos with a space AND MIXED CASE-2.0.1", "chronoswithaspaceandmixe"),
            ("chronos with a space AND----------MIXED--", "chronoswithaspaceandmixe"),
            ("hello--------------------------------------------------------f", "hellof"),
        ];
        let rfc1123 = [
            ("4abc123", "4abc123"),
            ("-4abc123", "4abc123"),
            ("89fdgsf---gs7-fgs--d7fddg-123", "89fdgsf---gs7-fgs--d7fddg-123"),
            ("89fdgsf---gs7-fgs--d7fddg---123", "89fdgsf---gs7-fgs--d7fddg---123"),
            ("89fdgsf---gs7-fgs--d7fddg-", "89fdgsf---gs7-fgs--d7fddg"),
            ("fd%gsf---gs7-f$gs--d7fddg-123", "fdgsf---gs7-fgs--d7fddg-123"),
            (
                "fd%gsf---gs7-f$gs--d7fddg123456789012345678901234567890123456789-123",
                "fdgsf---gs7-fgs--d7fddg1234567890123456789012345678901234567891",
            ),
            (
                "%%fdgsf---gs7-fgs--d7fddg123456789012345678901234567890123456789---123",
                "fdgsf---gs7-fgs--d7fddg1234567890123456789012345678901234567891",
            ),
            (
                "##fdgsf---gs7-fgs--d7fddg123456789012345678901234567890123456789-",
                "fdgsf---gs7-fgs--d7fddg123456789012345678901234567890123456789",
            ),
            (
                "hello--------------------------------------------------------f",
                "hello--------------------------------------------------------f",
            ),
        ];
        for (name, label) in any.iter().chain(&rfc952) {
            assert_eq!(Rule::Rfc952.label(name), *label, "{name}");
        }
        for (name, label) in any.iter().chain(&rfc1123) {
            assert_eq!(Rule::Rfc1123.label(name), *label, "{name}");
        }
    }

    #[test]
    fn names_with_dots_are_those_of_the_original() {
        for (name, labels) in [
            ("", ""),
            (".", ""),
            ("...", ""),
            ("a", "a"),
            ("abc.", "abc"),
            (".abc", "abc"),
            (".a.c", "a.c"),
            ("a..c", "a.c"),
            ("a.c..e", "a.c.e"),
            ("ab.cd.efg", "ab.cd.efg"),
            ("space space.com", "spacespace.com"),
            ("blah-dash.com", "blah-dash.com"),
            ("not$1234.com", "not1234.com"),
            ("(@ host . com", "host.com"),
            ("MiXeDcase.CoM", "mixedcase.com"),
        ] {
            assert_eq!(Rule::Rfc952.labels(name), labels, "{name}");
            assert_eq!(Rule::Rfc1123.labels(name), labels, "{name}");
        }
        let name = "pod_123$abc.marathon-0.6.0-dev.mesos";
        assert_eq!(Rule::Rfc952.labels(name), "pod-123abc.marathon-0.dev.mesos");
        assert_eq!(Rule::Rfc1123.labels(name), "pod-123abc.marathon-0.6.0-dev.mesos");
    }

    #[test]
    fn what_is_too_long_is_no_name() {
        let label = "a".repeat(63);
        for (name, is) in [
            ("a".to_owned(), true),
            (label.clone(), true),
            (format!("{label}a"), false),
            (String::new(), false),
            ("a..b".to_owned(), false),
            ("a.".to_owned(), false),
            ([&*label; 4].join("."), false),
            (format!("{}.{}", [&*label; 3].join("."), "a".repeat(61)), true),
        ] {
            assert_eq!(is_name(&name), is, "{name}");
        }
    }

    #[test]
    fn cuts_keep_letters_whole() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("aé", 9), "aé");
        assert_eq!(cut("é", 0), "");
    }

    proptest! {
        #[test]
        fn labels_keep_their_rule(name in ".{0,90}") {
            for rule in [Rule::Rfc1123, Rule::Rfc952] {
                let label = rule.label(&name);
                prop_assert!(label.len() <= rule.most());
                prop_assert!(label.bytes().all(|byte| mapped(byte) == Some(byte)));
                prop_assert!(label.bytes().next().is_none_or(|first| rule.may_begin(first)));
                let labels = rule.labels(&name);
                prop_assert!(labels.is_empty() || !labels.split('.').any(str::is_empty));
            }
        }

        #[test]
        fn good_labels_stay_as_they_are(label in "[a-z][a-z0-9-]{0,22}[a-z0-9]") {
            prop_assert_eq!(&Rule::Rfc952.label(&label), &label);
            prop_assert_eq!(&Rule::Rfc1123.label(&label), &label);
        }
    }
}
