//! Two hosts on loopback: order, links, batching, foreign bytes.

use bytes::Bytes;
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use libprocess::{
    Exited, Inbound, Outbox, OutboxConfig, Rest, Upid,
    server::{Inlet, InletConfig},
};
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(10);

struct Host {
    address: SocketAddr,
    messages: mpsc::Receiver<Inbound>,
    accepting: JoinHandle<()>,
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn serve(queue: usize) -> Host {
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    let (sender, messages) = mpsc::channel(queue);
    let inlet = Inlet::new(InletConfig::default(), |id| id != "nobody", sender);
    let accepting = tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let inlet = inlet.clone();
            tokio::spawn(async move {
                let Some(rest) = inlet.serve(stream, peer.ip()).await else { return };
                let service = service_fn(move |request: Request<Incoming>| {
                    let inlet = inlet.clone();
                    async move {
                        let (parts, body) = request.into_parts();
                        assert!(inlet.claims(&parts.method, &parts.headers));
                        Ok::<_, Infallible>(inlet.receive(&parts, body, peer.ip()).await)
                    }
                });
                let connection = http1::Builder::new()
                    .pipeline_flush(true)
                    .serve_connection(TokioIo::new(Rewound(rest)), service);
                let _ = connection.await;
            });
        }
    });
    Host { address, messages, accepting }
}

/// A stream that first gives what was read before.
struct Rewound(Rest);

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.0.read.is_empty() {
            return Pin::new(&mut self.0.stream).poll_read(cx, buffer);
        }
        let count = buffer.remaining().min(self.0.read.len());
        buffer.put_slice(&self.0.read.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.stream).poll_shutdown(cx)
    }
}

fn outbox() -> (Outbox, mpsc::Receiver<Exited>) {
    let (sender, exits) = mpsc::channel(8);
    (Outbox::new(OutboxConfig::default(), sender), exits)
}

fn me() -> Upid {
    "me@127.0.0.1:9".parse().unwrap()
}

async fn receive<T>(queue: &mut mpsc::Receiver<T>) -> T {
    timeout(PATIENCE, queue.recv()).await.expect("nothing came").expect("the queue closed")
}

#[tokio::test]
async fn messages_arrive_in_order_and_whole() {
    // A queue far shorter than the burst: the receiver's pace decides, nothing is lost.
    let mut host = serve(4).await;
    let (outbox, _exits) = outbox();
    let to = Upid::new("slave(1)", host.address);
    for number in 0..2000u32 {
        let body = number.to_string().repeat(usize::try_from(number % 40).unwrap());
        outbox.send(&me(), &to, &format!("m.N{number}"), body).unwrap();
    }
    for number in 0..2000u32 {
        let message = receive(&mut host.messages).await;
        assert_eq!(message.name, format!("m.N{number}"));
        assert_eq!(message.to, "slave(1)");
        assert_eq!(message.from, me());
        assert_eq!(message.body, number.to_string().repeat(usize::try_from(number % 40).unwrap()));
    }
    assert_eq!(outbox.stats().queued, 2000);
    host.accepting.abort();
}

#[tokio::test]
async fn queued_messages_leave_on_one_connection_as_the_recorded_bytes() {
    let listener = listen().await;
    let to = Upid::new("master", listener.local_addr().unwrap());
    let (outbox, _exits) = outbox();
    outbox.send(&me(), &to, "a.First", "x").unwrap();
    outbox.send(&me(), &to, "a.Empty", "").unwrap();
    let mut expected = Vec::new();
    libprocess::encode(&mut expected, &me(), &to, "a.First", b"x").unwrap();
    libprocess::encode(&mut expected, &me(), &to, "a.Empty", b"").unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = vec![0; expected.len()];
    timeout(PATIENCE, stream.read_exact(&mut bytes)).await.unwrap().unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), String::from_utf8(expected).unwrap());
}

#[tokio::test]
async fn the_end_of_a_link_is_reported_once() {
    let listener = listen().await;
    let to = Upid::new("master", listener.local_addr().unwrap());
    let (outbox, mut exits) = outbox();
    outbox.link(&to);
    outbox.link(&to);
    let (stream, _) = listener.accept().await.unwrap();
    drop(stream);
    assert_eq!(receive(&mut exits).await, Exited { address: to.address });
    assert!(exits.try_recv().is_err());
    // The next link is a new connection.
    outbox.link(&to);
    let _second = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_link_that_cannot_connect_is_reported() {
    let to = Upid::new("master", listen().await.local_addr().unwrap());
    let (outbox, mut exits) = outbox();
    outbox.link(&to);
    assert_eq!(receive(&mut exits).await, Exited { address: to.address });
}

#[tokio::test]
async fn relinking_replaces_the_connection_silently() {
    let listener = listen().await;
    let to = Upid::new("master", listener.local_addr().unwrap());
    let (outbox, mut exits) = outbox();
    outbox.link(&to);
    let (mut first, _) = listener.accept().await.unwrap();
    outbox.relink(&to);
    let _second = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, first.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(exits.try_recv().is_err());
}

#[tokio::test]
async fn a_connection_without_link_ends_and_a_linked_one_stays() {
    let listener = listen().await;
    let to = Upid::new("master", listener.local_addr().unwrap());
    let (sender, _exits) = mpsc::channel(1);
    let config = OutboxConfig { linger: Duration::from_millis(20), ..OutboxConfig::default() };
    let outbox = Outbox::new(config, sender);
    outbox.send(&me(), &to, "a.B", "body").unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
    assert!(bytes.ends_with(b"body\r\n0\r\n\r\n"));

    outbox.link(&to);
    outbox.send(&me(), &to, "a.B", "body").unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_millis(300), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_err(), "the linked connection was closed");
}

#[tokio::test]
async fn a_peer_that_never_reads_costs_bounded_memory() {
    let listener = listen().await;
    let to = Upid::new("master", listener.local_addr().unwrap());
    let (sender, _exits) = mpsc::channel(1);
    let config = OutboxConfig { max_queued_bytes: 1 << 20, ..OutboxConfig::default() };
    let outbox = Outbox::new(config, sender);
    let body = vec![0; 64 * 1024];
    let refused = (0..4096).any(|_| outbox.send(&me(), &to, "a.B", &body).is_err());
    assert!(refused, "256 MiB were taken for a peer that reads nothing");
    assert!(outbox.stats().dropped > 0);
}

#[tokio::test]
async fn closing_writes_out_what_is_queued() {
    let mut host = serve(4096).await;
    let (outbox, mut exits) = outbox();
    let to = Upid::new("master", host.address);
    outbox.link(&to);
    for _ in 0..1000 {
        outbox.send(&me(), &to, "a.B", "body").unwrap();
    }
    outbox.close(PATIENCE).await;
    for _ in 0..1000 {
        receive(&mut host.messages).await;
    }
    assert!(exits.try_recv().is_err());
}

#[tokio::test]
async fn foreign_forms_of_a_message_are_understood() {
    let mut host = serve(8).await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    // Content-Length instead of chunks, only a User-Agent, percent-encoded parentheses; pipelined
    // with a message to an actor that is not there.
    let text = "POST /slave%281%29/a.B HTTP/1.1\r\nUser-Agent: libprocess/x@127.0.0.1:7\r\n\
        Content-Length: 2\r\n\r\nhi\
        POST /nobody/a.B HTTP/1.1\r\nLibprocess-From: x@127.0.0.1:7\r\nHost: h\r\n\r\n";
    stream.write_all(text.as_bytes()).await.unwrap();
    let message = receive(&mut host.messages).await;
    assert_eq!((message.to.as_str(), message.name.as_str()), ("slave(1)", "a.B"));
    assert_eq!(message.body, Bytes::from_static(b"hi"));
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 202 Accepted\r\n"), "{answer}");
    assert!(answer.contains("HTTP/1.1 404 Not Found\r\n"), "{answer}");
}

#[tokio::test]
async fn a_peer_that_closes_behind_its_last_message_loses_none() {
    let mut host = serve(1).await;
    for round in 0..50 {
        let mut stream = TcpStream::connect(host.address).await.unwrap();
        let to = Upid::new("master", host.address);
        let mut bytes = Vec::new();
        for number in 0..20 {
            libprocess::encode(&mut bytes, &me(), &to, &format!("m.{round}.{number}"), b"x")
                .unwrap();
        }
        stream.write_all(&bytes).await.unwrap();
        // The answers are not read; that must not cost a message either.
        drop(stream);
    }
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        names.insert(receive(&mut host.messages).await.name);
    }
    assert_eq!(names.len(), 1000);
}

#[tokio::test]
async fn a_connection_may_go_on_with_plain_http() {
    let mut host = serve(8).await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let text = "POST /a/m.First HTTP/1.1\r\nLibprocess-From: x@127.0.0.1:7\r\n\r\n\
        POST /a/m.Second HTTP/1.1\r\nLibprocess-From: x@127.0.0.1:7\r\nHost: h\r\n\
        Connection: close\r\n\r\n";
    stream.write_all(text.as_bytes()).await.unwrap();
    assert_eq!(receive(&mut host.messages).await.name, "m.First");
    assert_eq!(receive(&mut host.messages).await.name, "m.Second");
    let mut answers = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answers)).await.unwrap().unwrap();
    assert_eq!(answers.matches("HTTP/1.1 202 Accepted\r\n").count(), 2, "{answers}");
}

#[test]
fn the_fuzz_entry_takes_anything() {
    libprocess::fuzz::request(b"");
    libprocess::fuzz::request(b"POST /a/b HTTP/1.1\r\nLibprocess-From: a@1.2.3.4:5\r\n\r\nrest");
    libprocess::fuzz::request(b"POST /%/ HTTP/1.1\r\nUser-Agent: libprocess/\r\n\r\n");
}
