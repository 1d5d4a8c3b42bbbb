//! The complete message that launches an instance.

use super::{
    LaunchRequest, LaunchSettings, Offer, checks, container, discovery, environment, fit::Share,
};
use crate::health::assignments;
use marathon_model::{App, TaskId, app::Limit};
use mesos_messages::v1;
use std::{collections::BTreeMap, time::Duration};

/// The path of the app's own executor, unless it is the command executor.
fn executor_path<'a>(app: &'a App, default: &'a str) -> Option<&'a str> {
    let path = if app.executor.is_empty() { default } else { app.executor.as_str() };
    (!path.is_empty() && path != "//cmd").then_some(path)
}

/// Whether the app has an executor that needs resources of its own: one that it brings, or the
/// default of all apps.
pub(super) fn has_own_executor(app: &App, settings: &LaunchSettings) -> bool {
    executor_path(app, &settings.executor).is_some()
}

pub(super) fn build(
    request: &LaunchRequest<'_>,
    id: &TaskId,
    offer: &Offer,
    share: &Share,
) -> v1::TaskInfo {
    let app = request.app;
    let host_ports: Vec<u16> = share.ports.iter().copied().flatten().collect();
    let ports = assignments(app, &host_ports);
    let grace = app.task_kill_grace_period_seconds;
    let mut task = v1::TaskInfo {
        // Reversed, the name is one that DNS can have.
        name: app.id.reversed(),
        task_id: v1::TaskId { value: id.to_string() },
        agent_id: v1::AgentId { value: offer.placement.agent_id.clone() },
        resources: share.task.to_proto(),
        labels: labels(&app.labels),
        discovery: Some(Box::new(discovery::info(app, &share.ports))),
        health_check: checks::health(app, &ports).map(Box::new),
        check: checks::check(app, &ports).map(Box::new),
        kill_policy: grace.map(|seconds| v1::KillPolicy {
            grace_period: Some(Duration::from_secs(seconds.into()).into()),
        }),
        limits: limits(app),
        ..v1::TaskInfo::default()
    };
    let command = command(request, id, offer, share);
    let container = container::info(request, id, &share.ports).map(Box::new);
    match executor_path(app, &request.settings.executor) {
        None => {
            task.command = Some(Box::new(command));
            task.container = container;
        }
        Some(path) => {
            let executor = executor(app, path, id, command, container, share);
            task.executor = Some(Box::new(executor));
        }
    }
    task
}

fn executor(
    app: &App,
    path: &str,
    id: &TaskId,
    mut command: v1::CommandInfo,
    container: Option<Box<v1::ContainerInfo>>,
    share: &Share,
) -> v1::ExecutorInfo {
    let arguments = app.cmd.clone().unwrap_or_else(|| app.args.join(" "));
    command.value = Some(format!("chmod ug+rx '{path}' && exec '{path}' {arguments}"));
    command.shell = Some(true);
    command.arguments.clear();
    v1::ExecutorInfo {
        executor_id: v1::ExecutorId { value: format!("marathon-{id}") },
        r#type: Some(v1::executor_info::Type::Custom.into()),
        command: Some(Box::new(command)),
        container,
        resources: share.executor.to_proto(),
        ..v1::ExecutorInfo::default()
    }
}

fn command(
    request: &LaunchRequest<'_>,
    id: &TaskId,
    offer: &Offer,
    share: &Share,
) -> v1::CommandInfo {
    let app = request.app;
    let uri = |artifact: &marathon_model::app::Artifact| v1::command_info::Uri {
        value: artifact.uri.clone(),
        executable: Some(artifact.executable),
        extract: Some(artifact.extract),
        cache: Some(artifact.cache),
        output_file: artifact.dest_path.clone(),
    };
    let variable = |(name, value)| v1::environment::Variable {
        name,
        value: Some(value),
        ..v1::environment::Variable::default()
    };
    let environment = environment::variables(request, id, &offer.placement.host, &share.ports);
    let mut command = v1::CommandInfo {
        uris: app.fetch.iter().map(uri).collect(),
        environment: Some(v1::Environment {
            variables: environment.into_iter().map(variable).collect(),
        }),
        user: app.user.clone(),
        ..v1::CommandInfo::default()
    };
    match app.cmd.as_ref().filter(|cmd| !cmd.is_empty()) {
        Some(cmd) => {
            command.shell = Some(true);
            command.value = Some(cmd.clone());
        }
        None => command.shell = Some(false),
    }
    if !app.args.is_empty() {
        command.shell = Some(false);
        command.arguments.clone_from(&app.args);
        // With an image its entry point is the program.
        let has_image = app.container.as_ref().is_some_and(|one| one.docker.is_some());
        command.value = app.args.first().filter(|_| !has_image).cloned();
    }
    command
}

/// A message of labels; none if there are none.
pub(super) fn labels(labels: &BTreeMap<String, String>) -> Option<v1::Labels> {
    let one = |(key, value): (&String, &String)| v1::Label {
        key: key.clone(),
        value: Some(value.clone()),
    };
    let labels: Vec<v1::Label> = labels.iter().map(one).collect();
    (!labels.is_empty()).then_some(v1::Labels { labels })
}

fn limits(app: &App) -> BTreeMap<String, v1::value::Scalar> {
    let Some(limits) = &app.resource_limits else { return BTreeMap::new() };
    let scalar = |limit: Limit| match limit {
        Limit::Unlimited => v1::value::Scalar { value: f64::INFINITY },
        Limit::Value(value) => v1::value::Scalar { value },
    };
    let named = [("cpus", limits.cpus), ("mem", limits.mem)];
    let present = named.into_iter().filter_map(|(name, limit)| Some((name, limit?)));
    present.map(|(name, limit)| (name.to_owned(), scalar(limit))).collect()
}
