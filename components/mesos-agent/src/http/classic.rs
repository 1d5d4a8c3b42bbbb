//! `/state`, `/containers`, `/monitor/statistics`, `/flags`, `/version`.

use super::{ACTOR, Answered, READONLY, State, flags, flatten, json, permissions};
use crate::core::{ExecutorState, ExecutorView, Snapshot};
use http_kit::{
    Endpoint, Params, Request, Routes,
    json::{self as write, Object},
    permissions::Caller,
    respond,
};
use mesos_messages::{attributes, json::JsonMessage, resources::Resources, v1};
use std::{future::Future, pin::Pin, sync::Arc};

type Handler = fn(Arc<State>, Params, Caller) -> Pin<Box<dyn Future<Output = Answered> + Send>>;

pub(super) fn add(routes: &mut Routes, state: &Arc<State>) {
    let mut add = |path: &str, help, handler: Handler| {
        let state = Arc::clone(state);
        routes.add(
            Endpoint::new(ACTOR, path, move |request: Request| {
                let params = Params::of(request.uri());
                let caller = Caller::of(request.extensions());
                let answered = handler(Arc::clone(&state), params, caller);
                async move { flatten(answered.await) }
            })
            .exact()
            .realm(READONLY)
            .help(help),
        );
    };
    add("/state", "Frameworks, executors and tasks", |s, p, c| Box::pin(state_of(s, p, c)));
    add("/flags", "The configuration", |s, p, _| Box::pin(flags_of(s, p)));
    add("/containers", "Containers with their usage", |s, p, _| Box::pin(containers(s, p)));
    add("/monitor/statistics", "Usage of the containers", |s, p, _| Box::pin(statistics(s, p)));
    add("/containerizer/debug", "Operations that hang", |_, p, _| {
        Box::pin(async move { Ok(respond::json_or_jsonp(&p, br#"{"pending":[]}"#.to_vec())) })
    });
    add_version(routes, state);
}

/// Open to everybody, as liveness probes of older tools use it.
fn add_version(routes: &mut Routes, state: &Arc<State>) {
    let state = Arc::clone(state);
    routes.add(Endpoint::ready("version", "/", move |request| {
        let mut out = Vec::new();
        let mut object = Object::new(&mut out);
        object.string("build_date", "");
        object.double("build_time", 0.0);
        object.string("build_user", "");
        object.string("version", &state.config.version);
        object.end();
        respond::json_or_jsonp(&Params::of(request.uri()), out)
    }));
}

async fn flags_of(state: Arc<State>, params: Params) -> Answered {
    let mut out = Vec::new();
    let mut object = Object::new(&mut out);
    write_flags(object.key("flags"), &state);
    object.end();
    Ok(respond::json_or_jsonp(&params, out))
}

fn write_flags(out: &mut Vec<u8>, state: &State) {
    let mut object = Object::new(out);
    for (name, value) in flags::of(&state.config, &state.upid, state.runtime.launcher()) {
        object.string(name, &value);
    }
    object.end();
}

async fn state_of(state: Arc<State>, params: Params, caller: Caller) -> Answered {
    // Whoever may see the state but not the flags gets it without them, as from the original.
    let (rid, action) = permissions::FLAGS;
    let flags = caller.sight().allows(rid, action);
    let snapshot = state.recovered().await?;
    let mut out = Vec::with_capacity(4096);
    write_state(&mut out, &state, &snapshot, flags);
    Ok(respond::json_or_jsonp(&params, out))
}

fn write_state(out: &mut Vec<u8>, state: &State, snapshot: &Snapshot, flags: bool) {
    let info = &snapshot.info;
    let mut object = Object::new(out);
    object.string("version", &state.config.version);
    object.string("build_date", "");
    object.double("build_time", 0.0);
    object.string("build_user", "");
    object.double("start_time", state.start_time);
    object.string("id", info.id.as_ref().map_or("", |id| &id.value));
    object.string("pid", &state.upid.to_string());
    object.string("hostname", &info.hostname);
    write::list(object.key("capabilities"), crate::core::capabilities(), |out, capability| {
        write::string(out, capability.r#type().as_str_name());
    });
    if let Some(domain) = &info.domain {
        domain.write_json(object.key("domain"));
    }
    if let Some(drain) = &snapshot.drain {
        drain.config.write_json(object.key("drain_config"));
        let since = mesos_messages::time::seconds(drain.since);
        object.double("estimated_drain_start_time_seconds", since);
    }
    let total = json::sum(&info.resources);
    total.write_summary(object.key("resources"));
    write_reservations(&mut object, "reserved_resources", &total);
    total.unreserved().write_summary(object.key("unreserved_resources"));
    let mut full = Object::new(object.key("reserved_resources_full"));
    for (role, resources) in total.reservations() {
        let list = resources.to_proto_endpoint();
        v1::Resource::write_json_list(&list, full.key(&role));
    }
    full.end();
    let unreserved = total.unreserved().to_proto_endpoint();
    v1::Resource::write_json_list(&unreserved, object.key("unreserved_resources_full"));
    let used = used(snapshot);
    write_reservations(&mut object, "reserved_resources_allocated", &used);
    used.unreserved().write_summary(object.key("unreserved_resources_allocated"));
    object.key("resource_providers").extend_from_slice(b"[]");
    attributes::write_summary(&info.attributes, object.key("attributes"));
    if let Some(host) = master_host(&snapshot.master) {
        object.string("master_hostname", host);
    }
    if let Some(log) = state.config.log_file.as_ref().and_then(|log| log.parent()) {
        object.string("log_dir", &log.to_string_lossy());
    }
    if flags {
        write_flags(object.key("flags"), state);
    }
    write::list(object.key("frameworks"), &snapshot.frameworks, json::framework);
    write::list(
        object.key("completed_frameworks"),
        &snapshot.completed_frameworks,
        json::framework,
    );
    object.end();
}

fn write_reservations(object: &mut Object<'_>, name: &str, resources: &Resources) {
    let mut inner = Object::new(object.key(name));
    for (role, resources) in resources.reservations() {
        resources.write_summary(inner.key(&role));
    }
    inner.end();
}

fn master_host(pid: &str) -> Option<&str> {
    Some(pid.split_once('@')?.1.rsplit_once(':')?.0)
}

/// What executors and tasks that have not ended use.
pub(super) fn used(snapshot: &Snapshot) -> Resources {
    json::sum(living(snapshot).flat_map(ExecutorView::resources))
}

/// Executors with a container.
pub(super) fn living(snapshot: &Snapshot) -> impl Iterator<Item = &ExecutorView> {
    snapshot
        .frameworks
        .iter()
        .flat_map(|framework| &framework.executors)
        .filter(|executor| executor.state != ExecutorState::Terminated)
}

async fn containers(state: Arc<State>, params: Params) -> Answered {
    let wanted = Wanted::of(&params)?;
    let snapshot = state.snapshot().await?;
    let mut out = vec![b'['];
    for executor in living(&snapshot).filter(|executor| wanted.includes(executor)) {
        if out.len() > 1 {
            out.push(b',');
        }
        let id = &executor.run.container_id;
        let statistics = state.runtime.usage(id.clone()).await;
        let mut object = Object::new(&mut out);
        object.string("container_id", id);
        write_names(&mut object, executor);
        if let Some(statistics) = statistics {
            statistics.write_json(object.key("statistics"));
        }
        if let Some(status) = state.runtime.status(id) {
            status.write_json(object.key("status"));
        }
        object.end();
    }
    out.push(b']');
    Ok(respond::json_or_jsonp(&params, out))
}

fn write_names(object: &mut Object<'_>, executor: &ExecutorView) {
    object.string("executor_id", &executor.run.executor_id);
    object.string("executor_name", executor.info.name());
    object.string("framework_id", &executor.run.framework_id);
    #[allow(deprecated)]
    object.string("source", executor.info.source());
}

async fn statistics(state: Arc<State>, params: Params) -> Answered {
    let snapshot = state.snapshot().await?;
    let mut out = vec![b'['];
    for executor in living(&snapshot) {
        let Some(statistics) = state.runtime.usage(executor.run.container_id.clone()).await else {
            continue;
        };
        if out.len() > 1 {
            out.push(b',');
        }
        let mut object = Object::new(&mut out);
        write_names(&mut object, executor);
        statistics.write_json(object.key("statistics"));
        object.end();
    }
    out.push(b']');
    Ok(respond::json_or_jsonp(&params, out))
}

/// Which containers a reader asks for.
enum Wanted {
    All,
    Container(String),
    Framework(String),
    Executor(String, String),
}

impl Wanted {
    fn of(params: &Params) -> Result<Self, http_kit::Response> {
        let get = |name| params.get(name).map(str::to_owned);
        match (get("container_id"), get("framework_id"), get("executor_id")) {
            (None, None, None) => Ok(Self::All),
            (Some(container), None, None) => Ok(Self::Container(container)),
            (None, Some(framework), None) => Ok(Self::Framework(framework)),
            (None, Some(framework), Some(executor)) => Ok(Self::Executor(framework, executor)),
            _ => Err(respond::bad_request(
                "Expecting 'container_id' alone, 'framework_id' alone, or both 'framework_id' and \
                 'executor_id' in query.\n",
            )),
        }
    }

    fn includes(&self, executor: &ExecutorView) -> bool {
        let run = &executor.run;
        match self {
            Self::All => true,
            Self::Container(id) => run.container_id == *id,
            Self::Framework(id) => run.framework_id == *id,
            Self::Executor(framework, id) => {
                run.framework_id == *framework && run.executor_id == *id
            }
        }
    }
}
