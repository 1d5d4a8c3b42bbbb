//! What was known last, on disk: a server that starts while no master leads has names all the
//! same, and says how old they are.

use std::fs::{self, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cluster_events::picture::State;
use serde::{Deserialize, Serialize};

const FILE: &str = "cluster.json";
const NEW: &str = "cluster.json.new";
/// Of what is written; a file of another version is no help.
const VERSION: u32 = 1;

/// What was known, and when.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Last {
    /// In milliseconds of the Unix time.
    pub(super) as_of: u64,
    pub(super) leader: Option<SocketAddr>,
    pub(super) state: State,
}

#[derive(Serialize, Deserialize)]
struct File<L> {
    version: u32,
    last: L,
}

/// What was saved, if anything was; that it cannot be read is told, and keeps nobody from starting.
pub(super) async fn load(dir: PathBuf) -> Option<Last> {
    let read = tokio::task::spawn_blocking(move || read(&dir)).await;
    match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(last) => last,
        Err(error) => {
            tracing::warn!(%error, "what was known of the cluster last cannot be read");
            None
        }
    }
}

/// Replaces what was saved; that it cannot be is told.
pub(super) async fn save(dir: PathBuf, last: Last) {
    let written = tokio::task::spawn_blocking(move || write(&dir, &last)).await;
    if let Err(error) = written.unwrap_or_else(|error| Err(io::Error::other(error))) {
        tracing::warn!(%error, "what is known of the cluster cannot be written to disk");
    }
}

fn read(dir: &Path) -> io::Result<Option<Last>> {
    let file = match fs::File::open(dir.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let file: File<Last> = serde_json::from_reader(BufReader::new(file))?;
    Ok((file.version == VERSION).then_some(file.last))
}

fn write(dir: &Path, last: &Last) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let new = dir.join(NEW);
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    let mut out = BufWriter::new(file);
    serde_json::to_writer(&mut out, &File { version: VERSION, last })?;
    out.flush()?;
    out.get_ref().sync_all()?;
    fs::rename(new, dir.join(FILE))
}

#[cfg(test)]
mod tests {
    use cluster_events::picture::Agent;

    use super::*;

    #[tokio::test]
    async fn what_is_saved_is_there_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dns");
        assert!(load(path.clone()).await.is_none());
        let agent = Agent {
            id: "x-S1".into(),
            address: "10.0.0.1:5051".parse().ok(),
            hostname: "n".into(),
        };
        let state = State { agents: vec![agent.clone()], ..State::default() };
        let last = Last { as_of: 7, leader: "10.0.0.9:5050".parse().ok(), state };
        save(path.clone(), last).await;
        let last = load(path.clone()).await.unwrap();
        assert_eq!((last.as_of, last.leader), (7, "10.0.0.9:5050".parse().ok()));
        assert_eq!(last.state.agents, [agent]);
        fs::write(path.join(FILE), "{\"version\":1,\"last\":").unwrap();
        assert!(load(path).await.is_none());
    }
}
