//! What only the embedded store promises: its file.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use bytes::Bytes;
use cluster_state::{ClusterState, StateError, When, embedded};

use crate::conformance;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let folder = tempfile::tempdir().unwrap();
    let mut stores = 0;
    conformance::run(|| {
        stores += 1;
        let store = embedded::open(folder.path().join(stores.to_string())).unwrap();
        let store: Arc<dyn ClusterState> = store;
        store
    })
    .await;
}

#[tokio::test]
async fn locks_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let first = embedded::open(&path).unwrap();
    assert!(matches!(embedded::open(&path), Err(StateError::Locked { .. })));
    drop(first);
    assert!(embedded::open(&path).is_ok(), "dropping the store unlocks the file");
}

/// The state holds what apps are told in their environment: passwords.
#[tokio::test]
async fn its_file_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    drop(embedded::open(&path).unwrap());
    assert_eq!(mode(), 0o600);
    // As an earlier version left it.
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    drop(embedded::open(&path).unwrap());
    assert_eq!(mode(), 0o600);
}

#[tokio::test]
async fn keeps_everything_over_a_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/state");
    let store = embedded::open(&path).unwrap();
    let version = store.put("/a", Bytes::from_static(b"1"), When::Any).await.unwrap();
    let token = store.campaign("/e", Bytes::new()).await.unwrap().token();
    drop(store);

    let store = embedded::open(&path).unwrap();
    let entry = store.get("/a").await.unwrap().unwrap();
    assert_eq!((entry.version, entry.value.as_ref()), (version, b"1".as_slice()));
    let next = store.put("/a", Bytes::new(), When::Version(version)).await.unwrap();
    assert!(next > version);
    let again = store.campaign("/e", Bytes::new()).await.unwrap().token();
    assert!(again > token, "{again:?} follows {token:?}");
}

#[tokio::test]
async fn refuses_what_is_not_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    std::fs::write(&path, [7_u8; 8192]).unwrap();
    assert!(matches!(embedded::open(&path), Err(StateError::Storage(_))));
    assert_eq!(std::fs::read(&path).unwrap(), [7_u8; 8192], "a foreign file stays as it is");
}

#[tokio::test]
async fn a_dropped_store_ends_its_watches() {
    let folder = tempfile::tempdir().unwrap();
    let store = embedded::open(folder.path().join("state")).unwrap();
    let mut watch = store.watch("/").await.unwrap();
    store.put("/a", Bytes::new(), When::Any).await.unwrap();
    drop(store);
    assert_eq!(watch.next().await.unwrap().len(), 1, "the last change is still told");
    assert!(matches!(watch.next().await, Err(StateError::Closed)));
}
