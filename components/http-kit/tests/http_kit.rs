//! The server over real sockets: framing, limits, pipelining, graceful end.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_kit::{Body, Endpoint, Reply, Request, Routes, ServeConfig, read_body, respond, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

async fn start(config: ServeConfig) -> Server {
    let echo = |request: Request| async move {
        match read_body(request.into_body(), 1000).await {
            Ok(bytes) => respond::json(bytes),
            Err(refused) => refused,
        }
    };
    let stream = |_: Request| {
        let (tx, body) = Body::channel(4);
        tokio::spawn(async move {
            let _ = tx.send(Bytes::from_static(b"first")).await;
            tx.closed().await;
        });
        let mut response = respond::json(body);
        response.headers_mut().insert("mesos-stream-id", http::HeaderValue::from_static("x"));
        Reply::Now(response)
    };
    let routes = Routes::new("master")
        .with(Endpoint::ready("master", "/health", |_| respond::ok()))
        .with(Endpoint::ready("master", "/long", |_| respond::json("y".repeat(5000))))
        .with(Endpoint::new("master", "/echo", echo))
        .with(Endpoint::reply("master", "/stream", stream));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(serve(listener, Arc::new(routes), config, shutdown.clone()));
    Server { address, shutdown, task }
}

/// Sends bytes and returns all that comes until the end or half a second of silence.
async fn exchange(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut out = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(Ok(n)) =
        tokio::time::timeout(Duration::from_millis(500), stream.read(&mut piece)).await
    {
        if n == 0 {
            break;
        }
        out.extend_from_slice(&piece[..n]);
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[tokio::test]
async fn answers_have_the_recorded_heads() {
    let server = start(ServeConfig::default()).await;
    let health =
        exchange(&server, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(health.starts_with("HTTP/1.1 200 OK\r\n"), "{health}");
    assert!(health.contains("\r\nContent-Length: 0\r\n"), "{health}");
    assert!(health.contains("\r\nDate: "), "{health}");
    assert!(!health.contains("Content-Type"), "{health}");
    let head =
        exchange(&server, b"HEAD /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(head.contains("\r\nContent-Length: 5000\r\n") && !head.contains("yy"), "{head}");
    let stream = exchange(&server, b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(stream.contains("\r\nMesos-Stream-Id: x\r\n"), "{stream}");
    assert!(stream.contains("\r\nTransfer-Encoding: chunked\r\n"), "{stream}");
    assert!(stream.ends_with("5\r\nfirst\r\n"), "{stream}");
    let gzip = exchange(
        &server,
        b"GET /long HTTP/1.1\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(gzip.contains("\r\nContent-Encoding: gzip\r\n"), "{gzip}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = start(ServeConfig::default()).await;
    let mut bytes = Vec::new();
    for n in 0..20 {
        let body = format!("n{n}.");
        bytes.extend_from_slice(
            format!("POST /echo HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                .as_bytes(),
        );
    }
    let text = exchange(&server, &bytes).await;
    let mut at = 0;
    for n in 0..20 {
        let found = text[at..].find(&format!("n{n}.")).unwrap();
        at += found;
    }
}

#[tokio::test]
async fn limits_answer_and_the_server_survives() {
    let server = start(ServeConfig::default()).await;
    let long = format!("POST /echo HTTP/1.1\r\nContent-Length: 1001\r\n\r\n{}", "z".repeat(1001));
    assert!(exchange(&server, long.as_bytes()).await.starts_with("HTTP/1.1 413 "));
    let head = format!("GET /health HTTP/1.1\r\nX: {}\r\n\r\n", "h".repeat(600_000));
    let answer = exchange(&server, head.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let many = format!("GET /health HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(500));
    let answer = exchange(&server, many.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let nonsense = exchange(&server, b"\x16\x03\x01 nonsense\r\n\r\n").await;
    assert!(nonsense.is_empty() || nonsense.starts_with("HTTP/1.1 400 "), "{nonsense}");
    let health = exchange(&server, b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert!(health.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_head_that_stays_incomplete_ends_but_an_idle_link_does_not() {
    let config = ServeConfig { head_timeout: Duration::from_millis(100), ..ServeConfig::default() };
    let server = start(config).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(b"GET /hea").await.unwrap();
    let mut out = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), slow.read_to_end(&mut out)).await.unwrap().ok();
    idle.write_all(b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut out = String::new();
    idle.read_to_string(&mut out).await.unwrap();
    assert!(out.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_stream() {
    let (gone, mut noticed) = tokio::sync::mpsc::channel::<()>(1);
    let routes = Routes::new("master").with(Endpoint::reply("master", "/stream", move |_| {
        let (tx, body) = Body::channel(4);
        let gone = gone.clone();
        tokio::spawn(async move {
            let _ = tx.send(Bytes::from_static(b"first")).await;
            tx.closed().await;
            let _ = gone.send(()).await;
        });
        Reply::Now(respond::json(body))
    }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(
        listener,
        Arc::new(routes),
        ServeConfig::default(),
        CancellationToken::new(),
    ));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /stream HTTP/1.1\r\n\r\n").await.unwrap();
    let mut piece = [0; 10];
    client.read_exact(&mut piece).await.unwrap();
    drop(client);
    tokio::time::timeout(Duration::from_secs(5), noticed.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_ends_streams_after_the_grace() {
    let server = start(ServeConfig::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /stream HTTP/1.1\r\n\r\n").await.unwrap();
    let mut piece = [0; 10];
    stream.read_exact(&mut piece).await.unwrap();
    server.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), server.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_detached_reply_is_finished_though_the_client_left() {
    let (done, mut finished) = tokio::sync::mpsc::channel::<Bytes>(1);
    let routes =
        Routes::new("master").with(Endpoint::reply("master", "/message", move |request| {
            let done = done.clone();
            Reply::detached(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let body = read_body(request.into_body(), 100).await.unwrap();
                let _ = done.send(body).await;
                respond::accepted()
            })
        }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(
        listener,
        Arc::new(routes),
        ServeConfig::default(),
        CancellationToken::new(),
    ));
    let mut client = TcpStream::connect(address).await.unwrap();
    client
        .write_all(
            b"POST /message HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        )
        .await
        .unwrap();
    drop(client);
    let body = tokio::time::timeout(Duration::from_secs(5), finished.recv()).await.unwrap();
    assert_eq!(body.unwrap(), "abc");
}
