//! Messages of agents that register.
use std::collections::BTreeSet;

use mesos_messages::{
    internal::{RegisterSlaveMessage, ReregisterSlaveMessage},
    resources::Resources,
    v1,
};
use prost::Message;

use super::{Check, Invalid, common, executor, framework, invalid};

/// The registry keeps an agent as one value, in which its id and address need room too.
const MAX_INFO_BYTES: usize = cluster_state::limits::MAX_VALUE_BYTES - 16 * 1024;

/// A new agent.
pub(in crate::core) fn register(message: &RegisterSlaveMessage) -> Check {
    info(&message.slave)?;
    if !message.checkpointed_resources.is_empty() && !message.slave.checkpoint() {
        return invalid("Checkpointed resources provided when checkpointing is not enabled");
    }
    resources(&message.checkpointed_resources)
}

/// An agent that was admitted before.
pub(in crate::core) fn reregister(message: &ReregisterSlaveMessage) -> Check {
    info(&message.slave)?;
    let Some(agent) = message.slave.id.as_ref() else {
        return invalid("Expecting 'slave.id' to be present");
    };
    resources(&message.checkpointed_resources)?;
    let frameworks = frameworks(&message.frameworks)?;
    let executors = executors(&message.executor_infos, &frameworks)?;
    message.tasks.iter().try_for_each(|one| task(one, &agent.value, &frameworks, &executors))
}

fn info(info: &v1::AgentInfo) -> Check {
    if let Some(id) = &info.id {
        common::id(&id.value)?;
        // It becomes part of a key of the registry, where no control character may stand at all.
        if id.value.chars().any(char::is_control) {
            return invalid("The agent's ID contains control characters");
        }
    }
    let size = info.encoded_len();
    if size > MAX_INFO_BYTES {
        return invalid(format!(
            "The agent's info has {size} bytes; the limit is {MAX_INFO_BYTES}"
        ));
    }
    resources(&info.resources)
}

fn resources(resources: &[v1::Resource]) -> Check {
    Resources::from_proto(resources).map(drop).map_err(|error| Invalid(error.to_string()))
}

fn frameworks(infos: &[v1::FrameworkInfo]) -> Result<BTreeSet<&str>, Invalid> {
    let mut ids = BTreeSet::new();
    for info in infos {
        framework::alone(info)?;
        let Some(id) = info.id.as_ref().filter(|id| !id.value.is_empty()) else {
            return invalid("Framework has no FrameworkID");
        };
        if !ids.insert(id.value.as_str()) {
            return invalid(format!("Framework has a duplicate FrameworkID: '{}'", id.value));
        }
    }
    Ok(ids)
}

fn executors<'a>(
    infos: &'a [v1::ExecutorInfo],
    frameworks: &BTreeSet<&str>,
) -> Result<BTreeSet<(&'a str, &'a str)>, Invalid> {
    let mut ids = BTreeSet::new();
    for info in infos {
        executor::executor(info)?;
        resources(&info.resources)?;
        let framework = info.framework_id.as_ref().map_or("", |id| id.value.as_str());
        if !frameworks.contains(framework) {
            return invalid(format!("Executor has an invalid FrameworkID '{framework}'"));
        }
        let executor = info.executor_id.value.as_str();
        if !ids.insert((framework, executor)) {
            return invalid(format!(
                "Framework '{framework}' has a duplicate ExecutorID '{executor}'"
            ));
        }
    }
    Ok(ids)
}

fn task(
    task: &v1::Task,
    agent: &str,
    frameworks: &BTreeSet<&str>,
    executors: &BTreeSet<(&str, &str)>,
) -> Check {
    common::id(&task.task_id.value)
        .map_err(|reason| Invalid(format!("Task has an invalid TaskID: {reason}")))?;
    if task.agent_id.value != agent {
        return invalid(format!("Task has an invalid SlaveID '{}'", task.agent_id.value));
    }
    let framework = task.framework_id.value.as_str();
    if !frameworks.contains(framework) {
        return invalid(format!("Task has an invalid FrameworkID '{framework}'"));
    }
    if let Some(executor) = &task.executor_id
        && task.state() == v1::TaskState::TaskRunning
        && !executors.contains(&(framework, executor.value.as_str()))
    {
        return invalid(format!("Task has an invalid ExecutorID '{}'", executor.value));
    }
    // The resources are read, and refused if need be, when the task is added.
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_registry_could_not_keep_is_refused() {
        let id = |value: &str| v1::AgentInfo {
            id: Some(v1::AgentId { value: value.to_owned() }),
            ..v1::AgentInfo::default()
        };
        assert!(info(&id("m-S0")).is_ok());
        assert!(info(&id("x\u{85}")).is_err(), "a control character beyond ASCII");
        let long =
            |length| v1::AgentInfo { hostname: "h".repeat(length), ..v1::AgentInfo::default() };
        assert!(info(&long(MAX_INFO_BYTES / 2)).is_ok());
        assert!(info(&long(MAX_INFO_BYTES)).is_err());
    }
}
