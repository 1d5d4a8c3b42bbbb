//! The connection to the master: registration, reconciliation, calls that failed.

use super::{Core, Timer};
use crate::{Call, Condition, EventKind, FailedCall, Write};
use marathon_model::TaskId;
use std::time::Duration;

/// Tasks in one call of explicit reconciliation.
const CHUNK: usize = 5000;

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
}

// === impl Link ===

impl Link {
    pub(super) fn new(started: Duration) -> Self {
        Self { started, region: None, registered: false, next_reconcile: None }
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
        self.roles.subscribed();
        self.resend_kills();
        self.reconcile(self.config.reconcile_initial);
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
    }

    /// Asks about every task that is known, then about all others.
    fn reconcile(&mut self, next: Duration) {
        let mut tasks = Vec::new();
        for instance in self.view.apps.values().flat_map(|state| state.instances.values()) {
            if !instance.launched() {
                continue;
            }
            let agent = instance.placement.as_ref().map(|placement| placement.agent_id.clone());
            tasks.push((instance.task_id().to_string(), agent));
            if tasks.len() >= CHUNK {
                self.out.calls.push(Call::Reconcile(std::mem::take(&mut tasks)));
            }
        }
        if !tasks.is_empty() {
            self.out.calls.push(Call::Reconcile(tasks));
        }
        self.out.calls.push(Call::Reconcile(Vec::new()));
        let at = self.now.mono + next;
        self.link.next_reconcile = Some(at);
        self.timers.set(at, Timer::Reconcile);
    }

    pub(super) fn reconcile_again(&mut self) {
        if self.link.next_reconcile.is_some_and(|at| at <= self.now.mono) {
            self.reconcile(self.config.reconcile_interval);
        }
    }

    /// The master did not get a call, or did not want it.
    pub(super) fn call_failed(&mut self, call: FailedCall) {
        match call {
            FailedCall::Accept(tasks) => {
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
            }
            FailedCall::Interest => self.roles.ask_all(),
            FailedCall::Other => {}
        }
    }
}
