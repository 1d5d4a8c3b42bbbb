//! The helper's side: fetches one container's URIs as the task's user.

use std::{ffi::OsString, process::ExitCode};

/// What the product's binary runs as `fetcher-helper`; `args` are those after that word.
pub fn main(_args: impl Iterator<Item = OsString>) -> ExitCode {
    ExitCode::FAILURE
}
