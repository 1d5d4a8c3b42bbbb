//! Decisions about trying again: what an answer means, and how long to wait.

use std::time::Duration;

/// What to do about the answer to a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Read the stream.
    Subscribed,
    /// Ask this address instead.
    Redirected(String),
    /// Ask again later.
    Later,
    /// Give up.
    Refused,
}

/// What a status means; `location` is the header of a redirect.
pub(crate) fn verdict(status: u16, location: Option<&str>) -> Verdict {
    match (status, location.and_then(host)) {
        (200, _) => Verdict::Subscribed,
        (301 | 302 | 307 | 308, Some(host)) => Verdict::Redirected(host.to_owned()),
        // No leader yet, or it is still starting; its paths may not even be there yet.
        (301 | 302 | 307 | 308 | 404 | 408 | 429 | 500..=599, _) => Verdict::Later,
        _ => Verdict::Refused,
    }
}

/// The `host:port` of `//host:port/path`, with or without a scheme before it.
fn host(location: &str) -> Option<&str> {
    let rest = location.split_once("//")?.1;
    let host = rest.split(['/', '?']).next()?;
    (!host.is_empty()).then_some(host)
}

/// Pauses that double up to a maximum, each at random below its bound.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    last: Duration,
    next: Duration,
}

// === impl Backoff ===

impl Backoff {
    pub(crate) fn new((first, last): (Duration, Duration)) -> Self {
        Self { first, last, next: first }
    }

    /// The next pause; `chance` lies in [0, 1).
    pub(crate) fn pause(&mut self, chance: f64) -> Duration {
        let bound = self.next;
        self.next = bound.saturating_mul(2).min(self.last);
        // At least half of the bound: others are spread, yet nobody hammers.
        bound.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(verdict(200, None), Verdict::Subscribed);
        let redirected = Verdict::Redirected("10.0.0.1:5050".into());
        assert_eq!(verdict(307, Some("//10.0.0.1:5050/api/v1/scheduler")), redirected);
        assert_eq!(verdict(307, Some("http://10.0.0.1:5050")), redirected);
        assert_eq!(verdict(307, Some("nonsense")), Verdict::Later);
        assert_eq!(verdict(503, None), Verdict::Later);
        for status in [400, 401, 403, 405, 415] {
            assert_eq!(verdict(status, None), Verdict::Refused);
        }
    }

    #[test]
    fn pauses_double_up_to_the_maximum() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new((ms(100), ms(300)));
        assert_eq!([0.0; 3].map(|chance| backoff.pause(chance)), [ms(50), ms(100), ms(150)]);
        backoff.reset();
        assert_eq!(backoff.pause(1.0), ms(100));
    }
}
