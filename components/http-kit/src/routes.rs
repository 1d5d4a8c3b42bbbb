//! Which endpoint answers: actors, the delegate, the longest registered prefix.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use percent_encoding::percent_decode_str;

use crate::guard::{Guard, Mode, Refusal, Token, token};
use crate::help::HelpEntry;
use crate::negotiate::accepts_gzip;
use crate::origin::{self, is_foreign_write};
use crate::permissions::{Caller, Table};
use crate::service::PeerAddr;
use crate::stats::{RouteCounts, RouteStats};
use crate::{Authentication, Params, Principal, Reply, Request, Response, Service, gzip, respond};

/// What they are told who ask for a script without a token.
const NO_SCRIPTS: &str = "Scripts (jsonp) need a token: pages of anybody could read them";

type Handler = Box<dyn Fn(Request) -> Reply + Send + Sync>;

/// Takes a request that is not plain HTTP (a libprocess message) before routing;
/// gives any other back.
pub type Intercept = Arc<dyn Fn(Request, SocketAddr) -> Result<Reply, Request> + Send + Sync>;

/// One endpoint of one actor.
pub struct Endpoint {
    actor: String,
    path: String,
    /// `/actor/path`, as tables of permissions and counters call it.
    name: String,
    realm: Option<&'static str>,
    summary: &'static str,
    exact: bool,
    with_peer: bool,
    stats: Arc<RouteStats>,
    handler: Handler,
}

impl Endpoint {
    /// An endpoint that may answer at once. `path` begins with a slash; `/` alone
    /// is the actor itself.
    pub fn reply(
        actor: &str,
        path: &str,
        handler: impl Fn(Request) -> Reply + Send + Sync + 'static,
    ) -> Endpoint {
        let path = path.trim_matches('/').to_owned();
        Endpoint {
            actor: actor.to_owned(),
            exact: path.is_empty(),
            name: format!("/{actor}/{path}"),
            path,
            realm: None,
            summary: "",
            with_peer: false,
            stats: Arc::default(),
            handler: Box::new(handler),
        }
    }

    /// An endpoint answered by a future.
    pub fn new<F, R>(actor: &str, path: &str, handler: F) -> Endpoint
    where
        F: Fn(Request) -> R + Send + Sync + 'static,
        R: Future<Output = Response> + Send + 'static,
    {
        Endpoint::reply(actor, path, move |request| Reply::later(handler(request)))
    }

    /// An endpoint answered at once.
    pub fn ready(
        actor: &str,
        path: &str,
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Endpoint {
        Endpoint::reply(actor, path, move |request| Reply::Now(handler(&request)))
    }

    /// The realm whose credentials are asked for where it is closed.
    pub fn realm(mut self, realm: &'static str) -> Endpoint {
        self.realm = Some(realm);
        self
    }

    /// The line `/help` shows.
    pub fn help(mut self, summary: &'static str) -> Endpoint {
        self.summary = summary;
        self
    }

    /// Puts [`PeerAddr`] into the extensions of the requests; off by default,
    /// as it costs an allocation.
    pub fn with_peer(mut self) -> Endpoint {
        self.with_peer = true;
        self
    }

    /// Only this path, none below it.
    pub fn exact(mut self) -> Endpoint {
        self.exact = true;
        self
    }

    /// Also the paths below: for an actor's root, which otherwise is exact.
    pub fn prefix(mut self) -> Endpoint {
        self.exact = false;
        self
    }
}

/// The request counters of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointCounts {
    /// `/actor/path`.
    pub path: String,
    /// What was counted.
    pub counts: RouteCounts,
}

/// A set of endpoints that can be served.
pub struct Routes {
    delegate: String,
    actors: HashMap<String, HashMap<String, Endpoint>>,
    authentication: Authentication,
    guarded: Option<(Guard, &'static Table)>,
    intercept: Option<Intercept>,
}

impl Routes {
    /// No endpoints yet; a first segment that names no actor goes to `delegate`.
    pub fn new(delegate: &str) -> Routes {
        Routes {
            delegate: delegate.to_owned(),
            actors: HashMap::new(),
            authentication: Authentication::default(),
            guarded: None,
            intercept: None,
        }
    }

    /// Adds an endpoint; a later one replaces an earlier one of the same path.
    pub fn add(&mut self, endpoint: Endpoint) {
        self.actors
            .entry(endpoint.actor.clone())
            .or_default()
            .insert(endpoint.path.clone(), endpoint);
    }

    /// As [`Routes::add`], chained.
    pub fn with(mut self, endpoint: Endpoint) -> Routes {
        self.add(endpoint);
        self
    }

    /// Asks for credentials where `authentication` closes a realm.
    pub fn authenticate(mut self, authentication: Authentication) -> Routes {
        self.authentication = authentication;
        self
    }

    /// Judges requests by `table`. Without it endpoints that judge for themselves refuse
    /// everybody.
    pub fn guard(mut self, guard: Guard, table: &'static Table) -> Routes {
        self.guarded = Some((guard, table));
        self
    }

    /// The names of all endpoints, `/actor/path`, in order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.endpoints().map(|e| e.name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// Hands requests to `intercept` before looking for an endpoint.
    pub fn intercept(mut self, intercept: Intercept) -> Routes {
        self.intercept = Some(intercept);
        self
    }

    /// What `/help` shows, in order.
    pub fn help_entries(&self) -> Vec<HelpEntry> {
        let mut entries: Vec<HelpEntry> = self
            .endpoints()
            .map(|e| HelpEntry {
                actor: e.actor.clone(),
                path: format!("/{}", e.path),
                summary: e.summary,
            })
            .collect();
        entries.sort_by(|a, b| (&a.actor, &a.path).cmp(&(&b.actor, &b.path)));
        entries
    }

    /// The names of the actors, in order.
    pub fn actors(&self) -> Vec<String> {
        let mut names: Vec<String> = self.actors.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Reads the request counters of every endpoint, also later ones: the
    /// counters are shared.
    pub fn counters(&self) -> impl Fn() -> Vec<EndpointCounts> + Send + Sync + 'static {
        let mut all: Vec<(String, Arc<RouteStats>)> =
            self.endpoints().map(|e| (e.name.clone(), Arc::clone(&e.stats))).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        move || {
            all.iter()
                .map(|(path, stats)| EndpointCounts { path: path.clone(), counts: stats.read() })
                .collect()
        }
    }

    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.actors.values().flat_map(HashMap::values)
    }

    /// The endpoint for a path: of the actor its first segment names, else of the
    /// delegate; and, where the delegate is named and has none, of the actor that
    /// the rest names, so that every path also works under the delegate's prefix.
    fn find(&self, path: &str) -> Option<&Endpoint> {
        let path = path.strip_prefix('/')?;
        if path.split('/').any(|segment| segment == "..") {
            return None;
        }
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        let Some(actor) = self.actor(first) else {
            return longest_prefix(self.actors.get(&self.delegate)?, path);
        };
        let found = longest_prefix(actor, rest);
        if found.is_some() || !self.is_delegate(first) {
            return found;
        }
        let (second, below) = rest.split_once('/').unwrap_or((rest, ""));
        longest_prefix(self.actor(second)?, below)
    }

    fn actor(&self, segment: &str) -> Option<&HashMap<String, Endpoint>> {
        if segment.contains('%') {
            let decoded = percent_decode_str(segment).decode_utf8().ok()?;
            self.actors.get(decoded.as_ref())
        } else {
            self.actors.get(segment)
        }
    }

    fn is_delegate(&self, segment: &str) -> bool {
        percent_decode_str(segment).eq(self.delegate.bytes())
    }

    fn dispatch(&self, mut request: Request, peer: SocketAddr) -> Reply {
        let Some(endpoint) = self.find(request.uri().path()) else {
            return Reply::Now(respond::no_such_path());
        };
        let started = Instant::now();
        if is_foreign_write(request.method(), request.headers(), &[]) {
            let refused = respond::text(http::StatusCode::FORBIDDEN, origin::REFUSAL);
            endpoint.stats.count(refused.status(), started.elapsed());
            return Reply::Now(refused);
        }
        if let Err(refused) = self.admit(endpoint, &mut request, peer) {
            endpoint.stats.count(refused.status(), started.elapsed());
            return Reply::Now(refused);
        }
        if self.is_script_of_trusted(&request) {
            let refused = respond::text(http::StatusCode::FORBIDDEN, NO_SCRIPTS);
            endpoint.stats.count(refused.status(), started.elapsed());
            return Reply::Now(refused);
        }
        let wants_gzip = accepts_gzip(request.headers());
        if endpoint.with_peer {
            request.extensions_mut().insert(PeerAddr(peer));
        }
        let reply = (endpoint.handler)(request);
        finish(reply, wants_gzip, started, &endpoint.stats)
    }

    /// Whether somebody who is trusted for being on this machine asks for a script: any page
    /// could make their browser do so, and read it.
    fn is_script_of_trusted(&self, request: &Request) -> bool {
        let permissive =
            self.guarded.as_ref().is_some_and(|(guard, _)| guard.mode() == Mode::Permissive);
        if !permissive || request.uri().query().is_none() {
            return false;
        }
        let caller = Caller::of(request.extensions());
        let trusted = caller.is_free() && caller.principal().is_none();
        trusted && Params::of(request.uri()).get("jsonp").is_some()
    }

    /// Lets whoever may use an endpoint through, and tells it who that is.
    fn admit(
        &self,
        endpoint: &Endpoint,
        request: &mut Request,
        peer: SocketAddr,
    ) -> Result<(), Response> {
        let caller = match &self.guarded {
            None => match self.password(endpoint, request)? {
                Some(principal) => Caller::trusted(principal),
                // Nobody has said who may: endpoints that ask for more than a password refuse.
                None => Caller::nobody(),
            },
            Some((guard, _)) if guard.mode() == Mode::Disabled => {
                let principal = self.password(endpoint, request)?;
                principal.map_or_else(Caller::free, Caller::trusted)
            }
            Some((guard, table)) => {
                let public = table.is_public(request.method(), &endpoint.name);
                let caller = match public && endpoint.realm.is_none() {
                    true => Caller::nobody(),
                    false => self.caller(guard, endpoint, request, peer)?,
                };
                let judged = table.judge_door(request.method(), &endpoint.name, &caller);
                judged.map_err(Refusal::response)?;
                caller
            }
        };
        if let Some(principal) = caller.principal() {
            let principal = principal.clone();
            request.extensions_mut().insert::<Principal>(principal);
        }
        request.extensions_mut().insert(caller);
        Ok(())
    }

    /// Whoever shows a token is judged by it; else a closed realm wants its password, and who
    /// has it may do what it opens, as without tokens.
    fn caller(
        &self,
        guard: &Guard,
        endpoint: &Endpoint,
        request: &Request,
        peer: SocketAddr,
    ) -> Result<Caller, Response> {
        let headers = request.headers();
        let by_token = token(headers) != Token::None;
        if !by_token && endpoint.realm.is_some_and(|realm| self.authentication.is_required(realm)) {
            let principal = self.password(endpoint, request)?;
            return Ok(principal.map_or_else(Caller::nobody, Caller::trusted));
        }
        Caller::of_request(guard, headers, peer).map_err(Refusal::response)
    }

    fn password(
        &self,
        endpoint: &Endpoint,
        request: &Request,
    ) -> Result<Option<Principal>, Response> {
        match endpoint.realm {
            Some(realm) => self.authentication.check(realm, request.headers()),
            None => Ok(None),
        }
    }
}

/// The endpoint of the longest prefix of `path`; trailing slashes do not count.
fn longest_prefix<'a>(actor: &'a HashMap<String, Endpoint>, path: &str) -> Option<&'a Endpoint> {
    let path = path.trim_matches('/');
    let mut prefix = path;
    loop {
        if let Some(endpoint) = actor.get(prefix)
            && (!endpoint.exact || prefix.len() == path.len())
        {
            return Some(endpoint);
        }
        if prefix.is_empty() {
            return None;
        }
        prefix = prefix.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
}

fn finish(reply: Reply, wants_gzip: bool, started: Instant, stats: &Arc<RouteStats>) -> Reply {
    match reply {
        Reply::Now(response) => {
            stats.count(response.status(), started.elapsed());
            if wants_gzip && gzip::applies(&response) {
                Reply::later(gzip::compress(response))
            } else {
                Reply::Now(response)
            }
        }
        Reply::Later(future) => {
            let stats = Arc::clone(stats);
            Reply::later(async move {
                let response = future.await;
                stats.count(response.status(), started.elapsed());
                if wants_gzip && gzip::applies(&response) {
                    gzip::compress(response).await
                } else {
                    response
                }
            })
        }
    }
}

impl Service for Routes {
    fn call(&self, request: Request, peer: SocketAddr) -> Reply {
        match &self.intercept {
            None => self.dispatch(request, peer),
            Some(intercept) => match intercept(request, peer) {
                Ok(reply) => reply,
                Err(request) => self.dispatch(request, peer),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use identity::Action;

    use super::*;
    use crate::permissions::{Need, Row};
    use crate::{Body, Credentials};

    fn routes() -> Routes {
        let named = |name: &'static str| move |_: &Request| respond::json(name);
        Routes::new("slave(1)")
            .with(Endpoint::ready("slave(1)", "/state", named("state")).realm("ro"))
            .with(Endpoint::ready("slave(1)", "/api/v1", named("api")))
            .with(Endpoint::ready("slave(1)", "/api/v1/executor", named("executor")))
            .with(Endpoint::ready("slave(1)", "/", named("root")))
            .with(Endpoint::ready("files", "/browse", named("browse")))
            .with(Endpoint::ready("version", "/", named("version")))
    }

    async fn get(routes: &Routes, path: &str) -> (u16, String) {
        let request = http::Request::get(path).body(Body::Empty).unwrap();
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let response = match routes.call(request, peer) {
            Reply::Now(response) => response,
            Reply::Later(future) => future.await,
        };
        let status = response.status().as_u16();
        let body = response.into_body().collect_all().await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn pages_of_others_change_nothing() {
        let post = |origin: &str| {
            let request = http::Request::post("/state").header("host", "127.0.0.1:5050");
            let request = request.header("origin", origin).body(Body::Empty).unwrap();
            match routes().call(request, SocketAddr::from(([127, 0, 0, 1], 1))) {
                Reply::Now(response) => response.status().as_u16(),
                Reply::Later(_) => panic!("it is answered at once"),
            }
        };
        assert_eq!(post("http://evil.example"), 403);
        assert_eq!(post("http://127.0.0.1:5050"), 200);
    }

    #[tokio::test]
    async fn paths_find_their_endpoint() {
        let routes = routes();
        for (path, expected) in [
            ("/state", "state"),
            ("/state/", "state"),
            ("/state/x/y", "state"),
            ("/slave(1)/state", "state"),
            ("/slave%281%29/state", "state"),
            ("/slave(1)/state?x=1", "state"),
            ("/api/v1", "api"),
            ("/api/v1/other", "api"),
            ("/api/v1/executor", "executor"),
            ("/slave(1)/api/v1/executor", "executor"),
            ("/", "root"),
            ("/slave(1)", "root"),
            ("/slave(1)/", "root"),
            ("/files/browse", "browse"),
            ("/slave(1)/files/browse", "browse"),
            ("/version", "version"),
            ("/slave(1)/version", "version"),
        ] {
            assert_eq!(get(&routes, path).await, (200, expected.to_owned()), "{path}");
        }
        for path in
            ["/nope", "/state.json", "/api", "/files", "/files/x", "/version/x", "/state/../state"]
        {
            let answer = get(&routes, path).await;
            assert_eq!(answer, (404, "404 Not Found.".to_owned()), "{path}");
        }
    }

    #[tokio::test]
    async fn a_closed_realm_asks_and_counts() {
        let credentials: Credentials = [("ops".to_owned(), "s".to_owned())].into_iter().collect();
        let routes =
            routes().authenticate(Authentication::default().require("ro", Arc::new(credentials)));
        assert_eq!(get(&routes, "/state").await.0, 401);
        assert_eq!(get(&routes, "/version").await.0, 200);
        let counts = routes.counters()();
        let state = counts.iter().find(|c| c.path == "/slave(1)/state").unwrap();
        assert_eq!(state.counts.classes, [0, 0, 0, 1, 0]);
    }

    const TABLE: Table = Table {
        component: "test",
        rows: &[
            Row::new("*", "/version/", Need::Public("a test")),
            Row::new("*", "/slave(1)/state", Need::Each(&[("r:state", Action::Read)])),
            Row::call("/slave(1)/api/v1", "READ", Need::Each(&[("r:api", Action::Read)])),
        ],
    };

    fn guarded(mode: Mode) -> Routes {
        let table: &'static Table = &TABLE;
        routes().guard(Guard::fixed(mode, identity::Snapshot::default()), table)
    }

    #[tokio::test]
    async fn what_has_no_row_is_refused_and_the_rest_is_judged() {
        for (mode, path, status) in [
            (Mode::Strict, "/version", 200),
            (Mode::Strict, "/state", 401),
            (Mode::Strict, "/slave(1)/state", 401),
            (Mode::Strict, "/api/v1", 401),
            (Mode::Strict, "/files/browse", 401),
            (Mode::Permissive, "/state", 200),
            (Mode::Disabled, "/state", 200),
            (Mode::Disabled, "/files/browse", 200),
        ] {
            assert_eq!(get(&guarded(mode), path).await.0, status, "{mode:?} {path}");
        }
        let call = |headers: &[(&'static str, &'static str)]| {
            let mut request = http::Request::get("/state");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(Body::Empty).unwrap();
            let peer = SocketAddr::from(([127, 0, 0, 1], 1));
            match guarded(Mode::Permissive).call(request, peer) {
                Reply::Now(response) => response.status().as_u16(),
                Reply::Later(_) => unreachable!("answered at once"),
            }
        };
        assert_eq!(call(&[]), 200);
        assert_eq!(call(&[("x-forwarded-for", "10.0.0.1")]), 401);
        assert_eq!(call(&[("authorization", "token=x")]), 401);
    }

    #[test]
    fn scripts_are_for_those_with_a_token() {
        let key = identity::SigningKey::generate_es256().unwrap();
        let key = identity::SigningKey::es256(&key).unwrap();
        let keys = identity::KeySet::new([key.public().clone()]).unwrap();
        let mut policy = identity::Policy::default();
        policy.set_user("reader", identity::User::default());
        policy.grant_user("reader", "r:state", Action::Read);
        let snapshot = identity::Snapshot { version: 1, keys, policy };
        let token = key.sign(&identity::Claims::new("reader", None, 0)).unwrap();
        let status = |mode: Mode, target: &str, token: Option<&str>| {
            let table: &'static Table = &TABLE;
            let routes = routes().guard(Guard::fixed(mode, snapshot.clone()), table);
            let mut request = http::Request::get(target);
            if let Some(token) = token {
                request = request.header("authorization", format!("token={token}"));
            }
            let peer = SocketAddr::from(([127, 0, 0, 1], 1));
            match routes.call(request.body(Body::Empty).unwrap(), peer) {
                Reply::Now(response) => response.status().as_u16(),
                Reply::Later(_) => unreachable!("answered at once"),
            }
        };
        for script in ["/state?jsonp=f", "/slave(1)/state?x=1&jsonp=f", "/state?%6asonp=f"] {
            assert_eq!(status(Mode::Permissive, script, None), 403, "{script}");
            assert_eq!(status(Mode::Permissive, script, Some(&token)), 200, "{script}");
            assert_eq!(status(Mode::Strict, script, None), 401, "{script}");
        }
        assert_eq!(status(Mode::Permissive, "/state?x=jsonp", None), 200);
    }

    #[tokio::test]
    async fn a_password_opens_what_it_opened_without_tokens() {
        let credentials: Credentials = [("ops".to_owned(), "s".to_owned())].into_iter().collect();
        let closed = Authentication::default().require("ro", Arc::new(credentials));
        let routes = guarded(Mode::Strict).authenticate(closed);
        let call = |value: Option<&str>| {
            let mut request = http::Request::get("/state");
            if let Some(value) = value {
                request = request.header("authorization", value);
            }
            let peer = SocketAddr::from(([127, 0, 0, 1], 1));
            match routes.call(request.body(Body::Empty).unwrap(), peer) {
                Reply::Now(response) => response.status().as_u16(),
                Reply::Later(_) => unreachable!("answered at once"),
            }
        };
        assert_eq!(call(Some("Basic b3BzOnM=")), 200);
        assert_eq!(call(Some("Basic b3BzOng=")), 401);
        assert_eq!((call(None), call(Some("token=x"))), (401, 401));
    }

    #[tokio::test]
    async fn intercepted_requests_are_not_routed() {
        let intercept: Intercept = Arc::new(|request, _| {
            if request.method() == http::Method::POST {
                Ok(Reply::Now(respond::accepted()))
            } else {
                Err(request)
            }
        });
        let routes = routes().intercept(intercept);
        assert_eq!(get(&routes, "/state").await.0, 200);
        let request = http::Request::post("/x").body(Body::Empty).unwrap();
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let Reply::Now(response) = routes.call(request, peer) else {
            unreachable!("answered at once")
        };
        assert_eq!(response.status(), 202);
    }
}
