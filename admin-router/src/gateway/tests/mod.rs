//! What becomes of requests, head by head: nothing listens here, nothing is sent.

mod confusion;
mod identity;
mod pages;
mod routes;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

use ::identity::{Action, Claims, KeySet, SigningKey, Snapshot, User};
use http::{Method, Version};
use http_kit::guard::{Guard, Mode, TokenSource};
use http_kit::{Client, ClientConfig};
use proxy::{
    Address, Decision, Forward, Host, Peer, Policy, Protocol, RequestHead, Response, Scheme,
    Upgrade, Upstream,
};

use super::forward::GATEWAY;
use super::{Gateway, Parts};
use crate::cluster::{Agent, Cluster, Failure, Known, Leader, Resolution, Service};
use crate::config::{Config, Role, Secret};
use crate::upstream_tls;

/// A cluster with fixed contents.
pub(super) struct Fixed {
    pub(super) leader: Known<Arc<Leader>>,
    pub(super) marathon: Known<Arc<Leader>>,
    pub(super) agents: bool,
    /// What look-ups of `broken` fail with.
    pub(super) failure: Failure,
}

/// A gateway with everything configured, and the keys of its users.
pub(super) struct Bench {
    pub(super) gateway: Gateway,
    pub(super) scheme: Scheme,
}

static KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    let pkcs8 = SigningKey::generate_es256().unwrap();
    SigningKey::from_pkcs8(&pkcs8).unwrap()
});

/// A token of a user, good for an hour.
pub(super) fn token(uid: &str) -> String {
    token_until(uid, now() + 3600, 0)
}

pub(super) fn token_until(uid: &str, exp: i64, generation: u64) -> String {
    KEY.sign(&Claims::new(uid, Some(exp), generation)).unwrap()
}

pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// `admin` may do everything, `marathon` uses Marathon, `nobody` may do nothing.
fn snapshot() -> Snapshot {
    let mut snapshot =
        Snapshot { keys: KeySet::new([KEY.public().clone()]).unwrap(), ..Snapshot::default() };
    for uid in ["admin", "marathon", "nobody", "logs"] {
        snapshot.policy.set_user(uid, User::default());
    }
    let policy = &mut snapshot.policy;
    policy.grant_user("admin", "dcos:superuser", Action::Full);
    policy.grant_user("marathon", "dcos:adminrouter:service:marathon", Action::Full);
    policy.grant_user("marathon", "dcos:adminrouter:service:group/gone", Action::Full);
    policy.grant_user("logs", "dcos:adminrouter:ops:system-logs", Action::Full);
    snapshot
}

fn upstream(name: &str) -> Arc<Upstream> {
    Upstream::new(name, Address::Tcp("127.0.0.1:9".parse().unwrap()), Protocol::Http1)
}

pub(super) fn leader(name: &str, is_local: Option<bool>) -> Known<Arc<Leader>> {
    Known::Found(Arc::new(Leader {
        upstream: upstream(name),
        host: "10.0.0.2".parse().unwrap(),
        is_local,
        gateway: upstream(&format!("gateway of {name}")),
    }))
}

impl Default for Fixed {
    fn default() -> Fixed {
        Fixed {
            leader: leader("master", Some(false)),
            marathon: leader("marathon-leader", Some(false)),
            agents: true,
            failure: Failure::Marathon,
        }
    }
}

impl Fixed {
    /// One of the services there are; `later` is found after a question to somebody.
    fn find(segments: &[Cow<'_, str>]) -> Option<Service> {
        let service = |path: &str, depth| Service {
            path: Arc::from(path),
            depth,
            rid: Arc::from(format!("dcos:adminrouter:service:{path}")),
            upstream: upstream(path),
            scheme: Scheme::Http,
            base: Arc::from(""),
            rewrite: true,
            buffering: true,
        };
        let names: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        Some(match *names.as_slice() {
            ["marathon", ..] => service("marathon", 1),
            ["group", "app", ..] => service("group/app", 2),
            ["kept", ..] => Service { rewrite: false, buffering: false, ..service("kept", 1) },
            ["based", ..] => Service { base: Arc::from("/ui"), ..service("based", 1) },
            ["ä", ..] => service("ä", 1),
            _ => return None,
        })
    }
}

impl Cluster for Fixed {
    fn leader(&self) -> Known<Arc<Leader>> {
        self.leader.clone()
    }

    fn agent(&self, id: &str) -> Known<Agent> {
        match (self.agents, id) {
            (false, _) => Known::Unknown,
            (true, "a1-S0") => Known::Found(Agent {
                upstream: upstream("agent"),
                gateway: upstream("agent gateway"),
            }),
            (true, _) => Known::Missing,
        }
    }

    fn marathon_leader(&self) -> Known<Arc<Leader>> {
        self.marathon.clone()
    }

    fn service(&self, segments: &[Cow<'_, str>]) -> Resolution {
        if segments.first().is_some_and(|name| name == "broken") {
            return Resolution::Failed(self.failure);
        }
        if segments.first().is_some_and(|name| name == "later") {
            let found = Fixed::find(&[Cow::Borrowed("marathon")]).map(Arc::new);
            return Resolution::Later(Box::pin(async move {
                found.map_or(Resolution::Missing, Resolution::Found)
            }));
        }
        match Fixed::find(segments) {
            Some(service) => Resolution::Found(Arc::new(service)),
            None => Resolution::Missing,
        }
    }
}

// === impl Bench ===

impl Default for Bench {
    fn default() -> Bench {
        Bench::with(Fixed::default(), |_| {})
    }
}

impl Bench {
    pub(super) fn with(cluster: Fixed, change: impl FnOnce(&mut Config)) -> Bench {
        Bench::guarded(Guard::fixed(Mode::Strict, snapshot()), cluster, change)
    }

    pub(super) fn guarded(guard: Guard, cluster: Fixed, change: impl FnOnce(&mut Config)) -> Bench {
        let mut config = Config::new(Role::Master, "/nowhere".into());
        config.tls = Some("127.0.0.1:8443".parse().unwrap());
        config.names = vec!["gate".to_owned(), "127.0.0.1".to_owned()];
        config.exhibitor_credentials = Some(Secret::new("admin:pw"));
        let server = |port: u16| Some(crate::Origin::http(([127, 0, 0, 1], port).into()));
        let upstreams = &mut config.upstreams;
        upstreams.iam = server(8101);
        upstreams.cosmos = server(7070);
        upstreams.mesos_dns = server(8123);
        upstreams.net = server(62080);
        upstreams.diagnostics = server(1050);
        upstreams.logs = Some("unix:/run/log.sock".parse().unwrap());
        upstreams.metrics = Some("unix:/run/metrics.sock".parse().unwrap());
        upstreams.checks = Some("unix:/run/checks.sock".parse().unwrap());
        upstreams.pkgpanda = Some("unix:/run/pkgpanda.sock".parse().unwrap());
        upstreams.exhibitor = server(8181);
        upstreams.ui_update = Some("unix:/run/ui.sock".parse().unwrap());
        change(&mut config);
        // A client needs a runtime; none of these tests uses it.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let client = Client::new(ClientConfig::default());
        let tls = upstream_tls::verified(&http_kit::client::Authorities::default());
        let tokens = TokenSource::fixed("token=eyJgate").unwrap();
        let parts = Parts { guard, cluster: Arc::new(cluster), client, tokens, tls };
        let gateway = Gateway::new(&config, parts).unwrap();
        let _ = gateway.0.tls_port.set(8443);
        Bench { gateway, scheme: Scheme::Https }
    }

    pub(super) fn peer(&self) -> Peer {
        Peer {
            address: SocketAddr::from(([192, 0, 2, 1], 1)),
            local: SocketAddr::from(([127, 0, 0, 1], 8443)),
            scheme: self.scheme,
            server_name: None,
        }
    }

    /// Decides about a request as far as it can be without a body.
    pub(super) fn decide(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Box<Forward>, Response> {
        let host = [("host", "gate:8443")];
        let named = headers.iter().any(|(name, _)| *name == "host");
        let headers = host.iter().filter(|_| !named).chain(headers);
        let headers = headers.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let head = RequestHead::new(method, Version::HTTP_11, target.as_bytes(), headers).unwrap();
        let mut decision = self.gateway.decide(&Arc::new(head), &self.peer());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        loop {
            decision = match decision {
                Decision::Forward(forward) => return Ok(forward),
                Decision::Respond(response) => return Err(response),
                Decision::Later(later) => runtime.block_on(later),
                Decision::Read { .. } => panic!("it wants a body"),
            }
        }
    }

    /// As [`Bench::decide`], as somebody who may do everything, in one line.
    pub(super) fn facts(&self, method: Method, target: &str, headers: &[(&str, &str)]) -> String {
        let token = format!("token={}", token("admin"));
        let own = [("authorization", token.as_str())];
        let anonymous = headers.iter().any(|(name, _)| matches!(*name, "authorization" | "cookie"));
        let headers: Vec<_> = own.iter().filter(|_| !anonymous).chain(headers).copied().collect();
        match self.decide(method, target, &headers) {
            Ok(forward) => line(&forward),
            Err(response) => response_line(&response),
        }
    }

    pub(super) fn get(&self, target: &str) -> String {
        self.facts(Method::GET, target, &[])
    }

    /// The status that a user gets.
    pub(super) fn status(&self, uid: &str, target: &str) -> u16 {
        let token = format!("token={}", token(uid));
        match self.decide(Method::GET, target, &[("authorization", &token)]) {
            Ok(_) => 200,
            Err(response) => response.status.as_u16(),
        }
    }
}

/// What is remarkable about a forwarded request.
fn line(forward: &Forward) -> String {
    let mut line = format!("{} {}", forward.upstream.name, text(&forward.target));
    if let Host::Set(host) = &forward.host {
        line += &format!(" host={}", text(host));
    }
    for name in &forward.request.remove {
        line += &format!(" -{name}");
    }
    let sent = forward.request.set.iter().filter(|(name, _)| *name != GATEWAY);
    for (name, value) in sent {
        let value = value.to_str().unwrap();
        line += &format!(" +{name}={}", value.split("eyJ").next().unwrap());
    }
    if forward.upgrade == Upgrade::Allow {
        line += " upgrade";
    }
    if forward.response.is_some() {
        line += " edited";
    }
    let limits = &forward.limits;
    let (body, head) = (limits.request_body >> 20, limits.response_head.as_secs());
    line += &format!(" {body}M {head}s");
    if limits.idle.is_none() {
        line += " endless";
    }
    assert_eq!(forward.request.remove_cookies.len(), 2, "cookies stay here");
    line
}

fn response_line(response: &Response) -> String {
    let location = header(response, "location").map(|to| format!(" -> {to}")).unwrap_or_default();
    let body = match header(response, "content-type").as_deref() {
        Some("text/html; charset=UTF-8") | None => String::new(),
        _ => format!(" {}", text(&response.body).trim_end()),
    };
    format!("{}{location}{body}", response.status.as_u16())
}

pub(super) fn header(response: &Response, name: &str) -> Option<String> {
    let found = response.headers.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.to_str().unwrap().to_owned())
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
