//! A running service, and a client that speaks its media types.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cluster_state::{ClusterState, When};
use cosmos::{Config, Running};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Response};
use http_body_util::Full;
use http_kit::{Client, ClientConfig};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::fakes::{Apps, Fake, Told};

/// Everything of one test.
pub(crate) struct World {
    pub(crate) apps: Apps,
    pub(crate) marathon: Fake,
    _master: Fake,
    pub(crate) config: Config,
    pub(crate) folder: TempDir,
    state: Option<Arc<dyn ClusterState>>,
    running: Option<(Running, CancellationToken)>,
    client: Client,
}

impl World {
    /// A service with these repositories as its default.
    pub(crate) async fn start(repositories: &[(&str, &str)]) -> World {
        World::with(repositories, |_| ()).await
    }

    pub(crate) async fn with(
        repositories: &[(&str, &str)],
        change: impl FnOnce(&mut Config),
    ) -> World {
        let apps = Apps::default();
        let marathon = apps.start().await;
        let master = Fake::start(|_| Told::json(200, &json!({"frameworks": []}))).await;
        let folder = tempfile::tempdir().unwrap();
        let copies = folder.path().join("copies");
        let mut config = Config::new(marathon.url(), master.url(), copies);
        config.port = 0;
        config.retry_interval = Duration::from_millis(5);
        config.refresh = Duration::from_millis(50);
        config.uninstall_interval = Duration::from_millis(20);
        config.repositories = repositories
            .iter()
            .map(|(name, uri)| ((*name).to_owned(), (*uri).to_owned()))
            .collect();
        change(&mut config);
        let state = cluster_state::embedded::open(folder.path().join("state.redb")).unwrap();
        let client = Client::new(ClientConfig::default());
        let state: Option<Arc<dyn ClusterState>> = Some(state);
        let mut world =
            World { apps, marathon, _master: master, config, folder, state, running: None, client };
        world.restart().await;
        world
    }

    /// A file with a repository of these packages.
    pub(crate) fn file(&self, name: &str, packages: &[Value]) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, document(packages)).unwrap();
        format!("file:{}", path.display())
    }

    /// Ends the service, if it runs.
    pub(crate) async fn stop(&mut self) {
        if let Some((running, stop)) = self.running.take() {
            stop.cancel();
            running.join.await.unwrap().unwrap();
        }
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        let stop = CancellationToken::new();
        let state = Arc::clone(self.state.as_ref().unwrap());
        let running = cosmos::start(self.config.clone(), state, stop.clone()).await.unwrap();
        self.running = Some((running, stop));
    }

    /// Writes a key of the cluster's state.
    pub(crate) async fn put(&self, key: &str, value: &str) {
        let state = self.state.as_ref().unwrap();
        state.put(key, Bytes::copy_from_slice(value.as_bytes()), When::Any).await.unwrap();
    }

    /// How many keys there are below `prefix`.
    pub(crate) async fn keys(&self, prefix: &str) -> usize {
        self.state.as_ref().unwrap().list(prefix).await.unwrap().len()
    }

    pub(crate) fn address(&self) -> String {
        self.running.as_ref().unwrap().0.address.to_string()
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response<Bytes> {
        let mut request =
            http::Request::builder().method(method).uri(format!("http://{}{path}", self.address()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.client
            .fetch(request.body(Full::new(Bytes::copy_from_slice(body))).unwrap())
            .await
            .unwrap()
    }

    /// A call with the media types that belong to it.
    pub(crate) async fn ask(&self, call: &str, version: u32, body: Value) -> (u16, Value) {
        let (group, name) = call.split_once('/').unwrap();
        let kind = |what: &str, version| {
            let name = name.replace('/', ".");
            format!(
                "application/vnd.dcos.{group}.{name}-{what}+json;charset=utf-8;version=v{version}"
            )
        };
        let (request, response) = (kind("request", 1), kind("response", version));
        let headers =
            [(CONTENT_TYPE.as_str(), request.as_str()), (ACCEPT.as_str(), response.as_str())];
        let path = format!("/{call}");
        let answer = self.send(Method::POST, &path, &headers, body.to_string().as_bytes()).await;
        let status = answer.status().as_u16();
        let expected = match status {
            200 => response,
            _ => "application/vnd.dcos.package.error+json;charset=utf-8;version=v1".to_owned(),
        };
        assert_eq!(answer.headers()[CONTENT_TYPE], expected.as_str());
        (status, serde_json::from_slice(answer.body()).unwrap())
    }

    /// A call that must succeed.
    pub(crate) async fn ok(&self, call: &str, version: u32, body: Value) -> Value {
        let (status, answer) = self.ask(call, version, body).await;
        assert_eq!(status, 200, "{call}: {answer}");
        answer
    }

    /// A call that must fail: its status, type and message.
    pub(crate) async fn refused(&self, call: &str, body: Value) -> (u16, String, String) {
        let version = if call == "package/describe" { 3 } else { 1 };
        let (status, answer) = self.ask(call, version, body).await;
        assert_ne!(status, 200, "{call}: {answer}");
        let text = |field: &str| answer[field].as_str().unwrap().to_owned();
        (status, text("type"), text("message"))
    }

    /// Waits until `done`; the outcome is what counts, not the time.
    pub(crate) async fn until<F: Future<Output = bool>>(&self, what: &str, done: impl Fn() -> F) {
        for _ in 0..3000 {
            if done().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {what}");
    }

    /// How it goes with each repository.
    pub(crate) async fn statuses(&self) -> Vec<Value> {
        let kind = |what: &str| {
            format!(
                "application/vnd.dcos.package.repository.list-{what}+json;charset=utf-8;version=v1"
            )
        };
        let (request, response) = (kind("request"), kind("response"));
        let headers = [("content-type", request.as_str()), ("accept", response.as_str())];
        let path = "/package/repository/list?embed=status";
        let answer = self.send(Method::POST, path, &headers, b"{}").await;
        let answer: Value = serde_json::from_slice(answer.body()).unwrap();
        let all = answer["repositories"].as_array().unwrap();
        all.iter().map(|one| one["status"].clone()).collect()
    }

    /// The names that a search finds.
    pub(crate) async fn names(&self) -> Vec<String> {
        let found = self.ok("package/search", 1, json!({})).await;
        let all = found["packages"].as_array().unwrap();
        all.iter().map(|package| package["name"].as_str().unwrap().to_owned()).collect()
    }
}

/// A repository document.
pub(crate) fn document(packages: &[Value]) -> String {
    json!({ "packages": packages }).to_string()
}

/// A package that runs something.
pub(crate) fn package(name: &str, version: &str, release: u64) -> Value {
    let template = r#"{"id": "{{service.name}}", "cmd": "run {{port}}", "cpus": {{service.cpus}},
        "env": {"BLOB": "{{resource.assets.uris.blob}}"}}"#;
    json!({
        "packagingVersion": "4.0", "name": name, "version": version, "releaseVersion": release,
        "maintainer": "m@example.com", "description": format!("The {name} package"),
        "tags": ["example"], "postInstallNotes": "Installed.", "postUninstallNotes": "Gone.",
        "resource": {
            "assets": {"uris": {"blob": "http://example.com/blob"}},
            "images": {"icon-small": "http://example.com/icon.png"},
        },
        "config": {
            "type": "object", "additionalProperties": false,
            "properties": {
                "service": {"type": "object", "properties": {
                    "name": {"type": "string", "default": name},
                    "cpus": {"type": "number", "default": 0.5},
                }},
                "port": {"type": "integer", "default": 8080},
            },
        },
        "marathon": {"v2AppMustacheTemplate": STANDARD.encode(template)},
    })
}

/// A package with some fields changed; null removes one.
pub(crate) fn changed(mut package: Value, more: Value) -> Value {
    let object = package.as_object_mut().unwrap();
    for (field, value) in more.as_object().unwrap() {
        match value {
            Value::Null => drop(object.remove(field)),
            value => drop(object.insert(field.clone(), value.clone())),
        }
    }
    package
}
