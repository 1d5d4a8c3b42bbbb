//! Clients and upstreams that misbehave, break off, or take their time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proxy::{
    Address, Decision, Limits, Peer, Policy, Protocol, Refusal, RequestHead, Response, Upstream,
};

use tokio::io::AsyncReadExt;

use crate::gateway::{Everything, soon, until};
use crate::raw::{Backend, GET, OK, Plain};

fn limits() -> Limits {
    let short = Duration::from_millis(300);
    Limits { connect: short, response_head: short, request_idle: short, ..Limits::default() }
}

#[tokio::test]
async fn smuggled_requests_reach_nobody() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    let evil = "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n";
    for (lines, body) in [
        ("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding:\x0bchunked\r\n", "0\r\n\r\n"),
        ("X: y\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("X: y\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("Content-Length: 0\r\nContent-Length: 40\r\n", ""),
        ("Content-Length: 0, 40\r\n", ""),
        ("Content-Length: +0\r\n", ""),
        ("Transfer-Encoding: chunked\r\n", "0\r\n\nX"),
        ("Transfer-Encoding: chunked\r\n", "1 \r\nZ\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "1\nZ\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "ffffffffffffffff1\r\nZ\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "2\r\nZ\r\n0\r\n\r\n"),
    ] {
        let mut client = gateway.connect().await;
        client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n{body}{evil}")).await;
        let answer = client.answer().await;
        assert!(matches!(answer.status(), 400 | 501), "{lines}{body}: {answer:?}");
        assert_eq!(answer.header("connection"), Some("close"));
        // The connection ends: what follows is never taken for a request.
        assert!(client.end().await.is_empty(), "{lines}{body}");
    }
    // What of a bad body went out before it was seen to be bad is not a whole request.
    let mut seen = Vec::new();
    while let Ok(Ok((io, _))) =
        tokio::time::timeout(Duration::from_millis(50), backend.listener.accept()).await
    {
        seen.extend(crate::raw::Raw::new(io).end().await);
    }
    let seen = String::from_utf8(seen).unwrap();
    assert!(!seen.contains("evil") && !seen.contains("0\r\n\r\n"), "{seen}");
}

#[tokio::test]
async fn a_body_of_get_is_a_body_for_both() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    let mut client = gateway.connect().await;
    let inner = "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n";
    let length = inner.len();
    client
        .send(format!("GET /1 HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{inner}"))
        .await;
    let mut upstream = backend.accept().await;
    let request = upstream.message().await;
    assert_eq!(request.text(), inner);
    upstream.send(OK).await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn nonsense_from_upstreams_is_502() {
    for nonsense in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 9 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2p1\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ] {
        let (address, _) = Backend::new().await.always(nonsense);
        let answer = Plain::to(address).ask(GET).await;
        assert_eq!(answer.status(), 502, "{nonsense}");
    }
}

#[tokio::test]
async fn what_stands_behind_an_answer_is_nobodys() {
    let (address, connections) =
        Backend::new().await.always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    let gateway = Plain::to(address);
    let mut client = gateway.connect().await;
    for round in 1..4 {
        client.send(GET).await;
        assert_eq!(client.answer().await.text(), "ok");
        assert_eq!(connections.load(Ordering::Relaxed), round);
    }
    assert!(client.rest.is_empty());
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_seen_to_be() {
    for start in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let backend = Backend::new().await;
        let gateway = Plain::to(backend.address);
        let (mut client, mut upstream) = gateway.under_way(&backend).await;
        upstream.send(start).await;
        assert!(client.head().await.starts_with("HTTP/1.1 200"));
        if start.contains("chunked") {
            upstream.send("nonsense\r\n0\r\n\r\n").await;
        }
        drop(upstream);
        let rest = String::from_utf8(client.end().await).unwrap();
        assert!(!rest.contains("0\r\n\r\n") && rest.len() < 10, "{rest}");
    }
    // As long as nothing went out, the client can be told.
    let bad = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n";
    let (address, _) = Backend::new().await.always(bad);
    assert_eq!(Plain::to(address).ask(GET).await.status(), 502);
}

/// Knows of another upstream only when it is asked again.
struct Behind {
    asked: AtomicUsize,
    retired: Everything,
    now: Everything,
}

impl Policy for Behind {
    fn decide(&self, request: &Arc<RequestHead>, peer: &Peer) -> Decision {
        match self.asked.fetch_add(1, Ordering::Relaxed) {
            0 => self.retired.decide(request, peer),
            _ => self.now.decide(request, peer),
        }
    }

    fn refuse(&self, request: Option<&RequestHead>, peer: &Peer, refusal: &Refusal) -> Response {
        self.now.refuse(request, peer, refusal)
    }
}

#[tokio::test]
async fn a_policy_decides_anew_when_its_upstream_is_retired() {
    for path in ["/", "/read"] {
        let (address, _) = Backend::new().await.always(OK);
        let upstream = || Upstream::new("backend", Address::Tcp(address), Protocol::Http1);
        let (before, now) = (upstream(), upstream());
        before.retire();
        let policy = Behind {
            asked: AtomicUsize::new(0),
            retired: Everything::new(&before),
            now: Everything::new(&now),
        };
        let gateway = Plain::of(policy, now, |_| {});
        let text = format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
        assert_eq!(gateway.ask(&text).await.status(), 200, "{path}");
    }
}

/// Where the end of the connection is the end of the answer, it must not look like a good one.
#[tokio::test]
async fn an_answer_that_is_cut_off_ends_in_a_reset_for_http_1_0() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    for whole in [true, false] {
        let mut client = gateway.connect().await;
        client.send("GET / HTTP/1.0\r\n\r\n").await;
        let mut upstream = backend.accept().await;
        upstream.head().await;
        upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
        client.head().await;
        assert_eq!(client.exactly(4).await, b"half");
        if whole {
            upstream.send("0\r\n\r\n").await;
        }
        drop(upstream);
        let mut rest = Vec::new();
        let end = soon(client.io.read_to_end(&mut rest)).await;
        let end = end.map_err(|error| error.kind());
        let expected = if whole { Ok(0) } else { Err(std::io::ErrorKind::ConnectionReset) };
        assert_eq!(end, expected);
    }
}

/// The answer has begun, has no limit of its own, and waits for the rest of the request.
#[tokio::test]
async fn a_body_that_stops_after_the_answers_head_is_not_waited_for() {
    let backend = Backend::new().await;
    let gateway = Plain::with(backend.address, limits(), |_| {});
    let mut client = gateway.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf").await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
    assert_eq!(upstream.exactly(4).await, b"half");
    assert!(upstream.end().await.is_empty());
    assert_eq!(client.end().await, b"4\r\nhalf\r\n");
}

#[tokio::test]
async fn where_nothing_listens_is_503() {
    let backend = Backend::new().await;
    let address = backend.address;
    drop(backend);
    let gateway = Plain::to(address);
    let mut client = gateway.connect().await;
    for _ in 0..3 {
        client.send(GET).await;
        assert_eq!(client.answer().await.status(), 503);
    }
}

#[tokio::test]
async fn slow_upstreams_are_504() {
    let backend = Backend::new().await;
    let gateway = Plain::with(backend.address, limits(), |_| {});
    let (mut client, mut upstream) = gateway.under_way(&backend).await;
    assert_eq!(client.answer().await.status(), 504);
    assert!(upstream.end().await.is_empty());
}

#[tokio::test]
async fn slow_clients_are_408() {
    let backend = Backend::new().await;
    let gateway = Plain::with(backend.address, limits(), |config| {
        config.timeouts.request_head = Duration::from_millis(300);
    });
    // A head, byte after byte, for ever.
    let mut client = gateway.connect().await;
    let (mut read, mut write) = tokio::io::split(client.io);
    let drip = async {
        use tokio::io::AsyncWriteExt;
        write.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        while write.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let look = async {
        use tokio::io::AsyncReadExt;
        let mut text = vec![0; 12];
        read.read_exact(&mut text).await.unwrap();
        assert_eq!(text, b"HTTP/1.1 408");
    };
    soon(async {
        tokio::select! {
            () = drip => panic!("the client was never answered"),
            () = look => {}
        }
    })
    .await;
    // A body that stops.
    client = gateway.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf").await;
    assert_eq!(client.answer().await.status(), 408);
}

#[tokio::test]
async fn idle_clients_are_let_go() {
    let (address, _) = Backend::new().await.always(OK);
    let gateway = Plain::with(address, limits(), |config| {
        config.timeouts.keep_alive = Duration::from_millis(200);
    });
    let mut client = gateway.connect().await;
    client.send(GET).await;
    assert_eq!(client.answer().await.status(), 200);
    assert!(client.end().await.is_empty());
    let mut silent = gateway.connect().await;
    assert!(silent.end().await.is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_request() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    let (client, mut upstream) = gateway.under_way(&backend).await;
    drop(client);
    // The upstream hears of it before it has answered.
    assert!(upstream.end().await.is_empty());
    let worker = gateway.metrics.worker(0).unwrap();
    until(|| worker.connections_open.get() == 0, "still open").await;
    assert_eq!(worker.requests_open.get(), 0);
}

#[tokio::test]
async fn bodies_have_limits() {
    let backend = Backend::new().await;
    let limits = Limits { request_body: 10, ..Limits::default() };
    let gateway = Plain::with(backend.address, limits, |_| {});
    let announced = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n";
    assert_eq!(gateway.ask(announced).await.status(), 413);
    let grown = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n";
    let mut client = gateway.connect().await;
    client.send(grown).await;
    client.send("6\r\n123456\r\n0\r\n\r\n").await;
    assert_eq!(client.answer().await.status(), 413);
}

#[tokio::test]
async fn heads_have_limits() {
    let gateway = Plain::to("127.0.0.1:1".parse().unwrap());
    let long = format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n", "a".repeat(40_000));
    assert_eq!(gateway.ask(&long).await.status(), 431);
    let target = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(9000));
    assert_eq!(gateway.ask(&target).await.status(), 414);
    let many = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(200));
    assert_eq!(gateway.ask(&many).await.status(), 431);
}

#[tokio::test]
async fn a_refused_client_that_goes_on_sending_sees_the_answer() {
    let gateway = Plain::to("127.0.0.1:1".parse().unwrap());
    let mut client = gateway.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n").await;
    client.send(vec![b'x'; 1_000_000]).await;
    let answer = client.answer().await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("connection"), Some("close"));
}

/// Breaks at every request.
struct Panics(Everything);

impl Policy for Panics {
    fn decide(&self, _: &Arc<RequestHead>, _: &Peer) -> Decision {
        panic!("a policy may not, but this one does");
    }

    fn refuse(&self, request: Option<&RequestHead>, peer: &Peer, refusal: &Refusal) -> Response {
        self.0.refuse(request, peer, refusal)
    }
}

#[tokio::test]
async fn a_panic_ends_one_connection_and_leaves_no_count_behind() {
    let upstream =
        Upstream::new("backend", Address::Tcp("127.0.0.1:1".parse().unwrap()), Protocol::Http1);
    let gateway = Plain::of(Panics(Everything::new(&upstream)), upstream, |_| {});
    let worker = gateway.metrics.worker(0).unwrap();
    for round in 1..4 {
        let mut client = gateway.connect().await;
        client.send(GET).await;
        assert!(client.end().await.is_empty());
        until(|| worker.connections_open.get() == 0, "still open").await;
        assert_eq!((worker.connections.get(), worker.requests_open.get()), (round, 0));
    }
}
