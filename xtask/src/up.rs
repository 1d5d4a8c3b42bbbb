//! `cargo xtask up`: a cluster on this machine.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::process::{cargo, run, target_dir};

/// Builds a release and becomes `dais up`, so that signals reach it directly.
pub(crate) fn run_up(arguments: &[String]) -> Result<()> {
    run(cargo().args(["build", "--release", "--package", "dais"]))?;
    let dais = target_dir().join("release/dais");
    let error = std::process::Command::new(&dais).arg("up").args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", dais.display()))
}
