//! What happened, for the stream of events and those who follow deployments.

use crate::{Condition, Goal, IpAddress};
use marathon_model::{
    App, InstanceId, PathId, Timestamp,
    app::HealthCheck,
    plan::{ActionKind, Plan},
};
use std::sync::Arc;

/// One event and its moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub at: Timestamp,
    pub kind: EventKind,
}

/// What happened. The names of the original's types are in [`EventKind::name`].
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// Made by the HTTP layer and only passed through.
    ApiPost {
        client_ip: String,
        uri: String,
        app: Arc<App>,
    },
    /// Of the HTTP layer: somebody follows the events.
    StreamAttached {
        remote: String,
    },
    /// Of the HTTP layer: and does no longer.
    StreamDetached {
        remote: String,
    },
    SchedulerRegistered {
        framework_id: String,
        master: String,
    },
    SchedulerReregistered {
        master: String,
    },
    SchedulerDisconnected,
    AddHealthCheck {
        app: PathId,
        version: Timestamp,
        check: HealthCheck,
    },
    RemoveHealthCheck {
        app: PathId,
    },
    FailedHealthCheck {
        app: PathId,
        instance: InstanceId,
        check: HealthCheck,
    },
    HealthStatusChanged {
        app: PathId,
        instance: InstanceId,
        version: Timestamp,
        alive: bool,
    },
    UnhealthyInstanceKill {
        app: PathId,
        task: String,
        instance: InstanceId,
        version: Timestamp,
        reason: String,
        host: String,
        agent: Option<String>,
    },
    GroupChangeSuccess {
        group: PathId,
        version: Timestamp,
    },
    GroupChangeFailed {
        group: PathId,
        version: Timestamp,
        reason: String,
    },
    DeploymentSuccess {
        plan: Arc<Plan>,
    },
    DeploymentFailed {
        plan: Arc<Plan>,
        reason: Option<String>,
    },
    DeploymentInfo {
        plan: Arc<Plan>,
        step: CurrentStep,
    },
    DeploymentStepSuccess {
        plan: Arc<Plan>,
        step: CurrentStep,
    },
    DeploymentStepFailure {
        plan: Arc<Plan>,
        step: CurrentStep,
    },
    AppTerminated {
        app: PathId,
    },
    StatusUpdate {
        agent: String,
        task: String,
        /// `TASK_RUNNING` and such.
        state: &'static str,
        message: String,
        app: PathId,
        host: String,
        ips: Vec<IpAddress>,
        ports: Vec<u16>,
        version: Timestamp,
    },
    InstanceChanged {
        instance: InstanceId,
        condition: Condition,
        app: PathId,
        agent: Option<String>,
        host: Option<String>,
        version: Timestamp,
        goal: Goal,
        /// Its task is about to be told to end. Whoever sends it requests hears this first.
        killing: bool,
    },
    UnknownInstanceTerminated {
        instance: InstanceId,
        app: PathId,
        condition: Condition,
    },
    InstanceHealthChanged {
        instance: InstanceId,
        app: PathId,
        version: Timestamp,
        healthy: Option<bool>,
    },
    FrameworkMessage {
        executor: String,
        agent: String,
        message: String,
    },
    /// Ours: a deployment made no progress for a minute.
    DeploymentStalled {
        plan: Arc<Plan>,
        reason: String,
    },
    /// Ours: instances of an app wait, and why.
    InstancePending {
        app: PathId,
        version: Timestamp,
        instances: u32,
        reasons: Vec<String>,
    },
}

/// The step a deployment is at.
#[derive(Clone, Debug, PartialEq)]
pub struct CurrentStep {
    /// From 1.
    pub number: usize,
    pub actions: Vec<(ActionKind, PathId)>,
}

// === impl Event ===

impl Event {
    /// Whether only those get it who name it.
    pub fn named_only(&self) -> bool {
        matches!(self.kind, EventKind::DeploymentStalled { .. } | EventKind::InstancePending { .. })
    }
}

impl EventKind {
    /// The event's type on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ApiPost { .. } => "api_post_event",
            Self::StreamAttached { .. } => "event_stream_attached",
            Self::StreamDetached { .. } => "event_stream_detached",
            Self::SchedulerRegistered { .. } => "scheduler_registered_event",
            Self::SchedulerReregistered { .. } => "scheduler_reregistered_event",
            Self::SchedulerDisconnected => "scheduler_disconnected_event",
            Self::AddHealthCheck { .. } => "add_health_check_event",
            Self::RemoveHealthCheck { .. } => "remove_health_check_event",
            Self::FailedHealthCheck { .. } => "failed_health_check_event",
            Self::HealthStatusChanged { .. } => "health_status_changed_event",
            Self::UnhealthyInstanceKill { .. } => "unhealthy_instance_kill_event",
            Self::GroupChangeSuccess { .. } => "group_change_success",
            Self::GroupChangeFailed { .. } => "group_change_failed",
            Self::DeploymentSuccess { .. } => "deployment_success",
            Self::DeploymentFailed { .. } => "deployment_failed",
            Self::DeploymentInfo { .. } => "deployment_info",
            Self::DeploymentStepSuccess { .. } => "deployment_step_success",
            Self::DeploymentStepFailure { .. } => "deployment_step_failure",
            Self::AppTerminated { .. } => "app_terminated_event",
            Self::StatusUpdate { .. } => "status_update_event",
            Self::InstanceChanged { .. } => "instance_changed_event",
            Self::UnknownInstanceTerminated { .. } => "unknown_instance_terminated_event",
            Self::InstanceHealthChanged { .. } => "instance_health_changed_event",
            Self::FrameworkMessage { .. } => "framework_message_event",
            Self::DeploymentStalled { .. } => "deployment_stalled_event",
            Self::InstancePending { .. } => "instance_pending_event",
        }
    }
}
