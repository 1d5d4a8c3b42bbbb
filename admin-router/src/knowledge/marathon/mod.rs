//! Follows Marathon: its stream of events, and reads of what they name.
//!
//! 1. A stream begins with reading everything, once. Afterwards an app is read when an event
//!    names it: what an event says of an app is less than the app, and of a group nothing.
//! 2. Every input has a number, and a read counts as of the number of the input before it was
//!    asked for: what is known to have changed since is read again, so that nothing older ever
//!    replaces something newer.
//! 3. Where a task is comes with the event itself. No read is needed for a task to be routed to.

pub(super) mod decode;
mod reads;
pub(super) mod sse;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::asking::{Ask, AskError, Backoff, Server};
use super::facts::{Input, MarathonInput, Turn};
use decode::{Reader, Told};
use reads::{Read, Reads};
use sse::{Decoder, TooLong};

/// A deployment of many apps is one event.
const LARGEST_EVENT: usize = 64 << 20;
/// Marathon's streams show every 10 seconds that they live.
const PATIENCE: Duration = Duration::from_secs(35);
/// A stream says at once that it began; where it does not, this is long enough for it to.
const BEGINNING: Duration = Duration::from_millis(500);
/// What stands in the path of an app without being encoded.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why there is no stream, or no more.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("{0}")]
    Ask(#[from] AskError),
    #[error("it was closed")]
    Closed,
    #[error("it broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("nothing came for {PATIENCE:?}")]
    Silent,
    #[error("{0}")]
    Event(#[from] TooLong),
    #[error("what was read of it is malformed: {0}")]
    Answer(#[from] serde_json::Error),
    #[error("a read of it was lost")]
    Lost,
    #[error("nobody listens any more")]
    Unheard,
}

pub(super) struct Follower {
    pub(super) ask: Arc<Ask>,
    pub(super) marathons: Vec<Server>,
    pub(super) to: mpsc::Sender<Input>,
}

/// Numbers inputs and passes them on.
struct Voice {
    to: mpsc::Sender<Input>,
    number: u64,
}

// === impl Voice ===

impl Voice {
    /// `oldest` is as of when the oldest read under way was asked for.
    async fn tell(&mut self, input: MarathonInput, oldest: Option<u64>) -> Result<(), End> {
        self.number += 1;
        let turn = Turn { number: self.number, oldest: oldest.unwrap_or(self.number) };
        self.to.send(Input::Marathon(turn, input)).await.map_err(|_| End::Unheard)
    }
}

// === impl Follower ===

impl Follower {
    pub(super) async fn run(self) {
        let mut voice = Voice { to: self.to.clone(), number: 0 };
        let mut backoff = Backoff::default();
        for marathon in self.marathons.iter().cycle() {
            let before = voice.number;
            let end = match self.follow(marathon.clone(), &mut voice).await {
                Err(End::Unheard) => return,
                Err(end) => end,
                Ok(never) => match never {},
            };
            if voice.number > before {
                backoff.reset();
                tracing::warn!(%marathon, reason = %end, "the stream of Marathon's events ended");
                if voice.tell(MarathonInput::Cut, None).await.is_err() {
                    return;
                }
            } else {
                tracing::info!(%marathon, reason = %end, "no stream of Marathon's events");
            }
            sleep(backoff.pause()).await;
        }
    }

    async fn follow(&self, marathon: Server, voice: &mut Voice) -> Result<Infallible, End> {
        let types: String =
            decode::EVENTS.iter().map(|kind| format!("&event_type={kind}")).collect();
        let request = |server: &Server| {
            http::Request::get(server.url(&format!("/v2/events?plan-format=light{types}")))
                .header(http::header::ACCEPT, "text/event-stream")
                .body(Bytes::new().into())
        };
        let (leader, stream) = self.ask.stream(marathon, request).await?;
        let mut connection = Connection {
            ask: Arc::clone(&self.ask),
            server: leader,
            events: Decoder::new(LARGEST_EVENT),
            reader: Reader::default(),
            reads: Reads::beginning(),
            answers: JoinSet::new(),
            voice,
        };
        connection.run(stream).await
    }
}

/// One stream and the reads that belong to it; they end with it.
struct Connection<'a> {
    ask: Arc<Ask>,
    server: Server,
    events: Decoder,
    reader: Reader,
    reads: Reads,
    answers: JoinSet<(Read, Result<MarathonInput, End>)>,
    voice: &'a mut Voice,
}

// === impl Connection ===

impl Connection<'_> {
    async fn run(&mut self, mut stream: Incoming) -> Result<Infallible, End> {
        // What is read before the stream has begun may change without an event.
        match timeout(BEGINNING, stream.frame()).await {
            Ok(frame) => self.take(frame).await?,
            Err(_) => tracing::debug!(server = %self.server, "the stream is silent"),
        }
        tracing::info!(server = %self.server, "follows Marathon's events");
        loop {
            self.read();
            tokio::select! {
                biased;
                frame = timeout(PATIENCE, stream.frame()) => {
                    self.take(frame.map_err(|_| End::Silent)?).await?;
                }
                Some(answer) = self.answers.join_next() => {
                    let (read, input) = answer.map_err(|_| End::Lost)?;
                    self.tell(input?).await?;
                    self.reads.done(&read);
                }
            }
        }
    }

    async fn take(
        &mut self,
        frame: Option<Result<hyper::body::Frame<Bytes>, hyper::Error>>,
    ) -> Result<(), End> {
        let frame = frame.ok_or(End::Closed)??;
        if let Some(data) = frame.data_ref() {
            self.events.push(data);
        }
        while let Some(event) = self.events.next_event()? {
            match self.reader.event(&event) {
                Ok(Some(told)) => self.hear(told).await?,
                Ok(None) => {}
                Err(error) => tracing::warn!(event = event.name, %error, "an event is malformed"),
            }
        }
        Ok(())
    }

    async fn hear(&mut self, told: Told) -> Result<(), End> {
        match told {
            Told::Task(task) => self.tell(MarathonInput::Task(task)).await?,
            Told::Registered => self.reads.touch_identity(),
            Told::Touched(apps) => {
                for app in apps {
                    self.tell(MarathonInput::Touched(Arc::clone(&app))).await?;
                    self.reads.touch(app);
                }
            }
        }
        Ok(())
    }

    async fn tell(&mut self, input: MarathonInput) -> Result<(), End> {
        self.voice.tell(input, self.reads.oldest()).await
    }

    /// Asks for what has to be read.
    fn read(&mut self) {
        let as_of = self.voice.number;
        while let Some(read) = self.reads.next(as_of) {
            let (ask, server) = (Arc::clone(&self.ask), self.server.clone());
            self.answers.spawn(async move {
                let input = answer(&ask, &server, &read, as_of).await;
                (read, input)
            });
        }
    }
}

async fn answer(ask: &Ask, server: &Server, read: &Read, as_of: u64) -> Result<MarathonInput, End> {
    match read {
        Read::Identity => identity(ask, server).await,
        Read::All => {
            let url = server.url("/v2/apps?embed=apps.tasks&label=DCOS_SERVICE_NAME");
            let body = ask.get(&url).await?.unwrap_or_default();
            let apps = tokio::task::spawn_blocking(move || decode::apps(&body)).await;
            Ok(MarathonInput::Apps { as_of, apps: apps.map_err(|_| End::Lost)?? })
        }
        Read::App(id) => {
            let path = utf8_percent_encode(id.trim_start_matches('/'), PATH);
            let body = ask.get(&server.url(&format!("/v2/apps/{path}?embed=app.tasks"))).await?;
            let app = body.map(|body| decode::app(&body)).transpose()?.flatten();
            Ok(MarathonInput::App { as_of, id: Arc::clone(id), app })
        }
    }
}

async fn identity(ask: &Ask, server: &Server) -> Result<MarathonInput, End> {
    let info = ask.get(&server.url("/v2/info")).await?;
    let framework = info.map(|body| decode::framework(&body)).transpose()?.flatten();
    // A 404 says that nobody leads.
    let leader = ask.get(&server.url("/v2/leader")).await?;
    let leader = match leader.map(|body| decode::leader(&body)).transpose()? {
        Some(leader) => server.sibling(&leader).await,
        None => None,
    };
    Ok(MarathonInput::Identity { framework, leader })
}
