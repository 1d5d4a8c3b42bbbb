//! The connection to the master: registration, reconciliation, calls that failed.

use super::{Core, Timer};
use crate::{Call, Condition, EventKind, FailedCall, Instance, Write};
use marathon_model::{InstanceId, TaskId};
use mesos_messages::v1;
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// Tasks in one call of explicit reconciliation.
const CHUNK: usize = 5000;

/// When offers are refused again, and for how long, whose refusal got lost.
const DECLINE_AGAIN: Duration = Duration::from_secs(1);
/// When, after a connection, what it left open is asked about again: agents come back one by one
/// to a new master, and until then it has no answer.
const ASK_AGAIN: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// What is known of the connection.
#[derive(Debug)]
pub(super) struct Link {
    /// When this core began.
    pub(super) started: Duration,
    /// The master's region.
    pub(super) region: Option<String>,
    registered: bool,
    /// Only the latest series of reconciliations goes on.
    next_reconcile: Option<Duration>,
    /// Launches and kills from before the connection, and when to ask about them.
    open: Vec<InstanceId>,
    ask_at: VecDeque<Duration>,
    /// Offers that the master may take for ours although they were given back.
    undeclined: Vec<v1::OfferId>,
}

// === impl Link ===

impl Link {
    pub(super) fn new(started: Duration) -> Self {
        Self {
            started,
            region: None,
            registered: false,
            next_reconcile: None,
            open: Vec::new(),
            ask_at: VecDeque::new(),
            undeclined: Vec::new(),
        }
    }
}

// === impl Core ===

impl Core {
    pub(super) fn subscribed(&mut self, id: String, master: String, region: Option<String>) {
        if self.view.framework_id.as_deref() != Some(&id) {
            self.out.writes.push(Write::FrameworkId(id.clone()));
            self.view.framework_id = Some(id.as_str().into());
        }
        self.view.master = Some(master.as_str().into());
        self.link.region = region;
        if std::mem::replace(&mut self.link.registered, true) {
            self.event(EventKind::SchedulerReregistered { master });
        } else {
            self.event(EventKind::SchedulerRegistered { framework_id: id, master });
        }
        // With the old subscription its offers ended.
        self.link.undeclined.clear();
        self.roles.subscribed();
        self.resend_kills();
        self.reconcile(self.config.reconcile_initial);
        self.link.open =
            self.with_tasks().filter(|one| is_open(one)).map(|one| one.id.clone()).collect();
        self.link.ask_at = ASK_AGAIN.iter().map(|after| self.now.mono + *after).collect();
        self.ask_later();
        self.refresh_queues();
    }

    fn refresh_queues(&mut self) {
        let queued: Vec<_> = self.view.queued.iter().cloned().collect();
        for app in queued {
            self.refresh_queue(&app);
        }
    }

    pub(super) fn disconnected(&mut self) {
        if self.view.master.take().is_some() {
            self.event(EventKind::SchedulerDisconnected);
        }
        self.link.next_reconcile = None;
        self.link.undeclined.clear();
    }

    /// Asks about every task that is known, then about all others.
    fn reconcile(&mut self, next: Duration) {
        let mut tasks = Vec::new();
        for instance in self.with_tasks() {
            let agent = instance.placement.as_ref().map(|placement| placement.agent_id.clone());
            tasks.push((instance.task_id().to_string(), agent));
        }
        for chunk in tasks.chunks(CHUNK) {
            self.out.calls.push(Call::Reconcile(chunk.to_vec()));
        }
        self.out.calls.push(Call::Reconcile(Vec::new()));
        let at = self.now.mono + next;
        self.link.next_reconcile = Some(at);
        self.timers.set(at, Timer::Reconcile);
    }

    fn with_tasks(&self) -> impl Iterator<Item = &Arc<Instance>> {
        let instances = self.view.apps.values().flat_map(|state| state.instances.values());
        instances.filter(|instance| instance.launched())
    }

    fn ask_later(&mut self) {
        if let Some(at) = self.link.ask_at.front()
            && !self.link.open.is_empty()
        {
            self.timers.set(*at, Timer::AskAgain);
        }
    }

    /// Asks again about what is still open.
    pub(super) fn ask_again(&mut self) {
        if self.link.ask_at.front().is_none_or(|at| *at > self.now.mono) {
            return;
        }
        self.link.ask_at.pop_front();
        if self.view.master.is_none() {
            return;
        }
        let mut asked = Vec::new();
        for id in std::mem::take(&mut self.link.open) {
            let Some(instance) = self.view.instance(&id).filter(|one| is_open(one)) else {
                continue;
            };
            if instance.killing {
                self.kills.resend(&id);
            } else {
                let agent = instance.placement.as_ref().map(|placement| placement.agent_id.clone());
                asked.push((instance.task_id().to_string(), agent));
            }
            self.link.open.push(id);
        }
        for chunk in asked.chunks(CHUNK) {
            self.out.calls.push(Call::Reconcile(chunk.to_vec()));
        }
        self.ask_later();
    }

    pub(super) fn reconcile_again(&mut self) {
        if self.link.next_reconcile.is_some_and(|at| at <= self.now.mono) {
            self.reconcile(self.config.reconcile_interval);
        }
    }

    /// The master did not get a call, or did not want it.
    pub(super) fn call_failed(&mut self, call: FailedCall, reason: String) {
        match call {
            FailedCall::Accept { tasks, offers } => {
                // Perhaps they run: the master is asked, and unknown ones are launched again.
                let mut asked = Vec::new();
                for task in tasks.iter().filter_map(|task| TaskId::parse(task)) {
                    let Some(instance) = self.view.instance(&task.instance) else { continue };
                    let same = instance.incarnation == task.incarnation;
                    if same && instance.condition == Condition::Provisioned {
                        let agent = instance.placement.as_ref().map(|at| at.agent_id.clone());
                        asked.push((task.to_string(), agent));
                    }
                }
                if !asked.is_empty() {
                    self.out.calls.push(Call::Reconcile(asked));
                }
                self.decline_later(offers);
            }
            FailedCall::Decline(offers) => self.decline_later(offers),
            FailedCall::Interest => {
                if let Some(at) = self.roles.not_heard(self.now.mono) {
                    self.timers.set(at, Timer::Interest);
                }
            }
            FailedCall::Roles(roles) => {
                if let Some(at) = self.roles.refused(&roles, reason, self.now.mono) {
                    self.timers.set(at, Timer::Interest);
                }
                self.refresh_queues();
            }
            FailedCall::Other => {}
        }
    }
}

impl Core {
    /// What the master still holds for us nobody else can have.
    fn decline_later(&mut self, offers: Vec<v1::OfferId>) {
        if offers.is_empty() || self.view.master.is_none() {
            return;
        }
        if self.link.undeclined.is_empty() {
            self.timers.set(self.now.mono + DECLINE_AGAIN, Timer::Decline);
        }
        self.link.undeclined.extend(offers);
    }

    pub(super) fn decline_again(&mut self) {
        let offers = std::mem::take(&mut self.link.undeclined);
        if !offers.is_empty() {
            self.out.calls.push(Call::Decline { offers, refuse: DECLINE_AGAIN });
        }
    }
}

/// Whether a launch or a kill of it may have got lost.
fn is_open(instance: &Instance) -> bool {
    instance.launched() && (instance.killing || instance.condition == Condition::Provisioned)
}
