//! What becomes of a request: the engine asks here.
//!
//! In the order in which HAProxy would judge it: credentials of every service that the host and
//! path could mean, then redirects to https, then the first service by weight; of that service
//! networks, the redirect of its root, and a server.

pub(crate) mod answers;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use bytes::{BufMut, Bytes, BytesMut};
use http::Version;
use http::header::AUTHORIZATION;
use proxy::{
    Decision, Follow, Forward, Host, Outcome, Peer, Policy, Refusal, RequestHead, Response,
    RouteId, Scheme, Upgrade,
};

use crate::auth::{Known, Passwords};
use crate::labels::Balance;
use crate::live::{Active, Backend, COOKIE, Counts, Hint, Server, Table, edit};

/// Names behind the routes of metrics and of the access log.
pub(crate) const ROUTES: [&str; 5] = ["own", "http", "https", "app-id", "service"];

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    Http,
    Https,
    AppId,
    Service,
}

/// Ports of the frontends that all services share.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fronts {
    pub(crate) http: Option<u16>,
    pub(crate) https: Option<u16>,
    pub(crate) app_id: Option<u16>,
}

/// Counts of the frontends that all services share.
#[derive(Debug, Default)]
pub(crate) struct FrontCounts {
    pub(crate) http: Counts,
    pub(crate) https: Counts,
    pub(crate) app_id: Counts,
}

/// The policy.
#[derive(Clone)]
pub(crate) struct Balancer(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) table: ArcSwap<Table>,
    pub(crate) counts: FrontCounts,
    fronts: ArcSwap<Fronts>,
}

/// A request on its way, as it is counted.
struct Following {
    inner: Arc<Inner>,
    front: Front,
    backend: Active<Backend>,
    server: Active<Server>,
}

// === impl Balancer ===

impl Balancer {
    pub(crate) fn new() -> Balancer {
        Balancer(Arc::new(Inner {
            table: ArcSwap::default(),
            counts: FrontCounts::default(),
            fronts: ArcSwap::default(),
        }))
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    /// Known once the listeners are there.
    pub(crate) fn set_fronts(&self, fronts: Fronts) {
        self.0.fronts.store(Arc::new(fronts));
    }
}

impl Policy for Balancer {
    fn decide(&self, request: &Arc<RequestHead>, peer: &Peer) -> Decision {
        let inner = &self.0;
        let table = inner.table.load();
        let front = inner.front(peer);
        let found = match inner.find(&table, front, request, peer) {
            Ok(backend) => backend,
            Err(Stop::Respond(response)) => return Decision::Respond(response),
            Err(Stop::Compare(passwords)) => return self.compare(passwords, request, peer),
        };
        inner.serve(front, found, request, peer, None)
    }

    fn refuse(&self, request: Option<&RequestHead>, peer: &Peer, refusal: &Refusal) -> Response {
        answers::refusal(request, refusal, self.0.front(peer).route())
    }

    fn elsewhere(
        &self,
        request: &Arc<RequestHead>,
        peer: &Peer,
        failed: &Forward,
        attempt: u8,
    ) -> Option<Box<Forward>> {
        let inner = &self.0;
        let table = inner.table.load();
        let front = inner.front(peer);
        let backend = inner.find(&table, front, request, peer).ok()?;
        let servers = backend.servers();
        let mut entries = servers.all.iter();
        if let Some(entry) =
            entries.find(|entry| Arc::ptr_eq(&entry.server.upstream, &failed.upstream))
        {
            Counts::add(&entry.server.counts.connect_errors, 1);
            Counts::add(&entry.server.counts.redispatches, 1);
            entry.server.has_trouble();
        }
        Counts::add(&backend.counts.retries, 1);
        Counts::add(&backend.counts.redispatches, 1);
        if attempt > backend.limits.retries.max(3) || servers.usable() < 1 {
            return None;
        }
        match inner.serve(front, backend, request, peer, Some(failed)) {
            Decision::Forward(forward) => Some(forward),
            _ => None,
        }
    }
}

impl Balancer {
    /// Compares credentials, and decides again: then the outcome is known.
    fn compare(
        &self,
        passwords: Arc<Passwords>,
        request: &Arc<RequestHead>,
        peer: &Peer,
    ) -> Decision {
        let (this, request, peer) = (self.clone(), Arc::clone(request), peer.clone());
        Decision::Later(Box::pin(async move {
            let value = request.header(AUTHORIZATION.as_str()).unwrap_or_default().to_vec();
            let route = this.0.front(&peer).route();
            match passwords.check(value).await {
                Some(true) => this.decide(&request, &peer),
                Some(false) => Decision::Respond(answers::unauthorized(passwords.realm(), route)),
                None => Decision::Respond(answers::busy(route)),
            }
        }))
    }
}

/// A request goes no further, for now.
enum Stop {
    Respond(Response),
    Compare(Arc<Passwords>),
}

// === impl Inner ===

impl Inner {
    fn front(&self, peer: &Peer) -> Front {
        let (fronts, port) = (self.fronts.load(), Some(peer.local.port()));
        match peer.scheme {
            Scheme::Http if fronts.http == port => Front::Http,
            Scheme::Https if fronts.https == port => Front::Https,
            Scheme::Http if fronts.app_id == port => Front::AppId,
            _ => Front::Service,
        }
    }

    fn find<'a>(
        &self,
        table: &'a Table,
        front: Front,
        request: &RequestHead,
        peer: &Peer,
    ) -> Result<&'a Arc<Backend>, Stop> {
        let none = || Stop::Respond(answers::nobody(front.route()));
        match front {
            Front::Http | Front::Https => self.of_host(table, front, request, peer),
            Front::AppId => {
                let id = request.header("x-marathon-app-id").ok_or_else(none)?;
                let id = std::str::from_utf8(id).map_err(|_| none())?;
                table.of_app(&lower(id)).ok_or_else(none)
            }
            Front::Service => {
                let (port, address) = (peer.local.port(), peer.local.ip().to_canonical());
                let own = table.at((port, Some(address)));
                own.or_else(|| table.at((port, None))).ok_or_else(none)
            }
        }
    }

    fn of_host<'a>(
        &self,
        table: &'a Table,
        front: Front,
        request: &RequestHead,
        peer: &Peer,
    ) -> Result<&'a Arc<Backend>, Stop> {
        let none = || Stop::Respond(answers::nobody(front.route()));
        let asked = request.header("host").and_then(|host| std::str::from_utf8(host).ok());
        let asked = asked.map(host_of);
        let name = match (front, &peer.server_name) {
            (Front::Https, Some(name)) => {
                let other = asked.as_ref().filter(|asked| !asked.eq_ignore_ascii_case(name));
                // Browsers use one connection for all hosts of a certificate: they ask anew then.
                if request.version() == Version::HTTP_2
                    && other.is_some_and(|other| table.of_host(other).is_some())
                {
                    return Err(Stop::Respond(answers::misdirected(front.route())));
                }
                lower(name)
            }
            _ => asked.ok_or_else(none)?,
        };
        let rules = table.of_host(&name).ok_or_else(none)?;
        let path = request.path().as_str();
        let mut matching = rules.filter(|backend| {
            let paths = &backend.service.settings.paths;
            paths.as_ref().is_none_or(|paths| paths.matches(path))
        });
        for backend in matching.clone() {
            let redirected = front == Front::Http && backend.service.settings.redirect_to_https;
            if let Some(passwords) = backend.passwords.as_ref().filter(|_| !redirected) {
                match passwords.look(request.header(AUTHORIZATION.as_str())) {
                    Known::Right => {}
                    Known::Unknown => return Err(Stop::Compare(Arc::clone(passwords))),
                    Known::Wrong => {
                        let realm = passwords.realm();
                        return Err(Stop::Respond(answers::unauthorized(realm, front.route())));
                    }
                }
            }
        }
        let redirects = |backend: &&Arc<Backend>| backend.service.settings.redirect_to_https;
        if front == Front::Http && matching.clone().any(|backend| redirects(&backend)) {
            let fronts = self.fronts.load();
            return Err(Stop::Respond(answers::to_https(request, &fronts, front.route())));
        }
        matching.next().ok_or_else(none)
    }

    /// What a service does with a request.
    fn serve(
        self: &Arc<Self>,
        front: Front,
        backend: &Arc<Backend>,
        request: &Arc<RequestHead>,
        peer: &Peer,
        failed: Option<&Forward>,
    ) -> Decision {
        let settings = &backend.service.settings;
        let client = peer.address.ip();
        let allowed = &settings.networks;
        if !allowed.is_empty() && !allowed.iter().any(|(_, network)| network.contains(client)) {
            Counts::add(&backend.counts.denied, 1);
            return Decision::Respond(answers::forbidden(front.route()));
        }
        let path = request.path().as_str();
        if let Some(to) = settings.redir.as_ref().filter(|_| path == "/")
            && is_of(request, &settings.hosts)
        {
            return Decision::Respond(answers::moved(to, front.route()));
        }
        let header = match &settings.balance {
            Balance::Header(name) => request.header(name),
            _ => None,
        };
        let not = failed.map(|failed| &*failed.upstream);
        let hint = Hint { client, path, header, not };
        let bound = match settings.sticky {
            true => cookie(backend, request).and_then(|value| backend.bound(value, &hint)),
            false => None,
        };
        let Some(chosen) = bound.or_else(|| backend.choose(&hint)) else {
            return Decision::Respond(answers::nobody(front.route()));
        };
        let first = settings.hosts.first().filter(|_| settings.proxypass.is_some());
        let host =
            first.map_or(Host::Keep, |host| Host::Set(Bytes::copy_from_slice(host.as_bytes())));
        let now = SystemTime::now();
        chosen.server.counts.seen(now);
        backend.counts.seen(now);
        self.counts_of(front, backend).begin();
        let follow = Following {
            inner: Arc::clone(self),
            front,
            backend: Active::new(Arc::clone(backend)),
            server: Active::new(Arc::clone(&chosen.server)),
        };
        Decision::Forward(Box::new(Forward {
            upstream: Arc::clone(&chosen.server.upstream),
            target: target(request, settings.proxypass.as_deref()),
            host,
            route: front.route(),
            user: None,
            request: edit::request(&backend.service, request, peer.scheme),
            response: chosen.edit,
            limits: Arc::clone(&backend.limits),
            upgrade: Upgrade::Allow,
            follow: Some(Box::new(follow)),
        }))
    }

    fn counts_of<'a>(&'a self, front: Front, backend: &'a Backend) -> &'a Counts {
        match front {
            Front::Http => &self.counts.http,
            Front::Https => &self.counts.https,
            Front::AppId => &self.counts.app_id,
            Front::Service => &backend.front,
        }
    }
}

// === impl Front ===

impl Front {
    fn route(self) -> RouteId {
        RouteId(match self {
            Front::Http => 1,
            Front::Https => 2,
            Front::AppId => 3,
            Front::Service => 4,
        })
    }
}

// === impl Following ===

impl Follow for Following {
    fn finished(&mut self, outcome: &Outcome) {
        let Outcome { status, received, sent, upstream_time, error } = *outcome;
        let front = self.inner.counts_of(self.front, self.backend.counted());
        for counts in [self.server.counts(), self.backend.counts(), front] {
            counts.answered(status, received, sent, upstream_time);
            match error {
                Some("the client left") => Counts::add(&counts.client_aborts, 1),
                Some(_) => Counts::add(&counts.response_errors, 1),
                None => {}
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.inner.counts_of(self.front, self.backend.counted()).end();
    }
}

/// The name in a `Host` header, lower case.
fn host_of(host: &str) -> Cow<'_, str> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    lower(name)
}

fn lower(text: &str) -> Cow<'_, str> {
    match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(text.to_ascii_lowercase()),
        false => Cow::Borrowed(text),
    }
}

fn is_of(request: &RequestHead, hosts: &[Arc<str>]) -> bool {
    let host = request.header("host").and_then(|host| std::str::from_utf8(host).ok());
    host.is_some_and(|host| hosts.iter().any(|known| **known == *host_of(host)))
}

/// The value of the cookie that binds to a server.
fn cookie<'a>(backend: &Backend, request: &'a RequestHead) -> Option<&'a [u8]> {
    let options = &backend.service.settings.options.cookie;
    let name = options.as_ref().map_or(COOKIE, |options| &options.name).as_bytes();
    let mut pairs = request.all("cookie").flat_map(|line| line.split(|byte| *byte == b';'));
    pairs.find_map(|pair| pair.trim_ascii_start().strip_prefix(name)?.strip_prefix(b"="))
}

/// Path and query as the server gets them; `strip` goes from the front.
fn target(request: &RequestHead, strip: Option<&str>) -> Bytes {
    let path = request.path();
    let stripped = strip.and_then(|strip| stripped(path.as_str(), strip));
    match (stripped, request.query()) {
        (None, None) => path.as_bytes().clone(),
        (stripped, query) => {
            let path = stripped.unwrap_or(path.as_str());
            let length = path.len() + query.map_or(0, |query| query.len()) + 2;
            let mut target = BytesMut::with_capacity(length);
            if !path.starts_with('/') {
                target.put_u8(b'/');
            }
            target.put_slice(path.as_bytes());
            if let Some(query) = query {
                target.put_u8(b'?');
                target.put_slice(query);
            }
            target.freeze()
        }
    }
}

/// A prefix goes in any case, and one slash behind it.
fn stripped<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = path.split_at_checked(prefix.len())?;
    let rest = start.eq_ignore_ascii_case(prefix).then_some(rest)?;
    Some(rest.strip_prefix('/').unwrap_or(rest))
}

#[cfg(test)]
mod tests;
