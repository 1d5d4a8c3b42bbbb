//! The guard by itself, and as it follows an IAM.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use identity::wire::{Change, Everything, Line, UserEntry};
use identity::{Action, Claims, KeySet, Policy, SigningKey, Snapshot, User};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{Body, ClientConfig, Reply, Request, respond, serve};

const HERE: &str = "127.0.0.1:1";
const ELSEWHERE: &str = "10.0.0.7:1";

fn key() -> SigningKey {
    SigningKey::es256(&SigningKey::generate_es256().unwrap()).unwrap()
}

fn token_of(key: &SigningKey, uid: &str) -> String {
    key.sign(&Claims::new(uid, Some(unix_now() + 100), 0)).unwrap()
}

fn headers(token: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        headers.insert(AUTHORIZATION, format!("token={token}").parse().unwrap());
    }
    headers
}

fn snapshot(key: &SigningKey) -> Snapshot {
    let mut policy = Policy::default();
    for uid in ["reader", "nobody"] {
        policy.set_user(uid, User::default());
    }
    policy.grant_user("reader", "r", Action::Read);
    Snapshot { version: 1, keys: KeySet::new([key.public().clone()]).unwrap(), policy }
}

/// The status of a refusal, or 200.
fn ask(guard: &Guard, headers: &HeaderMap, peer: &str, action: Action) -> u16 {
    match guard.judge(headers, peer.parse().unwrap(), "r:x", action) {
        Verdict::Allowed(_) => 200,
        Verdict::Refused(response) => response.status().as_u16(),
    }
}

#[test]
fn modes_differ_in_who_needs_a_token() {
    let key = key();
    let reader = headers(Some(&token_of(&key, "reader")));
    let forged = headers(Some(&token_of(&self::key(), "reader")));
    let expired = key.sign(&Claims::new("reader", Some(unix_now() - 100), 0)).unwrap();
    let expired = headers(Some(&expired));
    let gone = headers(Some(&token_of(&key, "gone")));
    let other = headers(Some(&token_of(&key, "nobody")));
    let mut forwarded = headers(None);
    forwarded.insert("x-forwarded-for", HeaderValue::from_static("1.2.3.4"));
    let none = headers(None);
    for (mode, peer, headers, action, expected) in [
        (Mode::Disabled, ELSEWHERE, &none, Action::Update, 200),
        (Mode::Disabled, ELSEWHERE, &forged, Action::Update, 200),
        (Mode::Permissive, HERE, &none, Action::Update, 200),
        (Mode::Permissive, HERE, &forwarded, Action::Update, 401),
        (Mode::Permissive, ELSEWHERE, &none, Action::Read, 401),
        (Mode::Permissive, HERE, &reader, Action::Read, 200),
        (Mode::Permissive, HERE, &reader, Action::Update, 403),
        (Mode::Permissive, HERE, &forged, Action::Read, 401),
        (Mode::Permissive, HERE, &expired, Action::Read, 401),
        (Mode::Permissive, HERE, &gone, Action::Read, 401),
        (Mode::Permissive, HERE, &other, Action::Read, 403),
        (Mode::Strict, HERE, &none, Action::Read, 401),
        (Mode::Strict, ELSEWHERE, &reader, Action::Read, 200),
        (Mode::Strict, ELSEWHERE, &reader, Action::Delete, 403),
        (Mode::Strict, ELSEWHERE, &forged, Action::Read, 401),
    ] {
        let guard = Guard::fixed(mode, snapshot(&key));
        assert_eq!(ask(&guard, headers, peer, action), expected, "{mode:?} {peer} {headers:?}");
    }
}

#[test]
fn refusals_say_how_to_go_on() {
    let refused = Refusal::Unauthenticated.response();
    assert_eq!(refused.headers()["www-authenticate"], "acsjwt");
    assert_eq!(refused.headers()["cache-control"], "no-store");
    assert!(!Refusal::Forbidden.response().headers().contains_key("www-authenticate"));
}

#[tokio::test(start_paused = true)]
async fn what_is_stale_does_not_count() {
    let key = key();
    let guard = Guard::empty(Mode::Strict);
    let reader = headers(Some(&token_of(&key, "reader")));
    assert_eq!(ask(&guard, &reader, HERE, Action::Read), 503, "nothing is known yet");
    guard.publish(snapshot(&key));
    tokio::time::advance(STALE_AFTER).await;
    assert_eq!(ask(&guard, &reader, HERE, Action::Read), 200);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(ask(&guard, &reader, HERE, Action::Read), 503);
    assert_eq!(ask(&guard, &headers(None), HERE, Action::Read), 401);
    guard.touch();
    assert_eq!(ask(&guard, &reader, HERE, Action::Read), 200);
}

/// An IAM with one account; each stream that is opened is handed to the test.
struct FakeIam {
    url: String,
    account: PathBuf,
    streams: mpsc::Receiver<mpsc::Sender<Bytes>>,
    logins: Arc<AtomicUsize>,
    _folder: tempfile::TempDir,
    stop: CancellationToken,
}

impl Drop for FakeIam {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn fake_iam(signing: &SigningKey) -> FakeIam {
    let folder = tempfile::tempdir().unwrap();
    let account = folder.path().join("account.json");
    let pkcs8 = SigningKey::generate_es256().unwrap();
    let own = SigningKey::es256(&pkcs8).unwrap();
    let pem = SigningKey::pkcs8_pem(&pkcs8);
    let text = serde_json::json!({"uid": "svc", "private_key": pem, "scheme": "ES256"});
    std::fs::write(&account, text.to_string()).unwrap();
    std::fs::set_permissions(&account, std::fs::Permissions::from_mode(0o600)).unwrap();

    let (opened, streams) = mpsc::channel(8);
    let logins = Arc::new(AtomicUsize::new(0));
    let granted = token_of(signing, "svc");
    let current: Arc<Mutex<String>> = Arc::default();
    let counter = Arc::clone(&logins);
    let service = move |request: Request, _: SocketAddr| {
        if request.uri().path() == identity::wire::PATH {
            let expected = format!("token={}", current.lock().unwrap());
            if request.headers()[AUTHORIZATION] != expected.as_str() {
                return Reply::Now(respond::status(StatusCode::UNAUTHORIZED));
            }
            let (sender, body) = Body::channel(8);
            opened.try_send(sender).unwrap();
            return Reply::Now(respond::with_body(
                StatusCode::OK,
                HeaderValue::from_static(identity::wire::CONTENT_TYPE),
                body,
            ));
        }
        let number = counter.fetch_add(1, Ordering::SeqCst);
        // The first token is void by the time it is used.
        let granted = if number == 0 { "void".to_owned() } else { granted.clone() };
        if number > 0 {
            current.lock().unwrap().clone_from(&granted);
        }
        let public = own.public().clone();
        Reply::later(async move {
            let body = crate::read_body(request.into_body(), 10_000).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let token = body["token"].as_str().unwrap();
            identity::verify_service_login(token, "svc", &public, unix_now()).unwrap();
            respond::json(serde_json::json!({ "token": granted }).to_string())
        })
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, Arc::new(service), Default::default(), stop.clone()));
    FakeIam { url, account, streams, logins, _folder: folder, stop }
}

fn everything(key: &SigningKey) -> Everything {
    let keys = KeySet::new([key.public().clone()]).unwrap().to_json();
    let users = [("reader".to_owned(), UserEntry::default())].into();
    let permissions = vec![identity::wire::Permission {
        rid: "r".to_owned(),
        users: [("reader".to_owned(), [Action::Read].into_iter().collect())].into(),
        groups: Default::default(),
    }];
    Everything { keys, users, permissions }
}

async fn send(stream: &mpsc::Sender<Bytes>, line: Line) {
    stream.send(line.to_bytes().into()).await.unwrap();
}

/// Asks until the answer is the expected one; the test's own time limit ends it otherwise.
async fn until(guard: &Guard, headers: &HeaderMap, expected: u16) {
    while ask(guard, headers, HERE, Action::Read) != expected {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_guard_follows_and_comes_back() {
    let key = key();
    let mut iam = fake_iam(&key).await;
    let stop = CancellationToken::new();
    let config = FollowConfig {
        mode: Mode::Strict,
        iam: iam.url.clone(),
        account: iam.account.clone(),
        client: ClientConfig::default(),
    };
    let Following { guard, tokens, join } = follow(config, stop.clone());
    let reader = headers(Some(&token_of(&key, "reader")));
    assert_eq!(ask(&guard, &reader, HERE, Action::Read), 503);

    let stream = iam.streams.recv().await.unwrap();
    assert_eq!(iam.logins.load(Ordering::SeqCst), 2, "the void token was replaced");
    assert!(tokens.authorization().unwrap().is_sensitive(), "a token in a log");
    send(&stream, Line::snapshot(1, everything(&key))).await;
    guard.ready().await;
    assert_eq!(ask(&guard, &reader, HERE, Action::Read), 200);

    let gone = Change::UserRemoved { uid: "reader".to_owned() };
    send(&stream, Line::changes(2, vec![gone])).await;
    until(&guard, &reader, 401).await;

    // A line that does not follow: the stream is begun anew.
    send(&stream, Line::heartbeat(9)).await;
    let stream = iam.streams.recv().await.unwrap();
    for piece in Line::snapshot(9, everything(&key)).cut(1) {
        send(&stream, piece).await;
    }
    until(&guard, &reader, 200).await;

    // IAM goes away and comes back.
    drop(stream);
    let stream = iam.streams.recv().await.unwrap();
    send(
        &stream,
        Line::snapshot(1, Everything { keys: everything(&key).keys, ..Everything::default() }),
    )
    .await;
    until(&guard, &reader, 401).await;
    stop.cancel();
    join.await.unwrap();
}

#[tokio::test]
async fn iam_elsewhere_is_not_asked_without_tls() {
    let iam = fake_iam(&key()).await;
    // A name that leads here, as one of another machine would lead there.
    let port = iam.url.trim_end_matches('/').rsplit(':').next().unwrap();
    for (url, plain_iam, works) in [
        (format!("http://0.0.0.0:{port}"), false, false),
        (format!("http://0.0.0.0:{port}"), true, true),
        (format!("http://127.0.0.1:{port}"), false, true),
    ] {
        let before = iam.logins.load(Ordering::SeqCst);
        let stop = CancellationToken::new();
        let client = ClientConfig { plain_iam, ..ClientConfig::default() };
        let config = TokenSourceConfig {
            iam: Some(url.clone()),
            account: iam.account.clone(),
            client: crate::Client::new(client),
        };
        let (tokens, join) = TokenSource::start(config, stop.clone());
        if works {
            tokens.ready().await;
        } else {
            let wait = Duration::from_millis(300);
            assert!(tokio::time::timeout(wait, tokens.ready()).await.is_err(), "{url}");
            assert_eq!(iam.logins.load(Ordering::SeqCst), before, "nothing was sent");
        }
        stop.cancel();
        join.await.unwrap();
    }
}

#[test]
fn an_account_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    let write = |text: &str, mode: u32| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        ServiceAccount::load(&path)
    };
    let pem = SigningKey::pkcs8_pem(&SigningKey::generate_es256().unwrap());
    let good = serde_json::json!({"uid": "a", "private_key": pem}).to_string();
    assert!(matches!(write(&good, 0o640), Err(AccountError::Exposed { .. })));
    let account = write(&good, 0o600).unwrap();
    assert_eq!(account.uid(), "a");
    assert!(!format!("{account:?}").contains("PRIVATE"));
    let other = serde_json::json!({"uid": "a", "private_key": pem, "scheme": "RS256"}).to_string();
    assert!(matches!(write(&other, 0o600), Err(AccountError::Scheme { .. })));
    assert!(matches!(write("{}", 0o600), Err(AccountError::Malformed { .. })));
    let none = serde_json::json!({"uid": "a", "private_key": "x"}).to_string();
    assert!(matches!(write(&none, 0o600), Err(AccountError::Key { .. })));
}
