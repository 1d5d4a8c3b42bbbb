//! Ids and choices: all of them follow from the seed of the start.

use marathon_model::{InstanceId, PathId};
use mesos_messages::time::Now;
use uuid::{Builder, Uuid};

/// Between 1582-10-15 and 1970-01-01, in units of 100 ns.
const GREGORIAN: u128 = 0x01B2_1DD2_1381_4000;

/// A source of ids.
#[derive(Debug)]
pub(super) struct Ids {
    state: u64,
    /// The clock sequence and the node of time-based ids.
    node: u64,
    last: u128,
}

// === impl Ids ===

impl Ids {
    pub(super) fn new(seed: u64) -> Self {
        let mut ids = Self { state: seed, node: 0, last: 0 };
        ids.node = ids.number();
        ids
    }

    /// The next number (SplitMix64).
    pub(super) fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// The id of a deployment.
    pub(super) fn random(&mut self) -> String {
        let wide = (u128::from(self.number()) << 64) | u128::from(self.number());
        Builder::from_random_bytes(wide.to_be_bytes()).into_uuid().to_string()
    }

    /// The id of a new instance: time-based, later than all before it.
    pub(super) fn instance(&mut self, app: &PathId, now: Now) -> InstanceId {
        let ticks = now.wall.as_nanos() / 100 + GREGORIAN;
        self.last = ticks.max(self.last + 1);
        let (low, mid, high) =
            (self.last & 0xFFFF_FFFF, (self.last >> 32) & 0xFFFF, (self.last >> 48) & 0x0FFF);
        let rest = 0x8000_0000_0000_0000 | (self.node & 0x3FFF_FFFF_FFFF_FFFF);
        let id = (low << 96) | (mid << 80) | ((0x1000 | high) << 64) | u128::from(rest);
        InstanceId::new(app, Uuid::from_u128(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ids_of_instances_are_time_based_and_never_repeat() {
        let mut ids = Ids::new(7);
        let app = PathId::parse("/a").unwrap();
        let now = Now { mono: Duration::ZERO, wall: Duration::from_secs(1_700_000_000) };
        let (one, two) = (ids.instance(&app, now), ids.instance(&app, now));
        assert_ne!(one, two);
        let text = one.as_str().rsplit_once("instance-").unwrap().1;
        let uuid = Uuid::parse_str(text).unwrap();
        assert_eq!(uuid.get_version_num(), 1);
        assert_eq!(uuid.get_timestamp().unwrap().to_unix().0, 1_700_000_000);
        assert_eq!(Uuid::parse_str(&ids.random()).unwrap().get_version_num(), 4);
    }
}
