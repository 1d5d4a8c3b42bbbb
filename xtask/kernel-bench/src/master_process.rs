//! A master in a process of its own, so that its memory and its time are its own.
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use mesos_master::config::MasterConfig;
use tokio_util::sync::CancellationToken;

/// A running child; killed when dropped.
pub(crate) struct MasterProcess {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl MasterProcess {
    /// Starts this program again as a master with its registry in `state`.
    pub(crate) fn start(state: &Path) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve-master")
            .arg(state)
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse().context("the master did not start")?;
        Ok(Self { child, address })
    }

    /// Resident bytes now.
    pub(crate) fn resident(&self) -> Result<u64> {
        resident(self.child.id())
    }
}

impl Drop for MasterProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Resident bytes of a process.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages: u64 = statm.split(' ').nth(1).context("statm")?.parse()?;
    Ok(pages * 4096)
}

/// What the child does: serves until killed.
pub(crate) async fn serve(state: &Path) -> Result<()> {
    let state = cluster_state::embedded::open(state)?;
    let config = MasterConfig { port: 0, seed: Some(1), ..Default::default() };
    let running = mesos_master::start(config, state, CancellationToken::new()).await?;
    println!("{}", running.address);
    std::future::pending::<()>().await;
    Ok(())
}
