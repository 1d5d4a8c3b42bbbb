//! Follows the leading master: `SUBSCRIBE` of its operator API.
//!
//! Any master leads to the one that leads; the stream begins with all there is, then comes every
//! change as it happens. When it breaks, or is silent for too long, another one is opened, and
//! begins with all there is again.

pub(super) mod decode;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use mesos_messages::content::{self, ContentType, DecodeError};
use mesos_messages::recordio::{Decoder, RecordError};
use mesos_messages::v1::master::{Call, call};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::asking::{Ask, AskError, Backoff, Server};
use super::facts::{Input, MesosInput};
use decode::Told;

/// The state of a large cluster is one record.
const LARGEST_RECORD: usize = 1 << 29;
/// A record of this size is decoded where nobody waits for this thread.
const LARGE_RECORD: usize = 1 << 18;
/// Until the master says how often something comes.
const FIRST_WORD: Duration = Duration::from_secs(60);
/// How many heartbeats may be missing.
const PATIENCE: f64 = 2.5;

/// Why there is no stream, or no more.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("{0}")]
    Ask(#[from] AskError),
    #[error("it was closed")]
    Closed,
    #[error("it broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    #[error("it is malformed: {0}")]
    Record(#[from] RecordError),
    #[error("an event is malformed: {0}")]
    Event(#[from] DecodeError),
    #[error("the address of the leading master {0} is not known")]
    Leader(String),
    #[error("nobody listens any more")]
    Unheard,
}

pub(super) struct Follower {
    pub(super) ask: Arc<Ask>,
    pub(super) masters: Vec<Server>,
    pub(super) to: mpsc::Sender<Input>,
}

// === impl Follower ===

impl Follower {
    pub(super) async fn run(self) {
        let mut backoff = Backoff::default();
        for master in self.masters.iter().cycle() {
            let mut heard = false;
            let end = match self.follow(master.clone(), &mut heard).await {
                Err(End::Unheard) => return,
                Err(end) => end,
                Ok(never) => match never {},
            };
            if heard {
                backoff.reset();
                tracing::warn!(%master, reason = %end, "the stream of the leading master ended");
                if self.tell(MesosInput::Cut).await.is_err() {
                    return;
                }
            } else {
                tracing::info!(%master, reason = %end, "no stream of a leading master");
            }
            sleep(backoff.pause()).await;
        }
    }

    async fn follow(
        &self,
        master: Server,
        heard: &mut bool,
    ) -> Result<std::convert::Infallible, End> {
        let call = Call { r#type: Some(call::Type::Subscribe as i32), ..Call::default() };
        let body: Bytes = content::encode(ContentType::Protobuf, &call).into();
        let request = |server: &Server| {
            http::Request::post(server.url("/api/v1"))
                .header(http::header::CONTENT_TYPE, "application/x-protobuf")
                .header(http::header::ACCEPT, "application/x-protobuf")
                .body(body.clone().into())
        };
        let (leader, stream) = self.ask.stream(master, request).await?;
        let address = leader.leader().await.ok_or_else(|| End::Leader(leader.to_string()))?;
        let mut records = Records::new(stream);
        loop {
            let told = match records.next().await? {
                Told::State(mut state, heartbeat) => {
                    state.leader = Some(address);
                    records.expect(heartbeat);
                    tracing::info!(%leader, "follows the leading master");
                    *heard = true;
                    MesosInput::State(state)
                }
                Told::Change(input) => input,
                Told::Nothing => continue,
            };
            self.tell(told).await?;
        }
    }

    async fn tell(&self, input: MesosInput) -> Result<(), End> {
        self.to.send(Input::Mesos(input)).await.map_err(|_| End::Unheard)
    }
}

/// The events of a stream, one after the other.
struct Records {
    stream: Incoming,
    decoder: Decoder,
    patience: Duration,
}

// === impl Records ===

impl Records {
    fn new(stream: Incoming) -> Records {
        Records { stream, decoder: Decoder::new(LARGEST_RECORD), patience: FIRST_WORD }
    }

    fn expect(&mut self, heartbeat: Option<Duration>) {
        if let Some(heartbeat) = heartbeat {
            self.patience =
                heartbeat.mul_f64(PATIENCE).clamp(Duration::from_secs(1), FIRST_WORD * 5);
        }
    }

    async fn next(&mut self) -> Result<Told, End> {
        loop {
            if let Some(record) = self.decoder.next_record()? {
                return decoded(record).await;
            }
            let frame = timeout(self.patience, self.stream.frame()).await;
            match frame.map_err(|_| End::Silent(self.patience))? {
                None => return Err(End::Closed),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.decoder.push(data);
                    }
                }
            }
        }
    }
}

async fn decoded(record: Bytes) -> Result<Told, End> {
    if record.len() < LARGE_RECORD {
        return Ok(decode::event(&record)?);
    }
    let decoding = tokio::task::spawn_blocking(move || decode::event(&record));
    Ok(decoding.await.map_err(|_| End::Closed)??)
}
