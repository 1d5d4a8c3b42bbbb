//! Tasks to launch.
use mesos_messages::{resources::Resources, v1};
use v1::executor_info;

use super::{Check, Invalid, common, executor, invalid, resource, within};

/// What a task is checked against.
pub(in crate::core) struct TaskContext<'a> {
    pub(in crate::core) framework: &'a str,
    pub(in crate::core) agent: &'a str,
    /// Whether a task with this id runs.
    pub(in crate::core) is_known: &'a dyn Fn(&str) -> bool,
    /// Whether a task with this id is unreachable.
    pub(in crate::core) is_unreachable: &'a dyn Fn(&str) -> bool,
    /// The framework's executor with this id on the agent.
    pub(in crate::core) executor: &'a dyn Fn(&str) -> Option<&'a v1::ExecutorInfo>,
    /// Whether the agent can limit resources of single tasks.
    pub(in crate::core) limits: bool,
    /// What is left of the offers.
    pub(in crate::core) offered: &'a Resources,
}

/// What a valid task consumes.
#[derive(Debug)]
pub(in crate::core) struct TaskResources {
    pub(in crate::core) task: Resources,
    /// Of its executor, if it has one.
    pub(in crate::core) executor: Option<Resources>,
    /// Whether that executor is a new one.
    pub(in crate::core) new_executor: bool,
}

/// Checks a task of a LAUNCH.
pub(in crate::core) fn task(
    task: &v1::TaskInfo,
    context: &TaskContext<'_>,
) -> Result<TaskResources, Invalid> {
    let resources = alone(task, context)?;
    let parts = with_executor(task, resources, context)?;
    let linux = task.container.as_ref().and_then(|container| container.linux_info.as_ref());
    if linux.is_some_and(|linux| linux.share_cgroups == Some(false)) {
        return invalid("Only tasks in a task group may have 'share_cgroups' set to 'false'");
    }
    Ok(parts)
}

/// Everything but the executor; gives the task's resources.
pub(super) fn alone(task: &v1::TaskInfo, context: &TaskContext<'_>) -> Result<Resources, Invalid> {
    let id = &task.task_id.value;
    common::id(id)?;
    if (context.is_known)(id) {
        return invalid(format!("Task has duplicate ID: {id}"));
    }
    if (context.is_unreachable)(id) {
        return invalid(format!("Task reuses the ID of an unreachable task: {id}"));
    }
    if task.agent_id.value != context.agent {
        return invalid(format!(
            "Task uses invalid agent {} while agent {} is expected",
            task.agent_id.value, context.agent
        ));
    }
    durations(task)?;
    if let Some(check) = &task.check {
        within(common::check(check), "Task uses invalid check")?;
    }
    if let Some(check) = &task.health_check {
        within(common::health_check(check), "Task uses invalid health check")?;
    }
    let resources = resources(task)?;
    if let Some(command) = &task.command {
        within(common::command(command), "Task's `CommandInfo` is invalid")?;
    }
    if let Some(container) = &task.container {
        within(common::container(container), "Task's `ContainerInfo` is invalid")?;
    }
    limits(task, &resources, context.limits)?;
    Ok(resources)
}

fn durations(task: &v1::TaskInfo) -> Check {
    let grace = task.kill_policy.as_ref().and_then(|policy| policy.grace_period.as_ref());
    if grace.is_some_and(|grace| grace.nanoseconds < 0) {
        return invalid("Task's 'kill_policy.grace_period' must be non-negative");
    }
    let longest = task.max_completion_time.as_ref();
    if longest.is_some_and(|longest| longest.nanoseconds < 0) {
        return invalid("Task's `max_completion_time` must be non-negative");
    }
    Ok(())
}

fn resources(task: &v1::TaskInfo) -> Result<Resources, Invalid> {
    if task.resources.is_empty() {
        return invalid("Task uses no resources");
    }
    let resources = resource::parse(&task.resources)
        .map_err(|error| Invalid(format!("Task uses invalid resources: {error}")))?;
    within(resource::unique_persistence_ids(&resources), "Task uses duplicate persistence ID")?;
    within(resource::single_role(&resources), "Invalid task resources")?;
    within(
        resource::revocable_apart(&resources),
        "Task mixes revocable and non-revocable resources",
    )?;
    Ok(resources)
}

fn limits(task: &v1::TaskInfo, resources: &Resources, capable: bool) -> Check {
    if task.limits.is_empty() {
        return Ok(());
    }
    if !capable {
        return invalid("Agent is not capable of handling task resource limits");
    }
    if task.limits.keys().any(|name| name != "cpus" && name != "mem") {
        return invalid("Only cpus and mem may be included in a task's resource limits");
    }
    if let Some(limit) = task.limits.get("cpus") {
        let Some(cpus) = resources.cpus() else {
            return invalid("When a CPU limit is specified, a CPU request must also be specified");
        };
        if limit.value < cpus.to_f64() {
            return invalid("The cpu limit must be greater than or equal to the cpu request");
        }
    }
    if let Some(limit) = task.limits.get("mem") {
        let Some(mem) = resources.mem() else {
            return invalid(
                "When a memory limit is specified, a memory request must also be specified",
            );
        };
        if limit.value.is_finite() && limit.value < mem.to_f64() {
            return invalid("The memory limit must be greater than or equal to the memory request");
        }
    }
    Ok(())
}

fn with_executor(
    task: &v1::TaskInfo,
    resources: Resources,
    context: &TaskContext<'_>,
) -> Result<TaskResources, Invalid> {
    if task.executor.is_some() == task.command.is_some() {
        return invalid(
            "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present",
        );
    }
    let Some(info) = task.executor.as_deref() else {
        contained(&resources, context.offered)?;
        return Ok(TaskResources { task: resources, executor: None, new_executor: false });
    };
    let running = (context.executor)(&info.executor_id.value);
    let executor = executor::launched(info, context.framework, running)?;
    custom(info, &executor)?;
    let both = both(&resources, &executor)?;
    contained(if running.is_none() { &both } else { &resources }, context.offered)?;
    let new_executor = running.is_none();
    Ok(TaskResources { task: resources, executor: Some(executor), new_executor })
}

fn custom(info: &v1::ExecutorInfo, resources: &Resources) -> Check {
    if info.r#type.is_some() && info.r#type() != executor_info::Type::Custom {
        return invalid("'ExecutorInfo.type' must be 'CUSTOM'");
    }
    if info.command.is_none() {
        return invalid("'ExecutorInfo.command' must be set");
    }
    if !resources.shared().is_empty() {
        return invalid(format!(
            "Executor resources {resources} should not contain any shared resources"
        ));
    }
    if executor::shares_cgroups(info) {
        return invalid("The 'share_cgroups' field cannot be set to 'true' on executor containers");
    }
    Ok(())
}

fn both(task: &Resources, executor: &Resources) -> Result<Resources, Invalid> {
    let total = task + executor;
    if resource::overlap(&[task, executor]) {
        return invalid(format!(
            "There are overlapping resources in the task resources {task} and executor \
             resources {executor}"
        ));
    }
    within(
        resource::unique_persistence_ids(&total),
        "Task and its executor use duplicate persistence ID",
    )?;
    within(
        resource::revocable_apart(&total),
        "Task and its executor mix revocable and non-revocable resources",
    )?;
    Ok(total)
}

fn contained(total: &Resources, offered: &Resources) -> Check {
    if offered.contains(total) {
        return Ok(());
    }
    invalid(format!(
        "Total resources {total} required by task and its executor is more than available \
         {offered}"
    ))
}
