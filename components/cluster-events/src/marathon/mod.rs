//! Follows Marathon: its stream of events, and reads of what they name.
//!
//! 1. A stream begins with reading everything, once. Afterwards an app is read when an event
//!    names it: what an event says of an app is less than the app, and of a group nothing.
//! 2. Every event told here has a number, and a read counts as of the number of the event before
//!    it was asked for: what is known to have changed since is read again, so that nothing older
//!    ever replaces something newer.
//! 3. Where a task is comes with the event itself. No read is needed for a task to be known.

mod reader;
mod reads;
pub mod sse;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::asking::{Ask, LeaderFact, Server};
use crate::following::{self, End, Pieces, Source, Unheard};
pub use reader::{Reader, Told, app, apps, framework, leader};
use reads::{Read, Reads};

/// A deployment of many apps is one event.
const LARGEST_EVENT: usize = 64 << 20;
/// Marathon's streams show every 10 seconds that they live.
const PATIENCE: Duration = Duration::from_secs(35);
/// A stream says at once that it began; where it does not, this is long enough for it to.
const BEGINNING: Duration = Duration::from_millis(500);
/// What stands in the path of an app without being encoded.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Reads Marathon's documents in the words of whoever follows it.
pub trait Decode: Send + Sync + 'static {
    type App: Send + 'static;
    type Task: Send + 'static;

    /// What the apps that matter have in common, as it is added to the query of their list:
    /// `&label=DCOS_SERVICE_NAME`. Empty for all apps.
    fn selector(&self) -> &str {
        ""
    }

    /// An app as `/v2/apps?embed=apps.tasks` shows it; none for one that does not matter. Not
    /// only selected ones come here.
    fn app(&self, app: Value) -> Option<Self::App>;

    /// The data of a `status_update_event`; none for a task that does not matter.
    fn task(&self, data: &[u8]) -> Result<Option<Self::Task>, serde_json::Error>;

    /// Kinds of events that are followed beside those of deployments and states of tasks.
    fn more_events(&self) -> &[&str] {
        &[]
    }

    /// One of those. `Told::Touched` has apps read again.
    fn event(&self, event: &sse::Event) -> Result<Option<Told<Self::Task>>, serde_json::Error> {
        let _ = event;
        Ok(None)
    }
}

/// Where an event stands among those of one follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Each has a greater one than those before. Reads say with such a number how old they are.
    pub number: u64,
    /// No read under way is older than that, the one that is answered with this event included.
    pub oldest: u64,
}

/// What is known of Marathon now and was not before.
#[derive(Clone, Debug)]
pub enum Event<App, Task> {
    /// As whom it runs its tasks, and who leads.
    Identity {
        framework: Option<Arc<str>>,
        leader: Option<LeaderFact>,
    },
    /// An app may have changed: what was read before does not count any more.
    Touched(Arc<str>),
    /// All apps that matter, as they were when that number was the last.
    Apps {
        as_of: u64,
        apps: Vec<App>,
    },
    /// One app; none if there is no such app, or it does not matter.
    App {
        as_of: u64,
        id: Arc<str>,
        app: Option<App>,
    },
    Task(Task),
    /// The stream broke.
    Cut,
}

/// An event of a follower with this decoder.
pub type EventOf<D> = Event<<D as Decode>::App, <D as Decode>::Task>;

/// Follows whichever of the Marathons leads.
pub struct Follower<D: Decode> {
    pub ask: Arc<Ask>,
    pub marathons: Vec<Server>,
    pub decoder: Arc<D>,
    /// Its numbers begin after this one: that of the last event of a follower before it, or 0.
    pub after: u64,
    /// What is told goes here; when nobody listens any more, the follower ends.
    pub to: mpsc::Sender<(Turn, EventOf<D>)>,
}

// === impl Follower ===

impl<D: Decode> Follower<D> {
    /// Returns when nobody listens any more, or there is no Marathon to ask. May be dropped at
    /// any moment.
    pub async fn run(self) {
        let Follower { ask, marathons, decoder, after, to } = self;
        let voice = Voice { to, number: after };
        following::run(Stream { ask, decoder, voice, counted: after }, &marathons).await;
    }
}

/// Numbers events and passes them on.
struct Voice<D: Decode> {
    to: mpsc::Sender<(Turn, EventOf<D>)>,
    number: u64,
}

// === impl Voice ===

impl<D: Decode> Voice<D> {
    /// `oldest` is as of when the oldest read under way was asked for.
    async fn tell(&mut self, event: EventOf<D>, oldest: Option<u64>) -> Result<(), Unheard> {
        self.number += 1;
        let turn = Turn { number: self.number, oldest: oldest.unwrap_or(self.number) };
        self.to.send((turn, event)).await.map_err(|_| Unheard)
    }
}

struct Stream<D: Decode> {
    ask: Arc<Ask>,
    decoder: Arc<D>,
    voice: Voice<D>,
    /// The number at the last look at what was told.
    counted: u64,
}

// === impl Stream ===

impl<D: Decode> Source for Stream<D> {
    const NAME: &'static str = "Marathon's events";

    async fn follow(&mut self, server: Server) -> Result<Infallible, End> {
        let kinds = reader::EVENTS.iter().chain(self.decoder.more_events());
        let kinds: String = kinds.map(|kind| format!("&event_type={kind}")).collect();
        let request = |server: &Server| {
            http::Request::get(server.url(&format!("/v2/events?plan-format=light{kinds}")))
                .header(http::header::ACCEPT, "text/event-stream")
                .body(Bytes::new().into())
        };
        let (server, stream) = self.ask.stream(server, request).await?;
        let mut connection = Connection {
            ask: Arc::clone(&self.ask),
            server,
            pieces: Pieces::new(stream, PATIENCE),
            events: sse::Decoder::new(LARGEST_EVENT),
            reader: Reader::new(Arc::clone(&self.decoder)),
            reads: Reads::beginning(),
            answers: JoinSet::new(),
            voice: &mut self.voice,
        };
        connection.run().await
    }

    fn take_told(&mut self) -> bool {
        std::mem::replace(&mut self.counted, self.voice.number) < self.voice.number
    }

    async fn cut(&mut self) -> Result<(), Unheard> {
        self.voice.tell(Event::Cut, None).await?;
        self.counted = self.voice.number;
        Ok(())
    }
}

/// One stream and the reads that belong to it; they end with it.
struct Connection<'a, D: Decode> {
    ask: Arc<Ask>,
    server: Server,
    pieces: Pieces,
    events: sse::Decoder,
    reader: Reader<D>,
    reads: Reads,
    answers: JoinSet<(Read, Result<EventOf<D>, End>)>,
    voice: &'a mut Voice<D>,
}

// === impl Connection ===

impl<D: Decode> Connection<'_, D> {
    async fn run(&mut self) -> Result<Infallible, End> {
        // What is read before the stream has begun may change without an event.
        match timeout(BEGINNING, self.pieces.next()).await {
            Ok(piece) => self.take(&piece?).await?,
            Err(_) => tracing::debug!(server = %self.server, "the stream is silent"),
        }
        tracing::info!(server = %self.server, "follows Marathon's events");
        loop {
            self.read();
            tokio::select! {
                biased;
                piece = self.pieces.next() => self.take(&piece?).await?,
                Some(answer) = self.answers.join_next() => {
                    let (read, event) = answer.map_err(|_| End::Lost)?;
                    self.tell(event?).await?;
                    self.reads.done(&read);
                }
            }
        }
    }

    async fn take(&mut self, piece: &[u8]) -> Result<(), End> {
        self.events.push(piece);
        while let Some(event) = self.events.next_event().map_err(End::malformed)? {
            match self.reader.event(&event) {
                Ok(Some(told)) => self.hear(told).await?,
                Ok(None) => {}
                Err(error) => tracing::warn!(event = event.name, %error, "an event is malformed"),
            }
        }
        Ok(())
    }

    async fn hear(&mut self, told: Told<D::Task>) -> Result<(), End> {
        match told {
            Told::Task(task) => self.tell(Event::Task(task)).await?,
            Told::Registered => self.reads.touch_identity(),
            Told::Touched(apps) => {
                for app in apps {
                    self.tell(Event::Touched(Arc::clone(&app))).await?;
                    self.reads.touch(app);
                }
            }
        }
        Ok(())
    }

    async fn tell(&mut self, event: EventOf<D>) -> Result<(), Unheard> {
        self.voice.tell(event, self.reads.oldest()).await
    }

    /// Asks for what has to be read.
    fn read(&mut self) {
        let as_of = self.voice.number;
        while let Some(read) = self.reads.next(as_of) {
            let asking = Asking {
                ask: Arc::clone(&self.ask),
                server: self.server.clone(),
                decoder: Arc::clone(self.reader.decoder()),
            };
            self.answers.spawn(async move {
                let event = asking.answer(&read, as_of).await;
                (read, event)
            });
        }
    }
}

/// Whom to read from.
struct Asking<D> {
    ask: Arc<Ask>,
    server: Server,
    decoder: Arc<D>,
}

// === impl Asking ===

impl<D: Decode> Asking<D> {
    async fn answer(&self, read: &Read, as_of: u64) -> Result<EventOf<D>, End> {
        match read {
            Read::Identity => self.identity().await,
            Read::All => Ok(Event::Apps { as_of, apps: self.apps().await? }),
            Read::App(id) => {
                let path = utf8_percent_encode(id.trim_start_matches('/'), PATH);
                let url = self.server.url(&format!("/v2/apps/{path}?embed=app.tasks"));
                let body = self.ask.get(&url).await?;
                let app = body.map(|body| app(&*self.decoder, &body)).transpose();
                let app = app.map_err(End::malformed)?.flatten();
                Ok(Event::App { as_of, id: Arc::clone(id), app })
            }
        }
    }

    async fn apps(&self) -> Result<Vec<D::App>, End> {
        let selector = self.decoder.selector();
        let url = self.server.url(&format!("/v2/apps?embed=apps.tasks{selector}"));
        let body = self.ask.get(&url).await?.unwrap_or_default();
        let decoder = Arc::clone(&self.decoder);
        let decoding = tokio::task::spawn_blocking(move || apps(&*decoder, &body));
        decoding.await.map_err(|_| End::Lost)?.map_err(End::malformed)
    }

    async fn identity(&self) -> Result<EventOf<D>, End> {
        let info = self.ask.get(&self.server.url("/v2/info")).await?;
        let info = info.map(|body| framework(&body)).transpose();
        let framework = info.map_err(End::malformed)?.flatten();
        // A 404 says that nobody leads.
        let answer = self.ask.get(&self.server.url("/v2/leader")).await?;
        let address = answer.map(|body| leader(&body)).transpose().map_err(End::malformed)?;
        let leader = match address {
            Some(address) => self.server.sibling(&address).await,
            None => None,
        };
        Ok(Event::Identity { framework, leader })
    }
}
