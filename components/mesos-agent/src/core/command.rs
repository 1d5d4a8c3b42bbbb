//! Tasks that bring only a command: the executor made up for them, and the record of any task.

use mesos_messages::v1::{self, TaskState};
use std::time::Duration;

/// What a command executor itself is given, on top of its task.
const OVERHEAD: [(&str, f64); 2] = [("cpus", 0.1), ("mem", 32.0)];

/// The record of a task, before anything happened to it.
pub(super) fn new_task(framework_id: &str, info: &v1::TaskInfo) -> v1::Task {
    let command = info.command.as_deref();
    let user = match (command, &info.executor) {
        (Some(command), _) => command.user.clone(),
        (None, Some(executor)) => executor.command.as_ref().and_then(|c| c.user.clone()),
        (None, None) => None,
    };
    v1::Task {
        name: info.name.clone(),
        task_id: info.task_id.clone(),
        framework_id: v1::FrameworkId { value: framework_id.to_owned() },
        executor_id: info.executor.as_ref().map(|executor| executor.executor_id.clone()),
        agent_id: info.agent_id.clone(),
        state: TaskState::TaskStaging as i32,
        resources: info.resources.clone(),
        labels: info.labels.clone(),
        discovery: info.discovery.clone(),
        container: info.container.clone(),
        health_check: info.health_check.clone(),
        kill_policy: info.kill_policy,
        user,
        limits: info.limits.clone(),
        ..Default::default()
    }
}

/// The executor made up for a task that brings only a command.
pub(super) fn command_executor(
    framework_id: &str,
    task: &v1::TaskInfo,
    program: &str,
    arguments: &[String],
) -> v1::ExecutorInfo {
    let command = task.command.as_deref();
    let role =
        task.resources.iter().find_map(|resource| resource.allocation_info.as_ref()?.role.clone());
    let resources = OVERHEAD
        .into_iter()
        .map(|(name, value)| v1::Resource {
            name: name.to_owned(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(v1::value::Scalar { value }),
            allocation_info: role
                .clone()
                .map(|role| v1::resource::AllocationInfo { role: Some(role) }),
            ..Default::default()
        })
        .collect();
    let grace = task.kill_policy.as_ref().and_then(|policy| policy.grace_period.as_ref());
    v1::ExecutorInfo {
        executor_id: v1::ExecutorId { value: task.task_id.value.clone() },
        framework_id: Some(v1::FrameworkId { value: framework_id.to_owned() }),
        command: Some(Box::new(v1::CommandInfo {
            shell: Some(false),
            value: Some(program.to_owned()),
            arguments: arguments.to_vec(),
            uris: command.map(|command| command.uris.clone()).unwrap_or_default(),
            environment: command.and_then(|command| command.environment.clone()),
            user: command.and_then(|command| command.user.clone()),
        })),
        container: task.container.clone(),
        resources,
        name: Some(command_executor_name(&task.task_id.value, command)),
        source: Some(task.task_id.value.clone()),
        discovery: task.discovery.clone(),
        // Reaping may take a second, and so may the executor's own end.
        shutdown_grace_period: grace
            .map(|grace| v1::DurationInfo::from(grace.to_duration() + Duration::from_secs(2))),
        ..Default::default()
    }
}

/// Names the task and the beginning of its command.
fn command_executor_name(task_id: &str, command: Option<&v1::CommandInfo>) -> String {
    let text = match command {
        Some(command) if command.shell() => match &command.value {
            None => "NO COMMAND".to_owned(),
            Some(value) => format!("sh -c '{}'", shortened(value)),
        },
        Some(v1::CommandInfo { value: Some(value), arguments, .. }) => {
            let all = std::iter::once(value).chain(arguments).cloned().collect::<Vec<_>>();
            format!("[{}]", shortened(&all.join(", ")))
        }
        _ => "NO EXECUTABLE".to_owned(),
    };
    format!("Command Executor (Task: {task_id}) (Command: {text})")
}

/// At most 15 characters of a command.
fn shortened(text: &str) -> String {
    if text.len() <= 15 {
        return text.to_owned();
    }
    let mut end = 12;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_executors_are_named_after_their_command() {
        let shell = |text: &str| v1::CommandInfo { value: Some(text.into()), ..Default::default() };
        assert_eq!(
            command_executor_name("t", Some(&shell("echo hi; sleep 5"))),
            "Command Executor (Task: t) (Command: sh -c 'echo hi; sle...')"
        );
        assert_eq!(
            command_executor_name("t", Some(&shell("true"))),
            "Command Executor (Task: t) (Command: sh -c 'true')"
        );
        let exec = v1::CommandInfo {
            shell: Some(false),
            value: Some("/bin/sleep".into()),
            arguments: vec!["sleep".into(), "100".into()],
            ..Default::default()
        };
        assert_eq!(
            command_executor_name("t", Some(&exec)),
            "Command Executor (Task: t) (Command: [/bin/sleep, ...])"
        );
        assert_eq!(shortened("ääääääääääääääää"), "ääääää...");
    }
}
