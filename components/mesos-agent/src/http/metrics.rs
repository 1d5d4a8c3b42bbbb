//! `/metrics/snapshot` under the original's names, and `/metrics` for Prometheus.

use super::{Answered, READONLY, State, classic::used, flatten, json};
use crate::core::{ExecutorState, Snapshot, State as AgentState};
use http::{HeaderValue, StatusCode};
use http_kit::{
    Endpoint, Params, Request, Response, Routes, json::Object, prometheus, respond,
    routes::EndpointCounts, system::SystemStats,
};
use mesos_messages::{
    resources::Resources,
    time,
    v1::{self, TaskState},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

pub(super) fn add(routes: &mut Routes, state: &Arc<State>) {
    let (classic, text) = (Arc::clone(state), Arc::clone(state));
    routes.add(
        Endpoint::new("metrics", "/snapshot", move |request: Request| {
            let state = Arc::clone(&classic);
            async move { flatten(snapshot(&state, &Params::of(request.uri())).await) }
        })
        .realm(READONLY)
        .help("All metrics"),
    );
    let counts = Arc::new(routes.counters());
    routes.add(
        Endpoint::new("metrics", "/", move |_| {
            let (state, counts) = (Arc::clone(&text), Arc::clone(&counts));
            async move { flatten(prometheus_text(&state, &counts()).await) }
        })
        .realm(READONLY)
        .help("All metrics for Prometheus"),
    );
}

async fn snapshot(state: &State, params: &Params) -> Answered {
    if let Some(timeout) = params.get("timeout") {
        time::parse_duration(timeout).map_err(|error| {
            respond::bad_request(format!("Invalid timeout '{timeout}': {error}.\n"))
        })?;
    }
    let mut out = Vec::with_capacity(4096);
    let mut object = Object::new(&mut out);
    for (name, value) in collect(state).await? {
        object.double(name, value);
    }
    object.end();
    Ok(respond::json_or_jsonp(params, out))
}

async fn prometheus_text(state: &State, counts: &[EndpointCounts]) -> Answered {
    let mut out = String::new();
    prometheus::metrics(&mut out, collect(state).await?);
    prometheus::requests(&mut out, counts);
    let kind = HeaderValue::from_static(prometheus::CONTENT_TYPE);
    Ok(respond::with_body(StatusCode::OK, kind, out))
}

/// All metrics by name.
pub(super) async fn collect(state: &State) -> Result<BTreeMap<&'static str, f64>, Response> {
    let snapshot = state.snapshot().await?;
    let mut metrics = BTreeMap::from(SystemStats::read().metrics());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    metrics.insert("slave/uptime_secs", time::seconds(now) - state.start_time);
    counters(&snapshot, &mut metrics);
    gauges(&snapshot, &mut metrics);
    resources(&snapshot, &mut metrics);
    let cache = state.config.fetcher_cache_size as f64;
    metrics.insert("containerizer/fetcher/cache_size_total_bytes", cache);
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let fetches = &state.fetches;
    metrics.insert("containerizer/fetcher/task_fetches_succeeded", count(&fetches.succeeded));
    metrics.insert("containerizer/fetcher/task_fetches_failed", count(&fetches.failed));
    // Parts of the original that have no counterpart here: present, as dashboards expect them.
    for name in [
        "containerizer/fetcher/cache_size_used_bytes",
        "containerizer/mesos/container_destroy_errors",
        "containerizer/mesos/provisioner/bind/remove_rootfs_errors",
        "containerizer/mesos/provisioner/remove_container_errors",
        "resource_provider_manager/events/disconnect",
        "resource_provider_manager/events/subscribe",
        "resource_provider_manager/subscribed",
        "slave/executors_preempted",
    ] {
        metrics.insert(name, 0.0);
    }
    Ok(metrics)
}

fn counters(snapshot: &Snapshot, metrics: &mut BTreeMap<&'static str, f64>) {
    let counters = &snapshot.counters;
    let gc = &snapshot.gc;
    let all = [
        ("gc/path_removals_failed", gc.failed),
        ("gc/path_removals_pending", gc.pending),
        ("gc/path_removals_succeeded", gc.succeeded),
        ("slave/container_launch_errors", counters.container_launch_errors),
        ("slave/executors_terminated", counters.executors_terminated),
        ("slave/invalid_framework_messages", counters.invalid_framework_messages),
        ("slave/invalid_status_updates", counters.invalid_status_updates),
        ("slave/recovery_errors", counters.recovery_errors),
        ("slave/tasks_failed", counters.tasks.failed),
        ("slave/tasks_finished", counters.tasks.finished),
        ("slave/tasks_gone", counters.tasks.gone),
        ("slave/tasks_killed", counters.tasks.killed),
        ("slave/tasks_lost", counters.tasks.lost),
        ("slave/valid_framework_messages", counters.valid_framework_messages),
        ("slave/valid_status_updates", counters.valid_status_updates),
    ];
    metrics.extend(all.map(|(name, value)| (name, value as f64)));
    metrics.insert("slave/recovery_time_secs", counters.recovery_time.as_secs_f64());
    metrics
        .insert("slave/executor_directory_max_allowed_age_secs", gc.max_allowed_age.as_secs_f64());
}

fn gauges(snapshot: &Snapshot, metrics: &mut BTreeMap<&'static str, f64>) {
    let executors = || snapshot.frameworks.iter().flat_map(|framework| &framework.executors);
    let in_state = |state| executors().filter(|executor| executor.state == state).count() as f64;
    let tasks = |state: TaskState| {
        let launched = executors().flat_map(|executor| &executor.launched);
        launched.filter(|task| task.state() == state).count() as f64
    };
    let queued: usize = executors().map(|executor| executor.queued.len()).sum();
    let running = f64::from(u8::from(snapshot.state == AgentState::Running));
    metrics.extend([
        ("slave/executors_registering", in_state(ExecutorState::Registering)),
        ("slave/executors_running", in_state(ExecutorState::Running)),
        ("slave/executors_terminating", in_state(ExecutorState::Terminating)),
        ("slave/frameworks_active", snapshot.frameworks.len() as f64),
        ("slave/registered", running),
        ("slave/tasks_killing", tasks(TaskState::TaskKilling)),
        ("slave/tasks_running", tasks(TaskState::TaskRunning)),
        ("slave/tasks_staging", tasks(TaskState::TaskStaging) + queued as f64),
        ("slave/tasks_starting", tasks(TaskState::TaskStarting)),
    ]);
}

/// The metrics of one resource: total, used, share; first the ordinary, then the revocable part.
type Names = (&'static str, [&'static str; 3], [&'static str; 3]);

const RESOURCES: [Names; 4] = [
    (
        "cpus",
        ["slave/cpus_total", "slave/cpus_used", "slave/cpus_percent"],
        ["slave/cpus_revocable_total", "slave/cpus_revocable_used", "slave/cpus_revocable_percent"],
    ),
    (
        "gpus",
        ["slave/gpus_total", "slave/gpus_used", "slave/gpus_percent"],
        ["slave/gpus_revocable_total", "slave/gpus_revocable_used", "slave/gpus_revocable_percent"],
    ),
    (
        "mem",
        ["slave/mem_total", "slave/mem_used", "slave/mem_percent"],
        ["slave/mem_revocable_total", "slave/mem_revocable_used", "slave/mem_revocable_percent"],
    ),
    (
        "disk",
        ["slave/disk_total", "slave/disk_used", "slave/disk_percent"],
        ["slave/disk_revocable_total", "slave/disk_revocable_used", "slave/disk_revocable_percent"],
    ),
];

fn resources(snapshot: &Snapshot, metrics: &mut BTreeMap<&'static str, f64>) {
    let (total, used) = (json::sum(&snapshot.info.resources), used(snapshot));
    let parts =
        [(total.non_revocable(), used.non_revocable()), (total.revocable(), used.revocable())];
    for (name, plain, revocable) in RESOURCES {
        for ((total, used), [total_name, used_name, share_name]) in
            parts.iter().zip([plain, revocable])
        {
            let (total, used) = (amount(total, name), amount(used, name));
            let share = if total > 0.0 { used / total } else { 0.0 };
            metrics.extend([(total_name, total), (used_name, used), (share_name, share)]);
        }
    }
}

fn amount(resources: &Resources, name: &str) -> f64 {
    resources.scalar(name).map_or(0.0, |amount| amount.to_f64())
}

/// The metrics as a message of the v1 API.
pub(super) async fn messages(state: &State) -> Result<Vec<v1::Metric>, Response> {
    let metrics = collect(state).await?;
    Ok(metrics
        .into_iter()
        .map(|(name, value)| v1::Metric { name: name.to_owned(), value: Some(value) })
        .collect())
}
