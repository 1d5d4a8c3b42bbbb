//! `cargo xtask up`: a cluster on this machine.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::process::{cargo, run, target_dir};

/// Builds a release and becomes `dais up`, so that signals reach it directly.
pub(crate) fn run_up(arguments: &[String]) -> Result<()> {
    // As with `cargo run`, a first `--` only says that what follows is not for us.
    let arguments = arguments.strip_prefix(&["--".to_owned()]).unwrap_or(arguments);
    run(cargo().args(["build", "--release", "--package", "dais"]))?;
    let dais = target_dir().join("release/dais");
    let error = std::process::Command::new(&dais).arg("up").args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", dais.display()))
}
