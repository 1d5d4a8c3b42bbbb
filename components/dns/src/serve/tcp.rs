//! TCP: several questions a connection, answered as soon as each can be.
//!
//! Questions about our own names are answered one after the other from the buffer they were read
//! into; those that are forwarded do not hold up what comes behind them, and their answers come in
//! the order in which they are there, as RFC 7766 has it.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::Shared;
use super::answer::{Outcome, Via, answer, read};
use crate::forward::Asked;

/// What is read at once, at most; a question that is longer makes room for itself.
const READ: usize = 16 << 10;
/// Answers are sent when there are so many bytes of them, and when there are no more questions.
const WRITE: usize = 64 << 10;
/// So many forwarded questions of one connection are under way; then it is not read from.
const UNDER_WAY: usize = 64;
const LENGTH: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpLimits {
    pub connections: usize,
    /// From one address that is not trusted.
    pub per_stranger: usize,
    /// How long a connection stays without a question, or without its answers being read.
    pub idle: Duration,
}

impl Default for TcpLimits {
    fn default() -> Self {
        TcpLimits { connections: 4096, per_stranger: 8, idle: Duration::from_secs(10) }
    }
}

/// Who is connected.
#[derive(Default)]
struct Connected {
    all: usize,
    strangers: HashMap<IpAddr, usize>,
}

struct Place {
    connected: Arc<Mutex<Connected>>,
    stranger: Option<IpAddr>,
}

// === impl Place ===

impl Place {
    /// None where there are too many already.
    fn take(connected: &Arc<Mutex<Connected>>, shared: &Shared, from: IpAddr) -> Option<Place> {
        let stranger = (!shared.trusts(from)).then_some(from);
        let mut all = connected.lock().unwrap_or_else(PoisonError::into_inner);
        if all.all >= shared.tcp.connections {
            return None;
        }
        if let Some(from) = stranger {
            // Strangers as a whole leave half of the places to others.
            let strangers: usize = all.strangers.values().sum();
            let of_it = all.strangers.get(&from).copied().unwrap_or(0);
            if strangers >= shared.tcp.connections / 2 || of_it >= shared.tcp.per_stranger {
                return None;
            }
            all.strangers.insert(from, of_it + 1);
        }
        all.all += 1;
        Some(Place { connected: Arc::clone(connected), stranger })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        all.all -= 1;
        if let Some(from) = self.stranger {
            let left = all.strangers.get(&from).copied().unwrap_or(0).saturating_sub(1);
            if left == 0 {
                all.strangers.remove(&from);
            } else {
                all.strangers.insert(from, left);
            }
        }
    }
}

/// Accepts until the token is cancelled.
pub(super) async fn run(listener: TcpListener, shared: Arc<Shared>) {
    let connected = Arc::new(Mutex::new(Connected::default()));
    let mut serving = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = serving.join_next() => continue,
            () = shared.token.cancelled() => break,
        };
        match accepted {
            Ok((stream, from)) => {
                let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                let Some(place) = Place::take(&connected, &shared, from.ip()) else { continue };
                let shared = Arc::clone(&shared);
                serving.spawn(async move {
                    let token = shared.token.clone();
                    let served = token.run_until_cancelled(serve(stream, from, &shared)).await;
                    if let Some(Err(error)) = served {
                        tracing::debug!(%error, %from, "a connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Too many open files, mostly: others may close theirs.
                tracing::debug!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    serving.shutdown().await;
}

/// One connection, until it is closed, idle for too long, or says what is no question.
async fn serve(mut stream: TcpStream, from: SocketAddr, shared: &Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut connection = Connection {
        shared: Arc::clone(shared),
        from,
        via: Via { is_tcp: true, is_trusted: shared.trusts(from.ip()) },
        read: Vec::with_capacity(READ),
        write: Vec::with_capacity(1024),
        answer: Vec::with_capacity(1024),
        forwarded: JoinSet::new(),
        turn: u32::from(from.port()),
    };
    let idle = shared.tcp.idle;
    let mut is_open = true;
    let mut until = Instant::now() + idle;
    loop {
        let is_well = connection.answer_all();
        if !connection.write.is_empty() {
            written(idle, stream.write_all(&connection.write)).await?;
            connection.write.clear();
            // A great answer once does not cost its room for ever.
            connection.write.shrink_to(WRITE);
            // Bytes that never become a question do not count as a sign of life.
            until = Instant::now() + idle;
        }
        if !is_well {
            return Ok(());
        }
        let has_room = connection.forwarded.len() < UNDER_WAY;
        if has_room && frame(&connection.read, 0).is_some() {
            continue;
        }
        if !is_open && connection.forwarded.is_empty() {
            return Ok(());
        }
        connection.read.reserve(READ);
        let read = stream.read_buf(&mut connection.read);
        tokio::select! {
            read = timeout_at(until, read), if is_open && has_room => match read {
                Ok(Ok(0)) => is_open = false,
                Ok(read) => drop(read?),
                Err(_) if connection.forwarded.is_empty() => return Ok(()),
                Err(_) => until = Instant::now() + idle,
            },
            Some(answer) = connection.forwarded.join_next() => {
                if let Ok(Some(answer)) = answer {
                    put_frame(&answer, &mut connection.write);
                }
            }
        }
    }
}

async fn written(idle: Duration, write: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    timeout(idle, write).await?
}

struct Connection {
    shared: Arc<Shared>,
    from: SocketAddr,
    via: Via,
    read: Vec<u8>,
    write: Vec<u8>,
    answer: Vec<u8>,
    forwarded: JoinSet<Option<Vec<u8>>>,
    turn: u32,
}

// === impl Connection ===

impl Connection {
    /// Answers the questions that are there whole, as long as answers find room; false where
    /// something came that is no question.
    fn answer_all(&mut self) -> bool {
        let mut at = 0;
        let mut is_well = true;
        while self.write.len() < WRITE && self.forwarded.len() < UNDER_WAY {
            let Some((message, end)) = frame(&self.read, at) else { break };
            self.turn = self.turn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let Shared { zones, rules, .. } = &*self.shared;
            let turn = self.turn >> 8;
            let outcome =
                answer(zones, rules, read(zones, message), self.via, turn, &mut self.answer);
            self.shared.counters.count(0, &outcome);
            match outcome {
                Outcome::Answered(_) => put_frame(&self.answer, &mut self.write),
                Outcome::Foreign => {
                    if let Some(forwarder) = &self.shared.forwarder {
                        let asked =
                            Asked { packet: message.to_vec(), from: self.from, is_tcp: true };
                        let forwarder = Arc::clone(forwarder);
                        self.forwarded.spawn(async move { forwarder.answer(asked).await });
                    }
                }
                Outcome::Dropped => {
                    is_well = false;
                    break;
                }
            }
            at = end;
        }
        self.read.drain(..at);
        is_well
    }
}

/// The message that begins at `at`, and where the next one does.
pub(crate) fn frame(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let (length, rest) = bytes.get(at..)?.split_first_chunk::<LENGTH>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    Some((rest.get(..length)?, at + LENGTH + length))
}

fn put_frame(message: &[u8], to: &mut Vec<u8>) {
    if let Ok(length) = u16::try_from(message.len()) {
        to.extend(length.to_be_bytes());
        to.extend(message);
    }
}
