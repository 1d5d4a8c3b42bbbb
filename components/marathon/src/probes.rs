//! Probes over the network for health and readiness checks, so many at once and no more.
use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use http_kit::{Client, ClientConfig};
use marathon_core::{Input, ProbeId, ProbeOutcome, ProbeRequest, ProbeTarget};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

/// Probes that run and probes that wait for their turn.
#[derive(Debug)]
pub(crate) struct Probes {
    client: Client,
    limit: usize,
    waiting: VecDeque<ProbeRequest>,
    running: JoinSet<(ProbeId, ProbeOutcome)>,
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
            waiting: VecDeque::new(),
            running: JoinSet::new(),
        }
    }

    /// Makes probes, now or as soon as others have ended.
    pub(crate) fn make(&mut self, probes: Vec<ProbeRequest>) {
        self.waiting.extend(probes);
        self.fill();
    }

    /// The outcome of one. Never returns while none run.
    pub(crate) async fn next(&mut self) -> Input {
        loop {
            match self.running.join_next().await {
                Some(Ok((probe, outcome))) => {
                    self.fill();
                    return Input::Probed { probe, outcome };
                }
                // Cancelled with everything else.
                Some(Err(_)) => self.fill(),
                None => return std::future::pending().await,
            }
        }
    }

    /// The outcome of another one that has ended already.
    pub(crate) fn try_next(&mut self) -> Option<Input> {
        let (probe, outcome) = self.running.try_join_next()?.ok()?;
        self.fill();
        Some(Input::Probed { probe, outcome })
    }

    fn fill(&mut self) {
        while self.running.len() < self.limit {
            let Some(probe) = self.waiting.pop_front() else { return };
            self.running.spawn(make(self.client.clone(), probe));
        }
    }
}

async fn make(client: Client, probe: ProbeRequest) -> (ProbeId, ProbeOutcome) {
    let made = match &probe.target {
        ProbeTarget::Http { https, host, port, path } => {
            let uri = uri(*https, host, *port, path);
            timeout(probe.timeout, get(client, uri, probe.body_limit)).await
        }
        ProbeTarget::Tcp { host, port } => timeout(probe.timeout, connect(host, *port)).await,
    };
    (probe.id, made.unwrap_or(ProbeOutcome::TimedOut))
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
        ProbeRequest { id: ProbeId(id), target, timeout: Duration::from_secs(30), body_limit: 0 }
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
}
