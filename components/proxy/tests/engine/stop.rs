//! A server that is told to stop: what is in flight ends well, what is idle or silent ends at once.

use std::time::Duration;

use proxy::{Address, Limits, Protocol, Upstream};

use crate::gateway::{Everything, Gateway, certificates, soon};
use crate::raw::{Backend, Plain, Raw};

/// Much longer than a test takes.
const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_stop_lets_requests_end_and_idle_connections_go() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    let mut idle = gateway.connect().await;
    idle.send("GET /local HTTP/1.1\r\nHost: h\r\n\r\n").await;
    idle.answer().await;
    let (mut busy, mut upstream) = gateway.under_way(&backend).await;
    gateway.token.cancel();
    assert!(idle.end().await.is_empty());
    upstream.send(crate::raw::OK).await;
    let answer = busy.answer().await;
    assert_eq!((answer.status(), answer.header("connection")), (200, Some("close")));
    assert!(busy.end().await.is_empty());
    soon(gateway.join).await.unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_longer_than_its_grace() {
    let backend = Backend::new().await;
    let gateway = Plain::with(backend.address, Limits::default(), |config| {
        config.timeouts.grace = Duration::from_millis(200);
    });
    let (mut busy, _upstream) = gateway.under_way(&backend).await;
    gateway.token.cancel();
    soon(gateway.join).await.unwrap();
    assert!(busy.end().await.is_empty());
}

/// Clients that have connected and say nothing, or not enough to know what they speak.
#[tokio::test]
async fn a_stop_does_not_wait_for_clients_that_say_nothing() {
    let address = Address::Tcp("127.0.0.1:1".parse().unwrap());
    let upstream = Upstream::new("backend", address, Protocol::Http1);
    let certificates = certificates(&[&["a.test"]]);
    let gateway = Gateway::with(Everything::new(&upstream), &certificates, |config| {
        config.plain_http2 = true;
        config.timeouts.grace = LONG;
        config.timeouts.keep_alive = LONG;
        config.timeouts.handshake = LONG;
        config.timeouts.request_head = LONG;
    });
    let mut silent = Vec::new();
    for (address, said) in
        [(gateway.plain, ""), (gateway.plain, "PR"), (gateway.tls, ""), (gateway.tls, "\x16\x03")]
    {
        let mut client = Raw::new(tokio::net::TcpStream::connect(address).await.unwrap());
        client.send(said).await;
        silent.push(client);
    }
    // So many connections are being looked at.
    let worker = gateway.metrics.worker(0).unwrap();
    crate::gateway::until(|| worker.connections_open.get() == 4, "not all accepted").await;
    gateway.token.cancel();
    soon(gateway.join).await.unwrap();
}

#[tokio::test]
async fn the_first_words_of_http2_may_come_one_by_one() {
    let (address, _) = Backend::new().await.always(crate::raw::OK);
    let gateway = Plain::with(address, Limits::default(), |config| config.plain_http2 = true);
    let mut client = gateway.connect().await;
    client.send("PR").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.send("I * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    // The length, the type SETTINGS, and the connection's own stream.
    let frame = client.exactly(9).await;
    assert_eq!(frame[3], 4, "{frame:?}");
    let mut other = gateway.connect().await;
    other.send("P").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    other.send("OST /local HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(other.answer().await.status(), 200);
}
