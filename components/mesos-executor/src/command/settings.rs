//! What the agent says through the environment.

use mesos_messages::time::parse_duration;
use std::{
    ffi::{OsStr, OsString},
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};
use thiserror::Error;

const TOKEN: &str = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN";

/// Where the agent is and how to behave towards it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The agent's address.
    pub agent: SocketAddr,
    /// The path of its executor API.
    pub path: String,
    /// The framework of the task.
    pub framework_id: String,
    /// The id of this executor.
    pub executor_id: String,
    /// Whether to wait for a restarted agent.
    pub checkpoint: bool,
    /// How long to wait for it.
    pub recovery_timeout: Duration,
    /// The longest pause between attempts to reach it.
    pub backoff_max: Duration,
    /// How long the agent gives this executor to end.
    pub shutdown_grace: Duration,
    /// Proves this executor to the agent; kept from the task.
    pub token: Option<String>,
    /// The environment for the task, before its own variables.
    pub environment: Vec<(OsString, OsString)>,
}

/// Why the environment does not do.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// A variable is not there, or not text.
    #[error("the environment variable {0} is missing or not text; an agent sets it")]
    Missing(&'static str),
    /// A variable has a value that means nothing.
    #[error("the environment variable {name} has the value '{value}', which is not {expected}")]
    Invalid {
        /// Which.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl Settings {
    /// Reads the variables an agent sets for its executors.
    pub fn from_environment(
        mut variables: Vec<(OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let token = lookup(&variables, TOKEN).map(str::to_owned);
        variables.retain(|(name, _)| name != TOKEN);
        let (agent, path) = agent(&variables)?;
        let text = |name| lookup(&variables, name).ok_or(SettingsError::Missing(name));
        let time = |name, default| duration(&variables, name, default);
        Ok(Self {
            agent,
            path,
            framework_id: text("MESOS_FRAMEWORK_ID")?.to_owned(),
            executor_id: text("MESOS_EXECUTOR_ID")?.to_owned(),
            checkpoint: lookup(&variables, "MESOS_CHECKPOINT") == Some("1"),
            recovery_timeout: time("MESOS_RECOVERY_TIMEOUT", Duration::from_secs(15 * 60))?,
            backoff_max: time("MESOS_SUBSCRIPTION_BACKOFF_MAX", Duration::from_secs(2))?,
            shutdown_grace: time("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", Duration::from_secs(5))?,
            token,
            environment: variables,
        })
    }
}

fn lookup<'a>(variables: &'a [(OsString, OsString)], name: &str) -> Option<&'a str> {
    let found = variables.iter().rev().find(|(key, _)| key == OsStr::new(name))?;
    found.1.to_str()
}

/// The address and path of the agent: from its process id, else from its endpoint.
fn agent(variables: &[(OsString, OsString)]) -> Result<(SocketAddr, String), SettingsError> {
    const PID: &str = "MESOS_SLAVE_PID";
    const ENDPOINT: &str = "MESOS_AGENT_ENDPOINT";
    let (name, id, host) = match lookup(variables, PID).and_then(|pid| pid.split_once('@')) {
        Some((id, host)) => (PID, id, host),
        None => {
            let host = lookup(variables, ENDPOINT).ok_or(SettingsError::Missing(ENDPOINT))?;
            (ENDPOINT, "slave(1)", host)
        }
    };
    let address = host.to_socket_addrs().ok().and_then(|mut found| found.next());
    let invalid = || SettingsError::Invalid {
        name,
        value: host.to_owned(),
        expected: "an address such as 10.0.0.5:5051",
    };
    Ok((address.ok_or_else(invalid)?, format!("/{id}/api/v1/executor")))
}

fn duration(
    variables: &[(OsString, OsString)],
    name: &'static str,
    default: Duration,
) -> Result<Duration, SettingsError> {
    let Some(text) = lookup(variables, name) else { return Ok(default) };
    parse_duration(text).map_err(|_| SettingsError::Invalid {
        name,
        value: text.to_owned(),
        expected: "a duration such as 5secs",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::from_environment(
            pairs.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        )
    }

    const LEAST: [(&str, &str); 3] = [
        ("MESOS_SLAVE_PID", "slave(1)@127.0.0.1:5051"),
        ("MESOS_FRAMEWORK_ID", "f"),
        ("MESOS_EXECUTOR_ID", "e"),
    ];

    #[test]
    fn the_least_environment_has_the_originals_defaults() {
        let settings = read(&LEAST).unwrap();
        assert_eq!(settings.agent.to_string(), "127.0.0.1:5051");
        assert_eq!(settings.path, "/slave(1)/api/v1/executor");
        assert!(!settings.checkpoint);
        assert_eq!(settings.shutdown_grace, Duration::from_secs(5));
        assert_eq!(settings.recovery_timeout, Duration::from_secs(900));
    }

    #[test]
    fn the_token_is_kept_from_the_task() {
        let pairs = [&LEAST[..], &[(TOKEN, "secret")]].concat();
        let settings = read(&pairs).unwrap();
        assert_eq!(settings.token.as_deref(), Some("secret"));
        assert!(settings.environment.iter().all(|(name, _)| name != TOKEN));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let text = |pairs: &[(&str, &str)]| read(pairs).unwrap_err().to_string();
        assert!(text(&[]).contains("MESOS_AGENT_ENDPOINT"));
        assert!(text(&LEAST[..2]).contains("MESOS_EXECUTOR_ID"));
        let pairs = [&LEAST[..], &[("MESOS_RECOVERY_TIMEOUT", "soon")]].concat();
        assert!(text(&pairs).contains("MESOS_RECOVERY_TIMEOUT"));
    }
}
