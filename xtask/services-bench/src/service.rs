//! Marathon in a process of its own, so that its memory and its time are its own.
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;

/// A running child; killed when dropped.
pub(crate) struct Service {
    child: Child,
    pub(crate) address: SocketAddr,
}

// === impl Service ===

impl Service {
    /// Starts this program again as a Marathon with its state in `state`; returns when it listens.
    pub(crate) fn start(state: &Path, master: SocketAddr) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve-marathon")
            .arg(state)
            .arg(master.to_string())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse().context("the service did not start")?;
        Ok(Self { child, address })
    }

    /// Resident bytes now.
    pub(crate) fn resident(&self) -> Result<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id()))?;
        let pages: u64 = statm.split(' ').nth(1).context("statm")?.parse()?;
        Ok(pages * 4096)
    }

    /// Seconds of processor time so far. On a machine that does other things too it says more
    /// than the time that passed.
    pub(crate) fn processor(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after_name = stat.rsplit_once(')').context("stat")?.1;
        let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
        let ticks: u32 = ticks.sum::<Result<u32, _>>()?;
        Ok(f64::from(ticks) / 100.0)
    }

    /// As a crash would: nothing is said or written any more.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the child does: serves until killed.
pub(crate) async fn serve(state: &Path, master: &str) -> Result<()> {
    let state = cluster_state::embedded::open(state)?;
    let config = marathon::Config {
        http_port: 0,
        masters: vec![master.to_owned()],
        ..marathon::Config::default()
    };
    let running = marathon::start(config, state, CancellationToken::new()).await?;
    println!("{}", running.address);
    running.join.await??;
    Ok(())
}
