//! Clients that open streams only to reset them make work that the limit of concurrent streams
//! does not see. Who does hardly anything else is told to calm down.

use std::time::Duration;

/// Resets that are never minded.
const BURST: u32 = 200;
/// Resets a second that are never minded either.
const RATE: u32 = 20;

/// A bucket that resets fill. Time empties it, and so does each request that was answered in
/// full: a client that works may cancel as many again.
#[derive(Debug, Default)]
pub(super) struct Resets {
    level: u32,
    emptied: Duration,
}

// === impl Resets ===

impl Resets {
    /// A request was answered in full.
    pub(super) fn served(&mut self) {
        self.level = self.level.saturating_sub(1);
    }

    /// A stream was reset by the client. Whether that was one too many.
    pub(super) fn reset(&mut self, now: Duration) -> bool {
        let seconds = now.saturating_sub(self.emptied).as_secs();
        if seconds > 0 {
            self.emptied += Duration::from_secs(seconds);
            let leaked = u32::try_from(seconds).unwrap_or(u32::MAX).saturating_mul(RATE);
            self.level = self.level.saturating_sub(leaked);
        }
        self.level += 1;
        self.level > BURST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_resets_is_too_much() {
        let mut resets = Resets::default();
        let now = Duration::from_secs(100);
        assert!((0..BURST).all(|_| !resets.reset(now)));
        assert!(resets.reset(now));
    }

    #[test]
    fn a_client_that_works_may_cancel() {
        let mut resets = Resets::default();
        for _ in 0..10 * BURST {
            resets.served();
            assert!(!resets.reset(Duration::ZERO));
        }
    }

    #[test]
    fn time_forgives() {
        let mut resets = Resets::default();
        for second in 0..1000 {
            let now = Duration::from_secs(second);
            assert!((0..RATE).all(|_| !resets.reset(now)));
        }
        assert!((0..BURST + RATE).any(|_| resets.reset(Duration::from_secs(1000))));
    }
}
