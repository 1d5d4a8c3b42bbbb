//! The password of the first administrator: made here, never a default.

use rand::Rng;

/// Letters and digits that nobody mistakes for each other; 25 of them have 123 bits.
const ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
const GROUPS: usize = 5;
const GROUP: usize = 5;

/// A new password, in groups that can be read aloud.
pub(super) fn generate() -> String {
    let mut random = rand::rng();
    let mut pick = || {
        let index = random.random_range(0..ALPHABET.len());
        ALPHABET.get(index).map_or('a', |byte| char::from(*byte))
    };
    let groups: Vec<String> = (0..GROUPS).map(|_| (0..GROUP).map(|_| pick()).collect()).collect();
    groups.join("-")
}

/// The password in a file that an earlier start left, if it is whole.
pub(super) fn read(content: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('\n')?;
    let groups: Vec<&str> = text.split('-').collect();
    let whole =
        |group: &&str| group.len() == GROUP && group.bytes().all(|byte| ALPHABET.contains(&byte));
    (groups.len() == GROUPS && groups.iter().all(whole)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn passwords_are_long_different_and_read_back() {
        let bits = (GROUPS * GROUP) as f64 * (ALPHABET.len() as f64).log2();
        assert!(bits >= 120.0, "{bits}");
        let passwords: BTreeSet<String> = (0..100).map(|_| generate()).collect();
        assert_eq!(passwords.len(), 100);
        for password in &passwords {
            assert_eq!(password.len(), 29);
            assert_eq!(read(format!("{password}\n").as_bytes()).as_ref(), Some(password));
        }
        let used: BTreeSet<char> = passwords.iter().flat_map(|text| text.chars()).collect();
        assert_eq!(used.len(), ALPHABET.len() + 1, "each letter comes up: {used:?}");
    }

    #[test]
    fn what_is_not_whole_is_not_a_password() {
        let good = generate();
        for bad in [&good, "", "\n", "abcde\n", &format!("{good}x\n"), "a-b-c-d-e\n"] {
            assert_eq!(read(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
