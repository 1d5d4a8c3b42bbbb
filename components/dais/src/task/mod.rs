//! `dais task run`: one command as a task, through the public scheduler API.

mod agent;
mod offers;
mod output;
mod session;

use crate::{up::endpoints::Endpoints, user::current_user};
use anyhow::{Context, bail};
use clap::Args;
use mesos_messages::v1::{
    CommandInfo, Environment, FrameworkInfo,
    command_info::Uri,
    environment::Variable,
    framework_info::{Capability, capability},
};
use mesos_scheduler::{Config, Credential};
use offers::Wanted;
use session::Session;
use std::{path::PathBuf, process::ExitCode};

const PUBLIC_ROLE: &str = "slave_public";

/// What `dais task run` is told.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The task's name and id.
    #[arg(long, default_value = "task")]
    name: String,
    /// Cores.
    #[arg(long, default_value_t = 0.1)]
    cpus: f64,
    /// Memory in MiB.
    #[arg(long, default_value_t = 32.0)]
    mem: f64,
    /// Disk in MiB.
    #[arg(long, default_value_t = 0.0)]
    disk: f64,
    /// The master, as host:port; without it that of the cluster other commands speak to.
    #[arg(long, value_name = "HOST:PORT")]
    master: Option<String>,
    /// Data directory of the cluster that `dais up` runs.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The role whose resources to use.
    #[arg(long)]
    role: Option<String>,
    /// Run on a public agent (role slave_public, unless --role says otherwise).
    #[arg(long)]
    public: bool,
    /// A variable of the task's environment; may be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// What to fetch into the sandbox first; may be given several times.
    #[arg(long, value_name = "URI")]
    uri: Vec<String>,
    /// The user to run as; by default the one who runs this command.
    #[arg(long)]
    user: Option<String>,
    /// Let the task survive a restart of its agent.
    #[arg(long)]
    checkpoint: bool,
    /// The principal to authenticate as; its secret comes from DAIS_SECRET.
    #[arg(long)]
    principal: Option<String>,
    /// Show the output only, not the states.
    #[arg(long, short)]
    quiet: bool,
    /// The program and its arguments.
    #[arg(last = true, required = true, num_args = 1.., value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs the task and gives its exit status.
pub(crate) async fn run(arguments: Arguments, globals: cli::Globals) -> anyhow::Result<ExitCode> {
    let master = arguments.master(&globals)?;
    let mut config = Config::new(master.clone(), arguments.framework()?);
    config.credential = arguments.credential()?;
    let wanted = Wanted {
        name: arguments.name.clone(),
        cpus: arguments.cpus,
        mem: arguments.mem,
        disk: arguments.disk,
        public: arguments.public,
        command: arguments.command()?,
    };
    wanted.validate()?;
    let code = Session::new(config, wanted, master, arguments.quiet).run().await?;
    Ok(ExitCode::from(code))
}

// === impl Arguments ===

impl Arguments {
    fn master(&self, globals: &cli::Globals) -> anyhow::Result<String> {
        if let Some(master) = &self.master {
            return Ok(master.trim_start_matches("http://").trim_end_matches('/').to_owned());
        }
        match &self.data_dir {
            Some(folder) => Ok(Endpoints::read(folder)?.mesos_master),
            None => cli::master_address(globals, &cli::Environment::system()),
        }
    }

    fn framework(&self) -> anyhow::Result<FrameworkInfo> {
        let user = match &self.user {
            Some(user) => user.clone(),
            None => current_user().context("use --user")?,
        };
        let default = if self.public { PUBLIC_ROLE } else { "*" };
        let role = self.role.clone().unwrap_or_else(|| default.to_owned());
        let known = [
            capability::Type::MultiRole,
            capability::Type::ReservationRefinement,
            capability::Type::PartitionAware,
            capability::Type::TaskKillingState,
        ];
        Ok(FrameworkInfo {
            user,
            name: format!("dais task run {}", self.name),
            roles: vec![role],
            checkpoint: Some(self.checkpoint),
            principal: self.principal.clone(),
            capabilities: known.map(|kind| Capability { r#type: Some(kind.into()) }).to_vec(),
            ..Default::default()
        })
    }

    fn credential(&self) -> anyhow::Result<Option<Credential>> {
        let Some(principal) = self.principal.clone() else { return Ok(None) };
        let secret = std::env::var("DAIS_SECRET");
        let secret = secret.context("with --principal, DAIS_SECRET holds its secret")?;
        Ok(Some(Credential { principal, secret }))
    }

    /// The command as it is, without a shell between.
    fn command(&self) -> anyhow::Result<CommandInfo> {
        let variables: Result<Vec<Variable>, _> =
            self.env.iter().map(|pair| variable(pair)).collect();
        let uri = |value: &String| Uri { value: value.clone(), ..Default::default() };
        Ok(CommandInfo {
            shell: Some(false),
            value: self.command.first().cloned(),
            arguments: self.command.clone(),
            uris: self.uri.iter().map(uri).collect(),
            environment: Some(Environment { variables: variables? }),
            ..Default::default()
        })
    }
}

fn variable(pair: &str) -> anyhow::Result<Variable> {
    let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        bail!("--env {pair}: expected NAME=VALUE");
    };
    Ok(Variable { name: name.to_owned(), value: Some(value.to_owned()), ..Default::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        run: Arguments,
    }

    fn parse(arguments: &[&str]) -> Arguments {
        Cli::try_parse_from([&["dais"], arguments].concat()).unwrap().run
    }

    #[test]
    fn the_command_is_passed_as_it_is() {
        let arguments = parse(&["--env", "A=b=c", "--", "sh", "-c", "echo $A --name"]);
        let command = arguments.command().unwrap();
        assert_eq!(command.shell, Some(false));
        assert_eq!(command.value.as_deref(), Some("sh"));
        assert_eq!(command.arguments, ["sh", "-c", "echo $A --name"]);
        let variables = command.environment.unwrap().variables;
        assert_eq!((variables[0].name.as_str(), variables[0].value()), ("A", "b=c"));
        assert!(parse(&["--env", "=x", "--", "true"]).command().is_err());
    }

    #[test]
    fn public_tasks_use_the_public_role() {
        let roles = |arguments: &[&str]| parse(arguments).framework().unwrap().roles;
        assert_eq!(roles(&["--", "true"]), ["*"]);
        assert_eq!(roles(&["--public", "--", "true"]), ["slave_public"]);
        assert_eq!(roles(&["--public", "--role", "r", "--", "true"]), ["r"]);
    }

    #[test]
    fn the_master_may_be_given_as_a_url() {
        let arguments = parse(&["--master", "http://127.0.0.1:5050/", "--", "true"]);
        assert_eq!(arguments.master(&cli::Globals::default()).unwrap(), "127.0.0.1:5050");
    }
}
