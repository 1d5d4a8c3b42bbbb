//! The REST API: what comes in, who may, what goes out.
//!
//! Reads look at the orchestrator's latest view and wait for nobody; writes are commands whose
//! answers come when they are durable.

mod apps;
mod deployments;
mod groups;
mod numbers;
pub(crate) mod permissions;
mod problem;
mod query;
mod route;
mod system;
mod tasks;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_kit::{
    Authentication, Body, Credentials, Principal, Reply, Request, Response, Service,
    body::read_body,
    guard::{Mode, Refusal, Token, token},
    gzip,
    negotiate::accepts_gzip,
    origin::{self, is_foreign_write},
    permissions::Caller,
    respond,
};
use marathon_core::{Command, Done, Event, EventKind, View};
use marathon_model::{PathId, Timestamp, change::Change};
use serde_json::json;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{Handle, render::pieces, sse, store::Store};
pub(crate) use numbers::Numbers;
use permissions::{Judge, TABLE, Visible};
pub(crate) use problem::Problem;
pub(crate) use query::Query;
pub(crate) use route::Route;

/// The largest body that is read. A single app may have a megabyte, a group many apps.
const BODY_LIMIT: usize = 64 * 1024 * 1024;
/// What all large bodies may have together, in KiB; the others wait.
const BODIES: u32 = 256 * 1024;
/// A body up to this size is read at once, in KiB.
const SMALL_BODY: u32 = 64;
/// How long a large body may wait for its place, and then how long it may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(60);
/// Ours alone: the realm's real name is a setting.
const REALM: &str = "marathon";
/// The header of answers that begin a deployment.
const DEPLOYMENT_ID: &str = "marathon-deployment-id";

/// The API of a running service.
pub fn service(handle: Handle) -> impl Service {
    Front(Arc::new(Api::new(handle)))
}

struct Front(Arc<Api>);

impl Service for Front {
    fn call(&self, request: Request, peer: SocketAddr) -> Reply {
        let api = self.0.clone();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let answer = async move { api.answer(request, peer).await };
        // What was asked for is done, and told to others, also when the client leaves.
        if reads { Reply::later(answer) } else { Reply::detached(answer) }
    }
}

/// What every endpoint needs.
pub(crate) struct Api {
    pub(crate) handle: Handle,
    pub(crate) store: Store,
    pub(crate) numbers: Arc<Numbers>,
    authentication: Authentication,
    leader: Option<HeaderValue>,
    /// A permit for each KiB of a large body that is here.
    bodies: Semaphore,
}

/// One request, its body read.
struct Context {
    caller: Caller,
    /// The endpoint, as the table of permissions calls it.
    pattern: &'static str,
    method: Method,
    headers: HeaderMap,
    /// As it was sent, with its slashes.
    path: String,
    query: Query,
    body: Bytes,
    peer: SocketAddr,
    /// The client takes packed answers.
    gzip: bool,
}

type Answer = Result<Response, Problem>;

// === impl Context ===

impl Context {
    /// Judges what the body names.
    fn judge(&self) -> Judge<'_> {
        Judge { caller: &self.caller, method: &self.method, pattern: self.pattern }
    }

    /// What of lists is shown.
    fn visible(&self) -> Visible {
        Visible::to(&self.caller)
    }
}

// === impl Api ===

impl Api {
    fn new(handle: Handle) -> Self {
        let info = handle.info();
        let mut authentication = Authentication::default();
        if let Some(pair) = info.config.http_credentials.clone() {
            let pair = pair.0;
            let credentials: Credentials = std::iter::once(pair).collect();
            authentication = authentication.require(REALM, Arc::new(credentials));
        }
        Self {
            store: handle.store().clone(),
            numbers: Arc::default(),
            authentication,
            leader: HeaderValue::from_str(&format!("http://{}", info.leader)).ok(),
            bodies: Semaphore::new(BODIES as usize),
            handle,
        }
    }

    async fn answer(self: Arc<Self>, request: Request, peer: SocketAddr) -> Response {
        let config = self.handle.info().config.clone();
        let gzip = config.http_compression && accepts_gzip(request.headers());
        let asked: Vec<HeaderValue> = request
            .headers()
            .get_all(header::ACCESS_CONTROL_REQUEST_HEADERS)
            .iter()
            .cloned()
            .collect();
        let active = self.numbers.enter();
        let mut response = match config.http_max_concurrent_requests {
            Some(limit) if active.number() > limit => {
                let text = format!("Too many concurrent requests! Allowed: {limit}.");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, text).response()
            }
            _ if is_foreign_write(
                request.method(),
                request.headers(),
                &config.access_control_allow_origin,
            ) =>
            {
                Problem::new(StatusCode::FORBIDDEN, origin::REFUSAL).response()
            }
            // Browsers ask whether they may ask, and never say who they are then.
            _ if request.method() == Method::OPTIONS => self.routed(request, peer, gzip).await,
            _ => match self.password(request.headers()) {
                Ok(_) => self.routed(request, peer, gzip).await,
                Err(_) => unauthorized(&config.http_realm),
            },
        };
        self.finish(response.headers_mut());
        allow_origins(response.headers_mut(), &config.access_control_allow_origin, &asked);
        self.numbers.count(response.status());
        if gzip && gzip::applies(&response) {
            response = gzip::compress(response).await;
        }
        response
    }

    /// The headers of every answer.
    fn finish(&self, headers: &mut HeaderMap) {
        let fixed = [
            (header::CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
            (header::PRAGMA, "no-cache"),
            (header::EXPIRES, "0"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::X_XSS_PROTECTION, "1; mode=block"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Some(leader) = &self.leader {
            headers.insert("x-marathon-leader", leader.clone());
        }
    }

    async fn routed(self: &Arc<Self>, request: Request, peer: SocketAddr, gzip: bool) -> Response {
        let (parts, body) = request.into_parts();
        let headers = &parts.headers;
        let Some(route) = Route::find(&parts.method, parts.uri.path()) else {
            return Problem::not_found("URI not found").response();
        };
        let method = if parts.method == Method::HEAD { Method::GET } else { parts.method };
        if method == Method::OPTIONS {
            return options(route.methods());
        }
        if !route.methods().contains(&method.as_str()) {
            return Problem::method(route.methods()).response();
        }
        let caller = match self.caller(&route, &method, headers, peer) {
            Ok(caller) => caller,
            Err(refusal) => return Problem::from(refusal).response(),
        };
        // Kept until the answer: as long as the body is.
        let (body, _place) = match self.read(&parts.headers, body).await {
            Ok(read) => read,
            Err(refused) => return refused,
        };
        let context = Context {
            caller,
            pattern: route.pattern(),
            method,
            path: parts.uri.path().to_owned(),
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            headers: parts.headers,
            body,
            peer,
            gzip,
        };
        self.route(route, context).await.unwrap_or_else(Problem::response)
    }

    /// Whoever has shown the password of the API, where one is wanted; who shows a token is
    /// judged by that.
    fn password(&self, headers: &HeaderMap) -> Result<Option<Principal>, Response> {
        let guard = &self.handle.info().config.guard;
        if guard.mode() != Mode::Disabled && token(headers) != Token::None {
            return Ok(None);
        }
        self.authentication.check(REALM, headers)
    }

    /// Who asks, if they may use the endpoint; what a body names is judged when it is read.
    fn caller(
        &self,
        route: &Route,
        method: &Method,
        headers: &HeaderMap,
        peer: SocketAddr,
    ) -> Result<Caller, Refusal> {
        // A password was looked at before.
        if let Ok(Some(principal)) = self.password(headers) {
            return Ok(Caller::trusted(principal));
        }
        if TABLE.is_public(method, route.pattern()) {
            return Ok(Caller::nobody());
        }
        let caller = Caller::of_request(&self.handle.info().config.guard, headers, peer)?;
        permissions::judge_door(route, method, &caller)?;
        Ok(caller)
    }

    /// Reads a body. Large ones have only so much memory together, and only so much time.
    async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Bytes, Option<SemaphorePermit<'_>>), Response> {
        let weight = weight(headers);
        if weight <= SMALL_BODY {
            return Ok((read_body(body, BODY_LIMIT).await?, None));
        }
        let busy = |_| {
            let text = "Too many large requests at once.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, text).response()
        };
        let late = |_| {
            let text = "The request did not arrive in time.";
            Problem::new(StatusCode::REQUEST_TIMEOUT, text).response()
        };
        let place = timeout(BODY_PATIENCE, self.bodies.acquire_many(weight)).await.map_err(busy)?;
        let body = timeout(BODY_PATIENCE, read_body(body, BODY_LIMIT)).await.map_err(late)??;
        // It is never closed.
        Ok((body, place.ok()))
    }

    async fn route(self: &Arc<Self>, route: Route, context: Context) -> Answer {
        match route {
            Route::Apps => self.apps(context).await,
            Route::App(id) => self.app(&id, context).await,
            Route::AppsBelow(id) => self.apps_below(&id, &context, "*"),
            Route::AppRestart(id) => self.restart_app(&id, context).await,
            Route::AppVersions(id) => self.app_versions(&id).await,
            Route::AppVersion(id, version) => self.app_version(&id, &version).await,
            Route::AppTasks(id) => self.app_tasks(&id, context).await,
            Route::TasksBelow(id) => self.tasks_below(&id, &context),
            Route::AppTask(id, task) => self.kill_task(&id, &task, &context).await,
            Route::Tasks => self.tasks(&context),
            Route::TasksDelete => self.kill_tasks(&context).await,
            Route::Group(id) => self.group(&id, context).await,
            Route::GroupApps(id) => self.apps_in_group(&id, &context),
            Route::GroupVersions(id) => self.group_versions(&id).await,
            Route::GroupVersion(id, version) => self.group_version(&id, &version, &context).await,
            Route::Queue => Ok(self.queue(&context)),
            Route::QueueDelay(id) => self.reset_delay(&id, &context).await,
            Route::Deployments => Ok(self.deployments(&context)),
            Route::Deployment(id) => self.cancel(&id, &context).await,
            Route::Events => sse::respond(self, &context.headers, &context.query, context.peer),
            other => self.system(other, &context),
        }
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.handle.view()
    }

    /// A change, or with `dryRun` what would come of it.
    async fn change(&self, query: &Query, change: Change, force: bool) -> Result<Changed, Problem> {
        if query.flag("dryRun", false) {
            return match self.handle.command(Command::DryRun { change }).await? {
                Done::Impact(impact) => Ok(Changed::Impact(document(&impact))),
                _ => Ok(Changed::Impact(document(&json!({"steps": []})))),
            };
        }
        match self.handle.command(Command::Change { change, force }).await? {
            Done::Deployment { id, version, app, created } => {
                Ok(Changed::Deployed(Deployed { id, version, app, created }))
            }
            Done::Impact(impact) => Ok(Changed::Impact(document(&impact))),
            Done::Killed(_) | Done::Nothing => Ok(Changed::Nothing),
        }
    }

    /// Tells subscribers that somebody changed an app.
    fn posted(&self, context: &Context, app: Arc<marathon_model::App>) {
        let client_ip = context.peer.ip().to_string();
        let kind = EventKind::ApiPost { client_ip, uri: context.path.clone(), app };
        self.handle.publish(Event { at: now(), kind });
    }
}

/// How many KiB a body may have: what it says, or the most that is read.
fn weight(headers: &HeaderMap) -> u32 {
    let length = match headers.get(header::CONTENT_LENGTH) {
        Some(length) => length.to_str().ok().and_then(|length| length.parse().ok()),
        None if headers.contains_key(header::TRANSFER_ENCODING) => None,
        None => Some(0),
    };
    let bytes: usize = length.unwrap_or(BODY_LIMIT).min(BODY_LIMIT);
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(BODIES)
}

/// What came of a change.
enum Changed {
    Deployed(Deployed),
    /// Only looked at: the whole answer.
    Impact(Response),
    Nothing,
}

/// A deployment that has begun.
struct Deployed {
    id: String,
    version: Timestamp,
    app: Option<Arc<marathon_model::App>>,
    created: bool,
}

impl Changed {
    /// The usual answer: the deployment's id and version. `location` of what may be new.
    fn response(self, location: Option<&PathId>) -> Response {
        match self {
            Changed::Deployed(deployed) => deployed.response(location),
            Changed::Impact(response) => response,
            Changed::Nothing => respond::ok(),
        }
    }
}

impl Deployed {
    fn response(self, location: Option<&PathId>) -> Response {
        let mut response = document(&json!({"version": self.version, "deploymentId": self.id}));
        name_deployment(&mut response, &self.id);
        if let Some(location) = location.filter(|_| self.created) {
            created(&mut response, location);
        }
        response
    }
}

/// Makes it the answer to a creation.
fn created(response: &mut Response, location: &PathId) {
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(value) = HeaderValue::from_str(location.as_str()) {
        response.headers_mut().insert(header::LOCATION, value);
    }
}

fn name_deployment(response: &mut Response, id: &str) {
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(DEPLOYMENT_ID, value);
    }
}

/// `200` with a JSON document.
fn document(value: &serde_json::Value) -> Response {
    respond::json(value.to_string())
}

fn options(methods: &[&str]) -> Response {
    let mut response = respond::ok();
    if let Some(allow) = problem::allow_header(methods) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

fn unauthorized(realm: &str) -> Response {
    let mut response = Problem::new(StatusCode::UNAUTHORIZED, "Unauthorized").response();
    if let Ok(value) = HeaderValue::from_str(&format!("Basic realm=\"{realm}\"")) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

/// Lets pages of other origins read. Of several origins the original names the last.
fn allow_origins(headers: &mut HeaderMap, origins: &[String], asked: &[HeaderValue]) {
    let Some(origin) = origins.last().and_then(|origin| HeaderValue::from_str(origin).ok()) else {
        return;
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let asked: Vec<&str> = asked
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    if let Ok(asked) = HeaderValue::from_str(&asked.join(", ")) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
    }
    let methods = HeaderValue::from_static("GET, HEAD, OPTIONS");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
}

/// A list that may be long.
fn pieces(source: impl pieces::Source, context: &Context) -> Response {
    pieces::respond(source, context.gzip)
}

/// The id of something that should exist. What is no id names nothing.
fn known_id(id: &str) -> Option<PathId> {
    PathId::parse(id).ok()
}

/// The id of something that is to be written.
fn new_id(id: &str) -> Result<PathId, Problem> {
    PathId::parse(id).map_err(|error| {
        let violation = marathon_model::Violation::new("/id", error.message);
        marathon_model::ModelError::Invalid(vec![violation]).into()
    })
}

/// A version in a path.
fn version(text: &str) -> Result<Timestamp, Problem> {
    text.parse().map_err(|error: marathon_model::timestamp::TimestampError| {
        Problem::unprocessable(error.to_string())
    })
}

pub(crate) fn now() -> Timestamp {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::from_wall(wall.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_counts_as_much_as_it_may_have() {
        let of = |name: header::HeaderName, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            weight(&headers)
        };
        assert_eq!(weight(&HeaderMap::new()), 0);
        assert_eq!(of(header::CONTENT_LENGTH, "65537"), 65);
        let most = of(header::TRANSFER_ENCODING, "chunked");
        assert_eq!(most, 64 * 1024);
        assert_eq!(of(header::CONTENT_LENGTH, "99999999999"), most);
        assert!(most <= BODIES);
    }
}
