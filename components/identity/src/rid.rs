//! Ids of resources, users and groups.

use crate::RidError;

/// Whoever has `full` on it may do everything.
pub const SUPERUSER: &str = "dcos:superuser";

const LONGEST_RID: usize = 1024;
const LONGEST_UID: usize = 96;

/// Whether `rid` may name a resource: parts between colons, none of them empty, without white
/// space and control characters.
pub fn check_rid(rid: &str) -> Result<(), RidError> {
    if rid.is_empty() {
        return Err(RidError::Empty);
    }
    if rid.len() > LONGEST_RID {
        return Err(RidError::TooLong);
    }
    if rid.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err(RidError::Character);
    }
    if rid.split(':').any(str::is_empty) {
        return Err(RidError::EmptyPart);
    }
    Ok(())
}

/// Appends a name of elsewhere, such as that of a role or a service, as a part of a resource.
///
/// A name cannot look like several parts: what divides parts, and whatever may not stand in a
/// resource, becomes `%XX`. Slashes stay: a name that is a path is covered by the paths above it.
pub fn push_part(rid: &mut String, name: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in name.bytes() {
        if is_plain(byte) {
            rid.push(char::from(byte));
            continue;
        }
        let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().map_or('0', char::from);
        rid.extend(['%', digit(byte >> 4), digit(byte & 15)]);
    }
}

/// Whether a resource is written as [`push_part`] writes names, with `:` between them. Any other
/// escape would name what nobody ever asks for.
pub fn is_plainly_written(rid: &str) -> bool {
    let mut bytes = rid.bytes();
    while let Some(byte) = bytes.next() {
        let good = match byte {
            b':' => true,
            b'%' => {
                let mut digit = || bytes.next().and_then(hex);
                digit().zip(digit()).is_some_and(|(high, low)| !is_plain(high << 4 | low))
            }
            byte => is_plain(byte),
        };
        if !good {
            return false;
        }
    }
    true
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_@./*+~=,".contains(&byte)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Whether `uid` may name a user or a group: letters, digits and `-_@.`, at most 96 of them.
pub fn check_uid(uid: &str) -> Result<(), RidError> {
    if uid.is_empty() {
        return Err(RidError::Empty);
    }
    if uid.len() > LONGEST_UID {
        return Err(RidError::TooLong);
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'@' | b'.');
    if !uid.bytes().all(allowed) {
        return Err(RidError::Character);
    }
    Ok(())
}

/// The resources whose permission covers `rid`, each a piece of it: itself, what stands before
/// a colon, and, within a part that is a path, what stands before or up to a slash.
pub fn covering(rid: &str) -> impl Iterator<Item = &str> {
    let mut path = false;
    let mut held = None;
    let mut bytes = rid.bytes().enumerate();
    std::iter::from_fn(move || {
        if let Some(piece) = held.take() {
            return Some(piece);
        }
        for (at, byte) in bytes.by_ref() {
            match byte {
                b':' => {
                    path = false;
                    return rid.get(..at);
                }
                b'/' => {
                    let up_to = (at + 1 < rid.len()).then(|| rid.get(..=at)).flatten();
                    if !std::mem::replace(&mut path, true) {
                        if up_to.is_some() {
                            return up_to;
                        }
                        continue;
                    }
                    held = up_to;
                    return rid.get(..at);
                }
                _ => {}
            }
        }
        None
    })
    .chain(std::iter::once(rid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_covers_a_resource() {
        let all = |rid| covering(rid).collect::<Vec<_>>();
        assert_eq!(all("dcos"), ["dcos"]);
        assert_eq!(all("dcos:a:b"), ["dcos", "dcos:a", "dcos:a:b"]);
        assert_eq!(all("s:/"), ["s", "s:/"]);
        assert_eq!(all("s:/dev/a"), ["s", "s:/", "s:/dev", "s:/dev/", "s:/dev/a"]);
        assert_eq!(
            all("s:dev/a/b:c"),
            ["s", "s:dev/", "s:dev/a", "s:dev/a/", "s:dev/a/b", "s:dev/a/b:c"]
        );
        assert_eq!(all("s:dev/"), ["s", "s:dev/"]);
    }

    #[test]
    fn a_resource_id_has_no_empty_part_and_no_space() {
        for good in ["dcos:superuser", "dcos", "a:/", "dcos:service:marathon:marathon:services:/é"]
        {
            assert_eq!(check_rid(good), Ok(()), "{good}");
        }
        for bad in ["", ":", "a:", ":a", "a::b", "a b", "a\n", "a\u{0}", "a\\b", &"a".repeat(1025)]
        {
            assert!(check_rid(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_user_id_is_plain() {
        for good in ["admin", "a.b-c_d@example.com", "7"] {
            assert_eq!(check_uid(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "a/b", "a:b", "ä", "a\n", &"a".repeat(97)] {
            assert!(check_uid(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_one_part() {
        let part = |name: &str| {
            let mut rid = String::new();
            push_part(&mut rid, name);
            rid
        };
        for (name, written) in [
            ("web", "web"),
            ("/dev/a.b", "/dev/a.b"),
            ("team:secret", "team%3Asecret"),
            ("a%3Ab", "a%253Ab"),
            ("a b\\", "a%20b%5C"),
            ("\u{e4}", "%C3%A4"),
            ("(x)", "%28x%29"),
        ] {
            assert_eq!(part(name), written);
        }
    }

    #[test]
    fn other_escapes_are_not_written() {
        for good in ["dcos:a", "a:%3A", "a:%C3%A4", "a:%253A", "a:b/c"] {
            assert!(is_plainly_written(good), "{good}");
        }
        for bad in ["%", "%3", "%3a", "%2F", "%41", "a%zzb", "a b", "\u{e4}", "a\\b", "a?b"] {
            assert!(!is_plainly_written(bad), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_name_is_a_part_of_its_own(a in "\\PC{1,12}", b in "\\PC{1,12}") {
            let (mut one, mut other) = ("x:".to_owned(), "x:".to_owned());
            push_part(&mut one, &a);
            push_part(&mut other, &b);
            proptest::prop_assert_eq!(a == b, one == other);
            proptest::prop_assert!(check_rid(&one).is_ok() && is_plainly_written(&one));
            proptest::prop_assert_eq!(one.split(':').count(), 2);
        }
    }
}
