//! What readers see: persistent maps, cloned for nothing and shared with the core.

use crate::{Condition, Goal, Instance, ReadinessResult, TaskFailure, launch::Refusals};
use imbl::OrdMap;
use marathon_model::{
    App, InstanceId, PathId, Timestamp,
    group::Root,
    plan::{ActionKind, Plan},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Everything that can be read, as of one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub root: Root,
    /// Apps with instances, a back-off or a last failure; also removed ones that still stop.
    pub apps: OrdMap<PathId, Arc<AppState>>,
    /// In the order in which they were begun.
    pub deployments: imbl::Vector<Arc<Deployment>>,
    /// Apps of `apps` with a queue entry.
    pub queued: imbl::OrdSet<PathId>,
    pub framework_id: Option<Arc<str>>,
    /// The master while subscribed.
    pub master: Option<Arc<str>>,
    pub metrics: Metrics,
}

/// What there is of one app.
#[derive(Clone, Debug, Default)]
pub struct AppState {
    pub instances: OrdMap<InstanceId, Arc<Instance>>,
    pub counts: Counts,
    pub last_failure: Option<Arc<TaskFailure>>,
    /// Something waits to be launched.
    pub queue: Option<Arc<QueueItem>>,
    /// Deployments that work on it.
    pub deployments: Vec<Arc<str>>,
    /// The last results of readiness checks of the running deployment.
    pub readiness: OrdMap<InstanceId, Arc<ReadinessResult>>,
}

/// How many instances are how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Every instance that is listed.
    pub total: u32,
    /// Waits for an offer.
    pub scheduled: u32,
    /// As `tasksStaged` counts: provisioned, staging or starting.
    pub staged: u32,
    pub running: u32,
    /// Running, and every check says so.
    pub healthy: u32,
    pub unhealthy: u32,
    pub unreachable: u32,
}

/// Why instances of an app are not there yet.
#[derive(Clone, Debug)]
pub struct QueueItem {
    /// The version that is launched.
    pub app: Arc<App>,
    /// Instances that wait.
    pub count: u32,
    pub since: Timestamp,
    pub role: String,
    /// The back-off ends then; in the past or none: no delay.
    pub backoff_until: Option<Timestamp>,
    pub offers: Arc<Refusals>,
    /// In words, most frequent first; never empty.
    pub reasons: Vec<String>,
}

/// A running deployment.
#[derive(Clone, Debug)]
pub struct Deployment {
    pub plan: Arc<Plan>,
    pub started_at: Timestamp,
    /// From 1.
    pub current_step: usize,
    /// Of the current step.
    pub actions: imbl::Vector<ActionState>,
    /// Set while it makes no progress: why.
    pub reason: Option<Arc<str>>,
    /// Since when there is no progress.
    pub last_progress: Timestamp,
    /// It takes back another one.
    pub rollback: bool,
}

/// An action of the current step.
#[derive(Clone, Debug)]
pub struct ActionState {
    pub kind: ActionKind,
    pub app: PathId,
    pub done: bool,
    /// Instances of the target version that are ready, and those wanted.
    pub ready: u32,
    pub wanted: u32,
}

/// Numbers since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    pub instances_total: u64,
    pub instances_scheduled: u64,
    pub instances_staged: u64,
    pub instances_running: u64,
    pub instances_launched: u64,
    pub instances_failed: u64,
    pub kills_sent: u64,
    pub offers_processed: u64,
    pub offers_declined: u64,
    pub offers_used: u64,
    pub offers_rescinded: u64,
    pub status_updates: u64,
    pub revives: u64,
    pub suppresses: u64,
    pub deployments_started: u64,
    pub deployments_succeeded: u64,
    pub deployments_failed: u64,
    /// Marathon's own health checks: instances watched, probes made.
    pub health_monitored: u64,
    pub health_probes: u64,
}

// === impl View ===

impl View {
    /// What there is of an app.
    pub fn app(&self, id: &PathId) -> Option<&Arc<AppState>> {
        self.apps.get(id)
    }

    /// How many instances the apps of these have without them. Each counts once, and not at all
    /// if it was asked to go before or has been replaced.
    pub fn counts_without(&self, instances: &[Arc<Instance>]) -> BTreeMap<PathId, u32> {
        let (mut counts, mut seen) = (BTreeMap::new(), BTreeSet::new());
        for one in instances {
            let counted =
                one.goal == Goal::Running && one.condition != Condition::UnreachableInactive;
            let Some(app) = self.root.app(one.app()).filter(|_| counted) else { continue };
            if seen.insert(&one.id) {
                let left = counts.entry(app.id.clone()).or_insert(app.instances);
                *left = left.saturating_sub(1);
            }
        }
        counts
    }

    /// An instance by its id.
    pub fn instance(&self, id: &InstanceId) -> Option<&Arc<Instance>> {
        self.apps.get(&id.app())?.instances.get(id)
    }

    /// A running deployment.
    pub fn deployment(&self, id: &str) -> Option<&Arc<Deployment>> {
        self.deployments.iter().find(|deployment| deployment.plan.id == id)
    }
}

// === impl AppState ===

impl AppState {
    /// What was said about the last failure of this configuration of the app.
    pub fn failure_of(&self, spec: &App) -> Option<&str> {
        let last = self.last_failure.as_ref()?;
        let counts = last.version >= spec.version_info.last_config_change_at;
        (counts && !last.message.is_empty()).then_some(&last.message)
    }
}

// === impl QueueItem ===

impl QueueItem {
    /// How long the back-off still lasts.
    pub fn time_left(&self, now: Timestamp) -> Duration {
        let until = self.backoff_until.unwrap_or_default();
        Duration::from_millis(until.0.saturating_sub(now.0))
    }
}
