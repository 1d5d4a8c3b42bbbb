//! `dais run`: a component as a process of its own, with the original's flags.

mod access;
mod admin_router;
mod agent;
mod cosmos;
mod dns;
mod edge;
mod flags;
mod iam;
mod load_balancer;
mod marathon;
mod master;

use crate::cli::on;
use anyhow::bail;
use std::process::ExitCode;
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

const USAGE: &str = "usage: dais run <component> [--flag=value]...

components:
  master    decides what runs where (port 5050)
  agent     runs tasks on this machine (port 5051)
  marathon  keeps services running (port 8080)
  cosmos    installs packages (port 7070)
  iam       knows users and what they may do (port 8101)
  dns       names of tasks, and of everything else (port 53)
  load-balancer
            virtual addresses of services (port 62080)
  admin-router
            the gateway: one address with a login (ports 80 and 443)

`dais run <component> --help` lists its flags.";

/// Runs the component named first with the flags after it.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let Some((component, flags)) = arguments.split_first() else { bail!("{USAGE}") };
    let help = flags.iter().any(|flag| flag == "--help" || flag == "-h");
    match component.as_str() {
        "master" if help => print!("{}", master::help()),
        "agent" if help => print!("{}", agent::help()),
        "marathon" if help => print!("{}", marathon::help()),
        "cosmos" if help => print!("{}", cosmos::help()),
        "iam" if help => print!("{}", iam::help()),
        "dns" if help => print!("{}", dns::help()),
        "load-balancer" if help => print!("{}", load_balancer::help()),
        "admin-router" if help => print!("{}", admin_router::help()),
        "master" => return on(Builder::new_multi_thread(), master::run(flags.to_vec())),
        "agent" => return on(Builder::new_multi_thread(), agent::run(flags.to_vec())),
        "marathon" => return on(Builder::new_multi_thread(), marathon::run(flags.to_vec())),
        "cosmos" => return on(Builder::new_multi_thread(), cosmos::run(flags.to_vec())),
        "iam" => return on(Builder::new_multi_thread(), iam::run(flags.to_vec())),
        "dns" => return on(Builder::new_multi_thread(), dns::run(flags.to_vec())),
        "load-balancer" => {
            return on(Builder::new_multi_thread(), load_balancer::run(flags.to_vec()));
        }
        "admin-router" => {
            return on(Builder::new_multi_thread(), admin_router::run(flags.to_vec()));
        }
        "--help" | "-h" | "help" => println!("{USAGE}"),
        other => bail!("there is no component '{other}'\n\n{USAGE}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// `dais edge`, with its flags.
pub(crate) fn edge(arguments: &[String]) -> anyhow::Result<ExitCode> {
    if arguments.iter().any(|flag| flag == "--help" || flag == "-h" || flag == "--longhelp") {
        print!("{}", edge::help());
        return Ok(ExitCode::SUCCESS);
    }
    match arguments.split_first() {
        Some((first, flags)) if first == "render-haproxy" => {
            on(Builder::new_current_thread(), edge::render(flags.to_vec()))
        }
        Some((first, flags)) if first == "run" => {
            on(Builder::new_multi_thread(), edge::run(flags.to_vec()))
        }
        _ => on(Builder::new_multi_thread(), edge::run(arguments.to_vec())),
    }
}

/// Logging of a component, whose flags name levels as Mesos does.
#[derive(Debug)]
pub(crate) struct Logging {
    level: String,
}

impl Default for Logging {
    fn default() -> Self {
        Self { level: "info".to_owned() }
    }
}

impl Logging {
    fn set(&mut self, level: &str) -> Result<(), String> {
        let level = match level.to_ascii_uppercase().as_str() {
            "TRACE" => "trace",
            "DEBUG" => "debug",
            "INFO" => "info",
            "WARNING" | "WARN" => "warn",
            "ERROR" => "error",
            _ => return Err("expected one of DEBUG, INFO, WARNING, ERROR".to_owned()),
        };
        level.clone_into(&mut self.level);
        Ok(())
    }
}

/// Servers between commas, each `host:port` or a URL, as URLs.
fn urls(text: &str) -> Vec<String> {
    let urls = text.split(',').map(|one| one.trim().trim_end_matches('/'));
    let urls = urls.filter(|one| !one.is_empty());
    let whole = |one: &str| match one.contains("://") {
        true => one.to_owned(),
        false => format!("http://{one}"),
    };
    urls.map(whole).collect()
}

/// Cancelled by SIGINT or SIGTERM.
pub(crate) fn until_signal() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(token)
}
