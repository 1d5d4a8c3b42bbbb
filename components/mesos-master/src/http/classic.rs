//! The classic reads: `/state`, `/state-summary`, `/slaves`, `/frameworks`, `/tasks`, `/roles`.
use std::sync::Arc;

use http_kit::{
    Endpoint, Params, Reply, Request, Response, json, json::Object, permissions::Caller, respond,
};
use mesos_messages::json::JsonMessage;

use super::{
    ACTOR, HttpState, READONLY, flags, permissions,
    plans::{self, TaskQuery},
    render::{Label, Plan, ReadKey, ReadKind},
    view::{member, roles},
};
use crate::model::Snapshot;

/// A read: what it is remembered by, and what it consists of.
struct Read {
    key: ReadKey,
    plan: Box<dyn FnOnce(&Snapshot) -> Plan + Send>,
}

impl Read {
    fn new(key: ReadKey, plan: impl FnOnce(&Snapshot) -> Plan + Send + 'static) -> Read {
        Read { key, plan: Box::new(plan) }
    }
}

type MakeRead = fn(&Arc<HttpState>, &Params, &Caller) -> Read;

/// The endpoints that show the state.
pub(super) fn endpoints(state: &Arc<HttpState>) -> Vec<Endpoint> {
    let reads: [(&str, &'static str, MakeRead); 6] = [
        ("/state", "Everything the master knows", state_read),
        ("/state-summary", "Agents and frameworks with counts of tasks", summary_read),
        ("/slaves", "The agents; ?slave_id= for one", slaves_read),
        ("/frameworks", "The frameworks; ?framework_id= for one", frameworks_read),
        ("/tasks", "The tasks; ?limit, offset, order, framework_id, task_id", tasks_read),
        ("/roles", "The roles with what they hold", roles_read),
    ];
    reads
        .into_iter()
        .map(|(path, summary, make)| {
            let state = Arc::clone(state);
            let handler = move |request| Reply::later(answer(Arc::clone(&state), request, make));
            Endpoint::reply(ACTOR, path, handler).realm(READONLY).help(summary)
        })
        .collect()
}

async fn answer(state: Arc<HttpState>, request: Request, make: MakeRead) -> Response {
    let params = Params::of(request.uri());
    let caller = Caller::of(request.extensions());
    drop(request);
    let label = match respond::jsonp_function(&params) {
        None => Label::json(None),
        Some(Ok(function)) => Label::json(Some(function)),
        Some(Err(refused)) => return refused,
    };
    let Ok(snapshot) = state.snapshot().await else {
        return super::stopped();
    };
    let read = make(&state, &params, &caller);
    let rendering = state.reads.get(read.key, snapshot, read.plan).await;
    match rendering.respond_now(&label) {
        Some(response) => response,
        None => rendering.respond(label).await,
    }
}

fn state_read(state: &Arc<HttpState>, _: &Params, caller: &Caller) -> Read {
    let state = Arc::clone(state);
    // Whoever may see the state but not the flags gets it without them, as from the original.
    let (rid, action) = permissions::FLAGS;
    let flags = caller.sight().allows(rid, action);
    let key = match flags {
        true => ReadKey::new(ReadKind::State),
        false => ReadKey::with(ReadKind::State, "without flags".to_owned()),
    };
    Read::new(key, move |snapshot| plans::state(snapshot, &state_head(&state, snapshot, flags)))
}

/// Everything in `/state` before the agents.
fn state_head(state: &HttpState, snapshot: &Snapshot, flags: bool) -> Vec<u8> {
    let master = &snapshot.master;
    let info = &master.info;
    let (pid, hostname) =
        (info.pid.as_deref().unwrap_or(""), info.hostname.as_deref().unwrap_or(""));
    let active = snapshot.agents.iter().filter(|agent| agent.active).count();
    let mut out = Vec::with_capacity(4096);
    let mut object = Object::new(&mut out);
    state.build.write_members(&mut object);
    object.double("start_time", master.start_time);
    object.double("elected_time", master.elected_time);
    object.string("id", &info.id);
    object.string("pid", pid);
    object.string("hostname", hostname);
    let names = super::capability_names(info);
    json::list(object.key("capabilities"), names, json::string);
    object.double("activated_slaves", active as f64);
    object.double("deactivated_slaves", (snapshot.agents.len() - active) as f64);
    object.double("unreachable_slaves", snapshot.unreachable_agents.len() as f64);
    if let Some(domain) = &info.domain {
        domain.write_json(object.key("domain"));
    }
    object.string("leader", pid);
    write_leader(object.key("leader_info"), info, pid, hostname);
    let config = state.handle.config();
    if let Some(cluster) = &config.cluster {
        object.string("cluster", cluster);
    }
    if let Some(directory) = &config.log_dir {
        object.string("log_dir", &directory.to_string_lossy());
    }
    if flags {
        flags::write(object.key("flags"), &state.flags);
    }
    out
}

fn write_leader(
    out: &mut Vec<u8>,
    info: &mesos_messages::v1::MasterInfo,
    pid: &str,
    hostname: &str,
) {
    let mut object = Object::new(out);
    object.string("id", &info.id);
    object.string("pid", pid);
    object.integer("port", i64::from(info.port));
    object.string("hostname", hostname);
    if let Some(domain) = &info.domain {
        domain.write_json(object.key("domain"));
    }
    object.end();
}

fn summary_read(_: &Arc<HttpState>, _: &Params, _: &Caller) -> Read {
    Read::new(ReadKey::new(ReadKind::StateSummary), plans::state_summary)
}

/// The value of a parameter that selects; an empty one selects like any other.
fn selected(params: &Params, name: &str) -> Option<String> {
    params.get(name).map(str::to_owned)
}

fn key_of(kind: ReadKind, id: Option<&String>) -> ReadKey {
    id.map_or_else(|| ReadKey::new(kind), |id| ReadKey::with(kind, id.clone()))
}

fn slaves_read(_: &Arc<HttpState>, params: &Params, _: &Caller) -> Read {
    let id = selected(params, "slave_id");
    Read::new(key_of(ReadKind::Agents, id.as_ref()), |snapshot| plans::slaves(snapshot, id))
}

fn frameworks_read(_: &Arc<HttpState>, params: &Params, _: &Caller) -> Read {
    let id = selected(params, "framework_id");
    Read::new(key_of(ReadKind::Frameworks, id.as_ref()), move |snapshot| {
        plans::classic_frameworks(snapshot, id.as_deref())
    })
}

fn tasks_read(_: &Arc<HttpState>, params: &Params, _: &Caller) -> Read {
    // What is no number counts as absent, a negative number as no limit.
    let number = |name: &str| params.get(name).and_then(|text| text.trim().parse::<i64>().ok());
    let query = TaskQuery {
        limit: number("limit").map_or(100, |n| usize::try_from(n).unwrap_or(usize::MAX)),
        offset: number("offset").map_or(0, |n| usize::try_from(n).unwrap_or(0)),
        ascending: params.get("order") == Some("asc"),
        framework_id: selected(params, "framework_id"),
        task_id: selected(params, "task_id"),
    };
    Read::new(ReadKey::with(ReadKind::Tasks, format!("{query:?}")), move |snapshot| {
        plans::tasks(snapshot, query)
    })
}

fn roles_read(state: &Arc<HttpState>, _: &Params, _: &Caller) -> Read {
    let config = Arc::clone(state.handle.config());
    Read::new(ReadKey::new(ReadKind::Roles), move |snapshot| {
        let mut plan = Plan::default();
        let weight = snapshot.agents.len() + snapshot.frameworks.len();
        plan.work(weight, move |snapshot, out| {
            out.push(b'{');
            json::string(out, "roles");
            out.push(b':');
            let all = snapshot.roles(config.roles.as_deref());
            json::list(out, &all, roles::write);
            out.push(b'}');
        });
        plan
    })
}

/// `/allocator/offer_constraints_debug`.
pub(super) fn write_offer_constraints(out: &mut Vec<u8>, snapshot: &Snapshot) {
    let agents: Vec<_> = snapshot.agents.iter().map(|agent| roles::allocatable(agent)).collect();
    let mut object = Object::new(out);
    let mut all = Object::new(object.key("frameworks"));
    for view in &snapshot.frameworks {
        let framework = &view.framework;
        let out = all.key(&framework.id);
        roles::write_constraints(out, framework, &agents);
    }
    all.end();
    object.end();
}

/// `/weights`.
pub(super) fn write_weights(out: &mut Vec<u8>, snapshot: &Snapshot) {
    json::list(out, snapshot.weights.iter(), |out, (role, weight)| {
        roles::write_weight(out, role, *weight);
    });
}

/// `/registrar(1)/registry`: the master and the agents it remembers.
pub(super) fn write_registry(out: &mut Vec<u8>, snapshot: &Snapshot) {
    let mut object = Object::new(out);
    let mut master = Object::new(object.key("master"));
    snapshot.master.info.write_json(master.key("info"));
    master.end();
    let agents = snapshot.agents.iter().map(|agent| {
        let mut info = agent.info_proto();
        info.resources = agent.info_resources.to_proto_endpoint();
        (info, agent.deactivated)
    });
    let recovered = snapshot.recovered_agents.iter().map(|info| ((**info).clone(), false));
    let mut known: Vec<_> = agents.chain(recovered).collect();
    if !known.is_empty() {
        known.sort_by(|a, b| id_of(&a.0).cmp(id_of(&b.0)));
        let mut slaves = Object::new(object.key("slaves"));
        json::list(slaves.key("slaves"), &known, |out, (info, deactivated)| {
            let mut slave = Object::new(out);
            slave.boolean("deactivated", *deactivated);
            info.write_json(slave.key("info"));
            slave.end();
        });
        slaves.end();
    }
    for (name, lost) in
        [("unreachable", &snapshot.unreachable_agents), ("gone", &snapshot.gone_agents)]
    {
        if !lost.is_empty() {
            let mut group = Object::new(object.key(name));
            json::list(group.key("slaves"), lost, write_lost);
            group.end();
        }
    }
    object.end();
}

fn id_of(info: &mesos_messages::v1::AgentInfo) -> &str {
    info.id.as_ref().map_or("", |id| &id.value)
}

fn write_lost(out: &mut Vec<u8>, agent: &crate::model::LostAgent) {
    out.extend_from_slice(b"{\"id\":{\"value\":");
    json::string(out, &agent.id);
    out.push(b'}');
    member(out, "timestamp");
    out.extend_from_slice(b"{\"nanoseconds\":");
    json::integer(out, agent.since_ns);
    out.extend_from_slice(b"}}");
}
