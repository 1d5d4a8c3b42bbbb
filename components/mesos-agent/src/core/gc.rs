//! Which directories are deleted when: by age, and earlier when the disk fills up.

use rustc_hash::FxHashMap;
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

/// Directories waiting for their deletion.
#[derive(Debug)]
pub(crate) struct Collector {
    delay: Duration,
    headroom: f64,
    queue: BTreeMap<(Duration, u64), Arc<Path>>,
    by_path: FxHashMap<Arc<Path>, (Duration, u64)>,
    sequence: u64,
    /// How old a directory may become at the present disk usage.
    pub(crate) max_allowed_age: Duration,
    /// Directories deleted.
    pub(crate) succeeded: u64,
    /// Directories that could not be deleted.
    pub(crate) failed: u64,
}

impl Collector {
    pub(crate) fn new(delay: Duration, headroom: f64) -> Self {
        Self {
            delay,
            headroom,
            queue: BTreeMap::new(),
            by_path: FxHashMap::default(),
            sequence: 0,
            max_allowed_age: delay,
            succeeded: 0,
            failed: 0,
        }
    }

    /// Plans the deletion of a directory that is `age` old now.
    pub(crate) fn schedule(&mut self, now: Duration, path: Arc<Path>, age: Duration) {
        self.unschedule(&path);
        self.sequence += 1;
        let key = (now + self.delay.saturating_sub(age), self.sequence);
        self.by_path.insert(Arc::clone(&path), key);
        self.queue.insert(key, path);
    }

    /// Keeps a directory after all.
    pub(crate) fn unschedule(&mut self, path: &Path) {
        if let Some(key) = self.by_path.remove(path) {
            self.queue.remove(&key);
        }
    }

    /// Takes everything whose time has come.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<Arc<Path>> {
        let mut due = Vec::new();
        while let Some(((at, _), _)) = self.queue.first_key_value()
            && *at <= now
            && let Some((_, path)) = self.queue.pop_first()
        {
            self.by_path.remove(&path);
            due.push(path);
        }
        due
    }

    /// Takes what is too old for a disk of which the share `usage` is in use.
    pub(crate) fn disk_usage(&mut self, now: Duration, usage: f64) -> Vec<Arc<Path>> {
        let share = (1.0 - self.headroom - usage).clamp(0.0, 1.0);
        self.max_allowed_age = self.delay.mul_f64(share);
        // What would live for less than (delay - allowed age) longer is older than allowed.
        self.due(now + self.delay.saturating_sub(self.max_allowed_age))
    }

    pub(crate) fn next(&self) -> Option<Duration> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn pending(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> Arc<Path> {
        Arc::from(Path::new(name))
    }

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn directories_go_when_their_time_has_come() {
        let mut gc = Collector::new(7 * DAY, 0.1);
        gc.schedule(DAY, path("/a"), Duration::ZERO);
        gc.schedule(DAY, path("/old"), 6 * DAY);
        assert_eq!(gc.next(), Some(2 * DAY));
        assert_eq!(gc.due(2 * DAY), vec![path("/old")]);
        assert!(gc.due(7 * DAY).is_empty());
        assert_eq!(gc.due(8 * DAY), vec![path("/a")]);
        assert_eq!(gc.pending(), 0);
    }

    #[test]
    fn a_directory_in_use_again_stays() {
        let mut gc = Collector::new(DAY, 0.1);
        gc.schedule(DAY, path("/a"), Duration::ZERO);
        gc.unschedule(Path::new("/a"));
        assert!(gc.due(9 * DAY).is_empty());
    }

    #[test]
    fn a_full_disk_takes_the_old_ones_first() {
        let mut gc = Collector::new(10 * DAY, 0.1);
        gc.schedule(DAY, path("/new"), Duration::ZERO);
        gc.schedule(DAY, path("/old"), 5 * DAY);
        assert!(gc.disk_usage(DAY, 0.2).is_empty(), "7 days are allowed");
        assert_eq!(gc.disk_usage(DAY, 0.5), vec![path("/old")], "4 days are allowed");
        assert_eq!(gc.disk_usage(DAY, 0.95), vec![path("/new")], "nothing is");
        assert_eq!(gc.max_allowed_age, Duration::ZERO);
    }
}
