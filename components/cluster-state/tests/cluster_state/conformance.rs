//! What every implementation of the trait must do. It knows the trait alone, so
//! that another implementation passes the same cases.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster_state::{Change, ClusterState, Entry, FencingToken, Op, StateError, When, limits};

type Store = Arc<dyn ClusterState>;

/// Runs every case, each on an empty store that `make` opens.
pub(crate) async fn run(mut make: impl FnMut() -> Store) {
    versions(make()).await;
    conditions(make()).await;
    listing(make()).await;
    transactions_apply_wholly_or_not(make()).await;
    refusals(make()).await;
    concurrent_increments_lose_nothing(make()).await;
    watches_tell_in_order(make()).await;
    watches_miss_nothing(make()).await;
    elections_are_exclusive(make()).await;
    withdrawn_candidates_do_not_block(make()).await;
    fenced_writes(make()).await;
}

fn text(value: &str) -> Bytes {
    Bytes::copy_from_slice(value.as_bytes())
}

fn put(key: &str, value: &str, when: When) -> Op {
    Op::Put { key: key.to_owned(), value: text(value), when }
}

fn keys(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.key.as_str()).collect()
}

async fn versions(store: Store) {
    assert_eq!(store.get("/a").await.unwrap(), None);
    let first = store.put("/a", text("1"), When::Any).await.unwrap();
    let second = store.put("/a", text("2"), When::Any).await.unwrap();
    assert!(second > first);
    let found = store.get("/a").await.unwrap().unwrap();
    assert_eq!((found.value, found.version), (text("2"), second));

    store.delete("/a", When::Any).await.unwrap();
    assert_eq!(store.get("/a").await.unwrap(), None);
    let reborn = store.put("/a", text("2"), When::Any).await.unwrap();
    assert!(reborn > second, "a version is never used twice");
    let empty = store.put("/empty", Bytes::new(), When::Absent).await.unwrap();
    assert_eq!(store.get("/empty").await.unwrap().unwrap().version, empty);
}

async fn conditions(store: Store) {
    let first = store.put("/a", text("1"), When::Absent).await.unwrap();
    let second = store.put("/a", text("2"), When::Version(first)).await.unwrap();

    let absent = store.put("/a", text("x"), When::Absent).await;
    assert!(
        matches!(absent, Err(StateError::Conflict { found: Some(v), .. }) if v == second),
        "{absent:?}"
    );
    let outdated = store.put("/a", text("x"), When::Version(first)).await;
    assert!(matches!(outdated, Err(StateError::Conflict { .. })));
    assert!(store.delete("/a", When::Version(first)).await.is_err());
    assert!(store.delete("/a", When::Absent).await.is_err());
    let missing = store.delete("/b", When::Version(first)).await;
    assert!(matches!(missing, Err(StateError::Conflict { found: None, .. })));

    assert_eq!(store.get("/a").await.unwrap().unwrap().value, text("2"));
    store.delete("/b", When::Any).await.unwrap();
    store.delete("/a", When::Version(second)).await.unwrap();
    store.delete("/a", When::Absent).await.unwrap();
    assert_eq!(store.get("/a").await.unwrap(), None);
}

async fn listing(store: Store) {
    for key in ["/a/2", "/a/1", "/a/1/x", "/a", "/ab/1", "/b/1"] {
        store.put(key, text(key), When::Absent).await.unwrap();
    }
    assert_eq!(keys(&store.list("/a/").await.unwrap()), ["/a/1", "/a/1/x", "/a/2"]);
    assert_eq!(store.list("/").await.unwrap().len(), 6);
    assert_eq!(store.list("/none/").await.unwrap(), []);
    let entry = &store.list("/b/").await.unwrap()[0];
    assert_eq!(Some(entry), store.get("/b/1").await.unwrap().as_ref());
}

async fn transactions_apply_wholly_or_not(store: Store) {
    let a = store.put("/a", text("1"), When::Absent).await.unwrap();
    let done = store
        .transact(vec![
            put("/b", "1", When::Absent),
            Op::Check { key: "/a".to_owned(), when: When::Version(a) },
            Op::Delete { key: "/gone".to_owned(), when: When::Any },
        ])
        .await
        .unwrap();
    assert_eq!(done.len(), 3);
    assert_eq!(done[0], Some(store.get("/b").await.unwrap().unwrap().version));
    assert_eq!(done[1..], [None, None]);

    let refused = store
        .transact(vec![
            put("/a", "2", When::Version(a)),
            put("/c", "1", When::Absent),
            Op::Delete { key: "/b".to_owned(), when: When::Any },
            Op::Check { key: "/nothing".to_owned(), when: When::Version(a) },
        ])
        .await;
    assert!(matches!(refused, Err(StateError::Conflict { ref key, .. }) if key == "/nothing"));
    assert_eq!(keys(&store.list("/").await.unwrap()), ["/a", "/b"]);
    assert_eq!(store.get("/a").await.unwrap().unwrap().version, a);
    assert_eq!(store.transact(Vec::new()).await.unwrap(), []);
}

async fn refusals(store: Store) {
    for key in ["", "a", "/", "/a/", "/a//b", "/a/../b", "/a\0"] {
        assert!(matches!(store.get(key).await, Err(StateError::InvalidKey { .. })), "{key:?}");
        let written = store.put(key, text("x"), When::Any).await;
        assert!(matches!(written, Err(StateError::InvalidKey { .. })), "{key:?}");
    }
    for prefix in ["", "/a", "a/"] {
        assert!(matches!(store.list(prefix).await, Err(StateError::InvalidKey { .. })));
        assert!(matches!(store.watch(prefix).await, Err(StateError::InvalidKey { .. })));
    }
    let most = Bytes::from(vec![b'x'; limits::MAX_VALUE_BYTES]);
    store.put("/most", most.clone(), When::Any).await.unwrap();
    assert_eq!(store.get("/most").await.unwrap().unwrap().value, most);
    let more = Bytes::from(vec![b'x'; limits::MAX_VALUE_BYTES + 1]);
    let refused = store.put("/more", more, When::Any).await;
    assert!(matches!(refused, Err(StateError::ValueTooLarge { .. })));

    let op = |key: &str| Op::Put { key: key.to_owned(), value: most.clone(), when: When::Any };
    let refused = store.transact(vec![op("/x"), op("/y")]).await;
    assert!(matches!(refused, Err(StateError::TransactionTooLarge { .. })));
    let many = (0..=limits::MAX_TRANSACTION_OPS).map(|n| put(&format!("/{n}"), "", When::Any));
    let refused = store.transact(many.collect()).await;
    assert!(matches!(refused, Err(StateError::TransactionTooLarge { .. })));
    let refused = store.transact(vec![put("/x", "", When::Any), put("/x", "", When::Any)]).await;
    assert!(matches!(refused, Err(StateError::DuplicateKey { .. })));
    assert_eq!(keys(&store.list("/").await.unwrap()), ["/most"]);
}

async fn concurrent_increments_lose_nothing(store: Store) {
    const WRITERS: usize = 16;
    const ROUNDS: usize = 12;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for _ in 0..ROUNDS {
                increment(&store, "/counter").await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let value = store.get("/counter").await.unwrap().unwrap().value;
    assert_eq!(value, text(&(WRITERS * ROUNDS).to_string()));
}

async fn increment(store: &Store, key: &str) {
    loop {
        let found = store.get(key).await.unwrap();
        let when = found.as_ref().map_or(When::Absent, |entry| When::Version(entry.version));
        let count = found.map_or(0, |entry| number(&entry.value));
        match store.put(key, text(&(count + 1).to_string()), when).await {
            Ok(_) => return,
            Err(StateError::Conflict { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

async fn watches_tell_in_order(store: Store) {
    store.put("/w/old", text("1"), When::Any).await.unwrap();
    store.put("/other", text("1"), When::Any).await.unwrap();
    let mut watch = store.watch("/w/").await.unwrap();
    assert_eq!(keys(&watch.take_initial()), ["/w/old"]);

    store.put("/other", text("2"), When::Any).await.unwrap();
    store.put("/w/z", text("1"), When::Any).await.unwrap();
    store.put("/w/a", text("1"), When::Any).await.unwrap();
    store.delete("/w/old", When::Any).await.unwrap();
    store.put("/w/z", text("2"), When::Any).await.unwrap();

    let mut seen = Vec::new();
    while seen.last().is_none_or(|change: &Change| change.key != "/w/z" || seen.len() < 3) {
        seen.extend(watch.next().await.unwrap());
    }
    assert!(seen.windows(2).all(|pair| pair[0].version < pair[1].version), "{seen:?}");
    let latest: BTreeMap<_, _> = seen.into_iter().map(|c| (c.key, c.value)).collect();
    let wanted = [("/w/a", Some("1")), ("/w/old", None), ("/w/z", Some("2"))];
    let wanted = wanted.map(|(key, value)| (key.to_owned(), value.map(text)));
    assert_eq!(latest, BTreeMap::from(wanted));
}

/// Watches begun at any moment among writes arrive at the final state.
async fn watches_miss_nothing(store: Store) {
    const KEYS: u64 = 8;
    const ROUNDS: u64 = 25;
    let mut watchers = tokio::task::JoinSet::new();
    let mut writers = tokio::task::JoinSet::new();
    for key in 0..KEYS {
        let writing = Arc::clone(&store);
        writers.spawn(async move {
            for round in 1..=ROUNDS {
                let key = format!("/w/{key}");
                writing.put(&key, text(&round.to_string()), When::Any).await.unwrap();
            }
        });
        let watching = Arc::clone(&store);
        watchers.spawn(async move {
            tokio::time::sleep(Duration::from_millis(key * 3)).await;
            follow_until(&watching, KEYS, ROUNDS).await;
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    while let Some(done) = watchers.join_next().await {
        done.unwrap();
    }
}

async fn follow_until(store: &Store, keys: u64, last: u64) {
    let mut watch = store.watch("/w/").await.unwrap();
    let mut known: BTreeMap<String, u64> =
        watch.take_initial().into_iter().map(|e| (e.key, number(&e.value))).collect();
    while known.len() < keys as usize || known.values().any(|value| *value < last) {
        for change in watch.next().await.unwrap() {
            let value = number(&change.value.unwrap());
            let before = known.insert(change.key, value).unwrap_or(0);
            assert!(value > before, "{value} came after {before}");
        }
    }
}

async fn elections_are_exclusive(store: Store) {
    let mut leader = store.leader("/election").await.unwrap();
    assert_eq!(*leader.borrow_and_update(), None);
    let first = store.campaign("/election", text("first")).await.unwrap();
    leader.changed().await.unwrap();
    let seen = leader.borrow_and_update().clone().unwrap();
    assert_eq!((seen.identity, seen.token), (text("first"), first.token()));
    assert!(!first.is_lost());

    let other = store.campaign("/another", text("x")).await.unwrap();
    let waiting = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.campaign("/election", text("second")).await.unwrap() })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished(), "one leader at a time");
    let before = first.token();
    drop(first);
    let second = waiting.await.unwrap();
    assert!(second.token() > before, "tokens grow");
    leader.wait_for(|l| l.as_ref().is_some_and(|l| l.identity == text("second"))).await.unwrap();
    drop((second, other));
    leader.wait_for(Option::is_none).await.unwrap();
}

async fn withdrawn_candidates_do_not_block(store: Store) {
    let first = store.campaign("/election", text("first")).await.unwrap();
    let withdrawn = store.campaign("/election", text("withdrawn"));
    assert!(tokio::time::timeout(Duration::from_millis(20), withdrawn).await.is_err());
    drop(first);
    let third = store.campaign("/election", text("third")).await.unwrap();
    assert!(!third.is_lost());
}

async fn fenced_writes(store: Store) {
    let fence = |token: FencingToken| Op::Fence { election: "/election".to_owned(), token };
    let first = store.campaign("/election", text("first")).await.unwrap();
    let old = first.token();
    store.transact(vec![fence(old), put("/a", "1", When::Any)]).await.unwrap();
    drop(first);
    let second = store.campaign("/election", text("second")).await.unwrap();
    let refused = store.transact(vec![put("/a", "2", When::Any), fence(old)]).await;
    assert!(matches!(refused, Err(StateError::Fenced { .. })), "{refused:?}");
    assert_eq!(store.get("/a").await.unwrap().unwrap().value, text("1"));
    store.transact(vec![fence(second.token()), put("/a", "3", When::Any)]).await.unwrap();
}
