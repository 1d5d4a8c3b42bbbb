//! Probes over the network for health and readiness checks: so many at once and no more, and no
//! app keeps the others waiting.
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use http_kit::{Client, ClientConfig};
use marathon_core::{Input, MAX_PROBE_WAIT, ProbeId, ProbeOutcome, ProbeRequest, ProbeTarget};
use marathon_model::PathId;
use rustc_hash::FxHashMap;
use tokio::{
    net::TcpStream,
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep_until, timeout},
};

/// How many probes may wait for their turn; what comes beyond that is not made.
const MAX_WAITING: usize = 1 << 16;

/// Probes that run and probes that wait for their turn.
#[derive(Debug)]
pub(crate) struct Probes {
    client: Client,
    limit: usize,
    /// In the order of their coming, which is also the order in which they expire.
    waiting: BTreeMap<ProbeId, Waiting>,
    apps: FxHashMap<PathId, Share>,
    /// Apps with probes that wait; the first one is next.
    turns: VecDeque<PathId>,
    running: JoinSet<ProbeOutcome>,
    names: FxHashMap<Id, (PathId, ProbeId)>,
    not_made: VecDeque<ProbeId>,
}

#[derive(Debug)]
struct Waiting {
    request: ProbeRequest,
    until: Instant,
}

/// What one app has.
#[derive(Debug, Default)]
struct Share {
    waiting: BTreeSet<ProbeId>,
    running: usize,
}

// === impl Probes ===

impl Probes {
    /// Runs up to `limit` at once.
    pub(crate) fn new(limit: usize) -> Self {
        // Each probe has its own time; these only end what has been forgotten.
        let config = ClientConfig {
            connect_timeout: Duration::from_secs(3600),
            response_timeout: Duration::from_secs(3600),
            any_certificate: true,
            ..ClientConfig::default()
        };
        Self {
            client: Client::new(config),
            limit: limit.max(1),
            waiting: BTreeMap::new(),
            apps: FxHashMap::default(),
            turns: VecDeque::new(),
            running: JoinSet::new(),
            names: FxHashMap::default(),
            not_made: VecDeque::new(),
        }
    }

    /// Makes probes, now or as soon as others have ended.
    pub(crate) fn make(&mut self, probes: Vec<ProbeRequest>) {
        let until = Instant::now() + MAX_PROBE_WAIT;
        for request in probes {
            if self.waiting.len() >= MAX_WAITING {
                self.not_made.push_back(request.id);
                continue;
            }
            let share = self.apps.entry(request.app.clone()).or_default();
            if share.waiting.is_empty() {
                self.turns.push_back(request.app.clone());
            }
            share.waiting.insert(request.id);
            self.waiting.insert(request.id, Waiting { request, until });
        }
        self.fill();
    }

    /// The outcome of one. Never returns while none run.
    pub(crate) async fn next(&mut self) -> Input {
        loop {
            if let Some(input) = self.expired() {
                return input;
            }
            let until = self.waiting.values().next().map(|waiting| waiting.until);
            let expiry = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(ended) = self.running.join_next_with_id() => {
                    if let Some(input) = self.ended(ended) {
                        return input;
                    }
                }
                () = expiry => {}
            }
        }
    }

    /// The outcome of another one that has ended already.
    pub(crate) fn try_next(&mut self) -> Option<Input> {
        if let Some(input) = self.expired() {
            return Some(input);
        }
        let ended = self.running.try_join_next_with_id()?;
        self.ended(ended)
    }

    /// One that waited too long: its result would be about another time.
    fn expired(&mut self) -> Option<Input> {
        if let Some(probe) = self.not_made.pop_front() {
            return Some(not_made(probe));
        }
        let first = self.waiting.first_entry()?;
        if first.get().until > Instant::now() {
            return None;
        }
        let (probe, Waiting { request, .. }) = first.remove_entry();
        if let Some(share) = self.apps.get_mut(&request.app) {
            share.waiting.remove(&probe);
            if share.waiting.is_empty() {
                self.turns.retain(|app| *app != request.app);
            }
        }
        self.forget(&request.app);
        Some(not_made(probe))
    }

    fn ended(&mut self, ended: Result<(Id, ProbeOutcome), JoinError>) -> Option<Input> {
        let (id, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => (error.id(), ProbeOutcome::NotMade),
        };
        let (app, probe) = self.names.remove(&id)?;
        if let Some(share) = self.apps.get_mut(&app) {
            share.running = share.running.saturating_sub(1);
        }
        self.forget(&app);
        self.fill();
        Some(Input::Probed { probe, outcome })
    }

    /// Starts probes of one app after the other. An app may have no more of them running than
    /// there are places left, so that there is always one for an app that has none: a service
    /// that hangs, with however many instances, does not keep the probes of others waiting.
    fn fill(&mut self) {
        let mut passed = 0;
        while passed < self.turns.len() && self.running.len() < self.limit {
            let free = self.limit - self.running.len();
            let Some(app) = self.turns.pop_front() else { return };
            let Some(share) = self.apps.get_mut(&app) else { continue };
            if share.running >= free {
                self.turns.push_back(app);
                passed += 1;
                continue;
            }
            let next = share.waiting.pop_first();
            let more = !share.waiting.is_empty();
            if let Some(Waiting { request, .. }) = next.and_then(|next| self.waiting.remove(&next))
            {
                share.running += 1;
                let probe = request.id;
                let task = self.running.spawn(make(self.client.clone(), request));
                self.names.insert(task.id(), (app.clone(), probe));
            }
            if more {
                self.turns.push_back(app);
            }
            passed = 0;
        }
    }

    /// Forgets an app that has nothing.
    fn forget(&mut self, app: &PathId) {
        if self.apps.get(app).is_some_and(|share| share.running == 0 && share.waiting.is_empty()) {
            self.apps.remove(app);
        }
    }
}

fn not_made(probe: ProbeId) -> Input {
    Input::Probed { probe, outcome: ProbeOutcome::NotMade }
}

async fn make(client: Client, probe: ProbeRequest) -> ProbeOutcome {
    let made = match &probe.target {
        ProbeTarget::Http { https, host, port, path } => {
            let uri = uri(*https, host, *port, path);
            timeout(probe.timeout, get(client, uri, probe.body_limit)).await
        }
        ProbeTarget::Tcp { host, port } => timeout(probe.timeout, connect(host, *port)).await,
    };
    made.unwrap_or(ProbeOutcome::TimedOut)
}

fn uri(https: bool, host: &str, port: u16, path: &str) -> String {
    let scheme = if https { "https" } else { "http" };
    let slash = if path.starts_with('/') { "" } else { "/" };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!("{scheme}://{host}:{port}{slash}{path}")
}

async fn connect(host: &str, port: u16) -> ProbeOutcome {
    match TcpStream::connect((host, port)).await {
        Ok(_) => ProbeOutcome::Connected,
        Err(error) => ProbeOutcome::Failed(error.to_string()),
    }
}

async fn get(client: Client, uri: String, body_limit: usize) -> ProbeOutcome {
    // A connection that is kept would say little about the next one, and thousands of services
    // would cost thousands of descriptors.
    let request = Request::get(uri)
        .header(header::CONNECTION, "close")
        .header(header::USER_AGENT, "marathon/health-check")
        .body(Full::<Bytes>::default());
    let request = match request {
        Ok(request) => request,
        Err(error) => return ProbeOutcome::Failed(error.to_string()),
    };
    let response = match client.send(request).await {
        Ok(response) => response,
        Err(error) => return ProbeOutcome::Failed(error.to_string()),
    };
    let (head, mut body) = response.into_parts();
    let content_type = head.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut text = Vec::new();
    while text.len() < body_limit
        && let Some(Ok(frame)) = body.frame().await
    {
        text.extend_from_slice(frame.data_ref().map_or(&[], |data| data.as_ref()));
    }
    text.truncate(body_limit);
    ProbeOutcome::Response {
        status: head.status.as_u16(),
        content_type: content_type.to_owned(),
        body: String::from_utf8_lossy(&text).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    fn http(id: u64, address: SocketAddr, body_limit: usize) -> ProbeRequest {
        ProbeRequest {
            id: ProbeId(id),
            app: PathId::parse("/http").unwrap(),
            target: ProbeTarget::Http {
                https: false,
                host: address.ip().to_string(),
                port: address.port(),
                path: "x".to_owned(),
            },
            timeout: Duration::from_secs(30),
            body_limit,
        }
    }

    fn tcp(id: u64, port: u16) -> ProbeRequest {
        let target = ProbeTarget::Tcp { host: "127.0.0.1".to_owned(), port };
        let app = PathId::parse("/tcp").unwrap();
        let timeout = Duration::from_secs(30);
        ProbeRequest { id: ProbeId(id), app, target, timeout, body_limit: 0 }
    }

    /// Answers every request after `answers` has a permit.
    async fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn answers_and_connections_are_told() {
        let answer =
            "HTTP/1.1 503 no\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
        let address = server(answer).await;
        let mut probes = Probes::new(1);
        probes.make(vec![http(1, address, 3), tcp(2, address.port())]);
        let Input::Probed { probe, outcome } = probes.next().await else { panic!("no outcome") };
        let expected = ProbeOutcome::Response {
            status: 503,
            content_type: "text/plain".to_owned(),
            body: "hel".to_owned(),
        };
        assert_eq!((probe, outcome), (ProbeId(1), expected));
        let Input::Probed { probe, outcome } = probes.next().await else { panic!("no outcome") };
        assert_eq!((probe, outcome), (ProbeId(2), ProbeOutcome::Connected));
    }

    #[tokio::test]
    async fn refusal_and_silence_differ() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refused = tcp(2, closed.local_addr().unwrap().port());
        drop(closed);
        let mut probes = Probes::new(2);
        let slow = ProbeRequest { timeout: Duration::from_millis(20), ..http(1, address, 0) };
        probes.make(vec![slow, refused]);
        for _ in 0..2 {
            let Input::Probed { probe, outcome } = probes.next().await else { panic!("none") };
            match probe.0 {
                1 => assert_eq!(outcome, ProbeOutcome::TimedOut),
                _ => assert!(matches!(outcome, ProbeOutcome::Failed(_)), "{outcome:?}"),
            }
        }
    }

    #[tokio::test]
    async fn who_hangs_does_not_keep_others_waiting() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let mut probes = Probes::new(8);
        probes.make((0..1000).map(|id| http(id, address, 0)).collect());
        assert!(probes.running.len() < 8, "a place is left");
        probes.make((1000..1010).map(|id| tcp(id, address.port())).collect());
        for expected in 1000..1010 {
            let Input::Probed { probe, outcome } = probes.next().await else { panic!("none") };
            assert_eq!((probe, outcome), (ProbeId(expected), ProbeOutcome::Connected));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_waited_too_long_is_not_made() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let mut probes = Probes::new(1);
        probes.make((0..3).map(|id| http(id, address, 0)).collect());
        for expected in 1..3 {
            let Input::Probed { probe, outcome } = probes.next().await else { panic!("none") };
            assert_eq!((probe, outcome), (ProbeId(expected), ProbeOutcome::NotMade));
        }
        let Input::Probed { probe, outcome } = probes.next().await else { panic!("none") };
        assert_eq!((probe, outcome), (ProbeId(0), ProbeOutcome::TimedOut));
        assert!(probes.apps.is_empty() && probes.turns.is_empty() && probes.names.is_empty());
    }

    #[tokio::test]
    async fn the_queue_has_a_limit() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let mut probes = Probes::new(1);
        let last = MAX_WAITING as u64;
        probes.make((0..=last).map(|id| http(id, address, 0)).collect());
        let Input::Probed { probe, outcome } = probes.next().await else { panic!("none") };
        assert_eq!((probe, outcome), (ProbeId(last), ProbeOutcome::NotMade));
    }
}
