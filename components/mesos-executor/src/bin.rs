//! The command executor as a program of its own, for an agent that is not ours.
use std::process::ExitCode;

fn main() -> ExitCode {
    mesos_executor::command::main()
}
