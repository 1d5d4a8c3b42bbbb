//! Statistics and control, on a port of their own: as HAProxy and the original have them.

mod csv;
mod json;
mod page;
mod prometheus;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use http::{HeaderValue, Method, StatusCode};
use http_kit::{Reply, Request, Response, respond};
use proxy::Metrics;
use tokio::sync::Notify;

use crate::certificates::Keyring;
use crate::config::Config;
use crate::haproxy::{Frame, Secrets, render};
use crate::listeners;
use crate::live::{Counts, Table};
use crate::policy::Inner;
use crate::routes::{Reported, Service};

/// What is shown, and what can be asked for.
pub(crate) struct Control {
    pub(crate) config: Config,
    pub(crate) inner: Arc<Inner>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) listeners: Arc<listeners::Shared>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) problems: ArcSwap<Vec<Reported>>,
    /// Marathon was read once.
    pub(crate) ready: AtomicBool,
    /// Marathon's stream is there.
    pub(crate) connected: AtomicBool,
    /// Read Marathon anew.
    pub(crate) again: Notify,
    /// Read certificates anew.
    pub(crate) certificates: Arc<Notify>,
    pub(crate) started: Instant,
    pub(crate) ports: Ports,
    /// Changes of what is served, and how many of them were of servers only.
    pub(crate) changes: Counts,
}

/// Where the frontends are that all services share.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ports {
    pub(crate) http: Option<SocketAddr>,
    pub(crate) https: Option<SocketAddr>,
    pub(crate) app_id: Option<SocketAddr>,
}

// === impl Control ===

impl Control {
    /// The endpoint.
    pub(crate) fn call(self: &Arc<Self>, request: &Request) -> Reply {
        if !matches!(*request.method(), Method::GET | Method::HEAD | Method::POST) {
            return respond::method_not_allowed(&["GET", "HEAD", "POST"], request.method()).into();
        }
        let query = request.uri().query().unwrap_or_default();
        self.answer(request.uri().path(), query).into()
    }

    fn answer(&self, path: &str, query: &str) -> Response {
        let table = self.inner.table.load_full();
        match path {
            "/" | "/haproxy" if query.split(';').any(|word| word == "csv") => {
                let kind = HeaderValue::from_static("text/plain");
                respond::with_body(StatusCode::OK, kind, csv::render(self, &table))
            }
            "/" | "/haproxy" => respond::html(page::render(self, &table)),
            "/metrics" => {
                let kind = HeaderValue::from_static("text/plain; version=0.0.4");
                respond::with_body(StatusCode::OK, kind, prometheus::render(self, &table))
            }
            "/_haproxy_health_check" => {
                respond::html("<html><body><h1>200 OK</h1>\nService ready.\n</body></html>\n")
            }
            "/_haproxy_getconfig" => plain(self.haproxy(&table)),
            "/_haproxy_getvhostmap" => plain(lines(table.host_map())),
            "/_haproxy_getappmap" => plain(lines(table.app_map())),
            "/_haproxy_getpids" => plain(std::process::id().to_string()),
            "/_mlb_signal/hup" => {
                self.again.notify_one();
                plain("Sent SIGHUP signal to marathon-lb".to_owned())
            }
            "/_mlb_signal/usr1" => {
                self.certificates.notify_one();
                plain("Sent SIGUSR1 signal to marathon-lb".to_owned())
            }
            "/_edge/ready" => match self.ready.load(Ordering::Relaxed) {
                true => plain("ready\n".to_owned()),
                false => respond::unavailable("Marathon was not read yet\n"),
            },
            "/_edge/problems" => respond::json(json::problems(self, &table)),
            "/_edge/stats" => respond::json(json::stats(self, &table)),
            _ => respond::not_found(),
        }
    }

    fn haproxy(&self, table: &Table) -> String {
        let services = current(table);
        let services: Vec<&Service> = services.iter().collect();
        render(&Frame { config: &self.config, secrets: Secrets::Hidden }, &services)
    }

    /// Problems of labels, and what services cannot both have.
    fn problems(&self, table: &Table) -> Vec<Reported> {
        let mut all = self.problems.load().to_vec();
        all.extend(table.conflicts.iter().cloned());
        all.sort();
        all
    }
}

/// Services with the servers that they have now.
pub(crate) fn current(table: &Table) -> Vec<Service> {
    let services = table.backends.iter().map(|backend| {
        let servers = backend.servers();
        let facts = servers.all.iter().map(|entry| entry.fact.clone());
        Service { servers: facts.collect(), ..(*backend.service).clone() }
    });
    services.collect()
}

fn plain(text: String) -> Response {
    let kind = HeaderValue::from_static("text/plain");
    respond::with_body(StatusCode::OK, kind, text)
}

fn lines(map: BTreeMap<&str, &Arc<crate::live::Backend>>) -> String {
    map.into_iter().map(|(key, backend)| format!("{key} {}\n", backend.service.name)).collect()
}
