//! Developer commands: `cargo xtask up | test | bench | fuzz`.
//!
//! Each installs what it lacks, says so, and leaves it with `--no-install`.
//!
//! It is not: part of the product, nor a build system; cargo does the work.
#![forbid(unsafe_code)]

mod bench;
mod fuzz;
mod process;
mod test;
mod tools;
mod up;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command> [--no-install] [arguments]

  up [arguments]         build a release and run `dais up` with the arguments
  test [part ...]        run every check, or only the parts named:
                         fmt clippy deny unit doc e2e
  bench <what> [args]    measure the kernel, the services or the gateway
  fuzz --smoke [seconds] run every fuzz target for a short time (default 20)
  fuzz <target> [args]   run one fuzz target until it finds something

  --no-install           use what is there; fail if something is missing";

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let install = take_flag(&mut arguments, "--no-install").is_none();
    let command = if arguments.is_empty() { String::new() } else { arguments.remove(0) };
    let tools = tools::Tools { install };
    let result = match command.as_str() {
        "up" => up::run_up(&arguments),
        "test" => test::run_tests(&tools, &arguments),
        "bench" => bench::run_bench(&arguments),
        "fuzz" => fuzz::run_fuzz(&tools, &arguments),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {command}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Removes `flag` from the arguments before a `--`, which belong to xtask.
fn take_flag(arguments: &mut Vec<String>, flag: &str) -> Option<()> {
    let end = arguments.iter().position(|word| word == "--").unwrap_or(arguments.len());
    let at = arguments.iter().take(end).position(|word| word == flag)?;
    arguments.remove(at);
    Some(())
}
