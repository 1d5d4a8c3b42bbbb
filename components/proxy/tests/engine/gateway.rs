//! A gateway with TLS in front of one backend, and clients for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use proxy::tls::{Certificates, Source, TlsOptions};
use proxy::{
    Decision, Forward, HeaderEdits, Host, Limits, Metrics, Peer, Policy, Refusal, RequestHead,
    Response, RouteId, Server, ServerConfig, Upgrade, Upstream,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A server of the engine's, ended with this.
pub struct Gateway {
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    pub metrics: Arc<Metrics>,
    pub token: CancellationToken,
    pub join: tokio::task::JoinHandle<()>,
    _guard: DropGuard,
}

/// Forwards all but `/local`, which it answers, and `/read`, whose body it reads first.
pub struct Everything {
    pub upstream: Arc<Upstream>,
    pub limits: Arc<Limits>,
}

/// A certificate and its key, as PEM.
pub struct Pair {
    pub chain: String,
    pub key: String,
}

/// What an HTTP/2 client got.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

// === impl Everything ===

impl Everything {
    pub fn new(upstream: &Arc<Upstream>) -> Everything {
        let limits = Limits { request_body: 64 * 1024 * 1024, ..Limits::default() };
        Everything { upstream: Arc::clone(upstream), limits: Arc::new(limits) }
    }

    fn forward(&self, request: &RequestHead) -> Decision {
        let mut target = request.path().as_str().as_bytes().to_vec();
        if let Some(query) = request.query() {
            target.push(b'?');
            target.extend_from_slice(query);
        }
        Decision::Forward(Box::new(Forward {
            upstream: Arc::clone(&self.upstream),
            target: target.into(),
            host: Host::Keep,
            route: RouteId(1),
            user: Some("tester".into()),
            request: HeaderEdits {
                remove: [HeaderName::from_static("x-secret")].into_iter().collect(),
                ..HeaderEdits::default()
            },
            response: None,
            limits: Arc::clone(&self.limits),
            upgrade: Upgrade::Allow,
            follow: None,
        }))
    }
}

impl Policy for Everything {
    fn decide(&self, request: &Arc<RequestHead>, peer: &Peer) -> Decision {
        match request.path().as_str() {
            "/local" => Decision::Respond(Response {
                status: StatusCode::OK,
                headers: vec![(
                    HeaderName::from_static("x-server-name"),
                    HeaderValue::from_str(peer.server_name.as_deref().unwrap_or("none")).unwrap(),
                )],
                body: Bytes::from_static(b"local\n"),
                route: RouteId(0),
                user: None,
            }),
            "/read" => {
                let forward = self.forward(request);
                Decision::Read {
                    limit: 1000,
                    then: Box::new(move |_body| {
                        Box::pin(async move {
                            tokio::time::sleep(Duration::from_millis(1)).await;
                            forward
                        })
                    }),
                }
            }
            _ => self.forward(request),
        }
    }

    fn refuse(&self, _: Option<&RequestHead>, _: &Peer, refusal: &Refusal) -> Response {
        Response {
            status: refusal.status(),
            headers: Vec::new(),
            body: Bytes::from(format!("{refusal}\n")),
            route: RouteId(0),
            user: None,
        }
    }
}

// === impl Gateway ===

impl Gateway {
    pub fn start(policy: Everything, certificates: &Arc<Certificates>) -> Gateway {
        Gateway::with(policy, certificates, |_| {})
    }

    pub fn with(
        policy: Everything,
        certificates: &Arc<Certificates>,
        change: impl FnOnce(&mut ServerConfig),
    ) -> Gateway {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = ServerConfig {
            plain: Some(any),
            tls: Some((any, Arc::clone(certificates))),
            workers: 1,
            routes: vec!["own".into(), "backend".into()],
            ..ServerConfig::default()
        };
        change(&mut config);
        let token = CancellationToken::new();
        let running = Server::start(config, Arc::new(policy), token.clone()).unwrap();
        Gateway {
            plain: running.plain_address.unwrap(),
            tls: running.tls_address.unwrap(),
            metrics: running.metrics,
            join: running.join,
            _guard: token.clone().drop_guard(),
            token,
        }
    }

    /// The value of a series of the metrics.
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.metrics.render();
        let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("{series} is not in\n{text}")).parse().unwrap()
    }

    pub async fn h2(&self) -> SendRequest<Bytes> {
        h2(self.tls).await
    }
}

// === impl Pair ===

impl Pair {
    pub fn of(names: &[&str]) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_string()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Pair { chain: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    pub fn source(&self) -> Source {
        Source::pem(self.chain.clone(), self.key.clone())
    }
}

pub fn certificates(names: &[&[&str]]) -> Arc<Certificates> {
    let sources = names.iter().map(|names| Pair::of(names).source()).collect();
    Certificates::new(sources, &TlsOptions::default()).unwrap()
}

/// Ends within a generous time, or the test fails.
pub async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("took too long")
}

/// Looks again for a while until it is so.
pub async fn until(what: impl Fn() -> bool, message: &str) {
    for _ in 0..600 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{message}");
}

pub async fn handshake(
    address: SocketAddr,
    name: Option<&str>,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.enable_sni = name.is_some();
    let name = ServerName::try_from(name.unwrap_or("nobody.test").to_string()).unwrap();
    let socket = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

/// A client of HTTP/2 over TLS; its connection ends when all of its streams and handles did.
pub async fn h2(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = soon(handshake(address, Some("a.test"), &[b"h2"])).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (client, connection) = soon(h2::client::handshake(stream)).await.unwrap();
    tokio::spawn(async move {
        // How it ended is seen by its streams.
        let _ = connection.await;
    });
    client
}

pub fn request(method: &str, target: &str) -> Request<()> {
    let uri = format!("https://a.test{target}");
    Request::builder().method(method).uri(uri).body(()).unwrap()
}

/// Sends a request with a body, if there is one, and reads all of the answer.
pub async fn call(
    client: &SendRequest<Bytes>,
    request: Request<()>,
    body: Option<&[u8]>,
) -> Result<Answer, h2::Error> {
    let mut client = client.clone().ready().await?;
    let (response, mut stream) = client.send_request(request, body.is_none())?;
    if let Some(body) = body {
        send_all(&mut stream, body, true).await?;
    }
    read(response).await
}

pub async fn read(response: h2::client::ResponseFuture) -> Result<Answer, h2::Error> {
    let (parts, mut stream) = soon(response).await?.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = soon(stream.data()).await {
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    let trailers = soon(stream.trailers()).await?;
    Ok(Answer { status: parts.status, headers: parts.headers, body, trailers })
}

pub async fn send_all(
    stream: &mut h2::SendStream<Bytes>,
    body: &[u8],
    over: bool,
) -> Result<(), h2::Error> {
    let mut rest = body;
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len());
        while stream.capacity() == 0 {
            match soon(std::future::poll_fn(|cx| stream.poll_capacity(cx))).await {
                Some(room) => room?,
                None => return Ok(()),
            };
        }
        let (piece, left) = rest.split_at(stream.capacity().min(rest.len()));
        stream.send_data(Bytes::copy_from_slice(piece), false)?;
        rest = left;
    }
    if over {
        stream.send_data(Bytes::new(), true)?;
    }
    Ok(())
}

/// Believes every certificate: what is served is looked at by the tests themselves.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
