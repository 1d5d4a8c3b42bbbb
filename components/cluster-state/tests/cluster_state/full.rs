//! A disk that is full: writes fail with an error, reads go on, and writes
//! succeed again once there is room.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use cluster_state::{ClusterState, StateError, When, embedded};

/// Set in the process with the full disk, which is this test binary once more.
const FOLDER: &str = "CLUSTER_STATE_FULL_TEST_FOLDER";

/// A limit on the size of files stands in for the disk. It can be lifted by
/// nobody within the process, so that room comes from deletions.
#[test]
fn a_full_disk_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let test = std::env::current_exe().unwrap();
    // The signal is ignored, so that writes fail with an error instead.
    let script = "trap '' XFSZ; ulimit -f 8192; exec \"$0\" --exact full::writer --nocapture";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(test)
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("survived"), "{output:?}");
}

/// The process with the full disk. Does nothing in an ordinary test run.
#[test]
fn writer() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(fill(Path::new(&folder)));
    println!("survived");
}

async fn fill(folder: &Path) {
    let store = embedded::open(folder.join("state")).unwrap();
    let value = Bytes::from(vec![7; 200_000]);
    let mut written = 0;
    let error = loop {
        match store.put(&format!("/fill/{written}"), value.clone(), When::Any).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "the limit has no effect");
    };
    assert!(matches!(error, StateError::Storage(_)), "{error}");
    for index in 0..written {
        assert!(store.get(&format!("/fill/{index}")).await.unwrap().is_some(), "{index}");
    }
    // A small write may find room or not; either way the store goes on.
    for index in 0..written {
        let _ = store.delete(&format!("/fill/{index}"), When::Any).await;
    }
    let version = store.put("/after", Bytes::from_static(b"x"), When::Any).await.unwrap();
    assert_eq!(store.get("/after").await.unwrap().unwrap().version, version);
    drop(store);
    let store = embedded::open(folder.join("state")).unwrap();
    assert_eq!(store.get("/after").await.unwrap().unwrap().version, version);
}
