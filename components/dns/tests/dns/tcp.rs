//! Connections: how many, for how long, and what ends them.

use std::time::Duration;

use dns::serve::{Serving, TcpLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::server::{Server, serving};

const QUESTION: &[u8] = b"\0\x1e\0\x01\0\0\0\x01\0\0\0\0\0\0\x06leader\x05mesos\0\0\x01\0\x01";
const LONG: Duration = Duration::from_secs(20);

async fn with(tcp: TcpLimits) -> Server {
    Server::with(Serving { tcp, ..serving() }, None).await
}

async fn answer(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = timeout(LONG, stream.read_u16()).await.unwrap()?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_may_come_in_pieces_and_many_at_once() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for byte in QUESTION {
        stream.write_all(&[*byte]).await.unwrap();
        stream.flush().await.unwrap();
    }
    assert_eq!(answer(&mut stream).await.unwrap()[7], 1);
    stream.write_all(&QUESTION.repeat(5000)).await.unwrap();
    // Nothing more is asked; what was asked is answered all the same.
    stream.shutdown().await.unwrap();
    for _ in 0..5000 {
        assert_eq!(answer(&mut stream).await.unwrap()[7], 1);
    }
    assert!(answer(&mut stream).await.is_err());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_and_nonsensical_connections_are_closed() {
    let server = with(TcpLimits { idle: Duration::from_millis(200), ..TcpLimits::default() }).await;
    for begin in [&b""[..], b"\0\x1e\0\x01", b"\0\x03abc", b"\0\0"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(begin).await.unwrap();
        assert!(answer(&mut stream).await.is_err(), "{begin:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_bounded_and_strangers_have_fewer() {
    let server = with(TcpLimits { connections: 3, ..TcpLimits::default() }).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(QUESTION).await.unwrap();
        answer(&mut stream).await.unwrap();
        streams.push(stream);
    }
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let _ = stream.write_all(QUESTION).await;
    assert!(answer(&mut stream).await.is_err());
    // One goes, and there is room again.
    drop(streams.pop());
    let mut tries = 0;
    loop {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let _ = stream.write_all(QUESTION).await;
        if answer(&mut stream).await.is_ok() {
            break;
        }
        tries += 1;
        assert!(tries < 500, "no room");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.stop().await;

    let tcp = TcpLimits { per_stranger: 1, ..TcpLimits::default() };
    let server = Server::with(Serving { tcp, trusted: Vec::new(), ..serving() }, None).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(QUESTION).await.unwrap();
    answer(&mut first).await.unwrap();
    let mut second = TcpStream::connect(server.address).await.unwrap();
    let _ = second.write_all(QUESTION).await;
    assert!(answer(&mut second).await.is_err());
    server.stop().await;
}
