//! The agent's HTTP interface; every path also answers below `/slave(1)`.

mod classic;
mod executor;
mod flags;
mod json;
mod metrics;
mod operator;
pub(crate) mod permissions;
#[cfg(test)]
mod tests;

use crate::{
    AgentConfig,
    core::{RequestId, Snapshot, State as AgentState},
    shell::{Handle, actuator::Fetches, runtime::Runtime, streams::Streams},
};
use http_body_util::BodyExt;
use http_kit::{
    Authentication, Body, Credentials, Endpoint, Params, Reply, Request, Response, Routes,
    files::{self, VirtualFiles},
    guard::Refusal,
    negotiate::Media,
    permissions::Caller,
    respond,
    routes::Intercept,
    system::SystemStats,
};
use libprocess::{Upid, server::Inlet};
use mesos_messages::{content::ContentType, time};
use permissions::Shown;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

/// The id of the actor that answers all paths naming no other.
pub(crate) const ACTOR: &str = "slave(1)";
/// What endpoints that only tell ask credentials for.
const READONLY: &str = "mesos-agent-readonly";
/// What endpoints that may change something ask credentials for.
const READWRITE: &str = "mesos-agent-readwrite";
/// Largest body of a call.
const MAX_BODY: usize = 16 << 20;

/// What every handler can reach.
pub(crate) struct State {
    config: Arc<AgentConfig>,
    handle: Handle,
    runtime: Arc<dyn Runtime>,
    streams: Arc<Streams>,
    fetches: Arc<Fetches>,
    files: VirtualFiles,
    upid: Upid,
    /// Seconds since the Unix epoch.
    start_time: f64,
    next_request: AtomicU64,
}

impl State {
    pub(crate) fn new(
        config: Arc<AgentConfig>,
        handle: Handle,
        runtime: Arc<dyn Runtime>,
        streams: Arc<Streams>,
        fetches: Arc<Fetches>,
        files: VirtualFiles,
        upid: Upid,
    ) -> Arc<Self> {
        let slaves = config.work_dir.join("slaves");
        let sandboxes = permissions::files(Shown::Sandbox);
        files.attach_guarded(&slaves.to_string_lossy(), slaves.clone(), sandboxes);
        if let Some(log) = &config.log_file {
            files.attach_guarded("/slave/log", log.clone(), permissions::files(Shown::Log));
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Arc::new(Self {
            config,
            handle,
            runtime,
            streams,
            fetches,
            files,
            upid,
            start_time: time::seconds(now),
            next_request: AtomicU64::new(1),
        })
    }

    fn request_id(&self) -> RequestId {
        RequestId(self.next_request.fetch_add(1, Ordering::Relaxed))
    }

    /// The agent as it is, or the answer to give while it is not there.
    async fn snapshot(&self) -> Result<Arc<Snapshot>, Response> {
        self.handle.snapshot().await.ok_or_else(stopping)
    }

    /// As [`State::snapshot`], but not before recovery is over.
    async fn recovered(&self) -> Result<Arc<Snapshot>, Response> {
        let snapshot = self.snapshot().await?;
        if snapshot.state == AgentState::Recovering { Err(recovering()) } else { Ok(snapshot) }
    }
}

fn stopping() -> Response {
    respond::unavailable("Agent is stopping")
}

fn recovering() -> Response {
    respond::unavailable("Agent has not finished recovery")
}

fn content_type(media: Media) -> ContentType {
    match media {
        Media::Json => ContentType::Json,
        Media::Protobuf => ContentType::Protobuf,
    }
}

/// An answer, or one that says why there is none.
type Answered = Result<Response, Response>;

fn flatten(answered: Answered) -> Response {
    match answered {
        Ok(response) | Err(response) => response,
    }
}

/// All endpoints; what is a libprocess message goes to `inlet` first.
pub(crate) fn routes(state: &Arc<State>, inlet: Inlet) -> Routes {
    let mut routes = Routes::new(ACTOR)
        .authenticate(authentication(&state.config))
        .guard(state.config.guard.clone(), &permissions::TABLE)
        .intercept(intercept(inlet));
    executor::add(&mut routes, state);
    operator::add(&mut routes, state);
    classic::add(&mut routes, state);
    metrics::add(&mut routes, state);
    for endpoint in files::endpoints(&state.files, READONLY) {
        routes.add(endpoint);
    }
    routes.add(Endpoint::ready(ACTOR, "/health", |_| respond::ok()).help("Is it alive"));
    routes.add(
        Endpoint::ready("system", "/stats.json", |request| {
            respond::json_or_jsonp(&Params::of(request.uri()), SystemStats::read().to_json())
        })
        .help("Facts about the machine"),
    );
    let logging = state.config.logging.clone();
    routes.add(
        Endpoint::ready("logging", "/toggle", move |request| {
            let params = Params::of(request.uri());
            if params.get("level").is_some()
                && let Err(refused) = may_set_level(request)
            {
                return refused;
            }
            logging.toggle(request.method(), &params, |text| {
                time::parse_duration(text).map_err(|error| error.to_string())
            })
        })
        .realm(READWRITE)
        .help("Sets the verbosity for a while"),
    );
    add_help(&mut routes);
    routes
}

fn may_set_level(request: &Request) -> Result<(), Response> {
    let caller = Caller::of(request.extensions());
    permissions::TABLE
        .judge_call(request.method(), permissions::TOGGLE, "level", &caller, "")
        .map_err(Refusal::response)
}

fn add_help(routes: &mut Routes) {
    let mut entries = routes.help_entries();
    let actors: Vec<String> = routes.actors();
    entries.sort_by(|a, b| (&a.actor, &a.path).cmp(&(&b.actor, &b.path)));
    routes.add(
        Endpoint::ready("help", "/", move |request| {
            let uri = request.uri();
            http_kit::help::answer(&entries, uri.path(), &Params::of(uri), request.headers())
        })
        .prefix(),
    );
    routes.add(Endpoint::ready("__processes__", "/", move |_| {
        let mut out = Vec::new();
        http_kit::json::list(&mut out, &actors, |out, actor| {
            let mut object = http_kit::json::Object::new(out);
            object.key("events").extend_from_slice(b"[]");
            object.string("id", actor);
            object.end();
        });
        respond::json(out)
    }));
}

fn authentication(config: &AgentConfig) -> Authentication {
    let credentials: Credentials = config
        .http_credentials
        .iter()
        .map(|credential| (credential.principal.clone(), credential.secret.clone()))
        .collect();
    let credentials = Arc::new(credentials);
    let mut authentication = Authentication::default();
    for (closed, realm) in [
        (config.authenticate_http_readonly, READONLY),
        (config.authenticate_http_readwrite, READWRITE),
    ] {
        if closed {
            authentication = authentication.require(realm, Arc::clone(&credentials));
        }
    }
    authentication
}

/// Hands libprocess messages over; what was received is delivered even when the sender closes
/// right behind it.
fn intercept(inlet: Inlet) -> Intercept {
    Arc::new(move |request: Request, peer| {
        if !inlet.claims(request.method(), request.headers()) {
            return Err(request);
        }
        let inlet = inlet.clone();
        Ok(Reply::detached(async move {
            let (parts, body) = request.into_parts();
            let answer = inlet.receive(&parts, body, peer.ip()).await;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.map(|all| all.to_bytes()).unwrap_or_default();
            Response::from_parts(head, Body::from(body))
        }))
    })
}
