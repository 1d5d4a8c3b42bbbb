//! The programs `nft` and `ip`, in the namespace that is balanced.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::NodeConfig;

/// A program that takes longer does not come back.
const PATIENCE: Duration = Duration::from_secs(60);

/// How programs are run.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    nft: PathBuf,
    ip: PathBuf,
    namespace: Option<String>,
}

/// Why a program did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    #[error("the program {program} cannot be run: {source}")]
    Start { program: String, source: std::io::Error },
    #[error("{program} says: {text}")]
    Failed { program: String, text: String },
    #[error("{program} takes longer than {PATIENCE:?}")]
    Slow { program: String },
}

// === impl Programs ===

impl Programs {
    pub(super) fn new(config: &NodeConfig) -> Programs {
        Programs {
            nft: config.nft.clone(),
            ip: config.ip.clone(),
            namespace: config.namespace.clone(),
        }
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// All of `script` or nothing, in one transaction.
    pub(super) async fn nft_script(&self, script: &str) -> Result<(), ProgramError> {
        self.run(&self.nft, &["-f", "-"], script).await.map(drop)
    }

    pub(super) async fn nft(&self, arguments: &[&str]) -> Result<String, ProgramError> {
        self.run(&self.nft, arguments, "").await
    }

    /// One command of `ip` a line.
    pub(super) async fn ip_batch(&self, script: &str) -> Result<(), ProgramError> {
        self.run(&self.ip, &["-batch", "-"], script).await.map(drop)
    }

    pub(super) async fn ip(&self, arguments: &[&str]) -> Result<String, ProgramError> {
        self.run(&self.ip, arguments, "").await
    }

    async fn run(
        &self,
        program: &Path,
        arguments: &[&str],
        input: &str,
    ) -> Result<String, ProgramError> {
        let name = || program.display().to_string();
        let start = |source| ProgramError::Start { program: name(), source };
        let mut command = match &self.namespace {
            None => Command::new(program),
            Some(namespace) => {
                let mut command = Command::new(&self.ip);
                let inside = ["netns", "exec", namespace].map(OsStr::new);
                command.args(inside).arg(program);
                command
            }
        };
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().map_err(start)?;
        let stdin = child.stdin.take();
        let feed = async move {
            if let Some(mut stdin) = stdin {
                // One that does not read all of it says why by itself.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let both = async { tokio::join!(feed, child.wait_with_output()).1 };
        let output = timeout(PATIENCE, both).await;
        let output = output.map_err(|_| ProgramError::Slow { program: name() })?.map_err(start)?;
        if !output.status.success() {
            return Err(ProgramError::Failed { program: name(), text: said(&output.stderr) });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The first lines of what a program complains about; with large scripts it repeats them.
fn said(stderr: &[u8]) -> String {
    const MOST: usize = 400;
    let text = String::from_utf8_lossy(stderr.get(..MOST).unwrap_or(stderr)).into_owned();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { "nothing".to_owned() } else { lines.join("; ") }
}
