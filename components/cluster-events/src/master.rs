//! Follows the leading master: `SUBSCRIBE` of its operator API.
//!
//! Any master leads to the one that leads; the stream begins with all there is, then comes every
//! change as it happens. When it breaks, or is silent for too long, another one is opened, and
//! begins with all there is again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use mesos_messages::content::{self, ContentType};
use mesos_messages::recordio;
use mesos_messages::v1::master::{Call, call};
use tokio::sync::mpsc;

pub use mesos_messages::content::DecodeError;

use crate::asking::{Ask, LeaderFact, Server};
use crate::following::{self, End, Pieces, Source, Unheard};

/// The state of a large cluster is one record.
const LARGEST_RECORD: usize = 1 << 29;
/// A record of this size is decoded where nobody waits for this thread.
const LARGE_RECORD: usize = 1 << 18;
/// Until the master says how often something comes.
const FIRST_WORD: Duration = Duration::from_secs(60);
/// How many heartbeats may be missing.
const PATIENCE: f64 = 2.5;

/// Reads the records of a master's stream in the words of whoever follows it.
pub trait Decode: Send + Sync + 'static {
    type Input: Send + 'static;

    fn decode(&self, record: &[u8]) -> Result<Told<Self::Input>, DecodeError>;
}

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Told<Input> {
    /// The beginning: all there is, and how often at least something comes from now on.
    State(Input, Option<Duration>),
    Change(Input),
    /// Nothing that matters here.
    Nothing,
}

/// What becomes of the stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<Input> {
    /// A stream has begun, with all there is; what was told before does not count any more.
    Connected {
        leader: LeaderFact,
        input: Input,
    },
    Change(Input),
    /// It broke. Only comes after `Connected`.
    Cut,
}

/// Follows whichever of the masters leads.
pub struct Follower<D: Decode> {
    pub ask: Arc<Ask>,
    pub masters: Vec<Server>,
    pub decoder: Arc<D>,
    /// What is told goes here; when nobody listens any more, the follower ends.
    pub to: mpsc::Sender<Event<D::Input>>,
}

// === impl Follower ===

impl<D: Decode> Follower<D> {
    /// Returns when nobody listens any more, or there is no master to ask. May be dropped at any
    /// moment.
    pub async fn run(self) {
        let Follower { ask, masters, decoder, to } = self;
        following::run(Stream { ask, decoder, to, has_told: false }, &masters).await;
    }
}

struct Stream<D: Decode> {
    ask: Arc<Ask>,
    decoder: Arc<D>,
    to: mpsc::Sender<Event<D::Input>>,
    has_told: bool,
}

// === impl Stream ===

impl<D: Decode> Source for Stream<D> {
    const NAME: &'static str = "the leading master";

    async fn follow(&mut self, server: Server) -> Result<Infallible, End> {
        let call = Call { r#type: Some(call::Type::Subscribe as i32), ..Call::default() };
        let body: Bytes = content::encode(ContentType::Protobuf, &call).into();
        let request = |server: &Server| {
            http::Request::post(server.url("/api/v1"))
                .header(http::header::CONTENT_TYPE, "application/x-protobuf")
                .header(http::header::ACCEPT, "application/x-protobuf")
                .body(body.clone().into())
        };
        let (server, stream) = self.ask.stream(server, request).await?;
        let leader = server.leader().await.ok_or_else(|| End::Leader(server.to_string()))?;
        let mut records = Records::new(stream, Arc::clone(&self.decoder));
        loop {
            let event = match records.next().await? {
                Told::State(input, heartbeat) => {
                    records.expect(heartbeat);
                    tracing::info!(%server, "follows the leading master");
                    self.has_told = true;
                    Event::Connected { leader, input }
                }
                Told::Change(input) => Event::Change(input),
                Told::Nothing => continue,
            };
            self.to.send(event).await.map_err(|_| Unheard)?;
        }
    }

    fn take_told(&mut self) -> bool {
        std::mem::take(&mut self.has_told)
    }

    async fn cut(&mut self) -> Result<(), Unheard> {
        self.to.send(Event::Cut).await.map_err(|_| Unheard)
    }
}

/// The records of a stream, one after the other.
struct Records<D> {
    pieces: Pieces,
    records: recordio::Decoder,
    decoder: Arc<D>,
}

// === impl Records ===

impl<D: Decode> Records<D> {
    fn new(stream: Incoming, decoder: Arc<D>) -> Records<D> {
        let records = recordio::Decoder::new(LARGEST_RECORD);
        Records { pieces: Pieces::new(stream, FIRST_WORD), records, decoder }
    }

    fn expect(&mut self, heartbeat: Option<Duration>) {
        if let Some(heartbeat) = heartbeat {
            let patience = heartbeat.as_secs_f64() * PATIENCE;
            let most = FIRST_WORD.as_secs_f64() * 5.0;
            self.pieces.patience = Duration::from_secs_f64(patience.clamp(1.0, most));
        }
    }

    async fn next(&mut self) -> Result<Told<D::Input>, End> {
        loop {
            if let Some(record) = self.records.next_record().map_err(End::malformed)? {
                return self.decoded(record).await;
            }
            let piece = self.pieces.next().await?;
            self.records.push(piece);
        }
    }

    async fn decoded(&self, record: Bytes) -> Result<Told<D::Input>, End> {
        if record.len() < LARGE_RECORD {
            return self.decoder.decode(&record).map_err(End::malformed);
        }
        let decoder = Arc::clone(&self.decoder);
        let decoding = tokio::task::spawn_blocking(move || decoder.decode(&record));
        decoding.await.map_err(|_| End::Lost)?.map_err(End::malformed)
    }
}
