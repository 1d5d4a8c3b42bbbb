//! The state machine itself.
//!
//! Every input changes instances through [`Core::modify`] and its kin, which keep the counts, the
//! indexes and what readers see in step and mark the app. After the input each marked app is
//! looked at once: its deployment goes on, missing instances are made, its queue entry is kept.
//! So the cost of an input is that of what it changed.

mod actions;
mod arithmetic;
mod backoff;
mod checks;
mod commands;
mod deploy;
mod foresee;
mod ids;
mod index;
mod instances;
mod kills;
mod link;
mod offers;
mod queue;
mod recover;
mod roles;
mod stalled;
mod status;
mod timers;
mod unreachable;

#[cfg(test)]
mod tests;

use crate::{
    Config, Effects, Event, EventKind, Input, ProbeId, Recovered, View,
    health::ProbeKey,
    launch::{Placed, Refusals},
};
use backoff::Backoffs;
use checks::Watch;
use deploy::Running;
use foresee::Seen;
use ids::Ids;
use index::Index;
use kills::Kills;
use link::Link;
use marathon_model::{App, InstanceId, PathId, Timestamp};
use mesos_messages::time::Now;
use roles::Roles;
use rustc_hash::{FxHashMap, FxHashSet};
use std::{sync::Arc, time::Duration};
use timers::{Timer, Timers};

/// How often an app is looked at for one input; a few times are enough for all there is to do.
const MAX_LOOKS: u32 = 1000;
/// Added to the monotonic clock, which begins anew with each process: so moments from before the
/// start have a place on it.
const BEFORE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The orchestrator's whole state.
#[derive(Debug)]
pub struct Core {
    config: Config,
    /// Shared with readers; what is changed of it is copied first.
    view: View,
    now: Now,
    /// What the input at hand has led to so far.
    out: Effects,
    ids: Ids,
    timers: Timers,
    apps: FxHashMap<PathId, AppData>,
    /// Inputs so far.
    inputs: u64,
    /// Apps that are to be looked at after the input.
    dirty: Vec<PathId>,
    /// In the order of the view's.
    deployments: Vec<Running>,
    /// The deployment that works on an app.
    locks: FxHashMap<PathId, Arc<str>>,
    /// Deployments all of whose actions are done.
    due: Vec<Arc<str>>,
    /// Deployments that have failed too often.
    rollbacks: Vec<(Arc<str>, PathId)>,
    kills: Kills,
    roles: Roles,
    link: Link,
    seen: Seen,
    watches: FxHashMap<InstanceId, Watch>,
    /// Probes that are being made.
    probes: FxHashMap<ProbeId, (InstanceId, u64, ProbeKey)>,
    next_probe: u64,
}

/// What the core keeps of an app for itself.
#[derive(Debug, Default)]
struct AppData {
    index: Index,
    /// What is launched; none: the app is gone.
    target: Option<Arc<App>>,
    /// Locked by a deployment whose turn for it has not come: none are killed for their number,
    /// and lost ones are replaced up to this one.
    held: Option<u32>,
    /// The version that all others give way to, while that goes on.
    replacing: Option<Timestamp>,
    placed: Placed,
    /// The version of the configuration `placed` is about.
    placed_for: Option<Timestamp>,
    backoffs: Backoffs,
    refusals: Refusals,
    /// How many wait, and the version of the one that is next.
    waiting: Option<(u32, Timestamp)>,
    /// Since when something waits.
    waiting_since: Option<Timestamp>,
    /// The role under which the app is among those that want offers.
    wanting: Option<String>,
    /// When the queue's entry is shown anew.
    refresh: Option<Duration>,
    /// What was told last about why instances wait.
    told: Vec<String>,
    dirty: bool,
    /// The input that it was looked at for last, and how often.
    looks: (u64, u32),
    /// An instance was lost: see whether one is missing.
    rescale: bool,
    /// Those taken over from the last process whose health nobody has told yet, and until when
    /// that is waited for.
    unproven: (FxHashSet<InstanceId>, Duration),
}

// === impl Core ===

impl Core {
    /// Begins with what was stored.
    pub fn new(config: Config, recovered: Recovered, now: Now) -> Self {
        let now = shifted(now);
        let mut core = Self {
            ids: Ids::new(config.seed),
            roles: Roles::new(&config.model.mesos_role),
            link: Link::new(now.mono),
            seen: Seen::default(),
            config,
            view: View::default(),
            now,
            out: Effects::default(),
            timers: Timers::default(),
            apps: FxHashMap::default(),
            inputs: 0,
            dirty: Vec::new(),
            deployments: Vec::new(),
            locks: FxHashMap::default(),
            due: Vec::new(),
            rollbacks: Vec::new(),
            kills: Kills::default(),
            watches: FxHashMap::default(),
            probes: FxHashMap::default(),
            next_probe: 0,
        };
        core.recover(recovered);
        core
    }

    /// One thing that happened.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Effects) {
        self.now = shifted(now);
        self.inputs += 1;
        match input {
            Input::Tick => {}
            Input::Command(request, command) => self.command(request, command),
            Input::Subscribed { framework_id, master, region, zone: _ } => {
                self.subscribed(framework_id, master, region);
            }
            Input::Disconnected => self.disconnected(),
            Input::Offers(offers) => self.offers(offers),
            Input::Rescinded(_) => self.view.metrics.offers_rescinded += 1,
            Input::Update(status) => self.status(*status),
            Input::AgentLost(agent) => self.agent_lost(&agent),
            Input::Message { agent, executor, data } => {
                let message = String::from_utf8_lossy(&data).into_owned();
                self.event(EventKind::FrameworkMessage { executor, agent, message });
            }
            Input::Probed { probe, outcome } => self.probed(probe, &outcome),
            Input::CallFailed { call, reason } => self.call_failed(call, reason),
            Input::Posted { event } => self.out.events.push(event),
        }
        self.ticks();
        self.settle();
        self.hand_over(out);
    }

    /// When it wants to be woken with a tick, on the clock of [`Now::mono`].
    pub fn deadline(&self) -> Option<Duration> {
        self.timers.next().map(|at| at.saturating_sub(BEFORE))
    }

    /// What readers see now.
    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// The roles to subscribe with.
    pub fn roles(&self) -> Vec<String> {
        self.roles.names()
    }

    fn ticks(&mut self) {
        while let Some(timer) = self.timers.pop(self.now.mono) {
            match timer {
                Timer::Revive => self.roles.revive_timer = None,
                Timer::Interest => self.roles.ask_again(self.now.mono),
                Timer::Decline => self.decline_again(),
                Timer::Backoff(app) | Timer::Look(app) => self.mark(&app),
                Timer::Overdue(id, incarnation) => self.overdue(&id, incarnation),
                Timer::Unreachable(id) => self.still_unreachable(&id),
                Timer::KillRetry => self.retry_kills(),
                Timer::Reconcile => self.reconcile_again(),
                Timer::AskAgain => self.ask_again(),
                Timer::ScaleCheck => self.scale_check(),
                Timer::Stalled(id) => self.check_progress(&id),
                Timer::Queue(app) => self.show_queue(&app),
                Timer::Probe(id) => self.probe_due(&id),
            }
        }
    }

    /// Everything that follows from what was marked.
    fn settle(&mut self) {
        loop {
            if let Some(app) = self.dirty.pop() {
                self.look_at(&app);
            } else if let Some(id) = self.due.pop() {
                self.step_done(&id);
            } else if let Some((id, app)) = self.rollbacks.pop() {
                self.auto_rollback(&id, &app);
            } else {
                break;
            }
        }
        self.send_kills();
        self.settle_interest();
    }

    fn look_at(&mut self, app: &PathId) {
        let Some(data) = self.apps.get_mut(app) else { return };
        data.dirty = false;
        let looks = if data.looks.0 == self.inputs { data.looks.1 + 1 } else { 0 };
        data.looks = (self.inputs, looks);
        if looks > MAX_LOOKS {
            // Whatever goes round in a circle here may not take everything else with it.
            return self
                .timers
                .set(self.now.mono + Duration::from_secs(1), Timer::Look(app.clone()));
        }
        if self.locks.contains_key(app) {
            self.advance(app);
        } else if std::mem::take(&mut data.rescale) {
            self.rescale(app);
        }
        self.keep_queue(app);
        self.forget(app);
    }

    /// Drops what is kept of an app that is gone.
    fn forget(&mut self, app: &PathId) {
        let Some(data) = self.apps.get(app) else { return };
        let used = !data.index.is_empty() || data.dirty;
        if used || self.view.root.app(app).is_some() || self.locks.contains_key(app) {
            return;
        }
        self.apps.remove(app);
        self.view.apps.remove(app);
        self.view.queued.remove(app);
    }

    fn hand_over(&mut self, out: &mut Effects) {
        let mut mine = std::mem::take(&mut self.out);
        out.writes.append(&mut mine.writes);
        out.calls.append(&mut mine.calls);
        out.events.append(&mut mine.events);
        out.replies.append(&mut mine.replies);
        out.probes.append(&mut mine.probes);
    }

    /// The time of day, for what leaves the process.
    fn at(&self) -> Timestamp {
        Timestamp::from_wall(self.now.wall)
    }

    fn event(&mut self, kind: EventKind) {
        self.out.events.push(Event { at: self.at(), kind });
    }

    fn mark(&mut self, app: &PathId) {
        let data = self.apps.entry(app.clone()).or_default();
        if !std::mem::replace(&mut data.dirty, true) {
            self.dirty.push(app.clone());
        }
    }

    /// The monotonic time of a moment of the past; now, if it lies in the future.
    fn mono_of(&self, at: Timestamp) -> Duration {
        self.now.mono.saturating_sub(self.now.wall.saturating_sub(at.wall()))
    }
}

fn shifted(now: Now) -> Now {
    Now { mono: now.mono.saturating_add(BEFORE), ..now }
}
