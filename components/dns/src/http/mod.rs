//! The API: Mesos-DNS's, and dcos-net's list of records.

mod config;
mod dump;
mod metrics;
pub(crate) mod permissions;
mod route;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{Method, StatusCode};
use http_kit::negotiate::accepts_gzip;
use http_kit::permissions::Caller;
use http_kit::{Reply, Request, Response, Service, gzip, respond};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::feed::{Desk, Status};
use crate::record::Data;
use crate::serve::Counters;
use crate::zone::Zones;
use metrics::Stats;
use permissions::TABLE;
use route::{Route, find};

/// As clients of the original know it.
const SERVICE: &str = "Mesos-DNS";
const URL: &str = "https://github.com/mesosphere/mesos-dns";
/// Lists of everything that are being written at once; others wait.
const DUMPS: usize = 2;

/// Answers requests.
pub(crate) struct Api(Arc<Shared>);

struct Shared {
    config: Config,
    zones: Arc<Zones>,
    status: Arc<Status>,
    desk: Desk,
    counters: Arc<Counters>,
    stats: Stats,
    dumps: Arc<Semaphore>,
}

// === impl Api ===

impl Api {
    pub(crate) fn new(
        config: Config,
        zones: Arc<Zones>,
        status: Arc<Status>,
        desk: Desk,
        counters: Arc<Counters>,
    ) -> Api {
        let dumps = Arc::new(Semaphore::new(DUMPS));
        let stats = Stats::new();
        Api(Arc::new(Shared { config, zones, status, desk, counters, stats, dumps }))
    }
}

impl Service for Api {
    fn call(&self, request: Request, peer: SocketAddr) -> Reply {
        let shared = Arc::clone(&self.0);
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let Some(found) = find(request.uri().path()) else {
            return Reply::Now(respond::status(StatusCode::NOT_FOUND));
        };
        if method != Method::GET {
            return Reply::Now(respond::status(StatusCode::METHOD_NOT_ALLOWED));
        }
        if !TABLE.is_public(method, found.pattern) {
            let caller = Caller::of_request(&shared.config.guard, request.headers(), peer);
            let judged = caller.and_then(|caller| TABLE.judge_door(method, found.pattern, &caller));
            if let Err(refusal) = judged {
                return Reply::Now(refusal.response());
            }
        }
        let is_gzip = accepts_gzip(request.headers());
        Reply::later(async move {
            let started = Instant::now();
            let response = shared.answer(found.route).await;
            shared.stats.count(found.pattern, response.status(), started.elapsed());
            if is_gzip && gzip::applies(&response) {
                gzip::compress(response).await
            } else {
                response
            }
        })
    }
}

// === impl Shared ===

impl Shared {
    async fn answer(&self, route: Route) -> Response {
        match route {
            Route::Version => {
                let version = env!("CARGO_PKG_VERSION");
                json(&json!({"Service": SERVICE, "URL": URL, "Version": version}))
            }
            Route::Config => json(&config::shown(&self.config, self.serial())),
            Route::Host(name) => json(&self.host(&name)),
            Route::Ports => respond::text(StatusCode::NOT_IMPLEMENTED, "To be implemented..."),
            Route::Service(name) => json(&self.service(&name)),
            Route::Enumerate if self.config.enumeration_on => self.enumerate().await,
            Route::Axfr if self.config.enumeration_on => self.axfr().await,
            Route::Records if self.config.enumeration_on => self.records().await,
            Route::Enumerate | Route::Axfr | Route::Records => {
                respond::status(StatusCode::NOT_FOUND)
            }
            Route::Metrics => {
                metrics::answer(&self.stats, self.status.report(), &self.counters.now())
            }
            Route::Health => self.health(),
        }
    }

    fn serial(&self) -> u32 {
        self.zones.serial(&self.config.domain)
    }

    /// Addresses of a name; of one that has none, one record that is empty.
    fn host(&self, name: &str) -> Value {
        let (host, records) = self.look_up(name);
        let ips = records.iter().filter_map(dump::address);
        let all: Vec<Value> = ips.map(|ip| json!({"host": host, "ip": ip})).collect();
        match all.is_empty() {
            true => json!([{"host": "", "ip": ""}]),
            false => Value::Array(all),
        }
    }

    /// Where a service is; of one that is nowhere, one record that is empty.
    fn service(&self, name: &str) -> Value {
        let (_, records) = self.look_up(name);
        let mut all = Vec::new();
        for record in &records {
            let Data::Srv { port, target, .. } = record else { continue };
            let addresses = self.zones.get(target).unwrap_or_default();
            let of = |is: fn(&Data) -> bool| addresses.iter().find(|data| is(data));
            let first =
                [of(|data| matches!(data, Data::A(_))), of(|data| matches!(data, Data::Aaaa(_)))];
            all.extend(first.into_iter().flatten().filter_map(dump::address).map(|ip| {
                json!({
                    "service": name,
                    "host": format!("{target}."),
                    "ip": ip,
                    "port": port.to_string(),
                })
            }));
        }
        match all.is_empty() {
            true => json!([{"service": "", "host": "", "ip": "", "port": ""}]),
            false => Value::Array(all),
        }
    }

    /// The name with a dot at its end, and what it holds. Stars are left out, as in questions.
    fn look_up(&self, name: &str) -> (String, Vec<Data>) {
        let name = name.replace(".*", "").to_lowercase();
        let name = name.trim_end_matches('.');
        (format!("{name}."), self.zones.get(name).unwrap_or_default())
    }

    /// Whether what we say is true now, and otherwise, since when it may not be.
    fn health(&self) -> Response {
        let report = self.status.report();
        let is_ready = self.zones.is_ready(&self.config.domain);
        let body = json!({
            "healthy": is_ready,
            "ready": is_ready,
            "follows_master": report.follows,
            "leader": report.leader.map(|leader| leader.to_string()),
            "data_age_seconds": report.age.map(|age| age.as_secs_f64()),
            "tasks": report.tasks,
            "names": report.names,
        });
        let mut response = json(&body);
        // Names of the last time are served all the same: only whoever waits for more is told no.
        if !is_ready {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        response
    }
}

fn json(body: &Value) -> Response {
    respond::json(body.to_string())
}
