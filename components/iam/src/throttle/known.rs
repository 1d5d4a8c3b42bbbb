//! From where users logged in before. Only a right password gets a place in here, and the places
//! of one user never take those of another.

use std::net::IpAddr;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::counts::{Count, Pace};

/// A place where a user is known.
#[derive(Clone, Copy, Debug)]
struct Place {
    source: IpAddr,
    /// When the user last logged in from there.
    at: Duration,
    /// What failed there since.
    count: Count,
}

/// All of them, by user.
#[derive(Debug)]
pub(super) struct Known {
    pace: Pace,
    lasts: Duration,
    users: usize,
    places: usize,
    of: FxHashMap<String, Vec<Place>>,
}

// === impl Known ===

impl Known {
    pub(super) fn new(pace: Pace, lasts: Duration, users: usize, places: usize) -> Known {
        Known { pace, lasts, users, places, of: FxHashMap::default() }
    }

    pub(super) fn has(&self, uid: &str, source: IpAddr, now: Duration) -> bool {
        self.place(uid, source, now).is_some()
    }

    /// When the next attempt there may begin.
    pub(super) fn free_at(&self, uid: &str, source: IpAddr, now: Duration) -> Duration {
        let place = self.place(uid, source, now);
        place.map_or(Duration::ZERO, |place| place.count.as_of(now, &self.pace).free_at)
    }

    pub(super) fn failed(&mut self, uid: &str, source: IpAddr, begins: Duration, now: Duration) {
        let pace = self.pace;
        if let Some(count) = self.count(uid, source) {
            *count = count.as_of(now, &pace);
            count.failed(begins, &pace);
        }
    }

    pub(super) fn take_back(&mut self, uid: &str, source: IpAddr, now: Duration) {
        let pace = self.pace;
        if let Some(count) = self.count(uid, source) {
            *count = count.as_of(now, &pace);
            count.take_back(&pace);
        }
    }

    /// The user logged in there: what failed before was the user's own doing.
    pub(super) fn note(&mut self, uid: &str, source: IpAddr, now: Duration) {
        if !self.of.contains_key(uid) && self.of.len() >= self.users {
            self.make_room(now);
        }
        let places = self.of.entry(uid.to_owned()).or_default();
        places.retain(|place| place.source != source);
        if places.len() >= self.places
            && let Some(oldest) = (0..places.len()).min_by_key(|at| places.get(*at).map(|p| p.at))
        {
            places.swap_remove(oldest);
        }
        places.push(Place { source, at: now, count: Count::default() });
    }

    fn place(&self, uid: &str, source: IpAddr, now: Duration) -> Option<&Place> {
        let place = self.of.get(uid)?.iter().find(|place| place.source == source)?;
        (now.saturating_sub(place.at) <= self.lasts).then_some(place)
    }

    fn count(&mut self, uid: &str, source: IpAddr) -> Option<&mut Count> {
        let place = self.of.get_mut(uid)?.iter_mut().find(|place| place.source == source)?;
        Some(&mut place.count)
    }

    /// Forgets who did not log in for long, a tenth at a time at least.
    fn make_room(&mut self, now: Duration) {
        let latest = |places: &[Place]| places.iter().map(|place| place.at).max();
        let lasts = self.lasts;
        self.of
            .retain(|_, places| latest(places).is_some_and(|at| now.saturating_sub(at) <= lasts));
        let too_many = (self.of.len() + 1).saturating_sub(self.users);
        if too_many == 0 {
            return;
        }
        let mut users: Vec<_> =
            self.of.iter().map(|(uid, places)| (latest(places), uid.clone())).collect();
        users.sort_unstable();
        for (_, uid) in users.into_iter().take(too_many.max(self.users / 10)) {
            self.of.remove(&uid);
        }
    }
}
