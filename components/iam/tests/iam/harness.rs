//! One service on a folder of its own, and a client that speaks with it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster_state::{ClusterState, embedded};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::Full;
use http_kit::{Client, ClientConfig};
use iam::{Config, Running, start};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A running service; its state is the folder's.
pub(crate) struct Iam {
    pub(crate) folder: TempDir,
    pub(crate) client: Client,
    pub(crate) admin: String,
    pub(crate) running: Running,
    state: Arc<dyn ClusterState>,
    stop: CancellationToken,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A request to be.
pub(crate) struct Ask<'a> {
    iam: &'a Iam,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

pub(crate) async fn started() -> Iam {
    started_with(|_| ()).await
}

pub(crate) async fn started_with(change: impl FnOnce(&mut Config)) -> Iam {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    let (running, stop) = run(folder.path(), Arc::clone(&state), change).await;
    Iam::of(folder, state, running, stop).await
}

fn open(folder: &Path) -> Arc<dyn ClusterState> {
    embedded::open(folder.join("state")).unwrap()
}

async fn run(
    folder: &Path,
    state: Arc<dyn ClusterState>,
    change: impl FnOnce(&mut Config),
) -> (Running, CancellationToken) {
    let mut config = Config::new(folder.join("iam"));
    config.port = 0;
    config.audit_reserve_bytes = 64 * 1024;
    config.cluster_id = "the-cluster".to_owned();
    change(&mut config);
    let stop = CancellationToken::new();
    let running = start(config, state, stop.clone()).await.unwrap();
    (running, stop)
}

impl Iam {
    async fn of(
        folder: TempDir,
        state: Arc<dyn ClusterState>,
        running: Running,
        stop: CancellationToken,
    ) -> Iam {
        let client = Client::new(ClientConfig::default());
        let mut iam = Iam { folder, client, admin: String::new(), running, state, stop };
        let password = std::fs::read_to_string(&iam.running.admin_password_file).unwrap();
        iam.admin = iam.login("admin", password.trim()).await;
        iam
    }

    /// Stops, and starts again on what is on disk.
    pub(crate) async fn restarted(self) -> Iam {
        let folder = self.stopped().await;
        let state = open(folder.path());
        let (running, stop) = run(folder.path(), Arc::clone(&state), |_| ()).await;
        Iam::of(folder, state, running, stop).await
    }

    /// Another instance on the same state, with the same node key.
    pub(crate) async fn beside(&self) -> Iam {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("iam");
        std::fs::create_dir(&data).unwrap();
        std::fs::copy(self.folder.path().join("iam/node.key"), data.join("node.key")).unwrap();
        let state = Arc::clone(&self.state);
        let (running, stop) = run(folder.path(), Arc::clone(&state), |_| ()).await;
        let (client, admin) = (self.client.clone(), self.admin.clone());
        Iam { folder, client, admin, running, state, stop }
    }

    pub(crate) async fn stopped(self) -> TempDir {
        self.stop.cancel();
        self.running.join.await.unwrap().unwrap();
        self.folder
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// A request below the API's prefix.
    pub(crate) fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        let path = if path.starts_with("/ca/") || path.starts_with("/metrics") || path == "/health"
        {
            path.to_owned()
        } else {
            format!("/acs/api/v1{path}")
        };
        Ask { iam: self, method, path, headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path).admin().send().await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        self.ask(Method::PUT, path).admin().json(body).send().await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Reply {
        self.ask(Method::PATCH, path).admin().json(body).send().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.ask(Method::DELETE, path).admin().send().await
    }

    /// A user who did not exist, and a token.
    pub(crate) async fn user(&self, uid: &str) -> String {
        let body = json!({ "description": uid, "password": "password" });
        assert_eq!(self.put(&format!("/users/{uid}"), body).await.status, 201);
        self.login(uid, "password").await
    }

    pub(crate) async fn try_login(&self, body: Value) -> Reply {
        self.ask(Method::POST, "/auth/login").json(body).send().await
    }

    pub(crate) async fn login(&self, uid: &str, password: &str) -> String {
        let reply = self.try_login(json!({ "uid": uid, "password": password })).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["token"].as_str().unwrap().to_owned()
    }

    /// Grants something on a resource that may exist.
    pub(crate) async fn allow(&self, uid: &str, rid: &str, action: &str) {
        let acl = format!("/acls/{}", rid.replace('/', "%252F"));
        let made = self.put(&acl, json!({ "description": "" })).await;
        assert!(made.status == 201 || made.status == 409, "{made:?}");
        let path = format!("{acl}/users/{uid}/{action}");
        let granted = self.ask(Method::PUT, &path).admin().send().await;
        assert_eq!(granted.status, 204, "{granted:?}");
    }

    /// The lines of the audit log so far.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let path = self.folder.path().join("iam/audit.jsonl");
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Ask<'_> {
    pub(crate) fn admin(self) -> Self {
        let token = self.iam.admin.clone();
        self.token(&token)
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("token={token}"))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As a gateway sends it that proves itself.
    pub(crate) fn through_gateway(self) -> Self {
        let token = self.iam.admin.clone();
        self.header("dais-gateway", &format!("token={token}"))
    }

    pub(crate) fn json(self, body: Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn request(self) -> http::Request<Full<Bytes>> {
        let uri = format!("http://{}{}", self.iam.address(), self.path);
        let mut request = http::Request::builder().method(self.method).uri(uri);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(self.body)).unwrap()
    }

    pub(crate) async fn send(self) -> Reply {
        let client = self.iam.client.clone();
        let (head, body) = client.fetch(self.request()).await.unwrap().into_parts();
        Reply { status: head.status, headers: head.headers, body }
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// That it is this refusal.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.json()["code"], code, "{self:?}");
    }
}

/// Waits until something holds; ten seconds at most.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
