//! The API, as dcos-net's on its port 62080.

pub(crate) mod permissions;
mod route;
mod stream;
mod vips;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::Full;
use http_kit::guard::Guard;
use http_kit::permissions::Caller;
use http_kit::{Client, Params, Reply, Request, Response, Service, prometheus, respond};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::user_space::Listening;
use crate::view::View;

use permissions::TABLE;
use route::{Route, find};

/// As dcos-net calls itself there.
const SERVICE: &str = "dcos-dns";

/// Answers requests.
pub(crate) struct Api(pub(crate) Arc<Shared>);

/// What answers are made of.
pub(crate) struct Shared {
    pub(crate) view: Arc<View>,
    pub(crate) metrics: Arc<Metrics>,
    /// Where listeners stand for addresses, if they do.
    pub(crate) listening: Option<Arc<Listening>>,
    pub(crate) guard: Guard,
    pub(crate) client: Client,
    /// DNS's HTTP, as a URL.
    pub(crate) dns: Option<String>,
    /// Who knows the list of nodes, if this process does not.
    pub(crate) controllers: Vec<String>,
    pub(crate) answer: Mutex<Option<vips::Answer>>,
    pub(crate) stop: CancellationToken,
}

// === impl Api ===

impl Service for Api {
    fn call(&self, request: Request, peer: SocketAddr) -> Reply {
        let shared = &self.0;
        let backends = Params::of(request.uri()).get("backends") == Some("true");
        let Some((route, endpoint)) = find(request.uri().path(), backends) else {
            return Reply::Now(respond::status(StatusCode::NOT_FOUND));
        };
        let method = match *request.method() {
            Method::HEAD => &Method::GET,
            _ => request.method(),
        };
        if method != Method::GET {
            return Reply::Now(respond::method_not_allowed(&["GET", "HEAD"], method));
        }
        if !TABLE.is_public(method, endpoint) {
            let caller = Caller::of_request(&shared.guard, request.headers(), peer);
            let judged = caller.and_then(|caller| TABLE.judge_door(method, endpoint, &caller));
            if let Err(refusal) = judged {
                return Reply::Now(refusal.response());
            }
        }
        match route {
            Route::Health => Reply::Now(respond::json("{\"healthy\":true}")),
            Route::Version => Reply::Now(respond::json(version())),
            Route::Vips => Reply::Now(shared.vips(&request)),
            Route::Problems => Reply::Now(shared.problems()),
            Route::Backends => stream::backends(shared),
            Route::Names => stream::names(shared),
            Route::Nodes => shared.nodes(request),
            Route::Forwarded => shared.forward(request, shared.dns.clone().into_iter().collect()),
            Route::NotImplemented => Reply::Now(respond::status(StatusCode::NOT_IMPLEMENTED)),
            Route::Metrics => Reply::Now(shared.metrics()),
            // There are no keys: nodes prove who they are with tokens.
            Route::Key => {
                let text = "Cluster keys not found in Lashup";
                Reply::Now(respond::text(StatusCode::NOT_FOUND, text))
            }
        }
    }
}

fn version() -> String {
    json!({"Service": SERVICE, "Version": env!("CARGO_PKG_VERSION")}).to_string()
}

// === impl Shared ===

impl Shared {
    fn vips(&self, request: &Request) -> Response {
        let snapshot = self.view.snapshot();
        if !snapshot.known {
            return respond::unavailable("The cluster is not known yet; try again.");
        }
        let (body, etag) = vips::answer(self, &snapshot);
        let matches = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let mut response = if matches.is_some_and(|all| vips::matches(all, &etag)) {
            respond::status(StatusCode::NOT_MODIFIED)
        } else {
            respond::json(body)
        };
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            response.headers_mut().insert(ETAG, etag);
        }
        response
    }

    fn problems(&self) -> Response {
        let problem = |(one, tasks): &(crate::vips::offer::Problem, usize)| {
            json!({
                "framework": one.framework,
                "task": one.task,
                "label": one.key,
                "value": one.value,
                "reason": one.fault.to_string(),
                "tasks": tasks,
            })
        };
        let all: Vec<_> = self.view.problems().iter().map(problem).collect();
        respond::json(serde_json::Value::Array(all).to_string())
    }

    fn nodes(&self, request: Request) -> Reply {
        if !self.controllers.is_empty() {
            return self.forward(request, self.controllers.clone());
        }
        let node = |known: &crate::view::KnownNode| {
            json!({
                "private_ip": known.node.private_ip,
                "public_ips": [],
                "hostname": known.node.hostname,
                "updated": &*known.updated,
            })
        };
        let all: Vec<_> = self.view.nodes().iter().map(node).collect();
        Reply::Now(respond::json(serde_json::Value::Array(all).to_string()))
    }

    fn metrics(&self) -> Response {
        let kind = HeaderValue::from_static(prometheus::CONTENT_TYPE);
        respond::with_body(StatusCode::OK, kind, self.metrics.text(&self.view))
    }

    /// Asks the first of `servers` that answers, in the caller's name.
    fn forward(&self, request: Request, servers: Vec<String>) -> Reply {
        if servers.is_empty() {
            return Reply::Now(respond::unavailable("There is no server here that knows."));
        }
        let client = self.client.clone();
        Reply::later(async move {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
            let authorization = request.headers().get(AUTHORIZATION);
            for server in servers {
                let url = format!("{}{path}", server.trim_end_matches('/'));
                let mut asked = http::Request::get(&url);
                if let Some(authorization) = authorization {
                    asked = asked.header(AUTHORIZATION, authorization);
                }
                let Ok(asked) = asked.body(Full::<Bytes>::default()) else { continue };
                match client.fetch(asked).await {
                    Ok(answer) => return handed_on(answer),
                    Err(error) => tracing::info!(%error, "no answer to hand on"),
                }
            }
            respond::status(StatusCode::BAD_GATEWAY)
        })
    }
}

fn handed_on(answer: http::Response<Bytes>) -> Response {
    let (head, body) = answer.into_parts();
    let kind = head.headers.get(CONTENT_TYPE).cloned();
    let kind = kind.unwrap_or(HeaderValue::from_static("application/json"));
    respond::with_body(head.status, kind, body)
}

#[cfg(test)]
mod tests;
