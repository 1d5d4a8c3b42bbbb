//! The commands: clap's view of them, and which function performs each.

mod auth;
mod cluster;
mod completion;
mod config;
mod marathon;
mod node;
mod package;
mod security;
mod service;
pub(crate) mod task;

use crate::context::{Context, Globals};
use crate::endpoints::Cluster;
use crate::failure::{self, FAILED, OK};
use crate::terminal::{Environment, Io, Style, printable};
use anyhow::Context as _;
use clap::Subcommand;
use serde_json::Value;
use tokio::runtime::Builder;

/// The client commands, but for those of `task`, beside which the binary puts its own.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Log in to a cluster.
    #[command(subcommand)]
    Auth(auth::Auth),
    /// Manage the clusters that commands speak to.
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// Print a script that completes commands in a shell.
    Completion(completion::Completion),
    /// Manage the configuration of the attached cluster.
    #[command(subcommand)]
    Config(config::Config),
    /// Deploy and manage applications.
    #[command(subcommand)]
    Marathon(marathon::Marathon),
    /// Show the nodes of the cluster.
    Node(node::Node),
    /// Install and manage packages.
    #[command(subcommand)]
    Package(package::Package),
    /// Manage users, groups, service accounts and permissions.
    #[command(subcommand)]
    Security(Box<security::Security>),
    /// Manage services: frameworks, and what they are made of.
    Service(service::Service),
}

/// Performs a command, and gives the status to end with; errors have been told by then.
///
/// `whole` gives all of the binary's commands, for completion.
pub fn run(
    command: Command,
    globals: Globals,
    io: Io,
    whole: fn() -> clap::Command,
) -> anyhow::Result<u8> {
    perform(io, globals, async |context| match command {
        Command::Auth(command) => command.run(context).await,
        Command::Cluster(command) => command.run(context).await,
        Command::Completion(command) => command.run(context, whole()),
        Command::Config(command) => command.run(context),
        Command::Marathon(command) => command.run(context).await,
        Command::Node(command) => command.run(context).await,
        Command::Package(command) => command.run(context).await,
        Command::Security(command) => command.run(context).await,
        Command::Service(command) => command.run(context).await,
    })
}

/// The master of the cluster that commands speak to, as `host:port`: for what speaks Mesos itself.
pub fn master_address(globals: &Globals, environment: &Environment) -> anyhow::Result<String> {
    let url = Cluster::find(environment, globals)?.mesos()?;
    let address = url.strip_prefix("http://").filter(|rest| !rest.contains('/'));
    let address = address.with_context(|| {
        format!(
            "tasks are run by speaking to a master itself, not through {url}; \
             name it with --master, DAIS_MESOS_URL or core.mesos_master_url"
        )
    })?;
    Ok(address.to_owned())
}

/// As [`run`], for a command of `task`; none is the list, as older scripts have it.
pub fn run_task(
    command: Option<task::TaskCommand>,
    list: task::List,
    globals: Globals,
    io: Io,
) -> anyhow::Result<u8> {
    perform(io, globals, async |context| task::run(command, list, context).await)
}

fn perform(
    io: Io,
    globals: Globals,
    work: impl AsyncFnOnce(&mut Context) -> anyhow::Result<()>,
) -> anyhow::Result<u8> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut context = Context::new(io, globals);
    let result = runtime.block_on(work(&mut context));
    // What still blocks (a lookup of a name) must not hold up the end.
    runtime.shutdown_background();
    let result = result.and_then(|()| Ok(context.io.flush()?));
    let Err(error) = result else { return Ok(OK) };
    let (status, tell) = failure::status(&error);
    if tell {
        // Nobody may be there to read it either.
        let _ = context.io.note(format!("dais: {}", printable(&format!("{error:#}"))));
    }
    let _ = context.io.flush();
    Ok(status)
}

/// What a deprecated way to list says, as the dcos CLI says it.
fn deprecated(context: &mut Context, what: &str, command: &str) -> anyhow::Result<()> {
    let strict = ["DAIS_CLI_STRICT_DEPRECATIONS", "DCOS_CLI_STRICT_DEPRECATIONS"];
    if context.io.environment().first(&strict).is_some() {
        return Err(failure::usage(format!("use `dais {command} list`")));
    }
    let text = format!(
        "Getting the list of {what} from `dais {command}` is deprecated. \
         Please use `dais {command} list`."
    );
    Ok(context.io.note(text)?)
}

/// Options of a deprecated list before another command are a mistake.
fn no_list<T: Default + PartialEq>(list: &T, what: &str) -> anyhow::Result<()> {
    if *list == T::default() {
        return Ok(());
    }
    Err(failure::usage(format!("options of `dais {what} list` stand before another command")))
}

/// Everything that the commands make of a value, for the fuzzer.
pub(crate) fn show(value: &Value, style: Style) -> Vec<String> {
    let mut shown = service::plan::show(value, style);
    let tables = [marathon::show(value), vec![node::show(value), task::show(value)]].concat();
    shown.extend(tables.iter().map(|table| table.render(style)));
    shown
}

/// Ends with "failed" when everything there is to say has been said.
fn said() -> anyhow::Error {
    anyhow::Error::new(failure::Ended(FAILED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_is_found_as_other_servers_are() {
        let find = |variables: &[(&str, &str)], url: Option<&str>| {
            let globals = Globals { url: url.map(str::to_owned), ..Globals::default() };
            master_address(&globals, &Environment::of(variables.iter().copied()))
        };
        let direct = [("DAIS_MESOS_URL", "http://10.0.0.1:5050/"), ("DCOS_URL", "https://gate")];
        assert_eq!(find(&direct, None).unwrap(), "10.0.0.1:5050");
        let error = find(&[("DCOS_URL", "https://gate")], None).unwrap_err().to_string();
        assert!(error.contains("https://gate/mesos") && error.contains("--master"), "{error}");
        let error = find(&[], Some("http://other")).unwrap_err().to_string();
        assert!(error.contains("http://other/mesos"), "{error}");
    }
}
