//! A writing process is killed at random instants; whatever it had been told
//! was written must be there, and no transaction may be there by half.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use cluster_state::{ClusterState, Op, When, embedded};

/// Set in the writing process, which is this test binary once more.
const FOLDER: &str = "CLUSTER_STATE_KILL_TEST_FOLDER";
const WRITERS: u64 = 8;
const KILLS: u64 = 12;

#[test]
fn acknowledged_writes_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    for round in 0..KILLS {
        let mut child = start_writer(folder.path());
        // Spread over the opening (with its repair), the first and the later writes.
        let life = Duration::from_millis(5 + (round * 37 + u64::from(child.id()) * 7) % 160);
        std::thread::sleep(life);
        child.kill().unwrap();
        let told = read_acknowledgements(&mut child);
        child.wait().unwrap();
        acknowledged.extend(told);
        verify(folder.path(), &acknowledged);
    }
    assert!(!acknowledged.is_empty(), "no writer lived long enough to write");
}

/// The writing process. Does nothing in an ordinary test run.
#[test]
fn writer() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = embedded::open(Path::new(&folder).join("state")).unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let store = store.clone();
            tasks.spawn(async move { write_forever(&*store, writer).await });
        }
        tasks.join_next().await;
    });
}

/// Bounded all the same, should the parent die.
async fn write_forever(store: &dyn ClusterState, writer: u64) {
    let (left, right) = (format!("/left/{writer}"), format!("/right/{writer}"));
    let mut count = store.get(&left).await.unwrap().map_or(0, |entry| number(&entry.value));
    for _ in 0..100_000 {
        count += 1;
        let value = Bytes::from(count.to_string());
        let put =
            |key: &String| Op::Put { key: key.clone(), value: value.clone(), when: When::Any };
        store.transact(vec![put(&left), put(&right)]).await.unwrap();
        // Past libtest's capture, in one write: a line is whole or absent.
        std::io::stdout().write_all(format!("\nack {writer} {count}\n").as_bytes()).unwrap();
    }
}

fn start_writer(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::writer", "--nocapture"])
        .env(FOLDER, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn read_acknowledgements(child: &mut Child) -> BTreeMap<u64, u64> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut told = BTreeMap::new();
    for line in lines {
        let mut words = line.split(' ');
        if words.next() == Some("ack")
            && let (Some(Ok(writer)), Some(Ok(count))) =
                (words.next().map(str::parse), words.next().map(str::parse))
        {
            told.insert(writer, count);
        }
    }
    told
}

fn verify(folder: &Path, acknowledged: &BTreeMap<u64, u64>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = embedded::open(folder.join("state")).unwrap();
        let left = store.list("/left/").await.unwrap();
        let right = store.list("/right/").await.unwrap();
        assert_eq!(left.len(), right.len());
        for (one, other) in left.iter().zip(&right) {
            assert_eq!((&one.value, one.version), (&other.value, other.version), "half a write");
        }
        for (writer, count) in acknowledged {
            let entry = store.get(&format!("/left/{writer}")).await.unwrap();
            let found = entry.map_or(0, |entry| number(&entry.value));
            assert!(found >= *count, "writer {writer} was told {count}, found {found}");
        }
    });
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}
