//! `/metrics/snapshot` under the original's names and `/metrics` for Prometheus.
use std::{collections::BTreeMap, sync::Arc};

use http_kit::{
    Endpoint, Params, Request, Response, json::Object, prometheus, respond, routes::EndpointCounts,
    system::SystemStats,
};
use mesos_messages::time::parse_duration;

use super::{HttpState, READONLY, view::roles::consumed};
use crate::model::Snapshot;

/// Reads the request counters.
pub(super) type Counters = Arc<dyn Fn() -> Vec<EndpointCounts> + Send + Sync>;

/// Metrics of parts that this master does not have in the same way.
const STEADY: [(&str, f64); 9] = [
    ("allocator/event_queue_dispatches", 0.0),
    ("allocator/mesos/allocation_runs", 0.0),
    ("allocator/mesos/event_queue_dispatches", 0.0),
    ("registrar/log/ensemble_size", 1.0),
    ("registrar/log/recovered", 1.0),
    ("registrar/queued_operations", 0.0),
    ("registrar/registry_size_bytes", 0.0),
    ("registrar/state_fetch_ms", 0.0),
    ("registrar/state_store_ms", 0.0),
];

/// Every metric of the process.
pub(super) async fn all(state: &HttpState) -> Result<BTreeMap<String, f64>, Response> {
    let metrics = state.handle.metrics().await.map_err(|_| super::stopped())?;
    let mut values = metrics.values();
    for (name, value) in SystemStats::read().metrics() {
        values.insert(name.to_owned(), value);
    }
    let known = [("cpus", metrics.cpus), ("mem", metrics.mem), ("disk", metrics.disk)];
    for (name, gauge) in known {
        let prefix = format!("allocator/mesos/resources/{name}");
        values.entry(format!("{prefix}/total")).or_insert(gauge.total);
        values.entry(format!("{prefix}/offered_or_allocated")).or_insert(gauge.used);
    }
    let snapshot = state.snapshot().await.map_err(|_| super::stopped())?;
    add_consumed(&mut values, &snapshot);
    for (name, value) in STEADY {
        values.entry(name.to_owned()).or_insert(value);
    }
    Ok(values)
}

/// What roles hold and have reserved, which would count against a quota; the
/// role without a name stands for all of them.
fn add_consumed(values: &mut BTreeMap<String, f64>, snapshot: &Snapshot) {
    for role in snapshot.roles(None) {
        for (resource, amount) in consumed(&role).iter() {
            let amount = amount.to_f64();
            let name = |role: &str| {
                format!("allocator/mesos/quota/roles/{role}/resources/{resource}/consumed")
            };
            *values.entry(name(&role.name)).or_insert(0.0) += amount;
            *values.entry(name("")).or_insert(0.0) += amount;
        }
    }
}

/// `/metrics/snapshot`.
pub(super) fn snapshot(state: &Arc<HttpState>) -> Endpoint {
    let state = Arc::clone(state);
    Endpoint::new("metrics", "/snapshot", move |request| answer(Arc::clone(&state), request))
        .realm(READONLY)
        .help("All metrics as one flat object")
}

async fn answer(state: Arc<HttpState>, request: Request) -> Response {
    let params = Params::of(request.uri());
    if let Some(timeout) = params.get("timeout")
        && let Err(error) = parse_duration(timeout)
    {
        return respond::bad_request(format!("Invalid timeout '{timeout}': {error}.\n"));
    }
    let values = match all(&state).await {
        Ok(values) => values,
        Err(refused) => return refused,
    };
    let mut out = Vec::with_capacity(values.len() * 48);
    let mut object = Object::new(&mut out);
    for (name, value) in &values {
        object.double(name, *value);
    }
    object.end();
    respond::json_or_jsonp(&params, out)
}

/// `/metrics`.
pub(super) fn text(state: &Arc<HttpState>, counters: Counters) -> Endpoint {
    let state = Arc::clone(state);
    Endpoint::new("metrics", "/", move |_| {
        let (state, counters) = (Arc::clone(&state), Arc::clone(&counters));
        async move {
            let values = match all(&state).await {
                Ok(values) => values,
                Err(refused) => return refused,
            };
            let mut out = String::with_capacity(values.len() * 64);
            prometheus::metrics(
                &mut out,
                values.iter().map(|(name, value)| (name.as_str(), *value)),
            );
            prometheus::requests(&mut out, &counters());
            respond::bytes(prometheus::CONTENT_TYPE, out.into())
        }
    })
    .realm(READONLY)
    .help("All metrics in the Prometheus text form")
}
