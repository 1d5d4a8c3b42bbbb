//! The one binary of Dais: argument parsing and wiring.
//!
//! It is not: a place for decisions; those live in the components.
//!
//! The helpers that a cluster starts by the thousand (supervisors of containers, fetches,
//! executors) are sub-commands too. They are told apart before anything else happens: no
//! runtime, no logging, no parsing of arguments that are not theirs.
#![forbid(unsafe_code)]

mod cli;
mod component;
mod logging;
mod task;
mod up;
mod user;

use mesos_containerizer::init::Applet;
use std::{env, process::ExitCode};

/// What a supervisor runs without executing this binary anew.
const APPLETS: &[Applet] =
    &[Applet { word: mesos_executor::command::SUBCOMMAND, run: mesos_executor::command::run }];

fn main() -> ExitCode {
    match env::args_os().nth(1).as_ref().and_then(|word| word.to_str()) {
        Some(mesos_executor::command::SUBCOMMAND) => mesos_executor::command::main(),
        Some("containerizer-init") => {
            mesos_containerizer::init::main(env::args_os().skip(2), APPLETS)
        }
        Some("fetcher-helper") => mesos_fetcher::helper::main(env::args_os().skip(2)),
        _ => cli::main(),
    }
}
