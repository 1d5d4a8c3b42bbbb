//! The calls that only tell.
use std::sync::Arc;

use http_kit::{Response, respond};
use mesos_messages::v1::{
    self,
    master::{
        self,
        response::{self, Type},
    },
};

use super::{
    super::{
        HttpState, metrics as all_metrics,
        plans::{self, Shown},
        render::{Label, ReadKey, ReadKind},
        view,
    },
    Asked,
};
use crate::model::Snapshot;

fn empty(kind: Type) -> master::Response {
    master::Response { r#type: Some(kind as i32), ..master::Response::default() }
}

pub(super) fn health(asked: &Asked) -> Response {
    let get_health = Some(response::GetHealth { healthy: true });
    asked.reply(master::Response { get_health, ..empty(Type::GetHealth) })
}

pub(super) fn flags(state: &HttpState, asked: &Asked) -> Response {
    let flags = state
        .flags
        .iter()
        .map(|(name, value)| v1::Flag { name: (*name).to_owned(), value: Some(value.clone()) })
        .collect();
    let get_flags = Some(response::GetFlags { flags });
    asked.reply(master::Response { get_flags, ..empty(Type::GetFlags) })
}

pub(super) fn version(state: &HttpState, asked: &Asked) -> Response {
    let build = &state.build;
    let version_info = v1::VersionInfo {
        version: build.version.clone(),
        build_date: Some(build.date.clone()),
        build_time: Some(build.time),
        build_user: Some(String::new()),
        git_sha: build.git_sha.map(str::to_owned),
        git_branch: build.git_branch.map(str::to_owned),
        git_tag: None,
    };
    let get_version = Some(response::GetVersion { version_info });
    asked.reply(master::Response { get_version, ..empty(Type::GetVersion) })
}

pub(super) async fn metrics(state: &HttpState, asked: &Asked) -> Response {
    let values = match all_metrics::all(state).await {
        Ok(values) => values,
        Err(refused) => return refused,
    };
    let metrics =
        values.into_iter().map(|(name, value)| v1::Metric { name, value: Some(value) }).collect();
    let get_metrics = Some(response::GetMetrics { metrics });
    asked.reply(master::Response { get_metrics, ..empty(Type::GetMetrics) })
}

pub(super) fn logging_level(state: &HttpState, asked: &Asked) -> Response {
    let level = state.handle.config().logging.level();
    let get_logging_level = Some(response::GetLoggingLevel { level });
    asked.reply(master::Response { get_logging_level, ..empty(Type::GetLoggingLevel) })
}

pub(super) fn set_logging_level(state: &HttpState, asked: &Asked) -> Response {
    let Some(set) = asked.call.set_logging_level else {
        return respond::bad_request("Expecting 'set_logging_level' to be present");
    };
    state.handle.config().logging.set(set.level, set.duration.to_duration());
    respond::ok()
}

/// A part of the state, made in pieces and streamed.
pub(super) async fn shown(state: &Arc<HttpState>, asked: &Asked, shown: Shown) -> Response {
    let Ok(snapshot) = state.snapshot().await else {
        return super::super::stopped();
    };
    let kind = match shown {
        Shown::State => ReadKind::GetState,
        Shown::Agents => ReadKind::GetAgents,
        Shown::Frameworks => ReadKind::GetFrameworks,
        Shown::Executors => ReadKind::GetExecutors,
        Shown::Tasks => ReadKind::GetTasks,
    };
    let protobuf = asked.protobuf();
    let key = ReadKey::new(kind).protobuf(protobuf);
    let plan = move |snapshot: &Snapshot| plans::response(snapshot, shown, protobuf);
    let rendering = state.reads.get(key, snapshot, plan).await;
    rendering.respond(Label::of_type(asked.media.name())).await
}

pub(super) fn operations(asked: &Asked) -> Response {
    let get_operations = Some(response::GetOperations::default());
    asked.reply(master::Response { get_operations, ..empty(Type::GetOperations) })
}

pub(super) async fn roles(state: &HttpState, asked: &Asked) -> Response {
    let Ok(snapshot) = state.snapshot().await else {
        return super::super::stopped();
    };
    let roles = snapshot.roles(state.handle.config().roles.as_deref());
    let roles = roles.iter().map(view::roles::to_v1).collect();
    let get_roles = Some(response::GetRoles { roles });
    asked.reply(master::Response { get_roles, ..empty(Type::GetRoles) })
}

pub(super) async fn weights(state: &HttpState, asked: &Asked) -> Response {
    let Ok(snapshot) = state.snapshot().await else {
        return super::super::stopped();
    };
    let weight_infos: Vec<v1::WeightInfo> = snapshot
        .weights
        .iter()
        .map(|(role, weight)| v1::WeightInfo { weight: *weight, role: Some(role.clone()) })
        .collect();
    // The original leaves the whole part out when no weight is set.
    let get_weights = (!weight_infos.is_empty()).then_some(response::GetWeights { weight_infos });
    asked.reply(master::Response { get_weights, ..empty(Type::GetWeights) })
}

pub(super) async fn master(state: &HttpState, asked: &Asked) -> Response {
    let Ok(snapshot) = state.snapshot().await else {
        return super::super::stopped();
    };
    let record = &snapshot.master;
    let get_master = Some(response::GetMaster {
        master_info: Some(record.info.clone()),
        start_time: Some(record.start_time),
        elected_time: Some(record.elected_time),
    });
    asked.reply(master::Response { get_master, ..empty(Type::GetMaster) })
}

pub(super) fn maintenance_status(asked: &Asked) -> Response {
    let get_maintenance_status = Some(response::GetMaintenanceStatus::default());
    asked.reply(master::Response { get_maintenance_status, ..empty(Type::GetMaintenanceStatus) })
}

pub(super) fn maintenance_schedule(asked: &Asked) -> Response {
    let get_maintenance_schedule = Some(response::GetMaintenanceSchedule::default());
    asked
        .reply(master::Response { get_maintenance_schedule, ..empty(Type::GetMaintenanceSchedule) })
}

pub(super) fn quota(asked: &Asked) -> Response {
    let get_quota = Some(response::GetQuota::default());
    asked.reply(master::Response { get_quota, ..empty(Type::GetQuota) })
}
