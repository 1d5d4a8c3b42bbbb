//! Runs a single command as a task.

pub mod checks;
pub mod core;
mod http;
pub mod probe;
mod process;
mod settings;
pub mod shell;
pub mod text;

use std::{env, ffi::OsString, process::ExitCode};

/// The first argument that stands for this executor where a program holds several.
pub const SUBCOMMAND: &str = "command-executor";

/// Runs the executor in the environment an agent gives it, or, with the arguments `probe ...`,
/// one check of it.
pub fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let mut helper = vec![OsString::from("/proc/self/exe")];
    if arguments.first().is_some_and(|argument| argument == SUBCOMMAND) {
        helper.push(arguments.remove(0));
    }
    if arguments.first().is_some_and(|argument| argument == probe::SUBCOMMAND) {
        return probe::main(arguments.get(1..).unwrap_or_default());
    }
    ExitCode::from(execute(helper))
}

/// Runs the executor within a process of a program that holds it under [`SUBCOMMAND`].
pub fn run() -> u8 {
    execute(vec![OsString::from("/proc/self/exe"), OsString::from(SUBCOMMAND)])
}

/// `helper` is the command that runs one check.
fn execute(helper: Vec<OsString>) -> u8 {
    const USAGE: u8 = 64;
    let settings = match settings::Settings::from_environment(env::vars_os().collect()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("command-executor: {error}");
            return USAGE;
        }
    };
    match shell::run(settings, helper) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("command-executor: {error}");
            1
        }
    }
}
