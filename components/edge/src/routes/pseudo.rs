//! Ports for services of containers that have none: derived from their names. Pure.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// Tries before the first free one is taken.
const TRIES: u32 = 50;

/// Gives ports and keeps them for as long as the app is there.
#[derive(Clone, Debug)]
pub(crate) struct PseudoPorts {
    range: RangeInclusive<u16>,
    given: BTreeMap<(Arc<str>, u16), u16>,
}

// === impl PseudoPorts ===

impl PseudoPorts {
    pub(crate) fn new(range: RangeInclusive<u16>) -> PseudoPorts {
        PseudoPorts { range, given: BTreeMap::new() }
    }

    /// The port for a task's port; none when all are given away.
    pub(crate) fn port(&mut self, app: &Arc<str>, task_port: u16) -> Option<u16> {
        let key = (Arc::clone(app), task_port);
        if let Some(port) = self.given.get(&key) {
            return Some(*port);
        }
        let count = u32::try_from(self.range.len()).ok().filter(|count| *count > 0)?;
        let free = |port: &u16| !self.given.values().any(|given| given == port);
        let tried = (0..TRIES).map(|attempt| {
            let text = format!("{app}-{task_port}-{attempt}");
            let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
            let first = sum.as_ref().iter().take(4);
            let number = first.fold(0, |number: u32, byte| number << 8 | u32::from(*byte));
            // The range has no more than 65536 ports.
            self.range.start() + (number % count) as u16
        });
        let port = tried.into_iter().find(free).or_else(|| self.range.clone().find(free))?;
        self.given.insert(key, port);
        Some(port)
    }

    pub(crate) fn forget(&mut self, app: &str) {
        self.given.retain(|(of, _), _| &**of != app);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_the_originals_and_stay() {
        let mut ports = PseudoPorts::new(10_050..=10_100);
        let app: Arc<str> = "/app".into();
        let first = ports.port(&app, 80).unwrap();
        assert!((10_050..=10_100).contains(&first));
        assert_eq!(ports.port(&app, 80), Some(first));
        assert_ne!(ports.port(&app, 81), Some(first));
        let mut again = PseudoPorts::new(10_050..=10_100);
        assert_eq!(again.port(&app, 80), Some(first), "the same for every balancer");
        ports.forget("/app");
        assert_eq!(ports.port(&"/app".into(), 80), Some(first));
    }

    #[test]
    fn each_port_is_given_once() {
        let mut ports = PseudoPorts::new(100..=102);
        let app: Arc<str> = "/app".into();
        let mut all: Vec<_> = (1..=3).map(|port| ports.port(&app, port).unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, [100, 101, 102]);
        assert_eq!(ports.port(&app, 4), None);
    }
}
