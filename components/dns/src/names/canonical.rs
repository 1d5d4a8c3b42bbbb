//! The name that one task has alone.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// The alphabet of z-base-32.
const ALPHABET: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";
const LENGTH: usize = 5;

/// Five letters that stand for a task's id. They keep no secret: it is a short hash for people.
pub(super) fn hash(task: &str) -> String {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, task.as_bytes());
    let bits =
        digest.as_ref().iter().take(4).fold(0, |bits: u32, byte| bits << 8 | u32::from(*byte));
    let letter = |at: usize| ALPHABET.get((bits >> (27 - 5 * at)) as usize & 31);
    (0..LENGTH).filter_map(letter).map(|letter| char::from(*letter)).collect()
}

/// What stands behind the last dash of an agent's id.
pub(super) fn tail(agent: &str) -> String {
    agent.rsplit('-').next().unwrap_or(agent).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_original() {
        for (id, letters) in [
            ("test", "iffe9"),
            ("t", "t56ap"),
            ("liquor-store.b8db9f73-562f-11e4-a088-c20493233aa5", "4dfjd"),
            ("liquor-store.b71166c1-562f-11e4-a088-c20493233aa5", "zasmd"),
            ("car-store.43758382-562f-11e4-a088-c20493233aa5", "zinaz"),
        ] {
            assert_eq!(hash(id), letters, "{id}");
        }
    }

    #[test]
    fn tails_of_agents() {
        assert_eq!(tail("20140803-194712-3041283216-5050-2116-3"), "3");
        assert_eq!(tail("b62fba4d-0f9f-4e2a-8f1f-04f5c9d1b0f3-S12"), "s12");
        assert_eq!(tail("alone"), "alone");
    }
}
