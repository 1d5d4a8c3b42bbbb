//! Which requests are sent once more when a connection breaks, and which never.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::raw::{Backend, GET, OK, Plain, Raw};

const DELETE: &str = "DELETE /a HTTP/1.1\r\nHost: h\r\n\r\n";

/// The upstream has taken a request and breaks off; a repetition is answered. Whether there was
/// one.
async fn is_repeated(backend: &Backend, client: &mut Raw, mut upstream: Raw) -> bool {
    upstream.message().await;
    drop(upstream);
    let again = async {
        let mut again = backend.accept().await;
        again.message().await;
        again.send(OK).await;
        again
    };
    tokio::select! {
        biased;
        answer = client.answer() => {
            assert_eq!(answer.status(), 502);
            false
        }
        _again = again => {
            assert_eq!(client.answer().await.status(), 200);
            true
        }
    }
}

#[tokio::test]
async fn what_changes_something_is_repeated_on_a_stale_connection_only() {
    for (request, fresh, stale) in [
        (GET, true, true),
        (DELETE, false, true),
        ("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", false, true),
        ("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", false, false),
        ("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx", false, false),
    ] {
        let backend = Backend::new().await;
        let gateway = Plain::to(backend.address);
        let mut client = gateway.connect().await;
        client.send(request).await;
        let upstream = backend.accept().await;
        assert_eq!(is_repeated(&backend, &mut client, upstream).await, fresh, "{request}");
        let backend = Backend::new().await;
        let gateway = Plain::to(backend.address);
        let (mut client, upstream) = gateway.kept(&backend).await;
        client.send(request).await;
        assert_eq!(is_repeated(&backend, &mut client, upstream).await, stale, "{request}");
    }
}

#[tokio::test]
async fn what_was_answered_in_part_is_not_repeated() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    let (mut client, mut upstream) = gateway.under_way(&backend).await;
    upstream.send("HTTP/1.1 200 OK\r\nContent-").await;
    drop(upstream);
    assert_eq!(client.answer().await.status(), 502);
}

#[tokio::test]
async fn a_closed_idle_connection_is_not_used() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    let (mut client, upstream) = gateway.kept(&backend).await;
    drop(upstream);
    tokio::time::sleep(Duration::from_millis(100)).await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").await;
    let mut second = backend.accept().await;
    assert_eq!(second.message().await.text(), "x");
    second.send(OK).await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn a_retired_upstream_gets_nothing_more() {
    let (address, connections) = Backend::new().await.always(OK);
    let gateway = Plain::to(address);
    let mut client = gateway.connect().await;
    client.send(GET).await;
    assert_eq!(client.answer().await.status(), 200);
    gateway.upstream.retire();
    client.send(GET).await;
    assert_eq!(client.answer().await.status(), 503);
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}
