//! The policy of a gateway: what becomes of each request.
//!
//! The one normalised path finds the route, the route says who may, and only then is looked at
//! where it leads. Nothing here reads the target as it was sent.

mod cache;
mod forget;
mod forward;
mod location;
mod login;
mod nodes;
mod own;
mod secure;
mod services;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use http::{HeaderValue, Method, StatusCode};
use http_kit::Client;
use http_kit::guard::{self, Guard, TokenSource};
use proxy::{
    Decision, Metrics, Network, Path, Peer, Policy, Refusal, RequestHead, Response, RouteId, Scheme,
};

use crate::access::{Caller, Denial, Gate, credentials};
use crate::cluster::Cluster;
use crate::config::{Role, Secret, Site};
use crate::pages::{Pages, Text, is_navigation, target};
use crate::routes::{Access, Found, Own, Route, Table, To};
use cache::Cache;
use forward::{Paces, Servers};
use login::Providers;

/// One gateway; cheap to clone.
#[derive(Clone)]
pub(crate) struct Gateway(Arc<Inner>);

/// What a gateway decides by.
pub(crate) struct Inner {
    pub(crate) role: Role,
    pub(crate) table: Table,
    pub(crate) gate: Gate,
    pub(crate) pages: Pages,
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) servers: Servers,
    pub(crate) paces: Paces,
    pub(crate) cache: Cache,
    pub(crate) providers: Providers,
    pub(crate) site: Site,
    /// For what the gateway asks itself; answers are small.
    pub(crate) client: Client,
    /// IAM as a URL.
    pub(crate) iam: Option<String>,
    pub(crate) redirector: Option<(String, String)>,
    /// What the gateway proves itself with to IAM.
    pub(crate) tokens: TokenSource,
    /// `Basic …` for Exhibitor.
    pub(crate) credential: Option<HeaderValue>,
    pub(crate) names: Vec<String>,
    pub(crate) trusted_proxies: Vec<Network>,
    /// Whether what comes without TLS is sent to the port with TLS; that port, once it is known.
    pub(crate) redirects: bool,
    pub(crate) tls_port: OnceLock<u16>,
    pub(crate) metrics: OnceLock<Arc<Metrics>>,
}

/// What [`Gateway::new`] takes apart from the configuration.
pub(crate) struct Parts {
    pub(crate) guard: Guard,
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) client: Client,
    /// The gateway's own.
    pub(crate) tokens: TokenSource,
    /// For upstreams with `https`.
    pub(crate) tls: Arc<rustls::ClientConfig>,
}

/// One request on its way.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) head: Arc<RequestHead>,
    pub(crate) peer: Peer,
    /// The path that is served: that of the head, or what a route made of it.
    pub(crate) path: Path,
    pub(crate) route: &'static Route,
    pub(crate) id: RouteId,
    /// Another gateway sent it here.
    pub(crate) hop: bool,
}

// === impl Gateway ===

impl Gateway {
    pub(crate) fn new(config: &crate::Config, parts: Parts) -> std::io::Result<Gateway> {
        let routes = crate::routes::of(config.role);
        let upstreams = &config.upstreams;
        Ok(Gateway(Arc::new(Inner {
            role: config.role,
            table: Table::new(routes),
            gate: Gate::new(parts.guard),
            pages: Pages::new(config.challenge, &config.site)?,
            cluster: parts.cluster,
            servers: Servers::new(upstreams, &parts.tls),
            paces: Paces::default(),
            cache: Cache::default(),
            providers: Providers::default(),
            site: config.site.clone(),
            client: parts.client,
            tokens: parts.tokens,
            iam: upstreams.iam.as_ref().map(ToString::to_string),
            redirector: config.redirector.clone(),
            credential: config.exhibitor_credentials.as_ref().and_then(basic),
            names: config.names.iter().map(|name| secure::in_url(name)).collect(),
            trusted_proxies: config.trusted_proxies.clone(),
            redirects: config.tls.is_some(),
            tls_port: OnceLock::new(),
            metrics: OnceLock::new(),
        })))
    }

    /// What is known once the engine listens.
    pub(crate) fn listening(&self, tls_port: Option<u16>, metrics: Arc<Metrics>) {
        if let Some(port) = tls_port {
            let _ = self.0.tls_port.set(port);
        }
        let _ = self.0.metrics.set(metrics);
    }

    /// The names behind the routes' ids.
    pub(crate) fn route_names(&self) -> Vec<String> {
        self.0.table.names()
    }

    fn route(&self, head: &Arc<RequestHead>, peer: &Peer) -> Decision {
        let inner = &*self.0;
        let behind_tls;
        let peer = match inner.is_behind_tls(head, peer) {
            true => {
                behind_tls = Peer { scheme: Scheme::Https, ..peer.clone() };
                &behind_tls
            }
            false => peer,
        };
        let found = inner.table.find(head.path());
        let id = match found {
            Some(Found::Route { id, .. }) => RouteId(id),
            _ => RouteId::default(),
        };
        if inner.is_insecure(peer) && !secure::stays(found) {
            return respond(inner.to_tls(head, peer), id);
        }
        match found {
            Some(Found::Route { route, .. }) => {
                let (head, peer) = (Arc::clone(head), peer.clone());
                let path = head.path().clone();
                self.serve(Ask { head, peer, path, route, id, hop: false })
            }
            Some(Found::Slash) => {
                respond(inner.slash(head, peer, StatusCode::MOVED_PERMANENTLY), id)
            }
            None => respond(inner.not_found(head, peer), id),
        }
    }

    /// Serves a request whose route is known.
    fn serve(&self, ask: Ask) -> Decision {
        match ask.route.to {
            To::Nothing => {
                return self.0.own(&ask, |inner, ask| inner.not_found(&ask.head, &ask.peer));
            }
            To::WithSlash => {
                let slash = StatusCode::TEMPORARY_REDIRECT;
                return self.0.own(&ask, |inner, ask| inner.slash(&ask.head, &ask.peer, slash));
            }
            To::Service if services::lacks_slash(&ask.path) => {
                let slash = StatusCode::MOVED_PERMANENTLY;
                return self.0.own(&ask, |inner, ask| inner.slash(&ask.head, &ask.peer, slash));
            }
            _ => {}
        }
        let caller = match self.0.admit(&ask) {
            Ok(caller) => caller,
            Err((denial, caller)) => return self.0.deny(&ask, &caller, denial),
        };
        match ask.route.to {
            To::Server(server) => self.0.to_server(&ask, &caller, server),
            To::Master => self.0.to_master(&ask, &caller),
            To::Cache => self.to_cache(ask, &caller),
            To::Service | To::Marathon => self.to_service(ask, caller),
            To::Agent => self.0.to_agent(&ask, &caller),
            To::AgentGateway => self.0.to_agent_gateway(&ask, &caller),
            To::MesosHost => self.to_mesos_host(ask, &caller),
            To::MarathonHost => self.to_marathon_host(ask, &caller),
            To::Own(own) => self.to_own(ask, &caller, own),
            To::WithSlash | To::Nothing => {
                self.0.own(&ask, |inner, ask| inner.not_found(&ask.head, &ask.peer))
            }
        }
    }

    fn to_own(&self, ask: Ask, caller: &Caller, own: Own) -> Decision {
        let reads = matches!(*ask.head.method(), Method::GET | Method::HEAD);
        match own {
            Own::Login if *ask.head.method() == Method::POST => self.log_in(ask),
            _ if !reads => self.0.own(&ask, |inner, ask| inner.method_not_allowed(ask)),
            Own::Login => self.login_form(ask),
            Own::Token => self.0.own(&ask, |inner, ask| inner.token(ask)),
            Own::Metrics => self.0.own(&ask, |inner, ask| inner.metrics(ask)),
            Own::Status => self.0.own(&ask, |inner, ask| inner.status(ask)),
            Own::Version | Own::BuildInfo | Own::MetadataFolder | Own::Metadata | Own::Assets => {
                self.file(ask, caller, own)
            }
            Own::Ui => self.file(ask, caller, own),
        }
    }
}

impl Policy for Gateway {
    fn decide(&self, request: &Arc<RequestHead>, peer: &Peer) -> Decision {
        self.route(request, peer)
    }

    fn refuse(&self, request: Option<&RequestHead>, peer: &Peer, refusal: &Refusal) -> Response {
        let inner = &*self.0;
        let found = request.and_then(|request| inner.table.find(request.path()));
        let text = match refusal {
            // Why exactly is for the log: it tells of addresses inside.
            Refusal::BadGateway { upstream, .. } => format!("no usable answer from {upstream}"),
            other => other.to_string(),
        };
        let text = Text::Own(text.into());
        let mut response = inner.pages.error(request, peer, refusal.status(), &text);
        if let Some(Found::Route { id, .. }) = found {
            response.route = RouteId(id);
        }
        response
    }
}

// === impl Inner ===

impl Inner {
    /// Whether the route is for the caller, as far as the path alone says it; services are
    /// judged once they are known.
    fn admit(&self, ask: &Ask) -> Result<Caller, (Denial, Caller)> {
        match ask.route.access {
            Access::Public => return Ok(Caller::nobody()),
            Access::LocalOr(_) if is_local(&ask.head, &ask.peer) => return Ok(Caller::nobody()),
            _ => {}
        }
        let unknown = |denial| (denial, Caller::nobody());
        let caller = self.gate.identify(&ask.head, &ask.peer).map_err(unknown)?;
        let rid = match ask.route.access {
            Access::Public | Access::Token | Access::Service => None,
            Access::SelfOr(_) if is_own(&ask.path, &caller) => None,
            Access::Rid(rid) | Access::LocalOr(rid) | Access::SelfOr(rid) => Some(rid),
            Access::System => Some(nodes::rid(&ask.path)),
        };
        match rid.map_or(Ok(()), |rid| self.gate.permit(&caller, rid)) {
            Ok(()) => Ok(caller),
            Err(denial) => Err((denial, caller)),
        }
    }

    /// The answer to who may not.
    pub(crate) fn deny(&self, ask: &Ask, caller: &Caller, denial: Denial) -> Decision {
        let (head, peer) = (&*ask.head, &ask.peer);
        let mut response = match denial {
            Denial::Unauthenticated if self.role == Role::Master && is_navigation(head) => {
                let location = target::login(&path_and_query(head));
                self.pages.redirect(head, peer, StatusCode::FOUND, &location)
            }
            Denial::Unauthenticated => self.pages.unauthorized(head, peer),
            Denial::Forbidden => self.pages.forbidden(head, peer),
            Denial::Foreign => {
                let text = "a page of another origin may not do this in your name; programs send \
                            an Authorization header";
                self.pages.error(Some(head), peer, StatusCode::FORBIDDEN, &own(text))
            }
            Denial::Unavailable => {
                let text = "who may do what is not known at the moment";
                self.pages.error(Some(head), peer, StatusCode::SERVICE_UNAVAILABLE, &own(text))
            }
        };
        if denial == Denial::Unauthenticated && credentials::is_ambiguous(head) {
            // Whatever pages of services have set for paths of their own must not outlive a login.
            response.headers.extend(forget::cookies(head, peer.scheme));
        }
        response.user = caller.user();
        respond(response, ask.id)
    }

    /// Answers with what `make` makes.
    pub(crate) fn own(&self, ask: &Ask, make: impl FnOnce(&Inner, &Ask) -> Response) -> Decision {
        respond(make(self, ask), ask.id)
    }

    /// An error in the original's words.
    pub(crate) fn original(
        &self,
        ask: &Ask,
        status: StatusCode,
        text: impl Into<std::borrow::Cow<'static, str>>,
    ) -> Decision {
        let text = Text::Original(text.into());
        respond(self.pages.error(Some(&ask.head), &ask.peer, status, &text), ask.id)
    }

    /// 503, for what is not there (yet).
    pub(crate) fn unavailable(&self, ask: &Ask, what: &str) -> Decision {
        let text = Text::Own(format!("{what} is not available").into());
        let status = StatusCode::SERVICE_UNAVAILABLE;
        respond(self.pages.error(Some(&ask.head), &ask.peer, status, &text), ask.id)
    }

    pub(crate) fn not_found(&self, head: &RequestHead, peer: &Peer) -> Response {
        self.pages.error(Some(head), peer, StatusCode::NOT_FOUND, &own("there is nothing here"))
    }

    fn method_not_allowed(&self, ask: &Ask) -> Response {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let text = own("only GET and HEAD are possible here");
        let mut response = self.pages.error(Some(&ask.head), &ask.peer, status, &text);
        response.headers.push((http::header::ALLOW, HeaderValue::from_static("GET, HEAD")));
        response
    }

    /// To the same path with a slash at the end. Relative, so that no header of the client's
    /// says where that is.
    fn slash(&self, head: &RequestHead, peer: &Peer, status: StatusCode) -> Response {
        let path = head.path().as_str();
        let location = match query(head) {
            Some(query) => format!("{path}/?{query}"),
            None => format!("{path}/"),
        };
        self.pages.redirect(head, peer, status, &location)
    }
}

/// Our own words for an error page.
pub(crate) fn own(text: &'static str) -> Text {
    Text::Own(text.into())
}

pub(crate) fn respond(mut response: Response, id: RouteId) -> Decision {
    response.route = id;
    Decision::Respond(response)
}

/// The query, where it is text (the engine refuses others).
pub(crate) fn query(head: &RequestHead) -> Option<&str> {
    head.query().and_then(|query| std::str::from_utf8(query).ok())
}

/// The normalised path with the query as it was sent.
pub(crate) fn path_and_query(head: &RequestHead) -> String {
    match query(head) {
        Some(query) => format!("{}?{query}", head.path().as_str()),
        None => head.path().as_str().to_owned(),
    }
}

/// Whether it is about the caller: `/acs/api/v1/users/<uid>`.
fn is_own(path: &Path, caller: &Caller) -> bool {
    let mut segments = path.segments().skip(3);
    segments.next().is_some_and(|segment| segment == "users")
        && segments.next().is_some_and(|uid| caller.uid() == Some(&*uid))
}

/// Whether a program on this host asks, for nobody else; by the rule of every component's guard.
fn is_local(head: &RequestHead, peer: &Peer) -> bool {
    guard::is_direct(head.headers(), peer.address.ip())
}

/// `user:password` as a header.
fn basic(credentials: &Secret) -> Option<HeaderValue> {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(credentials.expose());
    let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}
