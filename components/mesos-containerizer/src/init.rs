//! The supervisor's side: a process of its own for each container.

use std::{ffi::OsString, process::ExitCode};

/// What the product's binary runs as `containerizer-init`; `args` are those after that word.
pub fn main(_args: impl Iterator<Item = OsString>) -> ExitCode {
    ExitCode::FAILURE
}
