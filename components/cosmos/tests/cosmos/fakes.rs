//! Peers that answer as they are told, and remember what they were asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_kit::{Body, Reply, Request, Response, ServeConfig, read_body};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A request as a peer saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What a peer answers.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    pub(crate) delay: Duration,
}

impl Told {
    pub(crate) fn new(status: u16, kind: &str, body: impl Into<Bytes>) -> Told {
        let headers = vec![("content-type", kind.to_owned())];
        Told { status, headers, body: body.into(), delay: Duration::ZERO }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Told {
        Told::new(status, "application/json", body.to_string())
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Told {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn after(mut self, delay: Duration) -> Told {
        self.delay = delay;
        self
    }
}

type Answer = Arc<dyn Fn(&Seen) -> Told + Send + Sync>;

/// A server for one test.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _stop: DropGuard,
}

impl Fake {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Told + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (log, answer): (_, Answer) = (Arc::clone(&seen), Arc::new(answer));
        let service = move |request: Request, _: SocketAddr| {
            let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
            Reply::later(async move { respond(request, &log, &answer).await })
        };
        let stop = CancellationToken::new();
        tokio::spawn(http_kit::serve(
            listener,
            Arc::new(service),
            ServeConfig::default(),
            stop.clone(),
        ));
        Fake { address, seen, _stop: stop.drop_guard() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn respond(request: Request, log: &Mutex<Vec<Seen>>, answer: &Answer) -> Response {
    let (head, body) = request.into_parts();
    let body = read_body(body, 1 << 26).await.unwrap();
    let target = head.uri.path_and_query().unwrap().to_string();
    let seen = Seen { method: head.method, target, headers: head.headers, body };
    log.lock().unwrap().push(seen.clone());
    let told = answer(&seen);
    tokio::time::sleep(told.delay).await;
    let mut response = Response::new(Body::from(told.body));
    *response.status_mut() = StatusCode::from_u16(told.status).unwrap();
    for (name, value) in told.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

/// A Marathon that keeps apps and runs nothing.
#[derive(Clone, Default)]
pub(crate) struct Apps(Arc<Mutex<Kept>>);

#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) apps: BTreeMap<String, Map<String, Value>>,
    pub(crate) deployments: Vec<String>,
    /// Changes answer 200 with this, and are made all the same.
    pub(crate) answer_to_changes: Option<Told>,
    /// Apps that vanish before the next change of them.
    pub(crate) vanishing: Vec<String>,
    /// Answered instead, to the calls whose method and target begin so.
    pub(crate) instead: Vec<(Method, String, Told)>,
    changes: u32,
}

impl Apps {
    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap()
    }

    pub(crate) fn instead(&self, method: Method, target: &str, told: Told) {
        self.kept().instead.push((method, target.to_owned(), told));
    }

    pub(crate) fn app(&self, id: &str) -> Option<Value> {
        self.kept().apps.get(id).cloned().map(Value::Object)
    }

    pub(crate) async fn start(&self) -> Fake {
        let apps = self.clone();
        Fake::start(move |seen| apps.answer(seen)).await
    }

    fn answer(&self, seen: &Seen) -> Told {
        let mut kept = self.kept();
        let instead = |(method, target, _): &&(Method, String, Told)| {
            *method == seen.method && seen.target.starts_with(target.as_str())
        };
        if let Some((_, _, told)) = kept.instead.iter().find(instead) {
            return told.clone();
        }
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        if path == "/v2/deployments" {
            let all: Vec<Value> = kept
                .deployments
                .iter()
                .map(|id| json!({ "id": id, "affectedApps": ["/group/a"] }))
                .collect();
            return Told::json(200, &json!(all));
        }
        let Some(id) = path.strip_prefix("/v2/apps") else { return missing("/") };
        match seen.method {
            Method::GET if id.is_empty() => {
                let selector = query.strip_prefix("label=DCOS_PACKAGE_NAME").unwrap();
                let wanted = selector.strip_prefix("%3D%3D");
                let labelled = |app: &&Map<String, Value>| {
                    let name = app.get("labels").and_then(|all| all.get("DCOS_PACKAGE_NAME"));
                    name.is_some_and(|name| wanted.is_none_or(|wanted| *name == wanted))
                };
                let apps: Vec<&Map<String, Value>> = kept.apps.values().filter(labelled).collect();
                Told::json(200, &json!({ "apps": apps }))
            }
            Method::POST if id.is_empty() => create(&mut kept, &seen.body),
            Method::GET => match kept.apps.get(id) {
                Some(app) => Told::json(200, &json!({ "app": app })),
                None => missing(id),
            },
            Method::PUT => change(&mut kept, id, query, &seen.body),
            Method::DELETE => match kept.apps.remove(id) {
                Some(_) => Told::json(200, &json!({"version": "v", "deploymentId": "deleted"})),
                None => missing(id),
            },
            _ => Told::json(405, &json!({})),
        }
    }
}

fn missing(id: &str) -> Told {
    Told::json(404, &json!({"message": format!("App '{id}' does not exist")}))
}

fn create(kept: &mut Kept, body: &[u8]) -> Told {
    let mut app: Map<String, Value> = serde_json::from_slice(body).unwrap();
    let id = app["id"].as_str().unwrap();
    let id = if id.starts_with('/') { id.to_owned() } else { format!("/{id}") };
    if kept.apps.contains_key(&id) {
        let message = format!("An app with id [{id}] already exists.");
        return Told::json(409, &json!({ "message": message }));
    }
    app.insert("id".to_owned(), json!(id));
    kept.apps.insert(id, app.clone());
    Told::json(201, &Value::Object(app))
}

fn change(kept: &mut Kept, id: &str, query: &str, body: &[u8]) -> Told {
    let update: Map<String, Value> = serde_json::from_slice(body).unwrap();
    assert!(query.contains("force=true"), "{query}");
    kept.changes += 1;
    let deployment = format!("deployment-{}", kept.changes);
    if kept.vanishing.iter().any(|vanishing| vanishing == id) {
        kept.apps.remove(id);
    }
    let created = !kept.apps.contains_key(id);
    let app = kept.apps.entry(id.to_owned()).or_default();
    if query.contains("partialUpdate=false") {
        app.clear();
    }
    app.extend(update);
    app.insert("id".to_owned(), json!(id));
    kept.deployments.push(deployment.clone());
    if let Some(told) = &kept.answer_to_changes {
        return told.clone();
    }
    if created {
        return Told::json(201, &json!({"version": "v", "deploymentId": deployment}));
    }
    Told::json(200, &json!({"version": "v", "deploymentId": deployment}))
}
