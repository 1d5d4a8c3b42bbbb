//! A master of simulated agents: the v1 scheduler API over HTTP, at the least cost to the cores
//! it shares with what is measured.
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bytes::{Buf, BytesMut};
use mesos_messages::{
    recordio,
    v1::scheduler::{Call, Event, call, event},
};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::interval,
};

use crate::agents::{Agents, Counts, typed};

/// How often what is free is offered.
const TICK: Duration = Duration::from_millis(10);
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Pieces of the stream that may wait to be written.
const QUEUE: usize = 4096;

/// A master that serves until it is dropped.
pub(crate) struct Master {
    pub(crate) address: SocketAddr,
    pub(crate) counts: Arc<Counts>,
    _tasks: JoinSet<()>,
}

struct Shared {
    agents: Mutex<Agents>,
    counts: Arc<Counts>,
    /// The stream of the framework that subscribed last.
    stream: Mutex<Option<mpsc::Sender<Vec<u8>>>>,
}

// === impl Master ===

impl Master {
    pub(crate) async fn start(agents: usize) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let shared = Arc::new(Shared {
            agents: Mutex::new(Agents::new(agents)),
            counts: counts.clone(),
            stream: Mutex::new(None),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(shared.clone().beat());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                let shared = shared.clone();
                connections.spawn(async move {
                    // A connection that breaks has nothing more to say.
                    let _ = shared.serve(stream).await;
                });
            }
        });
        Ok(Self { address, counts, _tasks: tasks })
    }
}

// === impl Shared ===

impl Shared {
    async fn beat(self: Arc<Self>) {
        let (mut ticks, mut beat) = (interval(TICK), Instant::now());
        loop {
            ticks.tick().await;
            let mut events = lock(&self.agents).offers(Instant::now());
            if beat.elapsed() >= HEARTBEAT {
                beat = Instant::now();
                events.push(typed(event::Type::Heartbeat));
            }
            self.send(&events).await;
        }
    }

    async fn send(&self, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        let stream = lock(&self.stream).clone();
        if let Some(stream) = stream {
            let _ = stream.send(frames(events)).await;
        }
    }

    async fn serve(&self, mut stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = BytesMut::with_capacity(64 * 1024);
        loop {
            let Some(call) = next_call(&mut stream, &mut buffer).await? else { return Ok(()) };
            if call.r#type() == call::Type::Subscribe {
                return self.subscribe(stream, call).await;
            }
            stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").await?;
            let mut events = Vec::new();
            lock(&self.agents).handle(call, &self.counts, &mut events);
            self.send(&events).await;
        }
    }

    async fn subscribe(&self, mut stream: TcpStream, call: Call) -> Result<()> {
        let subscribe = call.subscribe.context("no framework")?;
        let (sender, mut queue) = mpsc::channel(QUEUE);
        let subscribed = lock(&self.agents).subscribe(subscribe, &self.counts);
        stream
            .write_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n\
                  Transfer-Encoding: chunked\r\nMesos-Stream-Id: bench\r\n\r\n",
            )
            .await?;
        sender.send(frames(&[subscribed])).await?;
        *lock(&self.stream) = Some(sender);
        let mut nothing = [0];
        loop {
            tokio::select! {
                piece = queue.recv() => {
                    let Some(piece) = piece else { return Ok(()) };
                    stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
                    stream.write_all(&piece).await?;
                    stream.write_all(b"\r\n").await?;
                }
                read = stream.read(&mut nothing) => {
                    if read? == 0 {
                        return Ok(());
                    }
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn frames(events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        recordio::encode_into(&mut out, &event.encode_to_vec());
    }
    out
}

/// None at the end of the connection.
async fn next_call(stream: &mut TcpStream, buffer: &mut BytesMut) -> Result<Option<Call>> {
    loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            let length = content_length(&buffer[..end])?;
            let whole = end + 4 + length;
            while buffer.len() < whole {
                if stream.read_buf(buffer).await? == 0 {
                    bail!("the request broke off");
                }
            }
            buffer.advance(end + 4);
            return Ok(Some(Call::decode(buffer.split_to(length).freeze())?));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn content_length(head: &[u8]) -> Result<usize> {
    for line in std::str::from_utf8(head)?.lines() {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            return Ok(value.trim().parse()?);
        }
    }
    Ok(0)
}

pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}
