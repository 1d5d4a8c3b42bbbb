//! Under which roles offers are wanted: revive when something waits, suppress when nothing does.

use super::{Core, Timer};
use crate::Call;
use marathon_model::{App, PathId};
use mesos_messages::resources::Scalar;
use rustc_hash::FxHashMap;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// So many revives may follow each other at once; on the average there is one per interval.
const REVIVES_AT_ONCE: u32 = 5;
/// What is newly wanted is asked for at once, but not more often than this.
const NEW_WANT: Duration = Duration::from_millis(100);
/// The pause after a call that was not heard, doubled each time.
const NOT_HEARD: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How long a role stays out that the master refuses, doubled each time.
const REFUSED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));

/// Every role that was ever needed since the start.
#[derive(Debug, Default)]
pub(super) struct Roles {
    all: BTreeMap<String, Role>,
    /// The role that the framework subscribes with.
    main: String,
    /// One of several new roles was refused: from now on each is announced on its own.
    one_by_one: bool,
    /// Announcements so far.
    announced: u64,
    /// When everything is asked for again, and how often in a row that was so.
    again: Option<Duration>,
    failures: u32,
    last_failure: Duration,
    last_revive: Option<Duration>,
    /// Each revive uses up one interval; until then they are used up.
    revives_used: Duration,
    pub(super) revive_timer: Option<Duration>,
}

#[derive(Debug, Default)]
pub(super) struct Role {
    /// Apps with instances that could be launched now.
    pub(super) wanting: BTreeSet<PathId>,
    /// The app that was served last: the next offer begins after it.
    pub(super) cursor: Option<PathId>,
    /// By agent: how far its offers have got among those that want some, without a launch.
    pub(super) rounds: FxHashMap<String, Round>,
    /// Grows with whatever is newly wanted.
    pub(super) wishes: u64,
    suppressed: bool,
    /// Offers that were declined are wanted again.
    asked: bool,
    /// For something that was not asked for before.
    fresh: bool,
    /// The master was told of it.
    known: bool,
    /// With which announcement.
    since: u64,
    /// The master does not let us have it: until when it is left out, and why.
    refused: Option<(Duration, String)>,
    refusals: u32,
}

/// Offers of an agent that were too small for so many apps; the next one goes on from there.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) wishes: u64,
    /// Cpus, memory, disk.
    pub(super) size: [Option<Scalar>; 3],
    pub(super) last: Option<PathId>,
    pub(super) tried: usize,
}

// === impl Roles ===

impl Roles {
    pub(super) fn new(role: &str) -> Self {
        let main = Role { known: true, ..Role::default() };
        let all = BTreeMap::from([(role.to_owned(), main)]);
        Self { all, main: role.to_owned(), ..Self::default() }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.all.keys().cloned().collect()
    }

    pub(super) fn add(&mut self, role: &str) -> &mut Role {
        self.all.entry(role.to_owned()).or_default()
    }

    pub(super) fn get_mut(&mut self, role: &str) -> Option<&mut Role> {
        self.all.get_mut(role)
    }

    /// After a subscription every role gets offers.
    pub(super) fn subscribed(&mut self) {
        self.revives_used = Duration::ZERO;
        self.last_revive = None;
        self.one_by_one = false;
        (self.again, self.failures) = (None, 0);
        for (name, role) in &mut self.all {
            role.rounds.clear();
            (role.suppressed, role.asked, role.fresh) = (false, false, false);
            role.known = *name == self.main;
            (role.refused, role.refusals) = (None, 0);
        }
    }

    /// Whatever was asked for last may not have been heard. When it is asked for again, if that
    /// is not settled yet.
    pub(super) fn not_heard(&mut self, now: Duration) -> Option<Duration> {
        if self.again.is_some() {
            return None;
        }
        if now > self.last_failure + 2 * NOT_HEARD.1 {
            self.failures = 0;
        }
        let at = now + doubled(NOT_HEARD, self.failures);
        self.failures += 1;
        self.last_failure = now;
        self.again = Some(at);
        self.again
    }

    /// The master does not take these roles, and with them nothing else: the one that was added
    /// last is left out for a while. Returns when it is tried again.
    pub(super) fn refused(
        &mut self,
        roles: &[String],
        why: String,
        now: Duration,
    ) -> Option<Duration> {
        let there = |name: &&String| self.all.contains_key(*name);
        let state = |name: &String| self.all.get(name);
        let barred = |name: &String| state(name).is_some_and(|role| role.refused.is_some());
        if roles.iter().any(barred) {
            // From before the role was left out.
            return None;
        }
        let others = roles.iter().filter(there).filter(|name| **name != self.main);
        let latest = others.clone().filter_map(state).map(|role| role.since).max();
        let of_latest = |name: &&String| state(name).map(|role| role.since) == latest;
        let suspects: Vec<String> = others.filter(of_latest).cloned().collect();
        if suspects.is_empty() {
            return self.not_heard(now);
        }
        self.one_by_one = true;
        let only = suspects.len() == 1;
        let mut again = None;
        for role in self.all.values_mut().filter(|role| Some(role.since) >= latest) {
            role.known = false;
        }
        if let Some(main) = self.all.get_mut(&self.main) {
            main.known = true;
        }
        if let Some(role) = suspects.first().filter(|_| only).and_then(|it| self.all.get_mut(it)) {
            let at = now + doubled(REFUSED, role.refusals);
            role.refusals += 1;
            role.refused = Some((at, why));
            again = Some(at);
        }
        self.ask_all();
        again
    }

    /// Why the master does not let us have a role.
    pub(super) fn refusal(&self, role: &str) -> Option<&str> {
        self.all.get(role)?.refused.as_ref().map(|(_, why)| why.as_str())
    }

    /// Time has passed since something failed.
    pub(super) fn ask_again(&mut self, now: Duration) {
        for role in self.all.values_mut() {
            if role.refused.as_ref().is_some_and(|(until, _)| *until <= now) {
                role.refused = None;
                role.asked = !role.wanting.is_empty();
            }
        }
        if self.again.is_some_and(|at| at <= now) {
            self.again = None;
            for (name, role) in &mut self.all {
                role.known = *name == self.main;
            }
            self.ask_all();
        }
    }

    fn ask_all(&mut self) {
        for role in self.all.values_mut() {
            role.suppressed = false;
            role.asked = !role.wanting.is_empty();
        }
    }

    /// What the master is told of roles that it does not know.
    fn announce(&mut self) -> Vec<Call> {
        let new = |role: &Role| !role.known && role.refused.is_none();
        let mut new: Vec<String> =
            self.all.iter().filter(|(_, role)| new(role)).map(|(name, _)| name.clone()).collect();
        let mut calls = Vec::new();
        while !new.is_empty() {
            let count = if self.one_by_one { 1 } else { new.len() };
            self.announced += 1;
            for name in new.drain(..count) {
                if let Some(role) = self.all.get_mut(&name) {
                    (role.known, role.since) = (true, self.announced);
                }
            }
            let known = || self.all.iter().filter(|(_, role)| role.known);
            let suppressed = known().filter(|(_, role)| role.suppressed);
            let suppressed = suppressed.map(|(name, _)| name.clone()).collect();
            let roles = known().map(|(name, _)| name.clone()).collect();
            calls.push(Call::UpdateFramework { roles, suppressed });
        }
        calls
    }

    pub(super) fn drop_app(&mut self, role: &str, app: &PathId) {
        if let Some(role) = self.all.get_mut(role) {
            role.wanting.remove(app);
        }
    }

    pub(super) fn want(&mut self, role: &str, app: &PathId, more: bool) {
        let role = self.add(role);
        if role.wanting.insert(app.clone()) || more {
            (role.asked, role.fresh) = (true, true);
            role.wishes += 1;
        }
    }
}

// === impl Core ===

impl Core {
    pub(super) fn take_roles<'a>(&mut self, apps: impl Iterator<Item = &'a Arc<App>>) {
        for app in apps {
            self.roles.add(&app.role);
        }
    }

    /// Tells the master what is wanted, if that has changed.
    pub(super) fn settle_interest(&mut self) {
        if self.view.master.is_none() {
            return;
        }
        let roles = &mut self.roles;
        let now = self.now.mono;
        let idle =
            |role: &Role| role.wanting.is_empty() && !role.suppressed && role.refused.is_none();
        let quiet: Vec<String> =
            roles.all.iter().filter(|(_, role)| idle(role)).map(|(name, _)| name.clone()).collect();
        for name in &quiet {
            if let Some(role) = roles.all.get_mut(name) {
                (role.suppressed, role.asked, role.fresh) = (true, false, false);
            }
        }
        let announced = roles.announce();
        if !announced.is_empty() {
            self.out.calls.extend(announced);
        } else if !quiet.is_empty() {
            self.view.metrics.suppresses += 1;
            self.out.calls.push(Call::Suppress { roles: quiet });
        }
        let mut asked = roles.all.values().filter(|role| role.asked && role.refused.is_none());
        let Some(first) = asked.next() else { return };
        // What was killed or added just after a revive need not wait for a whole interval.
        let interval = self.config.min_revive_interval;
        let next = if first.fresh || asked.any(|role| role.fresh) {
            roles.last_revive.map_or(Duration::ZERO, |last| last + NEW_WANT.min(interval))
        } else {
            roles.revives_used.saturating_sub(interval * (REVIVES_AT_ONCE - 1))
        };
        if next > now {
            if roles.revive_timer != Some(next) {
                roles.revive_timer = Some(next);
                self.timers.set(next, Timer::Revive);
            }
            return;
        }
        let mut names = Vec::new();
        let asked = |role: &Role| role.asked && role.refused.is_none();
        for (name, role) in roles.all.iter_mut().filter(|(_, role)| asked(role)) {
            (role.asked, role.fresh, role.suppressed) = (false, false, false);
            names.push(name.clone());
        }
        roles.last_revive = Some(now);
        let used = roles.revives_used.max(now) + interval;
        roles.revives_used = used.min(now + interval * REVIVES_AT_ONCE);
        self.view.metrics.revives += 1;
        self.out.calls.push(Call::Revive { roles: names });
    }
}

/// A pause after so many before it.
fn doubled((first, most): (Duration, Duration), before: u32) -> Duration {
    first.saturating_mul(1 << before.min(10)).min(most)
}
