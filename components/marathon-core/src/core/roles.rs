//! Under which roles offers are wanted: revive when something waits, suppress when nothing does.

use super::{Core, Timer};
use crate::Call;
use marathon_model::{App, PathId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// So many revives may follow each other at once; on the average there is one per interval.
const REVIVES_AT_ONCE: u32 = 5;

/// Every role that was ever needed since the start.
#[derive(Debug, Default)]
pub(super) struct Roles {
    all: BTreeMap<String, Role>,
    /// The master does not know all of them.
    grown: bool,
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
    suppressed: bool,
    /// Offers that were declined are wanted again.
    asked: bool,
}

// === impl Roles ===

impl Roles {
    pub(super) fn new(role: &str) -> Self {
        Self { all: BTreeMap::from([(role.to_owned(), Role::default())]), ..Self::default() }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.all.keys().cloned().collect()
    }

    pub(super) fn add(&mut self, role: &str) -> &mut Role {
        if !self.all.contains_key(role) {
            self.grown = true;
        }
        self.all.entry(role.to_owned()).or_default()
    }

    pub(super) fn get_mut(&mut self, role: &str) -> Option<&mut Role> {
        self.all.get_mut(role)
    }

    /// After a subscription every role gets offers.
    pub(super) fn subscribed(&mut self) {
        self.grown = self.all.len() > 1;
        self.revives_used = Duration::ZERO;
        for role in self.all.values_mut() {
            (role.suppressed, role.asked) = (false, false);
        }
    }

    /// Whatever was asked for last may not have been heard.
    pub(super) fn ask_all(&mut self) {
        self.grown = self.all.len() > 1;
        for role in self.all.values_mut() {
            role.suppressed = false;
            role.asked = !role.wanting.is_empty();
        }
    }

    pub(super) fn drop_app(&mut self, role: &str, app: &PathId) {
        if let Some(role) = self.all.get_mut(role) {
            role.wanting.remove(app);
        }
    }

    pub(super) fn want(&mut self, role: &str, app: &PathId, more: bool) {
        let role = self.add(role);
        if role.wanting.insert(app.clone()) || more {
            role.asked = true;
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
        let idle = |role: &Role| role.wanting.is_empty() && !role.suppressed;
        let quiet: Vec<String> =
            roles.all.iter().filter(|(_, role)| idle(role)).map(|(name, _)| name.clone()).collect();
        for name in &quiet {
            if let Some(role) = roles.all.get_mut(name) {
                (role.suppressed, role.asked) = (true, false);
            }
        }
        if std::mem::take(&mut roles.grown) {
            let suppressed = roles.all.iter().filter(|(_, role)| role.suppressed);
            let suppressed = suppressed.map(|(name, _)| name.clone()).collect();
            self.out.calls.push(Call::UpdateFramework { roles: roles.names(), suppressed });
        } else if !quiet.is_empty() {
            self.view.metrics.suppresses += 1;
            self.out.calls.push(Call::Suppress { roles: quiet });
        }
        if !roles.all.values().any(|role| role.asked) {
            return;
        }
        // What was killed or added just after a revive need not wait for a whole interval.
        let interval = self.config.min_revive_interval;
        let next = roles.revives_used.saturating_sub(interval * (REVIVES_AT_ONCE - 1));
        if next > now {
            if roles.revive_timer != Some(next) {
                roles.revive_timer = Some(next);
                self.timers.set(next, Timer::Revive);
            }
            return;
        }
        let mut names = Vec::new();
        for (name, role) in roles.all.iter_mut().filter(|(_, role)| role.asked) {
            (role.asked, role.suppressed) = (false, false);
            names.push(name.clone());
        }
        roles.revives_used = roles.revives_used.max(now) + interval;
        self.view.metrics.revives += 1;
        self.out.calls.push(Call::Revive { roles: names });
    }
}
