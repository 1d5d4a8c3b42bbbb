//! Several instances on one state, and what is left after a stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use cluster_state::{
    BoxFuture, ClusterState, Entry, Leader, Leadership, Op, StateError, Version, Watch, embedded,
};
use identity::Snapshot;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use super::{Store, StoreError};
use crate::feed::Feed;
use crate::model::{
    Command, Credential, NewUser, PasswordHash, ProviderType, State, Write, everything,
};

fn user(uid: &str) -> Command {
    Command::CreateUser(NewUser {
        uid: uid.to_owned(),
        description: String::new(),
        credential: Credential::Password(PasswordHash("hash".to_owned())),
    })
}

fn group(gid: &str) -> Command {
    Command::CreateGroup {
        gid: gid.to_owned(),
        description: String::new(),
        provider_type: ProviderType::Internal,
    }
}

fn acl(rid: String) -> Command {
    Command::CreateAcl { rid, description: String::new() }
}

async fn open(cluster: &Arc<dyn ClusterState>) -> (Arc<Store>, Arc<Feed>) {
    let feed = Feed::new(CancellationToken::new());
    let (store, _) = Store::open(Arc::clone(cluster), Arc::clone(&feed)).await.unwrap();
    (store, feed)
}

/// A state whose watches can be made to end, and that cannot always be read.
#[derive(Debug)]
struct Moody {
    inner: Arc<dyn ClusterState>,
    /// Watches that are over before they begin.
    over: AtomicUsize,
    unreadable: AtomicBool,
}

impl ClusterState for Moody {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, StateError>> {
        self.inner.get(key)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Entry>, StateError>> {
        match self.unreadable.load(Ordering::SeqCst) {
            true => Box::pin(async { Err(StateError::Closed) }),
            false => self.inner.list(prefix),
        }
    }

    fn transact(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Vec<Option<Version>>, StateError>> {
        self.inner.transact(ops)
    }

    fn watch<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Watch, StateError>> {
        let less = |left: usize| left.checked_sub(1);
        if self.over.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_err() {
            return self.inner.watch(prefix);
        }
        Box::pin(async move {
            let (_folder, closed) = cluster();
            closed.watch(prefix).await
        })
    }

    fn campaign<'a>(
        &'a self,
        election: &'a str,
        identity: Bytes,
    ) -> BoxFuture<'a, Result<Leadership, StateError>> {
        self.inner.campaign(election, identity)
    }

    fn leader<'a>(
        &'a self,
        election: &'a str,
    ) -> BoxFuture<'a, Result<Receiver<Option<Leader>>, StateError>> {
        self.inner.leader(election)
    }
}

fn cluster() -> (tempfile::TempDir, Arc<dyn ClusterState>) {
    let folder = tempfile::tempdir().unwrap();
    let cluster = embedded::open(folder.path().join("state")).unwrap();
    (folder, cluster)
}

#[tokio::test]
async fn two_instances_lose_no_update() {
    let (_folder, cluster) = cluster();
    let (one, _) = open(&cluster).await;
    let (two, _) = open(&cluster).await;
    one.run(&group("g")).await.unwrap();
    let mut tasks = Vec::new();
    for n in 0..20 {
        let store = Arc::clone(if n % 2 == 0 { &one } else { &two });
        tasks.push(tokio::spawn(async move {
            let uid = format!("u{n}");
            store.run(&user(&uid)).await.unwrap();
            store.run(&Command::AddMember { gid: "g".to_owned(), uid }).await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let (fresh, _) = open(&cluster).await;
    let state = fresh.state();
    assert_eq!(state.users().count(), 20);
    assert_eq!(state.group("g").unwrap().members.len(), 20);
    assert_eq!(state.revision(), 41);
}

#[tokio::test]
async fn a_decision_on_an_outdated_state_is_made_again() {
    let (_folder, cluster) = cluster();
    let (one, _) = open(&cluster).await;
    let (two, _) = open(&cluster).await;
    one.run(&user("u")).await.unwrap();
    let again = two.run(&user("u")).await;
    assert!(matches!(again, Err(StoreError::Refused(error)) if error.status == 409));
    // And the other way round: what is gone cannot be named.
    two.run(&group("g")).await.unwrap();
    one.run(&Command::DeleteUser { uid: "u".to_owned() }).await.unwrap();
    let named = two.run(&Command::AddMember { gid: "g".to_owned(), uid: "u".to_owned() }).await;
    assert!(matches!(named, Err(StoreError::Refused(error)) if error.status == 400));
}

#[tokio::test]
async fn a_follower_hears_what_another_instance_wrote() {
    let (_folder, cluster) = cluster();
    let shutdown = CancellationToken::new();
    let feed = Feed::new(shutdown.clone());
    let (one, watch) = Store::open(Arc::clone(&cluster), Arc::clone(&feed)).await.unwrap();
    let following = Arc::clone(&one);
    let token = shutdown.clone();
    let task = tokio::spawn(async move { following.follow(watch, token).await });
    let (two, _) = open(&cluster).await;
    for n in 0..5 {
        two.run(&user(&format!("u{n}"))).await.unwrap();
    }
    let all = async {
        while one.state().users().count() < 5 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), all).await.unwrap();
    assert_eq!(feed.snapshot().policy.users(), 5);
    shutdown.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_change_too_large_for_one_transaction_is_made_in_several() {
    let (_folder, cluster) = cluster();
    let (store, feed) = open(&cluster).await;
    store.run(&user("u")).await.unwrap();
    // More resources than a transaction takes, put there as another version might have.
    let before = store.state();
    let mut seen = store.writer.lock().await;
    let mut writes = Vec::new();
    for n in 0..1500 {
        let mut made = acl(format!("dcos:r{n}")).run(&before).unwrap();
        for write in &mut made {
            if let Write::Acl(acl) = write {
                let acl = Arc::make_mut(acl);
                acl.users.insert("u".to_owned(), vec![identity::Action::Read].into());
            }
        }
        writes.append(&mut made);
    }
    store.commit(&before, &writes, None, &mut seen).await.unwrap();
    drop(seen);
    assert!(feed.snapshot().policy.allows("u", "dcos:r1499", identity::Action::Read));
    store.run(&Command::DeleteUser { uid: "u".to_owned() }).await.unwrap();
    let (fresh, _) = open(&cluster).await;
    assert_eq!(*fresh.state(), *store.state());
    assert!(fresh.state().acls().all(|acl| acl.users.is_empty()));
    let version = feed.snapshot().version;
    let keys = serde_json::json!({ "keys": [] });
    let all = Snapshot::from_everything(version, everything(&store.state(), keys)).unwrap();
    assert_eq!(*feed.snapshot(), all);
}

#[tokio::test]
async fn what_is_stored_survives_and_what_is_foreign_is_named() {
    let (folder, cluster) = cluster();
    let (store, _) = open(&cluster).await;
    store.run(&user("..")).await.unwrap();
    store.run(&acl("dcos:service:marathon:/a/b".to_owned())).await.unwrap();
    let left = State::clone(&store.state());
    drop((store, cluster));
    let cluster: Arc<dyn ClusterState> = embedded::open(folder.path().join("state")).unwrap();
    let (store, _) = open(&cluster).await;
    assert_eq!(*store.state(), left);
    let value = bytes::Bytes::from_static(b"{\"uid\":\"other\",\"generation\":1}");
    cluster.put("/iam/users/u", value, cluster_state::When::Any).await.unwrap();
    let feed = Feed::new(CancellationToken::new());
    let error = Store::open(cluster, feed).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("/iam/users/u"), "{error}");
}

/// Waits until something holds; the test's own limit ends what never does.
async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_watch_that_ends_is_begun_again_and_until_then_nobody_is_told_that_all_is_well() {
    let (_folder, inner) = cluster();
    let moody = Arc::new(Moody {
        inner: Arc::clone(&inner),
        over: AtomicUsize::new(1),
        unreadable: AtomicBool::new(false),
    });
    let state: Arc<dyn ClusterState> = Arc::clone(&moody) as Arc<dyn ClusterState>;
    let stop = CancellationToken::new();
    let feed = Feed::new(stop.clone());
    let (store, watch) = Store::open(state, Arc::clone(&feed)).await.unwrap();
    let (other, _) = open(&inner).await;
    moody.unreadable.store(true, Ordering::SeqCst);
    let (following, token) = (Arc::clone(&store), stop.clone());
    let follow = tokio::spawn(async move { following.follow(watch, token).await });
    until(|| feed.follow(Box::new(|_| true)).is_none()).await;
    other.run(&user("u")).await.unwrap();
    assert!(store.state().user("u").is_err());
    moody.unreadable.store(false, Ordering::SeqCst);
    until(|| store.state().user("u").is_ok()).await;
    until(|| feed.follow(Box::new(|_| true)).is_some()).await;
    other.run(&user("v")).await.unwrap();
    until(|| store.state().user("v").is_ok()).await;
    assert!(!follow.is_finished());
    stop.cancel();
    follow.await.unwrap();
}
