//! HTTP/2 towards clients, HTTP/1.1 towards a backend that forgives nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use h2::Reason;
use http::{HeaderMap, Request};
use proxy::{Address, Limits, Protocol, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::gateway::{
    Everything, Gateway, call, certificates, h2, handshake, read, request, send_all, soon, until,
};
use crate::strict::Backend;

async fn started() -> (Backend, Gateway) {
    let backend = Backend::start().await;
    let policy = Everything::new(&upstream(&backend));
    (backend, Gateway::start(policy, &certificates(&[&["a.test"]])))
}

fn upstream(backend: &Backend) -> Arc<Upstream> {
    Upstream::new("backend", Address::Tcp(backend.address), Protocol::Http1)
}

#[tokio::test]
async fn a_request_is_the_same_one_behind() {
    let (backend, gateway) = started().await;
    let client = gateway.h2().await;
    let mut get = request("GET", "/echo/%7Ea//b/../c?q=1");
    get.headers_mut().append("cookie", "a=1".parse().unwrap());
    get.headers_mut().append("cookie", "b=2".parse().unwrap());
    get.headers_mut().append("x-mine", "yes".parse().unwrap());
    get.headers_mut().append("te", "trailers".parse().unwrap());
    let answer = call(&client, get, None).await.unwrap();
    assert_eq!(answer.status, 404);
    let seen = backend.seen().pop().unwrap();
    assert_eq!(seen.line, "GET /echo/~a/c?q=1 HTTP/1.1");
    assert_eq!(seen.header("cookie"), Some("a=1; b=2"));
    assert_eq!(seen.header("host"), Some("a.test"));
    assert_eq!(seen.header("x-mine"), Some("yes"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert!(seen.header("x-request-id").is_some());
    assert!(seen.header("content-length").is_none() && seen.header("transfer-encoding").is_none());
}

#[tokio::test]
async fn bodies_pass_both_ways() {
    let (backend, gateway) = started().await;
    let client = gateway.h2().await;
    let body: Vec<u8> = (0..1_000_000u32).map(|at| at as u8).collect();
    let answer = call(&client, request("POST", "/echo"), Some(&body)).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body == body), (200, true));
    let mut known = request("PUT", "/echo");
    known.headers_mut().append("content-length", "5".parse().unwrap());
    let answer = call(&client, known, Some(b"hello")).await.unwrap();
    assert_eq!(answer.body, b"hello");
    let seen = backend.seen();
    assert_eq!(seen[0].header("transfer-encoding"), Some("chunked"));
    assert_eq!(seen[1].header("content-length"), Some("5"));
    let answer = call(&client, request("GET", "/read"), None).await.unwrap();
    assert_eq!(answer.status, 404);
    let answer = call(&client, request("POST", "/read"), Some(&body)).await.unwrap();
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn what_was_read_before_is_forwarded_too() {
    let (backend, gateway) = started().await;
    let client = gateway.h2().await;
    call(&client, request("POST", "/read"), Some(b"small")).await.unwrap();
    assert_eq!(backend.seen()[0].body, b"small");
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let (_backend, gateway) = started().await;
    let client = gateway.h2().await;
    let answer = call(&client, request("HEAD", "/echo"), None).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    assert_eq!(answer.headers["content-length"], "0");
    let answer = call(&client, request("GET", "/none"), None).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    let answer = call(&client, request("HEAD", "/local"), None).await.unwrap();
    assert_eq!((answer.headers["content-length"].as_bytes(), answer.body.len()), (&b"6"[..], 0));
    let answer = call(&client, request("GET", "/connection"), None).await.unwrap();
    assert!(!answer.headers.contains_key("x-hop") && !answer.headers.contains_key("keep-alive"));
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let (backend, gateway) = started().await;
    let client = gateway.h2().await;
    let answer = call(&client, request("GET", "/trailers"), None).await.unwrap();
    assert_eq!(answer.body, b"hello");
    assert_eq!(answer.trailers.unwrap()["x-sum"], "42");
    let mut ready = client.ready().await.unwrap();
    let (response, mut stream) = ready.send_request(request("POST", "/echo"), false).unwrap();
    send_all(&mut stream, b"body", false).await.unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-check", "7".parse().unwrap());
    for name in ["content-length", "x-forwarded-for", "x-secret"] {
        trailers.insert(name, "9".parse().unwrap());
    }
    stream.send_trailers(trailers).unwrap();
    assert_eq!(read(response).await.unwrap().body, b"body");
    let seen = backend.seen().pop().unwrap();
    assert_eq!(seen.trailers, [("x-check".to_string(), "7".to_string())]);
}

#[tokio::test]
async fn many_streams_share_a_connection() {
    let (backend, gateway) = started().await;
    let client = gateway.h2().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..300usize {
        let client = client.clone();
        tasks.spawn(async move {
            let body = vec![number as u8; number * 100];
            let answer = call(&client, request("POST", "/echo"), Some(&body)).await.unwrap();
            assert_eq!(answer.body, body);
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(backend.seen().len(), 300);
    assert!(backend.facts.connections.load(Ordering::Relaxed) <= 128);
    assert_eq!(gateway.metric("dais_gateway_http2_connections_total"), 1.0);
}

#[tokio::test]
async fn a_reset_is_felt_behind_and_a_break_in_front() {
    let (backend, gateway) = started().await;
    let client = gateway.h2().await;
    let mut ready = client.clone().ready().await.unwrap();
    let (response, mut stream) = ready.send_request(request("GET", "/hang"), true).unwrap();
    until(|| !backend.seen().is_empty(), "it never came").await;
    stream.send_reset(Reason::CANCEL);
    drop(response);
    let broken = || backend.facts.broken.load(Ordering::Relaxed) == 1;
    until(broken, "the upstream was never told").await;
    let error = call(&client, request("GET", "/breaks"), None).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
    let answer = call(&client, request("GET", "/local"), None).await.unwrap();
    assert_eq!(answer.status, 200, "other streams go on");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_requests_with_it() {
    let (backend, gateway) = started().await;
    let client = gateway.h2().await;
    let mut ready = client.clone().ready().await.unwrap();
    let (response, stream) = ready.send_request(request("GET", "/forever"), true).unwrap();
    let response = soon(response).await.unwrap();
    drop((response, stream, client, ready));
    let broken = || backend.facts.broken.load(Ordering::Relaxed) == 1;
    until(broken, "the upstream goes on for nobody").await;
}

/// The answer never ends; the client reads nothing: no more than buffers hold is taken.
#[tokio::test]
async fn a_client_that_reads_nothing_stops_the_upstream() {
    let (backend, gateway) = started().await;
    let client = gateway.h2().await;
    let mut ready = client.clone().ready().await.unwrap();
    let (response, _stream) = ready.send_request(request("GET", "/forever"), true).unwrap();
    let mut body = soon(response).await.unwrap().into_body();
    let given = || backend.facts.given.load(Ordering::Relaxed);
    settled(&given).await;
    // Most of it is in the kernel, between the backend and the gateway.
    let before = given();
    assert!(before < 16 * 1024 * 1024, "{before} bytes");
    let mut taken = 0;
    while taken < 32 * 1024 * 1024 {
        let piece = soon(body.data()).await.unwrap().unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        taken += piece.len();
    }
    assert!(given() >= 32 * 1024 * 1024);
}

/// The upstream reads nothing: the client is not let send more than buffers hold.
#[tokio::test]
async fn an_upstream_that_reads_nothing_stops_the_client() {
    let (_backend, gateway) = started().await;
    let client = gateway.h2().await;
    let mut ready = client.clone().ready().await.unwrap();
    let (_response, mut stream) = ready.send_request(request("POST", "/stall"), false).unwrap();
    let sent = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let sending = tokio::spawn(async move {
        let piece = vec![0; 16 * 1024];
        loop {
            if send_all(&mut stream, &piece, false).await.is_err() {
                return;
            }
            counted.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
    });
    settled(&|| sent.load(Ordering::Relaxed)).await;
    sending.abort();
    let sent = sent.load(Ordering::Relaxed);
    assert!((64 * 1024..16 * 1024 * 1024).contains(&sent), "{sent} bytes");
    let answer = call(&client, request("GET", "/local"), None).await.unwrap();
    assert_eq!(answer.status, 200, "other streams go on");
}

/// Waits until a number has not changed for a second.
async fn settled(number: &(impl Fn() -> u64 + ?Sized)) {
    let (mut last, mut quiet) = (u64::MAX, 0);
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = number();
        quiet = if now == last && now > 0 { quiet + 1 } else { 0 };
        last = now;
        if quiet == 20 {
            return;
        }
    }
    panic!("it never came to rest");
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused() {
    let backend = Backend::start().await;
    let mut policy = Everything::new(&upstream(&backend));
    policy.limits = Arc::new(Limits { request_body: 1000, ..Limits::default() });
    let gateway = Gateway::start(policy, &certificates(&[&["a.test"]]));
    let client = gateway.h2().await;
    let mut known = request("POST", "/echo");
    known.headers_mut().append("content-length", "1001".parse().unwrap());
    let answer = call(&client, known, Some(&[0; 1001])).await.unwrap();
    assert_eq!(answer.status, 413);
    let answer = call(&client, request("POST", "/echo"), Some(&[0; 1001])).await.unwrap();
    assert_eq!(answer.status, 413);
    let answer = call(&client, request("POST", "/echo"), Some(&[0; 1000])).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(gateway.metric("dais_gateway_refused_total{reason=\"body_too_large\"}"), 2.0);
}

/// Frames by hand: what a proper client would never send.
mod raw {
    use super::*;

    pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        frame
    }

    /// A header without compression.
    pub(super) fn header(name: &str, value: &[u8]) -> Vec<u8> {
        let mut block = vec![0, name.len() as u8];
        block.extend_from_slice(name.as_bytes());
        block.push(value.len() as u8);
        block.extend_from_slice(value);
        block
    }

    pub(super) fn headers(pairs: &[(&str, &[u8])]) -> Vec<u8> {
        pairs.iter().flat_map(|(name, value)| header(name, value)).collect()
    }

    pub(super) fn preface() -> Vec<u8> {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend_from_slice(&frame(4, 0, 0, b""));
        bytes
    }

    /// How a stream ended that was answered with frames: its status' first byte in the static
    /// table, a reset's reason, or a goodbye to all.
    #[derive(Debug, PartialEq, Eq)]
    pub(super) enum End {
        Answered,
        Reset(u32),
        Goodbye(u32),
        Closed,
    }

    /// Sends bytes on a new connection and waits for the end of stream 1.
    pub(super) async fn send(gateway: &Gateway, bytes: &[u8]) -> End {
        let mut stream = soon(handshake(gateway.tls, Some("a.test"), &[b"h2"])).await.unwrap();
        let mut all = preface();
        all.extend_from_slice(bytes);
        // Who is fed up may have closed before all of it was written.
        let _ = stream.write_all(&all).await;
        let _ = stream.flush().await;
        let mut read = Vec::new();
        loop {
            while read.len() >= 9 {
                let length = u32::from_be_bytes([0, read[0], read[1], read[2]]) as usize;
                if read.len() < 9 + length {
                    break;
                }
                let frame: Vec<u8> = read.drain(..9 + length).collect();
                let number = |at: usize| {
                    u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]])
                };
                match frame[3] {
                    1 => return End::Answered,
                    3 => return End::Reset(number(9)),
                    7 => return End::Goodbye(number(13)),
                    _ => {}
                }
            }
            let mut piece = [0; 4096];
            match soon(stream.read(&mut piece)).await {
                Ok(0) | Err(_) => return End::Closed,
                Ok(count) => read.extend_from_slice(&piece[..count]),
            }
        }
    }
}

const GOOD: [(&str, &[u8]); 4] =
    [(":method", b"GET"), (":scheme", b"https"), (":authority", b"a.test"), (":path", b"/echo")];

async fn one(gateway: &Gateway, pairs: &[(&str, &[u8])], flags: u8, more: &[u8]) -> raw::End {
    let mut bytes = raw::frame(1, flags, 1, &raw::headers(pairs));
    bytes.extend_from_slice(more);
    raw::send(gateway, &bytes).await
}

fn with<'a>(more: &[(&'a str, &'a [u8])]) -> Vec<(&'a str, &'a [u8])> {
    GOOD.iter().copied().chain(more.iter().copied()).collect()
}

/// Everything that would be another request, or more than one, in HTTP/1.1.
#[tokio::test]
async fn nothing_is_smuggled() {
    let (backend, gateway) = started().await;
    assert_eq!(one(&gateway, &GOOD, 5, b"").await, raw::End::Answered);
    assert_eq!(backend.seen().len(), 1);
    let bad: [&[(&str, &[u8])]; 12] = [
        &[("X-Upper", b"1")],
        &[("x-crlf", b"a\r\nx-b: c")],
        &[("x-lf", b"a\nb")],
        &[("x-nul", b"a\0b")],
        &[("x name", b"1")],
        &[("x:name", b"1")],
        &[("connection", b"close")],
        &[("transfer-encoding", b"chunked")],
        &[("te", b"gzip")],
        &[("keep-alive", b"1")],
        &[("upgrade", b"websocket")],
        &[(":path", b"/other")],
    ];
    for more in bad {
        let end = one(&gateway, &with(more), 5, b"").await;
        assert!(matches!(end, raw::End::Reset(_) | raw::End::Goodbye(_)), "{more:?}: {end:?}");
    }
    let paths: [&[u8]; 8] =
        [b"", b"echo", b"*", b"http://b.test/", b"/a b", b"/a\tb", b"/\xff", b"/a\r\nb"];
    for path in paths {
        let mut pairs = GOOD.to_vec();
        pairs[3].1 = path;
        one(&gateway, &pairs, 5, b"").await;
    }
    assert_eq!(backend.seen().len(), 1, "only the good one went on");
}

#[tokio::test]
async fn lengths_must_be_true() {
    let (backend, gateway) = started().await;
    let post = |length: &'static [u8]| {
        let mut pairs = with(&[("content-length", length)]);
        pairs[0].1 = b"POST";
        pairs
    };
    let five = raw::frame(0, 1, 1, b"hello");
    assert_eq!(one(&gateway, &post(b"5"), 4, &five).await, raw::End::Answered);
    for length in [&b"4"[..], b"6", b"x", b"+5", b"5, 5"] {
        let end = one(&gateway, &post(length), 4, &five).await;
        let complete = backend.seen().len();
        assert_eq!(complete, 1, "{length:?} ended {end:?}");
    }
    let twice = with(&[("content-length", b"5"), ("content-length", b"6")]);
    assert_ne!(one(&gateway, &twice, 4, &five).await, raw::End::Answered);
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn floods_are_stopped() {
    let (backend, gateway) = started().await;
    // A head without an end.
    let mut bytes = raw::frame(1, 0, 1, &raw::headers(&GOOD));
    for _ in 0..2000 {
        bytes.extend_from_slice(&raw::frame(9, 0, 1, &raw::header("x-more", &[b'a'; 100])));
    }
    assert!(matches!(raw::send(&gateway, &bytes).await, raw::End::Goodbye(_) | raw::End::Closed));
    // Streams that are reset as soon as they were opened.
    let mut bytes = Vec::new();
    for stream in (1..4000u32).step_by(2) {
        let mut pairs = GOOD.to_vec();
        pairs[3].1 = b"/hang";
        bytes.extend_from_slice(&raw::frame(1, 5, stream, &raw::headers(&pairs)));
        bytes.extend_from_slice(&raw::frame(3, 0, stream, &8u32.to_be_bytes()));
    }
    let end = raw::send(&gateway, &bytes).await;
    assert!(matches!(end, raw::End::Goodbye(11) | raw::End::Closed), "{end:?}");
    let reached = backend.facts.seen.lock().unwrap().len();
    assert!(reached <= 300, "{reached} went on");
}

/// Each stream is seen before it is reset: only counting can tell.
#[tokio::test]
async fn slow_rapid_resets_are_stopped_too() {
    let (_backend, gateway) = started().await;
    let client = gateway.h2().await;
    let mut stopped = false;
    for _ in 0..1000 {
        let Ok(mut ready) = client.clone().ready().await else {
            stopped = true;
            break;
        };
        let Ok((response, mut stream)) = ready.send_request(request("GET", "/hang"), true) else {
            stopped = true;
            break;
        };
        tokio::time::sleep(Duration::from_millis(1)).await;
        stream.send_reset(Reason::CANCEL);
        drop(response);
    }
    assert!(stopped, "a thousand resets were nothing");
    assert_eq!(gateway.metric("dais_gateway_http2_rapid_resets_total"), 1.0);
}

#[tokio::test]
async fn a_server_that_stops_says_goodbye_and_finishes() {
    let (_backend, gateway) = started().await;
    let client = gateway.h2().await;
    let mut ready = client.clone().ready().await.unwrap();
    let (response, mut stream) = ready.send_request(request("POST", "/echo"), false).unwrap();
    send_all(&mut stream, b"first ", false).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    gateway.token.cancel();
    tokio::time::sleep(Duration::from_millis(300)).await;
    send_all(&mut stream, b"second", true).await.unwrap();
    assert_eq!(read(response).await.unwrap().body, b"first second");
    let again = async { call(&client, request("GET", "/local"), None).await };
    assert!(soon(again).await.is_err(), "no new request is taken");
    soon(gateway.join).await.unwrap();
}

#[tokio::test]
async fn hints_and_invitations_come_before_the_answer() {
    let (backend, gateway) = started().await;
    let client = gateway.h2().await;
    let answer = call(&client, request("GET", "/hints"), None).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body), (200, b"ok".to_vec()));
    let mut post = request("POST", "/echo");
    post.headers_mut().append("expect", "100-continue".parse().unwrap());
    let mut ready = client.clone().ready().await.unwrap();
    let (mut response, mut stream) = ready.send_request(post, false).unwrap();
    let told = std::future::poll_fn(|cx| response.poll_informational(cx));
    assert_eq!(soon(told).await.unwrap().unwrap().status(), 100);
    send_all(&mut stream, b"as asked", true).await.unwrap();
    assert_eq!(read(response).await.unwrap().body, b"as asked");
    backend.seen();
}

/// An idle connection ends; one with a stream does not.
#[tokio::test]
async fn idle_connections_end() {
    let backend = Backend::start().await;
    let policy = Everything::new(&upstream(&backend));
    let gateway = Gateway::with(policy, &certificates(&[&["a.test"]]), |config| {
        config.timeouts.keep_alive = Duration::from_millis(300);
    });
    let busy = h2(gateway.tls).await;
    let mut ready = busy.clone().ready().await.unwrap();
    let (response, _stream) = ready.send_request(request("GET", "/hang"), true).unwrap();
    let idle = h2(gateway.tls).await;
    call(&idle, request("GET", "/local"), None).await.unwrap();
    let open = || gateway.metric("dais_gateway_connections_open") == 1.0;
    until(open, "the idle connection stays").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(open(), "the busy connection went");
    assert!(call(&idle, request("GET", "/local"), None).await.is_err());
    drop(response);
}

#[tokio::test]
async fn a_client_that_takes_nothing_for_long_loses_its_stream() {
    let backend = Backend::start().await;
    let policy = Everything::new(&upstream(&backend));
    let gateway = Gateway::with(policy, &certificates(&[&["a.test"]]), |config| {
        config.timeouts.write = Duration::from_millis(300);
    });
    let client = gateway.h2().await;
    let mut ready = client.clone().ready().await.unwrap();
    let (response, _stream) = ready.send_request(request("GET", "/forever"), true).unwrap();
    let response = soon(response).await.unwrap();
    let broken = || backend.facts.broken.load(Ordering::Relaxed) == 1;
    until(broken, "the upstream goes on for nobody").await;
    drop(response);
    let answer = call(&client, request("GET", "/local"), None).await.unwrap();
    assert_eq!(answer.status, 200, "other streams go on");
}

/// Such a client may have been answered much that nobody took.
#[tokio::test]
async fn a_client_that_reads_nothing_for_long_loses_its_connection() {
    let backend = Backend::start().await;
    let policy = Everything::new(&upstream(&backend));
    let gateway = Gateway::with(policy, &certificates(&[&["a.test"]]), |config| {
        config.plain_http2 = true;
        config.timeouts.write = Duration::from_millis(300);
        config.timeouts.keep_alive = Duration::from_secs(3600);
    });
    let mut client = tokio::net::TcpStream::connect(gateway.plain).await.unwrap();
    // As much as there is, on the stream and on the connection.
    let wide = i32::MAX.to_be_bytes();
    let settings = [&[0, 4][..], &wide].concat();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(raw::frame(4, 0, 0, &settings));
    bytes.extend(raw::frame(8, 0, 0, &(i32::MAX - 65_535).to_be_bytes()));
    let mut forever = GOOD;
    forever[1].1 = b"http";
    forever[3].1 = b"/forever";
    bytes.extend(raw::frame(1, 5, 1, &raw::headers(&forever)));
    client.write_all(&bytes).await.unwrap();
    let worker = gateway.metrics.worker(0).unwrap();
    until(|| backend.facts.given.load(Ordering::Relaxed) > 0, "nothing was asked for").await;
    until(|| worker.connections_open.get() == 0, "the connection stays").await;
    drop(client);
}

#[tokio::test]
async fn the_plain_port_takes_http2_when_it_is_told_to() {
    let backend = Backend::start().await;
    for allowed in [false, true] {
        let policy = Everything::new(&upstream(&backend));
        let gateway = Gateway::with(policy, &certificates(&[&["a.test"]]), |config| {
            config.plain_http2 = allowed;
        });
        let socket = tokio::net::TcpStream::connect(gateway.plain).await.unwrap();
        let (client, connection) = h2::client::handshake(socket).await.unwrap();
        let driver = tokio::spawn(async move { drop(connection.await) });
        let answer = soon(call(&client, request("GET", "/local"), None)).await;
        assert_eq!(answer.is_ok_and(|answer| answer.status == 200), allowed);
        driver.abort();
        let mut plain = tokio::net::TcpStream::connect(gateway.plain).await.unwrap();
        let text = b"GET /local HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
        plain.write_all(text).await.unwrap();
        let mut answer = String::new();
        soon(plain.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[tokio::test]
async fn connect_is_no_request() {
    let (backend, gateway) = started().await;
    let client = gateway.h2().await;
    let connect = Request::builder().method("CONNECT").uri("a.test:443").body(()).unwrap();
    assert_eq!(call(&client, connect, None).await.unwrap().status, 501);
    let odd = Request::builder().uri("https://u@a.test/echo").body(()).unwrap();
    assert_eq!(call(&client, odd, None).await.unwrap().status, 400);
    let mut other = request("GET", "/echo");
    other.headers_mut().insert("host", "b.test".parse().unwrap());
    assert_eq!(call(&client, other, None).await.unwrap().status, 400);
    assert!(backend.seen().is_empty());
}
