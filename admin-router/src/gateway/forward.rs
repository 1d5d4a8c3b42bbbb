//! Requests that go on to a server.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderValue;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderName};
use proxy::{Decision, Forward, HeaderEdits, Host, Limits, ResponseEdit, Upgrade, Upstream};

use super::{Ask, Inner};
use crate::Origin;
use crate::access::Caller;
use crate::access::credentials::COOKIES;
use crate::cluster::Known;
use crate::config::Upstreams;
use crate::gateway::location::{Guest, Mapped, NoStore};
use crate::routes::{Pace, Server, To};

/// Says that another gateway sent it: it goes to no third one.
pub(super) const FORWARDED: HeaderName = HeaderName::from_static("dcos-forwarded");

/// Says to IAM that a gateway sent it, whose word on the client counts.
pub(super) const GATEWAY: HeaderName = HeaderName::from_static(identity::wire::GATEWAY);

const MIB: u64 = 1024 * 1024;

/// The servers that stand in the configuration, with their names.
pub(crate) struct Servers(Vec<(Server, Option<Configured>)>);

/// One of them, with the `Host` that it expects when it is not the client's.
struct Configured {
    upstream: Arc<Upstream>,
    host: Bytes,
}

/// The limits of routes.
pub(crate) struct Paces {
    plain: Arc<Limits>,
    stream: Arc<Limits>,
    slow: Arc<Limits>,
    service: Arc<Limits>,
    unbuffered: Arc<Limits>,
}

// === impl Servers ===

impl Servers {
    pub(crate) fn new(all: &Upstreams, tls: &Arc<rustls::ClientConfig>) -> Servers {
        let servers = [
            (Server::Iam, &all.iam),
            (Server::Cosmos, &all.cosmos),
            (Server::MesosDns, &all.mesos_dns),
            (Server::Net, &all.net),
            (Server::Diagnostics, &all.diagnostics),
            (Server::Logs, &all.logs),
            (Server::Metrics, &all.metrics),
            (Server::Checks, &all.checks),
            (Server::Pkgpanda, &all.pkgpanda),
            (Server::Exhibitor, &all.exhibitor),
            (Server::UiUpdate, &all.ui_update),
        ];
        let made = servers.into_iter().map(|(server, origin)| {
            let configured = origin.as_ref().map(|origin| Configured {
                upstream: origin.upstream(server.tag(), tls),
                host: Bytes::from(host_of(origin, server)),
            });
            (server, configured)
        });
        Servers(made.collect())
    }

    fn get(&self, server: Server) -> Option<&Configured> {
        self.0.iter().find(|(known, _)| *known == server)?.1.as_ref()
    }
}

fn host_of(origin: &Origin, server: Server) -> String {
    match origin {
        Origin::Unix(_) => server.tag().to_owned(),
        other => other.to_string().split("://").nth(1).unwrap_or_default().to_owned(),
    }
}

// === impl Server ===

impl Server {
    /// As the original's metrics call it.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Server::Iam => "IAM",
            Server::Cosmos => "Cosmos",
            Server::MesosDns => "MesosDNS",
            Server::Net => "DCOSNet",
            Server::Diagnostics => "DCOSDiagnostics",
            Server::Logs => "DCOSLog",
            Server::Metrics => "DCOSMetrics",
            Server::Checks => "DCOSChecks",
            Server::Pkgpanda => "Pkgpanda",
            Server::Exhibitor => "Exhibitor",
            Server::UiUpdate => "DCOSUIUpdateService",
        }
    }
}

// === impl Paces ===

impl Default for Paces {
    fn default() -> Paces {
        let limits = |body: u64, head: u64, idle: Option<u64>| {
            Arc::new(Limits {
                request_body: body * MIB,
                connect: Duration::from_secs(5),
                response_head: Duration::from_secs(head),
                idle: idle.map(Duration::from_secs),
                request_idle: Duration::from_secs(head),
                retries: 1,
            })
        };
        Paces {
            plain: limits(1024, 60, Some(60)),
            stream: limits(1024, 60, None),
            slow: limits(1024, 300, Some(300)),
            service: limits(32 * 1024, 60, None),
            unbuffered: limits(32 * 1024, 600, None),
        }
    }
}

impl Paces {
    fn get(&self, pace: Pace) -> &Arc<Limits> {
        match pace {
            Pace::Plain => &self.plain,
            Pace::Stream => &self.stream,
            Pace::Slow => &self.slow,
            Pace::Service => &self.service,
            Pace::Unbuffered => &self.unbuffered,
        }
    }
}

// === impl Inner ===

impl Inner {
    pub(super) fn to_server(&self, ask: &Ask, caller: &Caller, server: Server) -> Decision {
        let Some(configured) = self.servers.get(server) else {
            return self.unavailable(ask, server.tag());
        };
        let mut forward =
            self.forward(ask, caller, Arc::clone(&configured.upstream), rewritten(ask));
        if !ask.route.edits.host {
            forward.host = Host::Set(configured.host.clone());
        }
        if server == Server::Iam {
            // What clients send under the name is not the gateway's.
            match self.tokens.authorization() {
                Some(token) => forward.request.set.push((GATEWAY, token)),
                None => forward.request.remove.push(GATEWAY),
            }
        }
        if ask.route.edits.location {
            let edit = Mapped::below(ask.route.pattern.base(), Arc::clone(&ask.head));
            forward.response = Some(Arc::new(edit));
        }
        Decision::Forward(Box::new(forward))
    }

    pub(super) fn to_master(&self, ask: &Ask, caller: &Caller) -> Decision {
        let Known::Found(leader) = self.cluster.leader() else {
            return self.unavailable(ask, "the leading master");
        };
        let upstream = Arc::clone(&leader.upstream);
        Decision::Forward(Box::new(self.forward(ask, caller, upstream, rewritten(ask))))
    }

    /// A request that goes to `upstream` as `target`, with the edits of its route.
    pub(super) fn forward(
        &self,
        ask: &Ask,
        caller: &Caller,
        upstream: Arc<Upstream>,
        target: Bytes,
    ) -> Forward {
        let edits = &ask.route.edits;
        let mut request = HeaderEdits { remove_cookies: COOKIES, ..HeaderEdits::default() };
        if !edits.encoding {
            request.remove.push(ACCEPT_ENCODING);
        }
        match (&self.credential, &caller.authorization) {
            (Some(credential), _) if edits.credential => {
                request.set.push((AUTHORIZATION, credential.clone()));
            }
            _ if !edits.authorization => request.remove.push(AUTHORIZATION),
            (_, Some(token)) => request.set.push((AUTHORIZATION, token.clone())),
            _ => {}
        }
        if ask.hop {
            request.set.push((FORWARDED, HeaderValue::from_static("true")));
        }
        let response: Option<Arc<dyn ResponseEdit>> = match ask.route.to {
            _ if edits.no_store => Some(NoStore::shared()),
            To::Server(_) => None,
            _ => Some(Guest::shared()),
        };
        Forward {
            upstream,
            target,
            host: Host::Keep,
            route: ask.id,
            user: caller.user(),
            request,
            response,
            limits: Arc::clone(self.paces.get(ask.route.pace)),
            upgrade: if edits.upgrade { Upgrade::Allow } else { Upgrade::Strip },
            follow: None,
        }
    }

    /// The limits of services, by whether they want their requests buffered.
    pub(super) fn service_limits(&self, buffering: bool) -> Arc<Limits> {
        Arc::clone(self.paces.get(if buffering { Pace::Service } else { Pace::Unbuffered }))
    }
}

/// The path as the route has it rewritten, and the query.
fn rewritten(ask: &Ask) -> Bytes {
    match ask.route.becomes {
        None => target(ask, "", ask.path.as_str()),
        Some(prefix) => {
            let rest = ask.path.strip_prefix(ask.route.pattern.base()).unwrap_or_default();
            target(ask, prefix, rest)
        }
    }
}

/// `prefix`, `rest` and the query, as one target.
pub(super) fn target(ask: &Ask, prefix: &str, rest: &str) -> Bytes {
    let query = ask.head.query();
    let whole = prefix.is_empty() && rest.len() == ask.path.as_str().len();
    let Some(query) = query else {
        if whole {
            return ask.path.as_bytes().clone();
        }
        return joined(prefix, rest, 0).freeze();
    };
    let mut bytes = joined(prefix, rest, query.len() + 1);
    bytes.put_u8(b'?');
    bytes.extend_from_slice(query);
    bytes.freeze()
}

/// `prefix` and `rest`, with the one slash that a target begins with.
fn joined(prefix: &str, rest: &str, more: usize) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(prefix.len() + rest.len() + 1 + more);
    if prefix.is_empty() && rest.is_empty() {
        bytes.put_u8(b'/');
    }
    bytes.extend_from_slice(prefix.as_bytes());
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}
