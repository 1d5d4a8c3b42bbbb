//! Health and readiness: feeds the judges in [`crate::health`] and does what they say.

use super::{Core, Timer, index::Class};
use crate::{
    Condition, EventKind, Goal, Instance, ProbeId, ProbeOutcome, ProbeRequest,
    health::{Monitor, Probe, ProbeKind, Readiness, Target, Verdict},
};
use marathon_model::{InstanceId, PathId};
use mesos_messages::v1::{TaskState, TaskStatus};
use std::{sync::Arc, time::Duration};

/// Longer intervals of health checks are not waited for after a start.
const PROOF_LIMIT: Duration = Duration::from_secs(60);
/// For the first probes to be made and answered.
const PROOF_SLACK: Duration = Duration::from_secs(10);

/// What watches one launch of an instance.
#[derive(Debug)]
pub(super) struct Watch {
    incarnation: u64,
    monitor: Option<Monitor>,
    readiness: Option<Readiness>,
    timer: Option<Duration>,
}

// === impl Core ===

impl Core {
    /// Begins to watch an instance that runs, or tells its watch where it is now.
    pub(super) fn watch(&mut self, id: &InstanceId) {
        let Some(instance) = self.instance(id) else { return };
        let target = target(&instance);
        if let Some(watch) = self.watches.get_mut(id) {
            if watch.incarnation == instance.incarnation {
                if let Some(monitor) = &mut watch.monitor {
                    monitor.set_target(target.clone());
                }
                if let Some(readiness) = &mut watch.readiness {
                    readiness.set_target(target);
                }
                return;
            }
            self.unwatch(id);
        }
        let since = instance.started_at.map_or(self.now.mono, |at| self.mono_of(at));
        let task = instance.task_id();
        let now = self.now.mono;
        let known = &instance.health;
        let monitor = Monitor::new(&instance.spec, &task, target.clone(), since, now, known);
        let asked = !instance.ready && self.locks.contains_key(instance.app());
        let readiness =
            asked.then(|| Readiness::new(&instance.spec, &task, target, self.now.mono)).flatten();
        if monitor.is_none() && readiness.is_none() {
            return;
        }
        self.view.metrics.health_monitored += u64::from(monitor.is_some());
        let incarnation = instance.incarnation;
        self.watches.insert(id.clone(), Watch { incarnation, monitor, readiness, timer: None });
        self.set_probe_timer(id);
    }

    /// The task is over, or the instance is gone.
    pub(super) fn unwatch(&mut self, id: &InstanceId) {
        self.proven(id);
        let Some(watch) = self.watches.remove(id) else { return };
        if watch.monitor.is_some() {
            self.view.metrics.health_monitored =
                self.view.metrics.health_monitored.saturating_sub(1);
        }
        if let Some(at) = watch.timer {
            self.timers.clear(at, Timer::Probe(id.clone()));
        }
    }

    /// A deployment works on the app: its running instances are asked whether they are ready.
    pub(super) fn begin_readiness(&mut self, app: &PathId) {
        for id in self.unready(app) {
            let Some(instance) = self.instance(&id) else { continue };
            let now = self.now.mono;
            let readiness =
                Readiness::new(&instance.spec, &instance.task_id(), target(&instance), now);
            match self.watches.get_mut(&id) {
                Some(watch) if watch.readiness.is_none() => watch.readiness = readiness,
                Some(_) => {}
                None => {
                    self.watch(&id);
                    continue;
                }
            }
            self.set_probe_timer(&id);
        }
    }

    /// Nobody asks any more.
    pub(super) fn end_readiness(&mut self, app: &PathId) {
        for id in self.unready(app) {
            if let Some(watch) = self.watches.get_mut(&id) {
                watch.readiness = None;
            }
            self.set_probe_timer(&id);
        }
    }

    fn unready(&self, app: &PathId) -> Vec<InstanceId> {
        let Some(data) = self.apps.get(app) else { return Vec::new() };
        let classes = [Class::Unhealthy, Class::Unknown, Class::NotReady];
        let ids = classes.iter().flat_map(|class| data.index.of_class(*class));
        let unready = |id: &&InstanceId| self.view.instance(id).is_some_and(|one| !one.ready);
        ids.filter(unready).cloned().collect()
    }

    fn set_probe_timer(&mut self, id: &InstanceId) {
        let Some(watch) = self.watches.get_mut(id) else { return };
        let health = watch.monitor.as_ref().and_then(Monitor::due);
        let readiness = watch.readiness.as_ref().and_then(Readiness::due);
        let due = match (health, readiness) {
            (Some(health), Some(readiness)) => Some(health.min(readiness)),
            (health, readiness) => health.or(readiness),
        };
        if watch.timer == due {
            return;
        }
        if let Some(at) = std::mem::replace(&mut watch.timer, due) {
            self.timers.clear(at, Timer::Probe(id.clone()));
        }
        if let Some(at) = due {
            self.timers.set(at, Timer::Probe(id.clone()));
        }
    }

    /// A probe of this instance is due.
    pub(super) fn probe_due(&mut self, id: &InstanceId) {
        let (now, running) = (self.now, self.is_running(id));
        let Some(watch) = self.watches.get_mut(id) else { return };
        watch.timer = None;
        let (mut probes, mut verdicts) = (Vec::new(), Vec::new());
        if let Some(monitor) = &mut watch.monitor {
            monitor.tick(now, running, &mut probes, &mut verdicts);
        }
        if let Some(readiness) = &mut watch.readiness {
            readiness.tick(now, &mut probes);
        }
        let incarnation = watch.incarnation;
        for probe in probes {
            self.request(id, incarnation, probe);
        }
        self.set_probe_timer(id);
        self.judge(id, verdicts);
        self.note_readiness(id);
    }

    fn request(&mut self, id: &InstanceId, incarnation: u64, probe: Probe) {
        self.next_probe += 1;
        self.view.metrics.health_probes += 1;
        let request = ProbeId(self.next_probe);
        self.probes.insert(request, (id.clone(), incarnation, probe.key));
        let Probe { target, timeout, body_limit, .. } = probe;
        let app = id.app();
        self.out.probes.push(ProbeRequest { id: request, app, target, timeout, body_limit });
    }

    /// Whether failures of its checks mean anything.
    fn is_running(&self, id: &InstanceId) -> bool {
        self.view.instance(id).is_some_and(|one| {
            one.condition == Condition::Running && one.goal == Goal::Running && !one.killing
        })
    }

    /// A probe has ended.
    pub(super) fn probed(&mut self, probe: ProbeId, outcome: &ProbeOutcome) {
        let Some((id, incarnation, key)) = self.probes.remove(&probe) else { return };
        let (now, running) = (self.now, self.is_running(&id));
        let watch = self.watches.get_mut(&id).filter(|watch| watch.incarnation == incarnation);
        let Some(watch) = watch else { return };
        let mut verdicts = Vec::new();
        match (key.kind, &mut watch.monitor, &mut watch.readiness) {
            (ProbeKind::Health(_), Some(monitor), _) => {
                monitor.finish(now, key, outcome, running, &mut verdicts);
            }
            (ProbeKind::Readiness, _, Some(readiness)) => {
                readiness.finish(now, key, outcome);
            }
            _ => {}
        }
        self.set_probe_timer(&id);
        self.judge(&id, verdicts);
        self.note_readiness(&id);
    }

    /// What the executor found out about the health of its task.
    pub(super) fn executor_says(&mut self, id: &InstanceId, healthy: bool) {
        let now = self.now;
        let mut verdicts = Vec::new();
        if let Some(monitor) = self.watches.get_mut(id).and_then(|watch| watch.monitor.as_mut()) {
            monitor.reported(now, healthy, &mut verdicts);
        }
        self.judge(id, verdicts);
    }

    /// Takes over what the monitor knows, and does what follows.
    fn judge(&mut self, id: &InstanceId, verdicts: Vec<Verdict>) {
        let Some(instance) = self.instance(id) else { return };
        let Some(monitor) = self.watches.get(id).and_then(|watch| watch.monitor.as_ref()) else {
            return;
        };
        let (states, healthy) = (monitor.states().to_vec(), monitor.healthy());
        if states != instance.health || healthy != instance.healthy {
            self.modify(id, |one| (one.health, one.healthy) = (states, healthy));
            if healthy.is_some() {
                self.proven(id);
            }
        }
        for verdict in verdicts {
            self.verdict(&instance, verdict);
        }
    }

    fn verdict(&mut self, instance: &Arc<Instance>, verdict: Verdict) {
        let (app, version) = (instance.app().clone(), instance.spec.version);
        match verdict {
            Verdict::Failed { check } => {
                let Some(check) = instance.spec.health_checks.get(check).cloned() else { return };
                let instance = instance.id.clone();
                self.event(EventKind::FailedHealthCheck { app, instance, check });
            }
            Verdict::Changed { check: _, alive } => {
                let instance = instance.id.clone();
                self.event(EventKind::HealthStatusChanged { app, instance, version, alive });
            }
            Verdict::Kill { check: _, reason } => self.kill_unhealthy(instance, reason),
        }
    }

    fn kill_unhealthy(&mut self, instance: &Arc<Instance>, reason: String) {
        let placement = instance.placement.as_ref();
        let text = format!("Task was killed since health check failed. Reason: {reason}");
        self.event(EventKind::UnhealthyInstanceKill {
            app: instance.app().clone(),
            task: instance.task_id().to_string(),
            instance: instance.id.clone(),
            version: instance.spec.version,
            reason,
            host: placement.map(|placement| placement.host.clone()).unwrap_or_default(),
            agent: placement.map(|placement| placement.agent_id.clone()),
        });
        let mut status = TaskStatus::default();
        status.task_id.value = instance.task_id().to_string();
        self.failed(instance, TaskState::TaskKilled, &text, &status);
        self.back_off(instance);
        self.count_failure(instance.app(), &instance.spec);
        self.kill(&instance.id, instance.goal);
    }

    /// An instance of the last process is watched: how it fares is known after one round of probes.
    pub(super) fn await_proof(&mut self, id: &InstanceId) {
        let Some(instance) = self.instance(id).filter(|one| one.healthy.is_none()) else { return };
        let checks = instance.spec.health_checks.iter();
        let round =
            checks.map(|check| check.interval_seconds.saturating_add(check.timeout_seconds));
        let Some(round) = round.max() else { return };
        let patience = Duration::from_secs(round).min(PROOF_LIMIT) + PROOF_SLACK;
        let until = self.link.started + patience;
        let data = self.apps.entry(instance.app().clone()).or_default();
        data.unproven.0.insert(id.clone());
        if data.unproven.1 < until {
            data.unproven.1 = until;
            self.timers.set(until, Timer::Look(instance.app().clone()));
        }
    }

    /// Its health is known, or it does not matter any more.
    pub(super) fn proven(&mut self, id: &InstanceId) {
        if let Some(data) = self.apps.get_mut(&id.app()) {
            data.unproven.0.remove(id);
        }
    }

    /// Shows the last answer of a readiness check, and takes the instance for ready if it is.
    fn note_readiness(&mut self, id: &InstanceId) {
        let Some(readiness) = self.watches.get(id).and_then(|watch| watch.readiness.as_ref())
        else {
            return;
        };
        let (result, ready) = (readiness.result().cloned(), readiness.is_ready());
        let Some(instance) = self.instance(id) else { return };
        if let Some(result) = result {
            let state = super::instances::entry(&mut self.view.apps, instance.app());
            let known = state.readiness.get(id).is_some_and(|known| **known == result);
            if !known {
                Arc::make_mut(state).readiness.insert(id.clone(), Arc::new(result));
            }
        }
        if ready && !instance.ready {
            self.modify(id, |one| one.ready = true);
        }
    }
}

fn target(instance: &Instance) -> Target {
    Target {
        host: instance.placement.as_ref().map(|at| at.host.clone()).unwrap_or_default(),
        host_ports: instance.host_ports.clone(),
        ips: instance.ips.iter().map(|ip| ip.address.clone()).collect(),
    }
}
