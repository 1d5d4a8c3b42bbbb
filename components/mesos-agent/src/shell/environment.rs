//! What an executor's process is given: arguments and environment.

use crate::{AgentConfig, core::Launch};
use mesos_messages::{time::DurationText, v1};
use std::net::SocketAddr;

/// Where programs are found unless the operator or the framework says otherwise.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program and its arguments.
///
/// # Errors
///
/// Where the command names none.
pub(super) fn argv(command: &v1::CommandInfo) -> Result<Vec<String>, String> {
    let value = command.value.clone().filter(|value| !value.is_empty());
    if command.shell() {
        let value = value.ok_or("Shell command is not specified")?;
        return Ok(vec!["/bin/sh".to_owned(), "-c".to_owned(), value]);
    }
    let program = value.ok_or("Executable of command is not specified")?;
    // The first argument is what the program sees as its own name.
    Ok(std::iter::once(program).chain(command.arguments.iter().skip(1).cloned()).collect())
}

/// The whole environment of an executor; later entries replace earlier ones of the same name.
///
/// # Errors
///
/// Where the framework asks for a secret.
pub(super) fn environment(
    config: &AgentConfig,
    pid: &str,
    address: SocketAddr,
    agent_id: &str,
    launch: &Launch,
) -> Result<Vec<(String, String)>, String> {
    let mut env = Variables::default();
    env.set("PATH", DEFAULT_PATH);
    for (name, value) in config.executor_environment_variables.iter().flatten() {
        env.set(name, value);
    }
    if !config.ip.is_unspecified() {
        env.set("LIBPROCESS_IP", config.ip);
    }
    env.set("LIBPROCESS_PORT", 0);
    env.set("MESOS_FRAMEWORK_ID", &launch.framework_id);
    env.set("MESOS_EXECUTOR_ID", &launch.executor.executor_id.value);
    env.set("MESOS_SLAVE_ID", agent_id);
    env.set("MESOS_DIRECTORY", launch.directory.display());
    env.set("MESOS_SANDBOX", launch.directory.display());
    // Where this program is: tasks find what comes with it there.
    env.set("MESOS_LAUNCHER_DIR", config.launcher_dir().display());
    env.set("MESOS_SLAVE_PID", pid);
    env.set("MESOS_AGENT_ENDPOINT", address);
    env.set("MESOS_CHECKPOINT", u8::from(launch.checkpoint));
    env.set("MESOS_HTTP_COMMAND_EXECUTOR", u8::from(launch.generated));
    env.set("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", DurationText(launch.grace));
    if launch.checkpoint {
        env.set("MESOS_RECOVERY_TIMEOUT", DurationText(config.recovery_timeout));
        // Half of what the agent waits, so that the last attempt is not too late.
        let backoff = config.executor_reregistration_timeout / 2;
        env.set("MESOS_SUBSCRIPTION_BACKOFF_MAX", DurationText(backoff));
    }
    let command = launch.executor.command.as_deref();
    let custom = command.and_then(|command| command.environment.as_ref());
    for variable in custom.into_iter().flat_map(|environment| &environment.variables) {
        if variable.r#type() == v1::environment::variable::Type::Secret {
            return Err(format!("Secrets are not supported (variable '{}')", variable.name));
        }
        env.set(&variable.name, variable.value());
    }
    Ok(env.0)
}

#[derive(Default)]
struct Variables(Vec<(String, String)>);

impl Variables {
    fn set(&mut self, name: &str, value: impl ToString) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value.to_string(),
            None => self.0.push((name.to_owned(), value.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, time::Duration};

    fn launch(checkpoint: bool) -> Launch {
        let command = v1::CommandInfo {
            value: Some("run".into()),
            environment: Some(v1::Environment {
                variables: vec![v1::environment::Variable {
                    name: "PATH".into(),
                    value: Some("/mine".into()),
                    ..Default::default()
                }],
            }),
            ..Default::default()
        };
        let executor = v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: "e".into() },
            command: Some(Box::new(command)),
            ..Default::default()
        };
        Launch {
            container_id: "c".into(),
            framework_id: "f".into(),
            executor: Arc::new(executor),
            directory: "/sandbox".into(),
            user: None,
            checkpoint,
            generated: false,
            limits: Default::default(),
            grace: Duration::from_secs(5),
        }
    }

    fn get(checkpoint: bool) -> std::collections::BTreeMap<String, String> {
        let mut config = AgentConfig::new("127.0.0.1:5050", "/work");
        config.helper = "/opt/dais/bin/dais".into();
        let address = "127.0.0.1:5051".parse().unwrap();
        environment(&config, "slave(1)@127.0.0.1:5051", address, "a", &launch(checkpoint))
            .unwrap()
            .into_iter()
            .collect()
    }

    #[test]
    fn the_frameworks_variables_come_last() {
        let env = get(true);
        assert_eq!(env["PATH"], "/mine");
        assert_eq!(env["MESOS_AGENT_ENDPOINT"], "127.0.0.1:5051");
        assert_eq!(env["MESOS_LAUNCHER_DIR"], "/opt/dais/bin");
        assert_eq!(env["MESOS_RECOVERY_TIMEOUT"], "15mins");
        assert_eq!(env["MESOS_CHECKPOINT"], "1");
        assert_eq!(env["MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"], "5secs");
        assert!(!get(false).contains_key("MESOS_RECOVERY_TIMEOUT"));
    }

    #[test]
    fn commands_become_argument_lists() {
        let shell = v1::CommandInfo { value: Some("a | b".into()), ..Default::default() };
        assert_eq!(argv(&shell).unwrap(), ["/bin/sh", "-c", "a | b"]);
        let exec = v1::CommandInfo {
            shell: Some(false),
            value: Some("/bin/echo".into()),
            arguments: vec!["echo".into(), "hi".into()],
            ..Default::default()
        };
        assert_eq!(argv(&exec).unwrap(), ["/bin/echo", "hi"]);
        assert!(argv(&v1::CommandInfo::default()).is_err());
    }
}
