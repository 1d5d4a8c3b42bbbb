//! Task groups: all of one is valid or none of it is.
use mesos_messages::{resources::Resources, v1};
use v1::{container_info, executor_info, health_check};

use super::{Check, Invalid, executor, invalid, resource, task, task::TaskContext, within};

const MIN_CPUS: f64 = 0.01;
const MIN_MEM_MB: f64 = 32.0;

/// Checks a LAUNCH_GROUP.
pub(in crate::core) fn group(
    group: &v1::TaskGroupInfo,
    executor: &v1::ExecutorInfo,
    context: &TaskContext<'_>,
) -> Check {
    let mut tasks = Vec::with_capacity(group.tasks.len());
    for task in &group.tasks {
        let resources = member(task, context).map_err(|reason| {
            Invalid(format!("Task '{}' is invalid: {reason}", task.task_id.value))
        })?;
        tasks.push(resources);
    }
    let resources = group_executor(group, executor, context)?;
    amounts(executor, &resources)?;
    together(&tasks, &resources)?;
    available(&tasks, executor, &resources, context)?;
    cgroups(group, executor)
}

fn member(task: &v1::TaskInfo, context: &TaskContext<'_>) -> Result<Resources, Invalid> {
    let resources = task::alone(task, context)?;
    if task.executor.is_none() {
        return invalid("'TaskInfo.executor' must be set");
    }
    if let Some(container) = &task.container {
        let checked = task.health_check.as_ref().is_some_and(|check| {
            matches!(check.r#type(), health_check::Type::Http | health_check::Type::Tcp)
        });
        if !container.network_infos.is_empty() && checked {
            return invalid(
                "HTTP and TCP health checks are not supported for nested containers not \
                 joining parent's network",
            );
        }
        if container.r#type() == container_info::Type::Docker {
            return invalid("Docker ContainerInfo is not supported on the task");
        }
    }
    if !task.limits.is_empty() && shares(task.container.as_deref()) {
        return invalid(
            "Resource limits may only be set for tasks within a task group when the \
             'share_cgroups' field is set to 'false'.",
        );
    }
    Ok(resources)
}

fn group_executor(
    group: &v1::TaskGroupInfo,
    info: &v1::ExecutorInfo,
    context: &TaskContext<'_>,
) -> Result<Resources, Invalid> {
    let running = (context.executor)(&info.executor_id.value);
    let resources = executor::launched(info, context.framework, running)?;
    if info.r#type.is_none() {
        return invalid("'ExecutorInfo.type' must be set");
    }
    if info.r#type() == executor_info::Type::Unknown {
        return invalid("Unknown executor type");
    }
    let container = info.container.as_ref();
    if container.is_some_and(|container| container.r#type() == container_info::Type::Docker) {
        return invalid("Docker ContainerInfo is not supported on the executor");
    }
    let other = group
        .tasks
        .iter()
        .find(|task| task.executor.as_deref().is_some_and(|executor| executor != info));
    match other {
        Some(task) => invalid(format!(
            "The `ExecutorInfo` of task '{}' is different from executor '{}'",
            task.task_id.value, info.executor_id.value
        )),
        None => Ok(resources),
    }
}

fn amounts(info: &v1::ExecutorInfo, resources: &Resources) -> Check {
    let id = &info.executor_id.value;
    let shown = |amount: Option<mesos_messages::resources::Scalar>, unit: &str| {
        amount.map_or_else(|| "None".to_owned(), |amount| format!("{amount}{unit}"))
    };
    let cpus = resources.cpus();
    if cpus.is_none_or(|cpus| cpus.to_f64() < MIN_CPUS) {
        return invalid(format!(
            "Executor '{id}' uses less CPUs ({}) than the minimum required ({MIN_CPUS})",
            shown(cpus, "")
        ));
    }
    let mem = resources.mem();
    if mem.is_none_or(|mem| mem.to_f64() < MIN_MEM_MB) {
        return invalid(format!(
            "Executor '{id}' uses less memory ({}) than the minimum required ({MIN_MEM_MB}MB)",
            shown(mem, "MB")
        ));
    }
    if resources.disk().is_none() {
        return invalid(format!("Executor '{id}' uses no disk"));
    }
    Ok(())
}

fn together(tasks: &[Resources], executor: &Resources) -> Check {
    let mut total = executor.clone();
    tasks.iter().for_each(|task| total += task);
    within(
        resource::unique_persistence_ids(&total),
        "Task group and executor use duplicate persistence ID",
    )?;
    within(
        resource::revocable_apart(&total),
        "Task group and executor mix revocable and non-revocable resources",
    )?;
    let mut parts: Vec<&Resources> = tasks.iter().collect();
    parts.push(executor);
    if resource::overlap(&parts) {
        let shown: Vec<String> = tasks.iter().map(Resources::to_string).collect();
        return invalid(format!(
            "There are overlapping resources in the task group's task resources [ {} ] and/or \
             executor resources {executor}",
            shown.join(", ")
        ));
    }
    Ok(())
}

fn available(
    tasks: &[Resources],
    info: &v1::ExecutorInfo,
    executor: &Resources,
    context: &TaskContext<'_>,
) -> Check {
    let mut total = Resources::new();
    tasks.iter().for_each(|task| total += task);
    if (context.executor)(&info.executor_id.value).is_none() {
        total += executor;
    }
    if context.offered.contains(&total) {
        return Ok(());
    }
    invalid(format!(
        "Total resources {total} required by task group and its executor are more than \
         available {}",
        context.offered
    ))
}

fn cgroups(group: &v1::TaskGroupInfo, info: &v1::ExecutorInfo) -> Check {
    if executor::shares_cgroups(info) {
        return invalid("The 'share_cgroups' field cannot be set to 'true' on executor containers");
    }
    let mut settings = group.tasks.iter().map(|task| shares(task.container.as_deref()));
    let first = settings.next();
    if settings.any(|setting| Some(setting) != first) {
        return invalid(
            "If set, the value of 'share_cgroups' must be the same for all tasks in each task \
             group and under a single executor",
        );
    }
    Ok(())
}

fn shares(container: Option<&v1::ContainerInfo>) -> bool {
    container
        .and_then(|container| container.linux_info.as_ref())
        .and_then(|linux| linux.share_cgroups)
        .unwrap_or(true)
}
