//! What the master tells about tasks.

use super::{Core, index::Class};
use crate::{Call, Condition, EventKind, Goal, Instance, IpAddress, TaskFailure, Write};
use marathon_model::TaskId;
use mesos_messages::v1::{self, TaskState, task_status::Reason};
use std::sync::Arc;

/// Longer messages are cut.
const MAX_MESSAGE: usize = 10_000;

// === impl Core ===

impl Core {
    pub(super) fn status(&mut self, status: v1::TaskStatus) {
        self.view.metrics.status_updates += 1;
        let condition = condition(&status);
        let task = TaskId::parse(&status.task_id.value);
        let known = task.as_ref().and_then(|task| self.instance(&task.instance));
        let known = known.filter(|one| {
            let same = task.as_ref().is_some_and(|task| task.incarnation == one.incarnation);
            same && one.launched()
        });
        match known {
            Some(instance) => self.known_status(&instance, &status, condition),
            None => self.unknown_status(task.as_ref(), &status, condition),
        }
        if status.uuid.is_some() {
            self.out.calls.push(Call::Acknowledge(Box::new(status)));
        }
    }

    /// Nothing of ours, or no longer: what runs is ended.
    fn unknown_status(
        &mut self,
        task: Option<&TaskId>,
        status: &v1::TaskStatus,
        condition: Condition,
    ) {
        if condition.terminal() {
            let known = |task: &TaskId| self.view.instance(&task.instance).is_some();
            if let Some(task) = task.filter(|task| !known(task)) {
                let (instance, app) = (task.instance.clone(), task.instance.app());
                self.event(EventKind::UnknownInstanceTerminated { instance, app, condition });
            }
        } else if condition != Condition::Unreachable {
            self.view.metrics.kills_sent += 1;
            self.out.calls.push(Call::Kill {
                task: status.task_id.value.clone(),
                agent: status.agent_id.as_ref().map(|agent| agent.value.clone()),
                grace: None,
            });
        }
    }

    fn known_status(
        &mut self,
        instance: &Arc<Instance>,
        status: &v1::TaskStatus,
        condition: Condition,
    ) {
        let old = instance.mesos_state;
        if old != Some(status.state()) {
            self.status_event(instance, status);
        }
        if condition.terminal() {
            return self.ended(instance, status, condition);
        }
        if condition == Condition::Unreachable {
            return self.unreachable(&instance.id, status);
        }
        // What was late may not make a running task a staged one again.
        if rank(condition) < rank(instance.condition)
            && instance.condition != Condition::Unreachable
            && Class::of(instance) != Class::Inactive
        {
            return;
        }
        let back = Class::of(instance) == Class::Inactive;
        let at = self.at();
        let ips = ips(status);
        self.modify(&instance.id, |one| {
            one.condition = condition;
            one.mesos_state = Some(status.state());
            if condition == Condition::Running && one.started_at.is_none() {
                one.started_at = Some(at);
            }
            if !ips.is_empty() {
                one.ips = ips;
            }
            if let Some(check) = &status.check_status {
                one.check = Some(Arc::new(**check));
            }
        });
        self.advance_backoff(&instance.spec);
        if condition == Condition::Running {
            self.watch(&instance.id);
            if let Some(healthy) = status.healthy {
                self.executor_says(&instance.id, healthy);
            }
        }
        if back {
            // Its replacement is there already.
            self.rescale_later(instance.app());
        }
    }

    fn status_event(&mut self, instance: &Instance, status: &v1::TaskStatus) {
        let agent = status.agent_id.as_ref().map(|agent| agent.value.clone());
        let host = instance.placement.as_ref().map(|placement| placement.host.clone());
        let reported = ips(status);
        self.event(EventKind::StatusUpdate {
            agent: agent.unwrap_or_default(),
            task: status.task_id.value.clone(),
            state: status.state().as_str_name(),
            message: message(status),
            app: instance.app().clone(),
            host: host.unwrap_or_else(|| "unknown".to_owned()),
            ips: if reported.is_empty() { instance.ips.clone() } else { reported },
            ports: instance.host_ports.clone(),
            version: instance.spec.version,
        });
    }

    /// The task is over.
    fn ended(&mut self, instance: &Arc<Instance>, status: &v1::TaskStatus, condition: Condition) {
        let spec = instance.spec.clone();
        if fails(status.state()) {
            self.failed(instance, status.state(), &message(status), status);
        }
        let draining = status.reason.is_some() && status.reason() == Reason::AgentDraining;
        let delays = matches!(
            condition,
            Condition::Dropped
                | Condition::Error
                | Condition::Failed
                | Condition::Gone
                | Condition::Finished
        );
        // The offer was taken back while the launch was on its way.
        let no_offer = status.reason.is_some() && status.reason() == Reason::InvalidOffers;
        let delays = delays && !no_offer;
        let wanted = instance.goal == Goal::Running && !instance.killing;
        if draining {
            self.reset_backoff(instance.app());
        } else if delays && wanted {
            self.view.metrics.instances_failed += 1;
            self.back_off(instance);
            // What agents and offers do is no fault of the new version.
            if !matches!(condition, Condition::Dropped | Condition::Gone) {
                self.count_failure(instance.app(), &spec);
            }
        } else if condition == Condition::Killed && wanted && status.healthy == Some(false) {
            // The executor gave up on it.
            self.back_off(instance);
            self.count_failure(instance.app(), &spec);
        }
        if instance.goal == Goal::Running {
            self.changed_event(&Instance { condition, ..(**instance).clone() });
            self.reschedule(&instance.id);
        } else {
            self.expunge(&instance.id, condition);
        }
    }

    /// Notes the last failure of the app.
    pub(super) fn failed(
        &mut self,
        instance: &Instance,
        state: TaskState,
        message: &str,
        status: &v1::TaskStatus,
    ) {
        let placement = instance.placement.as_ref();
        let agent = placement.map(|placement| placement.agent_id.clone());
        let failure = Arc::new(TaskFailure {
            app_id: instance.app().clone(),
            host: placement.map(|placement| placement.host.clone()).unwrap_or_default(),
            message: message.to_owned(),
            state: state.as_str_name().to_owned(),
            task_id: status.task_id.value.clone(),
            timestamp: self.at(),
            version: instance.spec.version,
            slave_id: status.agent_id.as_ref().map(|agent| agent.value.clone()).or(agent),
        });
        let state = super::instances::entry(&mut self.view.apps, instance.app());
        Arc::make_mut(state).last_failure = Some(failure.clone());
        if self.view.root.app(instance.app()).is_some() {
            self.out.writes.push(Write::PutFailure(failure));
        }
    }
}

/// A status in Marathon's words. The master tells TASK_LOST only to frameworks that know nothing
/// of partitions; then the reason decides.
fn condition(status: &v1::TaskStatus) -> Condition {
    match status.state() {
        TaskState::TaskStaging => Condition::Staging,
        TaskState::TaskStarting => Condition::Starting,
        TaskState::TaskRunning => Condition::Running,
        TaskState::TaskKilling => Condition::Killing,
        TaskState::TaskFinished => Condition::Finished,
        TaskState::TaskFailed => Condition::Failed,
        TaskState::TaskKilled => Condition::Killed,
        TaskState::TaskError => Condition::Error,
        TaskState::TaskDropped => Condition::Dropped,
        TaskState::TaskUnreachable => Condition::Unreachable,
        TaskState::TaskGone | TaskState::TaskGoneByOperator => Condition::Gone,
        TaskState::TaskUnknown => Condition::Unknown,
        TaskState::TaskLost => match status.reason.map(|_| status.reason()) {
            Some(Reason::Reconciliation | Reason::AgentDisconnected | Reason::AgentRemoved) => {
                Condition::Unreachable
            }
            Some(Reason::TaskUnknown) => Condition::Unknown,
            _ => Condition::Gone,
        },
    }
}

fn rank(condition: Condition) -> u8 {
    match condition {
        Condition::Provisioned => 0,
        Condition::Staging => 1,
        Condition::Starting => 2,
        Condition::Running => 3,
        _ => 4,
    }
}

/// States that are kept as the app's last failure.
fn fails(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::TaskFailed
            | TaskState::TaskError
            | TaskState::TaskLost
            | TaskState::TaskDropped
            | TaskState::TaskGone
            | TaskState::TaskGoneByOperator
            | TaskState::TaskUnknown
    )
}

fn message(status: &v1::TaskStatus) -> String {
    let message = status.message.as_deref().unwrap_or_default();
    message.chars().take(MAX_MESSAGE).collect()
}

/// The addresses of the container, in the order in which they were told, each once.
fn ips(status: &v1::TaskStatus) -> Vec<IpAddress> {
    let networks = status.container_status.iter().flat_map(|status| &status.network_infos);
    let addresses = networks.flat_map(|network| &network.ip_addresses);
    let mut ips: Vec<IpAddress> = Vec::new();
    for address in addresses.filter_map(|address| address.ip_address.as_ref()) {
        let ip = IpAddress { address: address.clone(), v6: address.contains(':') };
        if !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    ips
}
