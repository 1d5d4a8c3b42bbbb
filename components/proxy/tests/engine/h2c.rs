//! Upstreams that speak HTTP/2 without TLS: what gRPC needs passes, from both front sides.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, Request, Response};
use proxy::{Address, Protocol, ServerConfig, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::gateway::{Everything, Gateway, call, certificates, request, send_all, soon, until};
use crate::raw::Raw;

/// Much longer than a test takes.
const LONG: std::time::Duration = std::time::Duration::from_secs(3600);

#[derive(Default)]
struct Facts {
    connections: AtomicUsize,
    /// Of those, the ones that have ended.
    ended: AtomicUsize,
    requests: AtomicUsize,
    resets: AtomicUsize,
    refused: AtomicUsize,
}

struct Backend {
    address: SocketAddr,
    facts: Arc<Facts>,
    task: tokio::task::JoinHandle<()>,
}

// === impl Backend ===

impl Backend {
    /// With at most `streams` at once on a connection.
    async fn start(streams: u32) -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let facts = Arc::new(Facts::default());
        let shared = Arc::clone(&facts);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                connections.spawn(connection(socket, streams, Arc::clone(&shared)));
            }
        });
        Backend { address, facts, task }
    }

    fn gateway(&self) -> Gateway {
        self.gateway_with(|_| {})
    }

    fn gateway_with(&self, change: impl FnOnce(&mut ServerConfig)) -> Gateway {
        let upstream = Upstream::new("backend", Address::Tcp(self.address), Protocol::H2c);
        Gateway::with(Everything::new(&upstream), &certificates(&[&["a.test"]]), change)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(socket: TcpStream, streams: u32, facts: Arc<Facts>) {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(streams);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
    let mut tasks = JoinSet::new();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        facts.requests.fetch_add(1, Ordering::Relaxed);
        if request.uri().path() == "/refused" && facts.refused.fetch_add(1, Ordering::Relaxed) == 0
        {
            respond.send_reset(Reason::REFUSED_STREAM);
            continue;
        }
        tasks.spawn(serve(request, respond, Arc::clone(&facts)));
    }
    facts.ended.fetch_add(1, Ordering::Relaxed);
}

/// Answers as a gRPC server does: each message comes back, the status is a trailer.
async fn serve(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    facts: Arc<Facts>,
) {
    let (parts, mut body) = request.into_parts();
    if parts.uri.path() == "/too-late" {
        while let Some(Ok(piece)) = body.data().await {
            let _ = body.flow_control().release_capacity(piece.len());
        }
        respond.send_reset(Reason::REFUSED_STREAM);
        return;
    }
    if parts.method == "HEAD" {
        let status = if parts.uri.path() == "/same" { 304 } else { 200 };
        let response = Response::builder().status(status).body(()).unwrap();
        let _ = respond.send_response(response, true);
        return;
    }
    let copied = |name: &str| parts.headers.get(name).cloned().unwrap_or("none".parse().unwrap());
    let response = Response::builder()
        .header("content-type", "application/grpc")
        .header("x-te", copied("te"))
        .header("x-host", parts.uri.authority().unwrap().as_str())
        .header("x-forwarded", copied("x-forwarded-proto"))
        .header("x-target", parts.uri.path_and_query().unwrap().as_str())
        .body(())
        .unwrap();
    let Ok(mut stream) = respond.send_response(response, false) else { return };
    if parts.uri.path() == "/hang" {
        if std::future::poll_fn(|cx| stream.poll_reset(cx)).await.is_ok() {
            facts.resets.fetch_add(1, Ordering::Relaxed);
        }
        return;
    }
    while let Some(Ok(piece)) = body.data().await {
        let _ = body.flow_control().release_capacity(piece.len());
        if send_all(&mut stream, &piece, false).await.is_err() {
            return;
        }
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    if let Ok(Some(sent)) = body.trailers().await {
        trailers.extend(sent);
    }
    let _ = stream.send_trailers(trailers);
}

/// A message of gRPC: a flag, a length, the bytes.
fn message(text: &[u8]) -> Vec<u8> {
    let mut message = vec![0];
    message.extend_from_slice(&(text.len() as u32).to_be_bytes());
    message.extend_from_slice(text);
    message
}

/// Both directions are open at once: each message is answered before the next one is sent.
#[tokio::test]
async fn a_conversation_passes_message_by_message() {
    let backend = Backend::start(100).await;
    let gateway = backend.gateway();
    let client = gateway.h2().await;
    let mut call = request("POST", "/pkg.Service/Talk?x=1");
    call.headers_mut().insert("te", "trailers".parse().unwrap());
    call.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let mut ready = client.ready().await.unwrap();
    let (response, mut stream) = ready.send_request(call, false).unwrap();
    let (parts, mut body) = soon(response).await.unwrap().into_parts();
    assert_eq!(parts.headers["content-type"], "application/grpc");
    assert_eq!(parts.headers["x-te"], "trailers");
    assert_eq!(parts.headers["x-host"], "a.test");
    assert_eq!(parts.headers["x-forwarded"], "https");
    assert_eq!(parts.headers["x-target"], "/pkg.Service/Talk?x=1");
    for number in 0..20u8 {
        let sent = message(&[number; 100]);
        send_all(&mut stream, &sent, false).await.unwrap();
        let mut got = Vec::new();
        while got.len() < sent.len() {
            let piece = soon(body.data()).await.unwrap().unwrap();
            body.flow_control().release_capacity(piece.len()).unwrap();
            got.extend_from_slice(&piece);
        }
        assert_eq!(got, sent);
    }
    stream.send_data(Bytes::new(), true).unwrap();
    assert!(soon(body.data()).await.is_none());
    let trailers = soon(body.trailers()).await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let backend = Backend::start(1000).await;
    let gateway = backend.gateway();
    let client = gateway.h2().await;
    let mut tasks = JoinSet::new();
    for number in 0..100usize {
        let client = client.clone();
        tasks.spawn(async move {
            let body = vec![number as u8; number * 1000];
            let answer = call(&client, request("POST", "/"), Some(&body)).await.unwrap();
            assert_eq!(answer.body, body);
            assert_eq!(answer.trailers.unwrap()["grpc-status"], "0");
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(backend.facts.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_full_connection_gets_a_second_one() {
    let backend = Backend::start(2).await;
    let gateway = backend.gateway();
    let client = gateway.h2().await;
    // The first learns what the upstream allows.
    call(&client, request("GET", "/"), None).await.unwrap();
    let mut open = Vec::new();
    for _ in 0..5 {
        let mut ready = client.clone().ready().await.unwrap();
        let (response, stream) = ready.send_request(request("POST", "/"), false).unwrap();
        open.push((soon(response).await.unwrap(), stream));
    }
    let connections = backend.facts.connections.load(Ordering::Relaxed);
    assert!((2..=4).contains(&connections), "{connections}");
}

#[tokio::test]
async fn http1_clients_reach_it_too() {
    let backend = Backend::start(100).await;
    let gateway = backend.gateway();
    let mut socket = TcpStream::connect(gateway.plain).await.unwrap();
    let text = "POST /x HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: close, te\r\n\
        Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-mine: 1\r\nx-secret: 1\r\n\r\n";
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(socket.read_to_string(&mut answer)).await.unwrap();
    let lower = answer.to_ascii_lowercase();
    assert!(lower.starts_with("http/1.1 200 "), "{answer}");
    assert!(lower.contains("transfer-encoding: chunked"), "{answer}");
    assert!(answer.contains("\r\n3\r\nabc\r\n"), "{answer}");
    assert!(lower.contains("grpc-status: 0\r\n") && lower.contains("x-mine: 1\r\n"), "{answer}");
    assert!(!lower.contains("x-secret"), "{answer}");
}

#[tokio::test]
async fn a_reset_is_passed_on() {
    let backend = Backend::start(100).await;
    let gateway = backend.gateway();
    let client = gateway.h2().await;
    let mut ready = client.clone().ready().await.unwrap();
    let (response, mut stream) = ready.send_request(request("POST", "/hang"), false).unwrap();
    let response = soon(response).await.unwrap();
    stream.send_reset(Reason::CANCEL);
    drop(response);
    let told = || backend.facts.resets.load(Ordering::Relaxed) == 1;
    until(told, "the upstream was never told").await;
    let answer = call(&client, request("POST", "/"), Some(b"on")).await.unwrap();
    assert_eq!(answer.body, b"on");
    assert_eq!(backend.facts.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_was_refused_unseen_is_sent_again() {
    let backend = Backend::start(100).await;
    let gateway = backend.gateway();
    let client = gateway.h2().await;
    let answer = call(&client, request("GET", "/refused"), None).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.headers["x-target"].as_bytes()),
        (200, &b"/refused"[..])
    );
    assert_eq!(gateway.metric("dais_gateway_upstream_retries_total{upstream=\"backend\"}"), 1.0);
}

#[tokio::test]
async fn a_request_whose_body_has_gone_is_not_sent_again() {
    let backend = Backend::start(100).await;
    let gateway = backend.gateway();
    let client = gateway.h2().await;
    let answer = call(&client, request("POST", "/too-late"), Some(b"do it")).await.unwrap();
    assert_eq!(answer.status, 502);
    assert_eq!(backend.facts.requests.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_answer_without_a_body_says_nothing_of_its_length() {
    let backend = Backend::start(100).await;
    let gateway = backend.gateway();
    let client = gateway.h2().await;
    for (path, status) in [("/", 200), ("/same", 304)] {
        let answer = call(&client, request("HEAD", path), None).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.headers.get("content-length")), (status, None));
        let mut socket = Raw::new(TcpStream::connect(gateway.plain).await.unwrap());
        socket.send(format!("HEAD {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
        let head = socket.head().await.to_ascii_lowercase();
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
        assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_idle_connections() {
    let backend = Backend::start(100).await;
    let gateway = backend.gateway_with(|config| config.timeouts.grace = LONG);
    let client = gateway.h2().await;
    call(&client, request("GET", "/"), None).await.unwrap();
    drop(client);
    gateway.token.cancel();
    soon(gateway.join).await.unwrap();
}

#[tokio::test]
async fn a_retired_upstream_is_let_go() {
    let backend = Backend::start(100).await;
    let upstream = Upstream::new("backend", Address::Tcp(backend.address), Protocol::H2c);
    let policy = Everything::new(&upstream);
    let gateway = Gateway::with(policy, &certificates(&[&["a.test"]]), |config| {
        config.timeouts.upstream_keep_alive = LONG;
    });
    let client = gateway.h2().await;
    let mut ready = client.clone().ready().await.unwrap();
    let (response, mut running) = ready.send_request(request("POST", "/"), false).unwrap();
    let mut body = soon(response).await.unwrap().into_body();
    upstream.retire();
    let refused = call(&client, request("GET", "/"), None).await.unwrap();
    assert_eq!(refused.status, 503);
    // What runs there runs on.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(backend.facts.ended.load(Ordering::Relaxed), 0);
    send_all(&mut running, b"last words", true).await.unwrap();
    assert_eq!(soon(body.data()).await.unwrap().unwrap(), "last words");
    while soon(body.data()).await.is_some() {}
    let ended = || backend.facts.ended.load(Ordering::Relaxed) == 1;
    until(ended, "the connection to a retired upstream is kept").await;
    // Nothing else knows of it any more.
    drop(client);
    let known = || Arc::strong_count(&upstream) <= 2;
    until(known, "the upstream is kept").await;
}

#[tokio::test]
async fn an_upstream_that_ends_is_connected_to_again() {
    let backend = Backend::start(100).await;
    let gateway = backend.gateway();
    let client = gateway.h2().await;
    call(&client, request("GET", "/"), None).await.unwrap();
    let address = backend.address;
    drop(backend);
    let gone = call(&client, request("GET", "/"), None).await.unwrap();
    assert!(gone.status.is_server_error());
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    };
    let facts = Arc::new(Facts::default());
    let task = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(connection(socket, 100, Arc::clone(&facts)));
        }
    });
    let mut back = false;
    for _ in 0..100 {
        let answer = call(&client, request("GET", "/"), None).await.unwrap();
        back = answer.status == 200;
        if back {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(back);
    task.abort();
}
