//! Requests over HTTP/1.1, and what becomes of them on the other side.

use std::sync::atomic::Ordering;
use std::time::Duration;

use proxy::{Address, Limits, Protocol, Upstream};
use tokio::io::AsyncWriteExt;

use crate::gateway::{soon, until};
use crate::raw::{Backend, Plain, Raw};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let (address, connections) = Backend::new().await.always(OK);
    let gateway = Plain::to(address);
    let mut client = gateway.connect().await;
    for _ in 0..20 {
        client.send(GET).await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.text()), (200, "ok"));
        assert_eq!(answer.header("connection"), None);
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    assert_eq!(gateway.ask(GET).await.status(), 200);
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    let mut client = gateway.connect().await;
    let one = "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\none";
    let two = "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n";
    let three = "PUT /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nth\r\n3\r\nree\r\n0\r\n\r\n";
    client.send(format!("{one}{two}{three}{GET}")).await;
    let mut upstream = backend.accept().await;
    for (path, body) in [("/1", "one"), ("/2", ""), ("/3", "three"), ("/a", "")] {
        let request = upstream.message().await;
        assert!(request.head.contains(&format!(" {path} HTTP/1.1\r\n")), "{}", request.head);
        assert_eq!(request.text(), body);
        // Nothing of the next request comes before this one is answered.
        assert!(upstream.rest.is_empty());
        let length = path.len();
        upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{path}")).await;
    }
    for path in ["/1", "/2", "/3", "/a"] {
        assert_eq!(client.answer().await.text(), path);
    }
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_a_head() {
    let (address, _) = Backend::new().await.always(OK);
    let gateway = Plain::to(address);
    let mut client = gateway.connect().await;
    for byte in GET.as_bytes() {
        client.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn clients_of_http_1_0_get_what_they_understand() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let (address, _) = Backend::new().await.always(chunked);
    let gateway = Plain::to(address);
    let mut client = gateway.connect().await;
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    let head = client.head().await;
    assert!(!head.contains("chunked") && head.contains("Connection: close"), "{head}");
    assert_eq!(client.end().await, b"hello");
    let (address, _) = Backend::new().await.always(OK);
    let gateway = Plain::to(address);
    let mut client = gateway.connect().await;
    for _ in 0..2 {
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        let answer = client.answer().await;
        assert_eq!(answer.header("connection"), Some("keep-alive"));
        assert_eq!(answer.text(), "ok");
    }
}

#[tokio::test]
async fn answers_without_bodies_are_over_with_the_head() {
    let (address, connections) =
        Backend::new().await.always("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
    let gateway = Plain::to(address);
    let mut client = gateway.connect().await;
    for _ in 0..3 {
        client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let head = client.head().await;
        assert!(head.contains("Content-Length: 7"), "{head}");
    }
    let (address, _) = Backend::new().await.always("HTTP/1.1 204 No Content\r\n\r\n");
    let gateway = Plain::to(address);
    let mut client = gateway.connect().await;
    for _ in 0..3 {
        client.send(GET).await;
        assert!(client.head().await.starts_with("HTTP/1.1 204 "));
    }
    assert!(client.rest.is_empty());
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn answers_that_end_with_the_connection_are_passed_on() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    let mut client = gateway.connect().await;
    for _ in 0..2 {
        client.send(GET).await;
        let mut upstream = backend.accept().await;
        upstream.head().await;
        upstream.send("HTTP/1.0 200 OK\r\n\r\nto the").await;
        upstream.send(" end").await;
        drop(upstream);
        assert_eq!(client.answer().await.text(), "to the end");
    }
}

#[tokio::test]
async fn clients_that_wait_are_told_to_go_on_by_the_upstream() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    let mut client = gateway.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        .await;
    let mut upstream = backend.accept().await;
    let head = upstream.head().await;
    assert!(head.contains("Expect: 100-continue"), "{head}");
    upstream.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body").await;
    assert_eq!(upstream.exactly(4).await, b"body");
    upstream.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await;
    assert!(client.head().await.contains("Link: </a>"));
    upstream.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}

/// One that never heard of it, and waits for the body.
#[tokio::test]
async fn clients_that_wait_are_told_to_go_on_where_the_upstream_does_not() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    let mut client = gateway.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        .await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body").await;
    assert_eq!(upstream.exactly(4).await, b"body");
    // Said once is enough.
    upstream.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    upstream.send(OK).await;
    assert_eq!(client.head().await.lines().next(), Some("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn trailers_pass_but_for_what_the_policy_takes_away() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    let mut client = gateway.connect().await;
    client
        .send(
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\
            X-Sum: 1\r\nX-Secret: 2\r\nX-Forwarded-Prefix: /3\r\n\r\n",
        )
        .await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    let all = b"0\r\nX-Sum: 1\r\n\r\n";
    assert_eq!(upstream.exactly(all.len()).await, all);
}

#[tokio::test]
async fn an_early_refusal_ends_the_upload_and_is_seen() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    let mut client = gateway.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\nbegin").await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!").await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.text()), (413, "no!"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(client.end().await.is_empty());
}

#[tokio::test]
async fn both_directions_flow_at_once() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    let mut client = gateway.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
    for _ in 0..5 {
        client.send("4\r\nping\r\n").await;
        assert_eq!((upstream.line().await, upstream.line().await), ("4".into(), "ping".into()));
        upstream.send("4\r\npong\r\n").await;
        assert_eq!((client.line().await, client.line().await), ("4".into(), "pong".into()));
    }
    client.send("0\r\nX-Sum: 1\r\n\r\n").await;
    assert_eq!(upstream.head().await, "0\r\nX-Sum: 1\r\n\r\n");
    upstream.send("0\r\nX-Sum: 2\r\nContent-Length: 5\r\n\r\n").await;
    assert_eq!(client.head().await, "0\r\nX-Sum: 2\r\n\r\n");
}

#[tokio::test]
async fn websockets_pass_in_both_directions_and_close_halfway() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    let mut client = gateway.connect().await;
    let ask = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Key: k\r\n\r\nearly";
    client.send(ask).await;
    let mut upstream = backend.accept().await;
    let head = upstream.head().await;
    assert!(head.contains("Upgrade: websocket") && head.contains("Sec-WebSocket-Key: k"), "{head}");
    // What the client sent too early is kept back until both agree.
    upstream.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhi").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(head.contains("Upgrade: websocket") && head.contains("Connection: Upgrade"), "{head}");
    assert_eq!(client.exactly(2).await, b"hi");
    assert_eq!(upstream.exactly(5).await, b"early");
    for _ in 0..3 {
        client.send("ping").await;
        assert_eq!(upstream.exactly(4).await, b"ping");
        upstream.send("pong!").await;
        assert_eq!(client.exactly(5).await, b"pong!");
    }
    client.io.shutdown().await.unwrap();
    assert!(upstream.end().await.is_empty());
    upstream.send("still here").await;
    drop(upstream);
    assert_eq!(client.end().await, b"still here");
}

#[tokio::test]
async fn upgrades_that_are_declined_are_ordinary_answers() {
    let (address, _) = Backend::new().await.always(OK);
    let gateway = Plain::to(address);
    let mut client = gateway.connect().await;
    for _ in 0..2 {
        client
            .send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        assert_eq!(client.answer().await.text(), "ok");
    }
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_not_passed_on() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n";
    let (address, _) = Backend::new().await.always(switch);
    let gateway = Plain::to(address);
    assert_eq!(gateway.ask(GET).await.status(), 502);
    let h2c = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
        HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    assert_eq!(gateway.ask(h2c).await.status(), 502);
}

#[tokio::test]
async fn upstreams_on_unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let upstream = Upstream::new("unix", Address::Unix(path), Protocol::Http1);
    let gateway = Plain::start(upstream, Limits::default(), |_| {});
    let serve = async {
        let mut upstream = Raw::new(soon(listener.accept()).await.unwrap().0);
        for _ in 0..2 {
            upstream.head().await;
            upstream.send(OK).await;
        }
        upstream
    };
    let ask = async {
        let mut client = gateway.connect().await;
        for _ in 0..2 {
            client.send(GET).await;
            assert_eq!(client.answer().await.text(), "ok");
        }
    };
    tokio::join!(serve, ask);
}

/// More connect at once than the upstream's socket queues: they wait, and nobody is refused.
#[tokio::test]
async fn a_full_queue_is_no_upstream_that_is_down() {
    const CLIENTS: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    socket.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    socket.listen(1).unwrap();
    socket.set_nonblocking(true).unwrap();
    let listener = tokio::net::UnixListener::from_std(socket.into()).unwrap();
    let upstream = Upstream::new("unix", Address::Unix(path), Protocol::Http1);
    let gateway = Plain::start(upstream, Limits::default(), |_| {});
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = gateway.connect().await;
        client.send(GET).await;
        clients.push(client);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let serve = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((io, _)) = listener.accept().await {
            let mut upstream = Raw::new(io);
            upstream.head().await;
            upstream.send(OK).await;
            open.push(upstream);
        }
    });
    for client in &mut clients {
        assert_eq!(client.answer().await.status(), 200);
    }
    serve.abort();
}

#[tokio::test]
async fn a_policy_reads_a_body_and_it_still_goes_on() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    let mut client = gateway.connect().await;
    client
        .send("POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body").await;
    let mut upstream = backend.accept().await;
    let request = upstream.message().await;
    assert_eq!(request.text(), "body");
    assert_eq!(request.header("expect"), None);
    upstream.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    let large = "POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n";
    assert_eq!(gateway.ask(large).await.status(), 413);
}

#[tokio::test]
async fn local_answers_keep_the_connection() {
    let gateway = Plain::to("127.0.0.1:1".parse().unwrap());
    let mut client = gateway.connect().await;
    for _ in 0..3 {
        client.send("GET /local HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.text()), (200, "local\n"));
        assert!(answer.header("date").is_some());
        client.send("HEAD /local HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert!(client.head().await.contains("Content-Length: 6"));
    }
}

#[tokio::test]
async fn connections_are_spread_and_all_served() {
    let (address, _) = Backend::new().await.always(OK);
    let gateway = Plain::with(address, Limits::default(), |config| config.workers = 3);
    let mut clients = Vec::new();
    for _ in 0..12 {
        clients.push(gateway.connect().await);
    }
    for client in &mut clients {
        client.send(GET).await;
        assert_eq!(client.answer().await.text(), "ok");
    }
    drop(clients);
    until(|| gateway.metrics.worker(0).unwrap().connections_open.get() == 0, "still open").await;
    for worker in 0..3 {
        assert_eq!(gateway.metrics.worker(worker).unwrap().connections.get(), 4, "{worker}");
    }
}

#[tokio::test]
async fn no_more_connections_are_served_than_allowed() {
    let (address, _) = Backend::new().await.always(OK);
    let gateway = Plain::with(address, Limits::default(), |config| config.connections = 2);
    let mut one = gateway.connect().await;
    let mut two = gateway.connect().await;
    for client in [&mut one, &mut two] {
        client.send(GET).await;
        client.answer().await;
    }
    let mut three = gateway.connect().await;
    three.send(GET).await;
    let waited = tokio::time::timeout(Duration::from_millis(300), three.head()).await;
    assert!(waited.is_err());
    drop(one);
    assert_eq!(three.answer().await.status(), 200);
}
