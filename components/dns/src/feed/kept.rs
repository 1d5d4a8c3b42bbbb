//! What was known last, on disk: a server that starts while no master leads has names all the
//! same, and says how old they are.

use std::fs::{self, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cluster_events::picture::{Agent, Framework, Picture, State, Task};
use serde::{Deserialize, Serialize};

const FILE: &str = "cluster.json";
const NEW: &str = "cluster.json.new";
/// Of what is written; a file of another version is no help.
const VERSION: u32 = 1;

/// What was known, and when: the state as it is read, or parts of a picture.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Last<S = State> {
    /// In milliseconds of the Unix time.
    pub(super) as_of: u64,
    pub(super) leader: Option<SocketAddr>,
    pub(super) state: S,
}

/// A [`State`] as it is written: it shares with the picture, so that taking it holds up nobody.
#[derive(Debug, Serialize)]
pub(super) struct Shared {
    agents: Vec<Arc<Agent>>,
    recovered: [Agent; 0],
    frameworks: Vec<Arc<Framework>>,
    tasks: Vec<Arc<Task>>,
    heartbeat: Option<()>,
}

// === impl Shared ===

impl Shared {
    pub(super) fn of(picture: &Picture) -> Shared {
        Shared {
            agents: picture.agents().cloned().collect(),
            recovered: [],
            frameworks: picture.frameworks().cloned().collect(),
            tasks: picture.tasks().cloned().collect(),
            heartbeat: None,
        }
    }
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
pub(super) async fn save(dir: PathBuf, last: Last<Shared>) {
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

fn write(dir: &Path, last: &Last<Shared>) -> io::Result<()> {
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
    use cluster_events::picture::{Input, Phase, Runtime};

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
        let task = Task {
            id: "t".into(),
            framework: "f".into(),
            agent: agent.id.clone(),
            name: "web".into(),
            phase: Phase::Running,
            healthy: Some(true),
            runtime: Runtime::Mesos,
            discovery: Some(Arc::default()),
            labels: Arc::default(),
            host_ports: Arc::default(),
            mappings: Arc::default(),
            network: Arc::default(),
            network_told: 7,
        };
        let mut picture = Picture::default();
        picture.apply(Input::Agent(agent.clone()));
        picture.apply(Input::TaskAdded(task.clone()));
        let leader = "10.0.0.9:5050".parse().ok();
        let state = Shared::of(&picture);
        save(path.clone(), Last { as_of: 7, leader, state }).await;
        let last = load(path.clone()).await.unwrap();
        assert_eq!((last.as_of, last.leader), (7, leader));
        assert_eq!((last.state.agents, last.state.tasks), (vec![agent], vec![task]));
        fs::write(path.join(FILE), "{\"version\":1,\"last\":").unwrap();
        assert!(load(path).await.is_none());
    }
}
