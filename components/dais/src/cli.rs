//! The commands a person types.

use crate::{component, task, up};
use clap::{Args, CommandFactory, Parser, Subcommand};
use cli::{Globals, Io};
use std::process::ExitCode;
use tokio::runtime::{Builder, Runtime};

/// A datacenter operating system: Mesos's and DC/OS's interfaces, in one binary.
#[derive(Debug, Parser)]
#[command(name = "dais", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a whole cluster on this machine.
    ///
    /// Runs until Ctrl-C, which ends the tasks and the cluster. After a crash, start it again on
    /// the same data directory: it takes over the tasks that still run.
    Up(up::Arguments),
    /// Run one component as a process of its own.
    ///
    /// The flags are those of the original: `--name=value`, or MESOS_NAME (MARATHON_NAME) in the
    /// environment.
    /// `dais run master --help` lists them.
    #[command(
        disable_help_flag = true,
        override_usage = "dais run <master|agent|marathon|cosmos> [--flag=value]..."
    )]
    Run {
        /// `master`, `agent`, `marathon` or `cosmos`, then its flags.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMPONENT")]
        arguments: Vec<String>,
    },
    /// Serve a greeting over HTTP: the service of the package hello-world.
    ///
    /// Told by the environment: PORT0 (8000), HELLO_NAME, HELLO_VERSION, HELLO_LISTEN.
    HelloWorld,
    /// Balance traffic from outside over services, by the labels of Marathon-LB.
    ///
    /// The flags are those of the original where it has them; `dais edge --help` lists them.
    /// `dais edge render-haproxy` prints the configuration with which HAProxy would do the same.
    #[command(
        disable_help_flag = true,
        override_usage = "dais edge [render-haproxy] --group=NAME [--flag=value]..."
    )]
    Edge {
        /// `render-haproxy` or nothing, then flags.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
        arguments: Vec<String>,
    },
    /// Run tasks from the command line, and look into them.
    Task(Task),
    #[command(flatten)]
    Client(cli::Command),
}

#[derive(Debug, Args)]
struct Task {
    #[command(subcommand)]
    command: Option<TaskCommand>,
    #[command(flatten)]
    list: cli::TaskList,
}

#[derive(Debug, Subcommand)]
enum TaskCommand {
    /// Run one command as a task, show its states and output, exit with its status.
    Run(Box<task::Arguments>),
    #[command(flatten)]
    Client(cli::TaskCommand),
}

/// Parses the arguments and does what they say.
pub(crate) fn main() -> ExitCode {
    let Cli { globals, command } = Cli::parse();
    let result = match command {
        Command::Up(arguments) => on(Builder::new_multi_thread(), up::run(arguments)),
        Command::Run { arguments } => component::run(&arguments),
        Command::HelloWorld => on(Builder::new_current_thread(), hello_world()),
        Command::Edge { arguments } => component::edge(&arguments),
        Command::Task(Task { command: Some(TaskCommand::Run(arguments)), .. }) => {
            on(Builder::new_current_thread(), task::run(*arguments, globals))
        }
        Command::Task(Task { command, list }) => {
            let command = command.and_then(|command| match command {
                TaskCommand::Client(command) => Some(command),
                TaskCommand::Run(_) => None,
            });
            cli::run_task(command, list, globals, Io::system()).map(ExitCode::from)
        }
        Command::Client(command) => {
            cli::run(command, globals, Io::system(), Cli::command).map(ExitCode::from)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("dais: {error:#}");
        ExitCode::FAILURE
    })
}

async fn hello_world() -> anyhow::Result<ExitCode> {
    let settings = hello_world::Settings::from_environment(|name| std::env::var(name).ok())?;
    hello_world::run(settings).await?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `work` on a runtime made by `builder`.
pub(crate) fn on(
    mut builder: Builder,
    work: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    let runtime: Runtime = builder.enable_all().build()?;
    let result = runtime.block_on(work);
    // What still blocks (a lookup of a name, a write) must not hold up the end.
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_of_components_pass_through() {
        let cli = Cli::try_parse_from(["dais", "run", "master", "--port=0", "--help"]).unwrap();
        let Command::Run { arguments } = cli.command else { panic!("not run") };
        assert_eq!(arguments, ["master", "--port=0", "--help"]);
    }
}
