//! What one worker tells about requests that are over: to the metrics and to the access log.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::access_log::{Entry, Writer};
use crate::config::ServerConfig;
use crate::metrics::{Metrics, Reason, WorkerMetrics};
use crate::{Peer, Refusal, RequestHead, RouteId};

/// Where a connection comes from, and how.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) peer: Peer,
    /// The version of TLS; absent on the plain port.
    pub(crate) tls: Option<&'static str>,
    /// What it says about its own clients is believed.
    pub(crate) trusted: bool,
    /// Its IP address as text.
    pub(crate) address: Box<str>,
}

/// One request, filled in while it is served.
#[derive(Clone, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) request_id: &'a [u8],
    /// Behind trusted proxies: the one that they name.
    pub(crate) client: IpAddr,
    /// Absent when the head could not be read.
    pub(crate) request: Option<&'a RequestHead>,
    pub(crate) status: u16,
    /// Bytes of the bodies, from the client and to it; of an upgraded connection all that passed.
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) user: Option<&'a str>,
    pub(crate) route: RouteId,
    pub(crate) upstream: Option<&'a str>,
    /// From the head's arrival to the end of the answer.
    pub(crate) total: Duration,
    pub(crate) upstream_time: Option<Duration>,
    pub(crate) tls: Option<&'static str>,
    /// What ended the request early.
    pub(crate) error: Option<&'a str>,
}

/// One for each worker.
pub(crate) struct Observer {
    pub(crate) metrics: Arc<WorkerMetrics>,
    all: Arc<Metrics>,
    log: Option<Writer>,
}

// === impl Client ===

impl Client {
    pub(crate) fn new(peer: Peer, tls: Option<&'static str>, config: &ServerConfig) -> Client {
        let ip = peer.address.ip().to_canonical();
        Client { peer, tls, trusted: config.trusts(ip), address: ip.to_string().into() }
    }
}

// === impl Observer ===

impl Observer {
    pub(crate) fn new(all: Arc<Metrics>, worker: usize, config: &ServerConfig) -> Observer {
        let spare = || Arc::new(WorkerMetrics::new(0));
        let metrics = all.worker(worker).unwrap_or_else(spare);
        let log = config.access_log.as_ref().map(|log| log.writer());
        Observer { metrics, all, log }
    }

    pub(crate) fn request(&self, record: &Record<'_>) {
        let Record { route, status, total, received, sent, .. } = *record;
        self.metrics.request(route, status, total, received, sent);
        if let Some(log) = &self.log {
            log.write(&Entry {
                request_id: std::str::from_utf8(record.request_id).unwrap_or_default(),
                client: record.client,
                user: record.user,
                request: record.request,
                status,
                received,
                sent,
                route: self.all.route(route),
                upstream: record.upstream,
                total,
                upstream_time: record.upstream_time,
                tls: record.tls,
                error: record.error,
            });
        }
    }

    pub(crate) fn refused(&self, refusal: &Refusal) {
        self.metrics.refused(Reason::from(refusal));
    }
}
