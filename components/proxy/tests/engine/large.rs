//! Bodies that are far larger than what the gateway may keep of them.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::gateway::soon;
use crate::raw::{Backend, Plain};

const LENGTH: u64 = 256 * 1024 * 1024;
/// What the process may grow by: the buffers of four sockets, and some.
const BOUND: u64 = 48 * 1024 * 1024;

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes * 1024
}

/// Writes `LENGTH` bytes that say where they stand.
async fn write_all(io: &mut (impl AsyncWriteExt + Unpin), sent: &AtomicU64) {
    let mut piece = vec![0; 256 * 1024];
    let mut at = 0;
    while at < LENGTH {
        fill(&mut piece, at);
        soon(io.write_all(&piece)).await.unwrap();
        at += piece.len() as u64;
        sent.store(at, Ordering::Relaxed);
    }
}

fn fill(piece: &mut [u8], start: u64) {
    for (number, eight) in piece.chunks_exact_mut(8).enumerate() {
        eight.copy_from_slice(&(start + 8 * number as u64).to_le_bytes());
    }
}

async fn read_all(io: &mut (impl AsyncReadExt + Unpin), rest: Vec<u8>) -> u64 {
    let mut piece = vec![0; 256 * 1024];
    let mut expected = vec![0; 256 * 1024];
    let mut most = 0;
    let mut at = 0;
    let mut have = rest.len();
    piece[..have].copy_from_slice(&rest);
    while at < LENGTH {
        while have < piece.len() {
            let count = soon(io.read(&mut piece[have..])).await.unwrap();
            assert!(count > 0, "cut off after {at}");
            have += count;
        }
        fill(&mut expected, at);
        assert!(piece == expected, "at {at}");
        at += have as u64;
        have = 0;
        most = most.max(resident());
    }
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_upload_is_streamed() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    let mut client = gateway.connect().await;
    client.send(format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {LENGTH}\r\n\r\n")).await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    let before = resident();
    let sent = AtomicU64::new(0);
    let rest = std::mem::take(&mut upstream.rest);
    let ((), most) =
        tokio::join!(write_all(&mut client.io, &sent), read_all(&mut upstream.io, rest),);
    assert!(most < before + BOUND, "{} more", most - before);
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 204"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_download_is_streamed_as_fast_as_it_is_taken() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    let mut client = gateway.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n")).await;
    client.head().await;
    let before = resident();
    let sent = AtomicU64::new(0);
    let slow = async {
        // Nothing is taken at first: then the upstream cannot go on for long either.
        let mut last = u64::MAX;
        while last != sent.load(Ordering::Relaxed) || last == 0 {
            last = sent.load(Ordering::Relaxed);
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        assert!(last < LENGTH / 4, "{last} bytes went somewhere");
        let rest = std::mem::take(&mut client.rest);
        read_all(&mut client.io, rest).await
    };
    let ((), most) = tokio::join!(write_all(&mut upstream.io, &sent), slow);
    assert!(most < before + BOUND, "{} more", most - before);
}

#[tokio::test]
async fn events_come_as_they_are_sent() {
    let backend = Backend::new().await;
    let gateway = Plain::to(backend.address);
    let mut client = gateway.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    assert!(client.head().await.contains("text/event-stream"));
    for number in 0..200 {
        let event = format!("data: {number:06}\n\n");
        upstream.send(format!("{:x}\r\n{event}\r\n", event.len())).await;
        assert_eq!(client.line().await, format!("{:x}", event.len()));
        assert_eq!(client.exactly(event.len() + 2).await, format!("{event}\r\n").as_bytes());
    }
    drop(client);
    assert!(upstream.end().await.is_empty());
}
