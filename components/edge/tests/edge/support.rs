//! A Marathon, servers, clients, and a balancer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge::{Config, Running};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_util::sync::{CancellationToken, DropGuard};

pub const PATIENCE: Duration = Duration::from_secs(30);

/// Marathon as far as a balancer asks it.
pub struct Marathon {
    pub address: SocketAddr,
    apps: Arc<Mutex<Vec<Value>>>,
    events: broadcast::Sender<String>,
    pub reads: Arc<AtomicUsize>,
    _end: DropGuard,
}

/// Says who it is, and what it was asked.
pub struct Server {
    pub address: SocketAddr,
    pub served: Arc<AtomicUsize>,
    end: CancellationToken,
}

pub struct Balancer {
    pub running: Running,
    _end: DropGuard,
}

/// What a client got.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

// === impl Marathon ===

impl Marathon {
    pub async fn start(apps: Vec<Value>) -> Marathon {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let apps = Arc::new(Mutex::new(apps));
        let (events, _) = broadcast::channel(4096);
        let reads = Arc::new(AtomicUsize::new(0));
        let end = CancellationToken::new();
        let (known, sender, count) = (Arc::clone(&apps), events.clone(), Arc::clone(&reads));
        let token = end.clone();
        tokio::spawn(async move {
            while let Some(Ok((stream, _))) = token.run_until_cancelled(listener.accept()).await {
                let (known, sender, count) =
                    (Arc::clone(&known), sender.clone(), Arc::clone(&count));
                let serving = serve_marathon(stream, address, known, sender, count);
                let token = token.clone();
                tokio::spawn(async move { token.run_until_cancelled(serving).await });
            }
        });
        Marathon { address, apps, events, reads, _end: end.drop_guard() }
    }

    /// From now on these are the apps; followers read the ones that they are told of.
    pub fn set(&self, apps: Vec<Value>) {
        *self.apps.lock().unwrap() = apps;
    }

    pub fn tell(&self, name: &str, data: Value) {
        // Nobody listens yet, perhaps: whoever comes reads everything.
        let _ = self.events.send(format!("event: {name}\r\ndata: {data}\r\n\r\n"));
    }

    pub fn touch(&self, app: &str) {
        self.tell("app_terminated_event", json!({"appId": app}));
    }
}

async fn serve_marathon(
    mut stream: TcpStream,
    address: SocketAddr,
    apps: Arc<Mutex<Vec<Value>>>,
    events: broadcast::Sender<String>,
    reads: Arc<AtomicUsize>,
) {
    let mut rest = Vec::new();
    while let Some(head) = read_head(&mut stream, &mut rest).await {
        let target = head.split(' ').nth(1).unwrap().to_owned();
        let path = target.split('?').next().unwrap();
        let body = match path {
            "/v2/events" => {
                let mut told = events.subscribe();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                            Connection: close\r\n\r\nevent: event_stream_attached\r\ndata: {}\r\n\r\n";
                stream.write_all(head.as_bytes()).await.unwrap();
                while let Ok(event) = told.recv().await {
                    if stream.write_all(event.as_bytes()).await.is_err() {
                        return;
                    }
                }
                return;
            }
            "/v2/info" => json!({"frameworkId": "f"}),
            "/v2/leader" => json!({"leader": address.to_string()}),
            "/v2/apps" => {
                reads.fetch_add(1, Ordering::SeqCst);
                json!({"apps": *apps.lock().unwrap()})
            }
            path => {
                let id = path.strip_prefix("/v2/apps").unwrap_or_default();
                let found = apps.lock().unwrap().iter().find(|app| app["id"] == id).cloned();
                match found {
                    Some(app) => json!({"app": app}),
                    None => Value::Null,
                }
            }
        };
        let status = if body.is_null() { "404 Not Found" } else { "200 OK" };
        let body = body.to_string();
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read_head(stream: &mut TcpStream, rest: &mut Vec<u8>) -> Option<String> {
    let mut piece = [0; 4096];
    loop {
        if let Some(at) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
            let head: Vec<u8> = rest.drain(..at + 4).collect();
            return Some(String::from_utf8(head).unwrap());
        }
        match stream.read(&mut piece).await {
            Ok(count) if count > 0 => rest.extend_from_slice(&piece[..count]),
            _ => return None,
        }
    }
}

// === impl Server ===

impl Server {
    /// Answers everything with its name and the head of the request, and with headers that
    /// changes can be seen at.
    pub async fn start(name: &str) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (served, end) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let (name, count, token) = (name.to_owned(), Arc::clone(&served), end.clone());
        tokio::spawn(async move {
            while let Some(Ok((stream, _))) = token.run_until_cancelled(listener.accept()).await {
                let serving = serve(stream, name.clone(), Arc::clone(&count));
                let token = token.clone();
                tokio::spawn(async move { token.run_until_cancelled(serving).await });
            }
        });
        Server { address, served, end }
    }

    /// From now on nothing listens there, and connections are cut.
    pub fn die(&self) {
        self.end.cancel();
    }

    pub fn count(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.die();
    }
}

async fn serve(mut stream: TcpStream, name: String, served: Arc<AtomicUsize>) {
    let mut rest = Vec::new();
    while let Some(head) = read_head(&mut stream, &mut rest).await {
        served.fetch_add(1, Ordering::SeqCst);
        let body = format!("{name}\n{}", head.trim_end());
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nServed-By: {name}\r\nLocation: http://a.example.com/x\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

// === impl Balancer ===

impl Balancer {
    pub async fn start(marathon: &Marathon) -> Balancer {
        Balancer::with(marathon, |_| {}).await
    }

    pub async fn with(marathon: &Marathon, change: impl FnOnce(&mut Config)) -> Balancer {
        let mut config = config(marathon.address);
        change(&mut config);
        let token = CancellationToken::new();
        let running = edge::start(config, token.clone()).await.unwrap();
        Balancer { running, _end: token.drop_guard() }
    }

    pub fn http(&self) -> SocketAddr {
        self.running.http.unwrap()
    }

    pub async fn stats(&self, path: &str) -> Answer {
        get(self.running.stats, "stats", path).await
    }
}

/// On free ports of this machine.
pub fn config(marathon: SocketAddr) -> Config {
    let mut config = Config {
        marathons: vec![cluster_events::asking::Server::http(marathon)],
        bind: [127, 0, 0, 1].into(),
        stats_bind: [127, 0, 0, 1].into(),
        http_port: Some(0),
        https_port: Some(0),
        app_id_port: Some(0),
        stats_port: 0,
        workers: 1,
        grace: Duration::from_secs(1),
        ..Config::default()
    };
    config.scope.groups = vec!["external".into()];
    config.scope.health_check = true;
    config
}

/// An app with one port and these tasks, in the group `external`.
pub fn app(id: &str, port: u16, labels: Value, servers: &[&Server]) -> Value {
    let name = id.trim_start_matches('/').replace('/', "_");
    let tasks: Vec<Value> = servers
        .iter()
        .map(|server| {
            let port = server.address.port();
            json!({"id": format!("{name}.instance-{port}._app.1"), "appId": id,
                   "host": "127.0.0.1", "ports": [port], "state": "TASK_RUNNING",
                   "ipAddresses": [{"ipAddress": "127.0.0.1"}]})
        })
        .collect();
    let mut all = json!({"HAPROXY_GROUP": "external"});
    all.as_object_mut().unwrap().extend(labels.as_object().unwrap().clone());
    json!({"id": id, "labels": all, "instances": tasks.len(), "tasks": tasks,
           "portDefinitions": [{"port": port}], "networks": [{"mode": "host"}],
           "versionInfo": {"lastScalingAt": "2026-01-01T00:00:00Z"}})
}

/// The event of a task that came to a state.
pub fn status(app: &str, server: &Server, state: &str) -> Value {
    let name = app.trim_start_matches('/').replace('/', "_");
    let port = server.address.port();
    json!({"taskId": format!("{name}.instance-{port}._app.1"), "taskStatus": state, "appId": app,
           "host": "127.0.0.1", "ports": [port],
           "ipAddresses": [{"ipAddress": "127.0.0.1", "protocol": "IPv4"}]})
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

// === impl Answer ===

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The server that answered.
    pub fn server(&self) -> &str {
        self.header("served-by").unwrap_or_default()
    }

    /// The target that the server was asked for.
    pub fn target(&self) -> &str {
        self.body.lines().nth(1).and_then(|line| line.split(' ').nth(1)).unwrap_or_default()
    }
}

pub async fn get(address: SocketAddr, host: &str, path: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
}

/// One request on a connection of its own.
pub async fn ask(address: SocketAddr, request: &str) -> Answer {
    try_ask(address, request).await.unwrap_or_else(|error| panic!("{address}: {error}"))
}

pub async fn try_ask(address: SocketAddr, request: &str) -> std::io::Result<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        Ok(parse(&bytes))
    };
    tokio::time::timeout(PATIENCE, exchange).await.expect("took too long")
}

fn parse(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    Answer {
        status: status.unwrap_or_default(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        body: body.to_owned(),
    }
}

/// Looks again for a while until it is so.
pub async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let begun = std::time::Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
