//! The helper of the tests.

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    match args.next() {
        Some(word) if word == "fetcher-helper" => mesos_fetcher::helper::main(args),
        _ => ExitCode::from(64),
    }
}
