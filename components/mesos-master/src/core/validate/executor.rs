//! Executors, alone and within the framework and the agent they are for.
use mesos_messages::{json::JsonMessage, resources::Resources, v1};
use v1::{container_info, executor_info};

use super::{Check, Invalid, common, invalid, resource, within};

/// What holds for an executor anywhere.
pub(super) fn executor(executor: &v1::ExecutorInfo) -> Check {
    kind(executor)?;
    common::id(&executor.executor_id.value)?;
    let grace = executor.shutdown_grace_period.as_ref();
    if grace.is_some_and(|grace| grace.nanoseconds < 0) {
        return invalid("ExecutorInfo's 'shutdown_grace_period' must be non-negative");
    }
    if let Some(command) = &executor.command {
        within(common::command(command), "Executor's `CommandInfo` is invalid")?;
    }
    if let Some(container) = &executor.container {
        within(common::container(container), "Executor's `ContainerInfo` is invalid")?;
    }
    Ok(())
}

fn kind(executor: &v1::ExecutorInfo) -> Check {
    match executor.r#type() {
        executor_info::Type::Default => {
            if executor.command.is_some() {
                return invalid("'ExecutorInfo.command' must not be set for 'DEFAULT' executor");
            }
            let Some(container) = &executor.container else { return Ok(()) };
            if container.r#type() != container_info::Type::Mesos {
                return invalid(
                    "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor",
                );
            }
            if container.mesos.as_ref().is_some_and(|mesos| mesos.image.is_some()) {
                return invalid(
                    "'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor",
                );
            }
            Ok(())
        }
        executor_info::Type::Custom if executor.command.is_none() => {
            invalid("'ExecutorInfo.command' must be set for 'CUSTOM' executor")
        }
        executor_info::Type::Custom | executor_info::Type::Unknown => Ok(()),
    }
}

/// What holds for the executor of a task to launch; gives its resources.
///
/// `running` is the executor with its id that the agent already has.
pub(super) fn launched(
    executor: &v1::ExecutorInfo,
    framework: &str,
    running: Option<&v1::ExecutorInfo>,
) -> Result<Resources, Invalid> {
    self::executor(executor)?;
    match &executor.framework_id {
        None => return invalid("'ExecutorInfo.framework_id' must be set"),
        Some(id) if id.value != framework => {
            return invalid(format!(
                "ExecutorInfo has an invalid FrameworkID (Actual: {} vs Expected: {framework})",
                id.value
            ));
        }
        Some(_) => {}
    }
    let resources = resource::parse(&executor.resources)
        .map_err(|error| Invalid(format!("Executor uses invalid resources: {error}")))?;
    within(resource::unique_persistence_ids(&resources), "Executor uses duplicate persistence ID")?;
    within(resource::single_role(&resources), "Invalid executor resources")?;
    within(
        resource::revocable_apart(&resources),
        "Executor mixes revocable and non-revocable resources",
    )?;
    match running {
        Some(running) if !same(running, executor) => invalid(incompatible(running, executor)),
        _ => Ok(resources),
    }
}

/// Whether two descriptions say the same executor; the order of resources does not matter.
fn same(left: &v1::ExecutorInfo, right: &v1::ExecutorInfo) -> bool {
    if left == right {
        return true;
    }
    let bare = |executor: &v1::ExecutorInfo| v1::ExecutorInfo {
        resources: Vec::new(),
        ..executor.clone()
    };
    let resources = |executor: &v1::ExecutorInfo| Resources::from_proto(&executor.resources).ok();
    bare(left) == bare(right) && resources(left) == resources(right)
}

fn incompatible(running: &v1::ExecutorInfo, new: &v1::ExecutorInfo) -> String {
    let line = "------------------------------------------------------------";
    let text =
        |executor: &v1::ExecutorInfo| String::from_utf8_lossy(&executor.to_json()).into_owned();
    format!(
        "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n\
         {line}\nExisting ExecutorInfo:\n{}\n{line}\nExecutorInfo:\n{}\n{line}\n",
        text(running),
        text(new)
    )
}

/// Whether its container asks to share cgroups, which only containers of tasks may.
pub(super) fn shares_cgroups(executor: &v1::ExecutorInfo) -> bool {
    let container = executor.container.as_ref();
    container
        .and_then(|container| container.linux_info.as_ref())
        .is_some_and(|linux| linux.share_cgroups == Some(true))
}
