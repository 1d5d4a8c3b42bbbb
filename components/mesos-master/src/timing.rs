//! How long things took: the latest, and the spread over what was measured lately.
use std::{collections::VecDeque, time::Duration};

/// How many measurements are remembered.
const REMEMBERED: usize = 1000;

/// Measurements of one thing, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timing {
    recent: VecDeque<f64>,
}

impl Timing {
    /// Adds a measurement.
    pub(crate) fn add(&mut self, took: Duration) {
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(took.as_secs_f64() * 1000.0);
    }

    /// The metrics the original makes of a timer; none before the first measurement.
    pub(crate) fn values(&self, name: &str, mut visit: impl FnMut(String, f64)) {
        let Some(latest) = self.recent.back() else { return };
        let mut sorted: Vec<f64> = self.recent.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        visit(name.to_owned(), *latest);
        visit(format!("{name}/count"), sorted.len() as f64);
        visit(format!("{name}/min"), at(&sorted, 0.0));
        visit(format!("{name}/max"), at(&sorted, 1.0));
        for (part, share) in [
            ("p50", 0.5),
            ("p90", 0.9),
            ("p95", 0.95),
            ("p99", 0.99),
            ("p999", 0.999),
            ("p9999", 0.9999),
        ] {
            visit(format!("{name}/{part}"), at(&sorted, share));
        }
    }
}

/// The value below which `share` of all lie, between two measurements where it falls there.
fn at(sorted: &[f64], share: f64) -> f64 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let below = place.floor();
    let value = |place: f64| sorted.get(place as usize).copied().unwrap_or(0.0);
    let (low, high) = (value(below), value(place.ceil()));
    low + (high - low) * (place - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_that_of_the_measurements() {
        let mut timing = Timing::default();
        timing.values("x", |name, _| panic!("{name} of nothing"));
        for n in 0..=REMEMBERED as u64 {
            timing.add(Duration::from_millis(n));
        }
        let mut found = std::collections::BTreeMap::new();
        timing.values("x", |name, value| {
            found.insert(name, value);
        });
        assert_eq!(found["x"], 1000.0);
        assert_eq!((found["x/count"], found["x/min"], found["x/max"]), (1000.0, 1.0, 1000.0));
        assert!((found["x/p50"] - 500.5).abs() < 1e-9);
        assert!(found["x/p9999"] > 999.0 && found["x/p9999"] <= 1000.0);
    }
}
