//! Follows a task's output files and copies them to our own.

use super::agent::{Agent, PIECE};
use std::{
    io::{self, Write},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

/// The shortest and the longest wait for more output of a running task.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// How often, and for how long, to ask whether the ended container is gone.
const GONE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_secs(5));

/// How far the task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// Its container, if it had one, is about to go.
    Ended {
        container: Option<String>,
    },
}

/// Where the output is.
pub(super) struct Output {
    agent: Agent,
    /// The sandbox on the agent.
    sandbox: String,
    offsets: [u64; 2],
}

// === impl Output ===

impl Output {
    pub(super) fn new(host: String, framework: &str, executor: &str) -> Self {
        let sandbox = format!("/frameworks/{framework}/executors/{executor}/runs/latest");
        Self { agent: Agent::new(host), sandbox, offsets: [0; 2] }
    }

    /// Copies until the task has ended and everything it wrote is copied.
    pub(super) async fn follow(mut self, mut phase: watch::Receiver<Phase>) -> anyhow::Result<()> {
        let mut pause = PAUSE.0;
        loop {
            let now = phase.borrow_and_update().clone();
            if let Phase::Ended { container } = now {
                return self.finish(container).await;
            }
            // An agent that restarts does not answer for a while; the files stay.
            let copied = self.copy().await.unwrap_or(false);
            pause = if copied { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
            tokio::select! {
                () = sleep(pause) => {}
                changed = phase.changed() => if changed.is_err() { return Ok(()) },
            }
        }
    }

    /// What a task wrote last may still be on its way into the files while its container exists.
    async fn finish(&mut self, container: Option<String>) -> anyhow::Result<()> {
        let patience = Instant::now() + GONE.1;
        loop {
            let result = self.try_finish(container.as_deref()).await;
            match result {
                Ok(true) => return Ok(()),
                Err(error) if Instant::now() > patience => return Err(error),
                Ok(false) if Instant::now() > patience => return Ok(()),
                Ok(false) | Err(_) => sleep(GONE.0).await,
            }
        }
    }

    /// Copies what there is; true if nothing can come after it.
    async fn try_finish(&mut self, container: Option<&str>) -> anyhow::Result<bool> {
        let gone = match container {
            Some(id) => !self.agent.has_container(id).await?,
            None => true,
        };
        self.copy().await?;
        Ok(gone)
    }

    /// Copies what is new in both files; whether there was anything.
    async fn copy(&mut self) -> anyhow::Result<bool> {
        let out = self.copy_one(0, "stdout", &mut io::stdout()).await?;
        let err = self.copy_one(1, "stderr", &mut io::stderr()).await?;
        Ok(out || err)
    }

    async fn copy_one(
        &mut self,
        index: usize,
        name: &str,
        to: &mut impl Write,
    ) -> anyhow::Result<bool> {
        let path = format!("{}/{name}", self.sandbox);
        let Some(offset) = self.offsets.get_mut(index) else { return Ok(false) };
        let mut any = false;
        loop {
            let data = self.agent.read(&path, *offset).await?;
            *offset += data.len() as u64;
            any |= !data.is_empty();
            to.write_all(&data)?;
            if data.len() < PIECE {
                to.flush()?;
                return Ok(any);
            }
        }
    }
}
