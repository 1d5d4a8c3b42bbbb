//! What the tests stand on: clusters, clients written from the public documents,
//! and the recordings of a real Mesos.

pub(crate) mod cluster;
pub(crate) mod golden;
pub(crate) mod http;
pub(crate) mod libprocess;
pub(crate) mod marathon;
pub(crate) mod processes;
pub(crate) mod scheduler;
pub(crate) mod shape;
pub(crate) mod textpb;

use std::time::{Duration, Instant};

/// How long anything that should happen soon may take on a loaded machine. No
/// test asserts speed: this only turns a hang into a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `probe` answers something.
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until `probe` holds.
pub(crate) fn wait_until(what: &str, mut probe: impl FnMut() -> bool) {
    eventually(what, || probe().then_some(()));
}

/// A word no other test and no other process uses.
pub(crate) fn unique(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{}-{count}", std::process::id())
}
