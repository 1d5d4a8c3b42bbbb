//! Keys over time: overlap, rotation, revocation, several instances.

use std::sync::atomic::{AtomicI64, Ordering};

use cluster_state::embedded::EmbeddedState;

use super::*;

const DAY: i64 = 86_400;
const START: i64 = 1_700_000_000;

struct World {
    _folder: tempfile::TempDir,
    state: Arc<EmbeddedState>,
    now: Arc<AtomicI64>,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let state = cluster_state::embedded::open(folder.path().join("state")).unwrap();
        World { _folder: folder, state, now: Arc::new(AtomicI64::new(START)) }
    }

    fn wait(&self, seconds: i64) -> i64 {
        self.now.fetch_add(seconds, Ordering::SeqCst) + seconds
    }

    async fn open_with(&self, key: u8) -> Result<Arc<Keyring>, SigningError> {
        self.open_for(key, 5).await
    }

    async fn open_for(&self, key: u8, longest_days: u64) -> Result<Arc<Keyring>, SigningError> {
        let node_key = Arc::new(NodeKey::from_bytes(&[key; 32]).unwrap());
        let settings = SigningSettings {
            token_lifetime: Duration::from_secs(5 * 86_400),
            token_longest: Duration::from_secs(longest_days * 86_400),
            publish_ahead: Duration::from_secs(300),
            rotate_after: Some(Duration::from_secs(90 * 86_400)),
        };
        let state = Arc::clone(&self.state) as Arc<dyn ClusterState>;
        Keyring::open(state, node_key, settings, Clock::of(Arc::clone(&self.now))).await
    }

    async fn open(&self) -> Arc<Keyring> {
        self.open_with(1).await.unwrap()
    }
}

fn kids(keyring: &Keyring) -> Vec<String> {
    keyring.ring().facts.iter().map(|facts| facts.kid.clone()).collect()
}

fn kid_of(token: &str) -> String {
    identity::Jws::parse(token).unwrap().kid().unwrap().to_owned()
}

#[tokio::test]
async fn all_instances_have_the_same_keys_and_nothing_is_readable_in_the_state() {
    let world = World::new();
    let (one, two) = tokio::join!(world.open(), world.open());
    let three = world.open().await;
    assert_eq!(kids(&one).len(), 1, "one of two that start at once makes the key");
    assert_eq!(kids(&one), kids(&two));
    assert_eq!(kids(&one), kids(&three));
    let token = one.issue("bob", 7, None).unwrap();
    let claims = three.ring().key_set().verify(&token, START).unwrap();
    assert_eq!((claims.uid.as_str(), claims.generation), ("bob", 7));
    assert_eq!(claims.exp, Some(START + 5 * DAY));
    for entry in world.state.list("/iam/").await.unwrap() {
        let text = String::from_utf8_lossy(&entry.value);
        assert!(!text.contains("pkcs8") && !text.contains("signs_from"), "{}", entry.key);
    }
    let other = world.open_with(2).await;
    assert!(matches!(other, Err(SigningError::Seal(_))), "{other:?}");
}

#[tokio::test]
async fn rotation_overlaps_and_old_keys_go_when_their_tokens_have() {
    let world = World::new();
    let keyring = world.open().await;
    let first = kids(&keyring).remove(0);
    let old = keyring.issue("bob", 0, None).unwrap();
    let rotated = keyring.rotate().await.unwrap();
    assert_eq!(rotated.signs_from, START + 300);
    assert_eq!(kids(&keyring), [first.clone(), rotated.kid.clone()], "published at once");
    assert_eq!(kid_of(&keyring.issue("bob", 0, None).unwrap()), first, "and signs later");
    let now = world.wait(300);
    let new = keyring.issue("bob", 0, None).unwrap();
    assert_eq!(kid_of(&new), rotated.kid);
    assert!(keyring.ring().key_set().verify(&old, now).is_ok());
    world.wait(5 * DAY);
    keyring.maintain().await.unwrap();
    assert_eq!(kids(&keyring).len(), 2, "clocks may be apart");
    world.wait(60);
    keyring.maintain().await.unwrap();
    assert_eq!(kids(&keyring), [rotated.kid]);
}

#[tokio::test]
async fn keys_are_rotated_by_age_once_for_all_instances() {
    let world = World::new();
    let one = world.open().await;
    let two = world.open().await;
    world.wait(90 * DAY);
    let (a, b) = tokio::join!(one.maintain(), two.maintain());
    a.unwrap();
    b.unwrap();
    one.load().await.unwrap();
    assert_eq!(kids(&one).len(), 2);
    assert_eq!(kids(&one), kids(&two));
}

#[tokio::test]
async fn a_revoked_key_counts_no_longer_and_another_signs() {
    let world = World::new();
    let keyring = world.open().await;
    let first = kids(&keyring).remove(0);
    let stolen = keyring.issue("bob", 0, None).unwrap();
    let pending = keyring.rotate().await.unwrap().kid;
    keyring.revoke(&pending).await.unwrap();
    assert_eq!(
        kids(&keyring),
        std::slice::from_ref(&first),
        "one that only waited leaves nothing behind"
    );
    keyring.revoke(&first).await.unwrap();
    let left = kids(&keyring);
    assert!(left.len() == 1 && left[0] != first, "{left:?}");
    let refused = keyring.ring().key_set().verify(&stolen, START);
    assert_eq!(refused, Err(identity::TokenError::UnknownKey));
    let token = keyring.issue("bob", 0, None).unwrap();
    assert!(keyring.ring().key_set().verify(&token, START).is_ok());
    let unknown = keyring.revoke(&first).await;
    assert!(matches!(unknown, Err(SigningError::UnknownKey)));
}

#[tokio::test]
async fn changes_of_one_instance_are_seen_by_the_others() {
    let world = World::new();
    let one = world.open().await;
    let two = world.open().await;
    let stop = CancellationToken::new();
    let task = tokio::spawn(Arc::clone(&two).keep(stop.clone()));
    let mut seen = two.subscribe();
    let rotated = one.rotate().await.unwrap();
    let has_it = |ring: &Arc<Ring>| ring.key_set().get(&rotated.kid).is_some();
    let waited = tokio::time::timeout(Duration::from_secs(60), seen.wait_for(has_it)).await;
    assert!(waited.is_ok_and(|ring| ring.is_ok()));
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_key_stays_as_long_as_what_it_signed() {
    let world = World::new();
    let long = world.open_for(1, 30).await.unwrap();
    let token = long.issue("svc", 0, Some(0)).unwrap();
    assert_eq!(identity::unverified_expiry(&token), Some(START + 30 * DAY));
    assert!(matches!(long.issue("svc", 0, Some(START)), Err(SigningError::Past)));
    // Under a shorter setting, and after a rotation, it still counts.
    let short = world.open_for(1, 5).await.unwrap();
    short.rotate().await.unwrap();
    let now = world.wait(29 * DAY);
    short.maintain().await.unwrap();
    assert!(short.ring().key_set().verify(&token, now).is_ok());
    assert_eq!(kids(&short).len(), 2);
    let later = short.issue("svc", 0, Some(0)).unwrap();
    assert_eq!(identity::unverified_expiry(&later), Some(now + 5 * DAY));
    world.wait(2 * DAY);
    short.maintain().await.unwrap();
    assert_eq!(kids(&short).len(), 1, "and then it goes");
    // A longer setting again: the key that signs promises more before it signs so.
    let longer = world.open_for(1, 40).await.unwrap();
    let token = longer.issue("svc", 0, Some(0)).unwrap();
    assert_eq!(identity::unverified_expiry(&token), Some(now + 42 * DAY));
    assert_eq!(longer.ring().facts[0].lifetime, 40 * DAY);
}
