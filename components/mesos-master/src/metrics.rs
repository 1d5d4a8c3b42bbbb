//! What the master counts, and the Mesos names under which readers see it.
//!
//! The owner only adds to numbers; names are made where they are read.
use std::{collections::BTreeMap, sync::Arc};

use mesos_messages::v1;
use rustc_hash::FxHashMap;

use crate::model::{Framework, Id};

macro_rules! counters {
    ($(#[$meta:meta])* $type:ident { $($field:ident: $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default)]
        pub struct $type { $(pub $field: u64,)* }

        impl $type {
            /// Calls back with every name and value.
            pub fn each(&self, mut visit: impl FnMut(&'static str, u64)) {
                $(visit($name, self.$field);)*
            }
        }
    };
}

counters! {
    /// Counters of the whole master; the names lack the prefix `master/`.
    Counters {
        dropped_messages: "dropped_messages",
        messages_register_framework: "messages_register_framework",
        messages_reregister_framework: "messages_reregister_framework",
        messages_unregister_framework: "messages_unregister_framework",
        messages_deactivate_framework: "messages_deactivate_framework",
        messages_kill_task: "messages_kill_task",
        messages_status_update_acknowledgement: "messages_status_update_acknowledgement",
        messages_resource_request: "messages_resource_request",
        messages_launch_tasks: "messages_launch_tasks",
        messages_decline_offers: "messages_decline_offers",
        messages_revive_offers: "messages_revive_offers",
        messages_suppress_offers: "messages_suppress_offers",
        messages_reconcile_tasks: "messages_reconcile_tasks",
        messages_reconcile_operations: "messages_reconcile_operations",
        messages_framework_to_executor: "messages_framework_to_executor",
        messages_operation_status_update: "messages_operation_status_update",
        messages_operation_status_update_acknowledgement:
            "messages_operation_status_update_acknowledgement",
        messages_register_slave: "messages_register_slave",
        messages_reregister_slave: "messages_reregister_slave",
        messages_unregister_slave: "messages_unregister_slave",
        messages_status_update: "messages_status_update",
        messages_exited_executor: "messages_exited_executor",
        messages_update_slave: "messages_update_slave",
        messages_authenticate: "messages_authenticate",
        messages_executor_to_framework: "messages_executor_to_framework",
        valid_framework_to_executor_messages: "valid_framework_to_executor_messages",
        invalid_framework_to_executor_messages: "invalid_framework_to_executor_messages",
        valid_executor_to_framework_messages: "valid_executor_to_framework_messages",
        invalid_executor_to_framework_messages: "invalid_executor_to_framework_messages",
        valid_status_updates: "valid_status_updates",
        invalid_status_updates: "invalid_status_updates",
        valid_status_update_acknowledgements: "valid_status_update_acknowledgements",
        invalid_status_update_acknowledgements: "invalid_status_update_acknowledgements",
        valid_operation_status_updates: "valid_operation_status_updates",
        invalid_operation_status_updates: "invalid_operation_status_updates",
        valid_operation_status_update_acknowledgements:
            "valid_operation_status_update_acknowledgements",
        invalid_operation_status_update_acknowledgements:
            "invalid_operation_status_update_acknowledgements",
        slave_registrations: "slave_registrations",
        slave_reregistrations: "slave_reregistrations",
        slave_removals: "slave_removals",
        slave_removals_unhealthy: "slave_removals/reason_unhealthy",
        slave_removals_unregistered: "slave_removals/reason_unregistered",
        slave_removals_registered: "slave_removals/reason_registered",
        slave_shutdowns_scheduled: "slave_shutdowns_scheduled",
        slave_shutdowns_completed: "slave_shutdowns_completed",
        slave_shutdowns_canceled: "slave_shutdowns_canceled",
        slave_unreachable_scheduled: "slave_unreachable_scheduled",
        slave_unreachable_completed: "slave_unreachable_completed",
        slave_unreachable_canceled: "slave_unreachable_canceled",
        recovery_slave_removals: "recovery_slave_removals",
        tasks_finished: "tasks_finished",
        tasks_failed: "tasks_failed",
        tasks_killed: "tasks_killed",
        tasks_lost: "tasks_lost",
        tasks_error: "tasks_error",
        tasks_dropped: "tasks_dropped",
        tasks_gone: "tasks_gone",
        tasks_gone_by_operator: "tasks_gone_by_operator",
    }
}

counters! {
    /// Counters of one framework; the names follow its prefix.
    FrameworkCounters {
        calls: "calls",
        calls_subscribe: "calls/subscribe",
        calls_teardown: "calls/teardown",
        calls_accept: "calls/accept",
        calls_decline: "calls/decline",
        calls_accept_inverse_offers: "calls/accept_inverse_offers",
        calls_decline_inverse_offers: "calls/decline_inverse_offers",
        calls_revive: "calls/revive",
        calls_suppress: "calls/suppress",
        calls_kill: "calls/kill",
        calls_shutdown: "calls/shutdown",
        calls_acknowledge: "calls/acknowledge",
        calls_acknowledge_operation_status: "calls/acknowledge_operation_status",
        calls_reconcile: "calls/reconcile",
        calls_reconcile_operations: "calls/reconcile_operations",
        calls_message: "calls/message",
        calls_request: "calls/request",
        calls_update_framework: "calls/update_framework",
        events: "events",
        events_subscribed: "events/subscribed",
        events_offers: "events/offers",
        events_inverse_offers: "events/inverse_offers",
        events_rescind: "events/rescind",
        events_rescind_inverse_offer: "events/rescind_inverse_offer",
        events_update: "events/update",
        events_update_operation_status: "events/update_operation_status",
        events_message: "events/message",
        events_failure: "events/failure",
        events_error: "events/error",
        events_heartbeat: "events/heartbeat",
        offers_sent: "offers/sent",
        offers_accepted: "offers/accepted",
        offers_declined: "offers/declined",
        offers_rescinded: "offers/rescinded",
        operations: "operations",
        operations_launch: "operations/launch",
        operations_launch_group: "operations/launch_group",
        operations_reserve: "operations/reserve",
        operations_unreserve: "operations/unreserve",
        operations_create: "operations/create",
        operations_destroy: "operations/destroy",
        operations_grow_volume: "operations/grow_volume",
        operations_shrink_volume: "operations/shrink_volume",
        operations_create_disk: "operations/create_disk",
        operations_destroy_disk: "operations/destroy_disk",
    }
}

/// How many tasks are, or ended, in each state, by the state's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts([u64; 14]);

impl StateCounts {
    /// How many there are in `state`.
    pub fn get(&self, state: v1::TaskState) -> u64 {
        self.0.get(state as usize).copied().unwrap_or(0)
    }

    pub(crate) fn add(&mut self, state: v1::TaskState) {
        if let Some(count) = self.0.get_mut(state as usize) {
            *count += 1;
        }
    }

    pub(crate) fn add_all(&mut self, more: &Self) {
        for (count, more) in self.0.iter_mut().zip(more.0) {
            *count += more;
        }
    }

    pub(crate) fn remove(&mut self, state: v1::TaskState) {
        if let Some(count) = self.0.get_mut(state as usize) {
            *count = count.saturating_sub(1);
        }
    }
}

/// Everything that is measured of one framework.
#[derive(Clone, Debug)]
pub struct FrameworkMetrics {
    pub framework: Arc<Framework>,
    pub counters: FrameworkCounters,
    /// Tasks that have not ended.
    pub active: StateCounts,
    /// Tasks that have ended, ever.
    pub terminal: StateCounts,
}

/// Totals of one resource over all agents.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ResourceGauge {
    pub total: f64,
    pub used: f64,
    pub revocable_total: f64,
    pub revocable_used: f64,
}

/// Everything that is measured, at one instant.
#[derive(Clone, Debug, Default)]
pub struct MetricsSnapshot {
    pub uptime_secs: f64,
    pub counters: Counters,
    /// Terminal updates by state, source and reason, by their numbers.
    pub task_reasons: FxHashMap<(i32, i32, i32), u64>,
    pub slaves_connected: u64,
    pub slaves_disconnected: u64,
    pub slaves_active: u64,
    pub slaves_inactive: u64,
    pub slaves_unreachable: u64,
    pub frameworks_connected: u64,
    pub frameworks_disconnected: u64,
    pub frameworks_active: u64,
    pub frameworks_inactive: u64,
    pub outstanding_offers: u64,
    pub operator_event_stream_subscribers: u64,
    pub event_queue_messages: u64,
    /// Tasks that have not ended.
    pub tasks: StateCounts,
    pub cpus: ResourceGauge,
    pub gpus: ResourceGauge,
    pub mem: ResourceGauge,
    pub disk: ResourceGauge,
    pub frameworks: Vec<FrameworkMetrics>,
    /// Messages received and processed, by the principal of registered frameworks.
    pub principals: Vec<(Id, u64)>,
    /// What the allocator and the registrar measure, under their full names.
    pub other: Vec<(String, f64)>,
}

const OPERATIONS: [&str; 8] = [
    "create",
    "create_disk",
    "destroy",
    "destroy_disk",
    "grow_volume",
    "reserve",
    "shrink_volume",
    "unreserve",
];
const OPERATION_STATES: [&str; 9] = [
    "dropped",
    "error",
    "failed",
    "finished",
    "gone_by_operator",
    "pending",
    "recovering",
    "total",
    "unreachable",
];

// === impl MetricsSnapshot ===

impl MetricsSnapshot {
    /// Every metric under its Mesos name.
    pub fn values(&self) -> BTreeMap<String, f64> {
        let mut out = BTreeMap::new();
        self.counters.each(|name, value| {
            out.insert(format!("master/{name}"), value as f64);
        });
        self.gauges(&mut out);
        for (name, gauge) in
            [("cpus", self.cpus), ("gpus", self.gpus), ("mem", self.mem), ("disk", self.disk)]
        {
            resource(&mut out, name, gauge);
        }
        for state in OPERATION_STATES {
            out.insert(format!("master/operations/{state}"), 0.0);
            for operation in OPERATIONS {
                out.insert(format!("master/operations/{operation}/{state}"), 0.0);
            }
        }
        for (&(state, source, reason), &count) in &self.task_reasons {
            out.insert(reason_name(state, source, reason), count as f64);
        }
        for framework in &self.frameworks {
            framework.values(&mut out);
        }
        for (principal, count) in &self.principals {
            for name in ["messages_processed", "messages_received"] {
                out.insert(format!("frameworks/{principal}/{name}"), *count as f64);
            }
        }
        out.extend(self.other.iter().cloned());
        out
    }

    fn gauges(&self, out: &mut BTreeMap<String, f64>) {
        let whole = [
            ("slaves_connected", self.slaves_connected),
            ("slaves_disconnected", self.slaves_disconnected),
            ("slaves_active", self.slaves_active),
            ("slaves_inactive", self.slaves_inactive),
            ("slaves_unreachable", self.slaves_unreachable),
            ("frameworks_connected", self.frameworks_connected),
            ("frameworks_disconnected", self.frameworks_disconnected),
            ("frameworks_active", self.frameworks_active),
            ("frameworks_inactive", self.frameworks_inactive),
            ("outstanding_offers", self.outstanding_offers),
            ("operator_event_stream_subscribers", self.operator_event_stream_subscribers),
            ("event_queue_messages", self.event_queue_messages),
            ("event_queue_dispatches", 0),
            ("event_queue_http_requests", 0),
            ("http_cache_hits", 0),
            ("elected", 1),
            ("tasks_staging", self.tasks.get(v1::TaskState::TaskStaging)),
            ("tasks_starting", self.tasks.get(v1::TaskState::TaskStarting)),
            ("tasks_running", self.tasks.get(v1::TaskState::TaskRunning)),
            ("tasks_killing", self.tasks.get(v1::TaskState::TaskKilling)),
            ("tasks_unreachable", self.tasks.get(v1::TaskState::TaskUnreachable)),
        ];
        for (name, value) in whole {
            out.insert(format!("master/{name}"), value as f64);
        }
        out.insert("master/uptime_secs".to_owned(), self.uptime_secs);
    }
}

impl FrameworkMetrics {
    /// What all names of this framework begin with.
    pub fn prefix(&self) -> String {
        format!("master/frameworks/{}/{}/", encode(&self.framework.info.name), self.framework.id)
    }

    fn values(&self, out: &mut BTreeMap<String, f64>) {
        use v1::TaskState::*;
        let prefix = self.prefix();
        out.insert(format!("{prefix}subscribed"), f64::from(u8::from(self.framework.connected)));
        self.counters.each(|name, value| {
            out.insert(format!("{prefix}{name}"), value as f64);
        });
        let unknown = [TaskStaging, TaskStarting, TaskRunning, TaskKilling, TaskUnreachable];
        for state in unknown.into_iter().chain([TaskUnknown]) {
            let name = format!("{prefix}tasks/active/{}", lower(state.as_str_name()));
            out.insert(name, self.active.get(state) as f64);
        }
        for state in [
            TaskDropped,
            TaskError,
            TaskFailed,
            TaskFinished,
            TaskGone,
            TaskGoneByOperator,
            TaskKilled,
            TaskLost,
        ] {
            let name = format!("{prefix}tasks/terminal/{}", lower(state.as_str_name()));
            out.insert(name, self.terminal.get(state) as f64);
        }
        for role in self.framework.roles.iter() {
            let suppressed = self.framework.suppressed_roles.contains(role);
            let name = format!("{prefix}roles/{role}/suppressed");
            out.insert(name, f64::from(u8::from(suppressed)));
        }
    }
}

fn resource(out: &mut BTreeMap<String, f64>, name: &str, gauge: ResourceGauge) {
    let share = |used: f64, total: f64| if total > 0.0 { used / total } else { 0.0 };
    for (kind, total, used) in
        [("", gauge.total, gauge.used), ("revocable_", gauge.revocable_total, gauge.revocable_used)]
    {
        out.insert(format!("master/{name}_{kind}total"), total);
        out.insert(format!("master/{name}_{kind}used"), used);
        out.insert(format!("master/{name}_{kind}percent"), share(used, total));
    }
}

fn reason_name(state: i32, source: i32, reason: i32) -> String {
    let state = v1::TaskState::try_from(state).map_or("task_unknown", |s| s.as_str_name());
    let source =
        v1::task_status::Source::try_from(source).map_or("source_unknown", |s| s.as_str_name());
    let reason =
        v1::task_status::Reason::try_from(reason).map_or("reason_unknown", |r| r.as_str_name());
    // These names kept the old word for agents.
    let old = |name: &str| lower(name).replace("_agent", "_slave");
    format!("master/{}/{}/{}", lower(state), old(source), old(reason))
}

fn lower(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Percent-encodes all but unreserved characters.
fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
