//! The way to the task that owns the master's state: questions and calls go in, answers come back.
use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use libprocess::Upid;
use mesos_messages::v1::{
    self,
    scheduler::{Event, event},
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    config::MasterConfig,
    metrics::MetricsSnapshot,
    model::{Framework, Id, OfferParts, OperatorEvent, Snapshot, Task},
    wire::Incoming,
};

/// A cheap copy of the way to a running master.
#[derive(Clone, Debug)]
pub struct MasterHandle {
    inbox: mpsc::Sender<Command>,
    config: Arc<MasterConfig>,
}

/// The master has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the master has stopped")]
pub struct Stopped;

/// Why a framework was not torn down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TeardownError {
    #[error("No framework found with specified ID")]
    UnknownFramework,
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A subscription to the operator events.
#[derive(Debug)]
pub struct EventSubscription {
    /// The state the events follow on.
    pub snapshot: Arc<Snapshot>,
    /// Closed by the master when the reader lags, when the oldest of too many
    /// subscribers must go, and when the master stops.
    pub events: mpsc::Receiver<OperatorEvent>,
}

/// Who a request came from, once authenticated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Principal(pub Option<String>);

/// A decoded call of the v1 scheduler API that is not SUBSCRIBE.
#[derive(Debug)]
pub struct SchedulerRequest {
    pub call: Box<v1::scheduler::Call>,
    /// The `Mesos-Stream-Id` header.
    pub stream_id: Option<String>,
    pub principal: Principal,
}

/// The answer to a [`SchedulerRequest`].
#[derive(Clone, Debug, PartialEq)]
pub enum SchedulerReply {
    /// 202.
    Accepted,
    /// 200, for calls that are done when answered.
    Done,
    /// A status code and its text.
    Refused(u16, String),
    /// 200 with a body.
    Response(Box<v1::scheduler::Response>),
}

/// A SUBSCRIBE over HTTP.
#[derive(Debug)]
pub struct SchedulerSubscribe {
    pub call: Box<v1::scheduler::Call>,
    pub stream_id: String,
    pub principal: Principal,
    /// Where the events go; closed by the master to end the stream.
    pub events: EventQueue,
}

/// The sending side of a scheduler's stream: one entry holds what one batch of inputs caused.
#[derive(Clone, Debug)]
pub struct EventQueue {
    batches: mpsc::Sender<Vec<StreamEvent>>,
    waiting: Arc<AtomicUsize>,
    limit: usize,
}

/// The receiving side of a scheduler's stream.
#[derive(Debug)]
pub struct EventStream {
    batches: mpsc::Receiver<Vec<StreamEvent>>,
    waiting: Arc<AtomicUsize>,
}

/// Something to write to a scheduler's stream.
#[derive(Clone, Debug)]
pub enum StreamEvent {
    Event(Arc<v1::scheduler::Event>),
    /// New offers, encoded when written.
    Offers {
        framework: Arc<Framework>,
        offers: Vec<OfferParts>,
    },
    /// The latest state of a task, for a scheduler that reconciles; encoded
    /// when written, so that a hundred thousand of them wait as pointers.
    Latest {
        task: Arc<Task>,
        /// Seconds since the epoch.
        timestamp: f64,
    },
}

/// How many batches may wait, whatever their size.
const MAX_BATCHES: usize = 1 << 16;

/// A stream that carries up to `limit` waiting events.
pub fn event_stream(limit: usize) -> (EventQueue, EventStream) {
    // A batch holds one event at least, so this many batches are enough.
    let (sender, receiver) = mpsc::channel(limit.clamp(1, MAX_BATCHES));
    let waiting = Arc::new(AtomicUsize::new(0));
    (
        EventQueue { batches: sender, waiting: waiting.clone(), limit },
        EventStream { batches: receiver, waiting },
    )
}

/// What the owner task is asked.
#[derive(Debug)]
pub(crate) enum Command {
    Snapshot(oneshot::Sender<Arc<Snapshot>>),
    Metrics(oneshot::Sender<Arc<MetricsSnapshot>>),
    Teardown(Id, oneshot::Sender<Result<(), TeardownError>>),
    SubscribeEvents(oneshot::Sender<EventSubscription>),
    Scheduler(SchedulerRequest, oneshot::Sender<SchedulerReply>),
    Subscribe(SchedulerSubscribe, oneshot::Sender<SchedulerReply>),
    /// The reader of a scheduler's stream went away.
    StreamClosed {
        stream_id: String,
    },
    /// A libprocess message.
    Message {
        from: Upid,
        message: Incoming,
    },
}

// === impl StreamEvent ===

impl StreamEvent {
    /// The message.
    pub fn event(&self) -> Cow<'_, Event> {
        match self {
            Self::Event(event) => Cow::Borrowed(event),
            Self::Offers { framework, offers } => Cow::Owned(Event {
                r#type: Some(event::Type::Offers as i32),
                offers: Some(event::Offers {
                    offers: offers.iter().map(|offer| offer.to_proto(framework)).collect(),
                }),
                ..Event::default()
            }),
            Self::Latest { task, timestamp } => Cow::Owned(Event {
                r#type: Some(event::Type::Update as i32),
                update: Some(event::Update { status: task.latest_status(*timestamp) }),
                ..Event::default()
            }),
        }
    }
}

// === impl EventQueue ===

impl EventQueue {
    /// Appends events. False if the reader is gone, or so far behind that it must be cut off;
    /// one batch may be larger than the limit.
    pub(crate) fn push(&self, events: Vec<StreamEvent>) -> bool {
        if self.waiting.load(Ordering::Relaxed) > self.limit {
            return false;
        }
        self.waiting.fetch_add(events.len(), Ordering::Relaxed);
        self.batches.try_send(events).is_ok()
    }
}

// === impl EventStream ===

impl EventStream {
    /// The next events, in order; none when the master ended the stream.
    pub async fn next(&mut self) -> Option<Vec<StreamEvent>> {
        let events = self.batches.recv().await?;
        self.waiting.fetch_sub(events.len(), Ordering::Relaxed);
        Some(events)
    }

    /// The same for a poll function.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Vec<StreamEvent>>> {
        let polled = self.batches.poll_recv(cx);
        if let Poll::Ready(Some(events)) = &polled {
            self.waiting.fetch_sub(events.len(), Ordering::Relaxed);
        }
        polled
    }
}

// === impl MasterHandle ===

impl MasterHandle {
    pub(crate) fn new(inbox: mpsc::Sender<Command>, config: Arc<MasterConfig>) -> Self {
        Self { inbox, config }
    }

    /// The configuration the master runs with.
    pub fn config(&self) -> &Arc<MasterConfig> {
        &self.config
    }

    /// Everything as it is now.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>, Stopped> {
        self.ask(Command::Snapshot).await
    }

    /// All metrics as they are now.
    pub async fn metrics(&self) -> Result<Arc<MetricsSnapshot>, Stopped> {
        self.ask(Command::Metrics).await
    }

    /// Removes a framework with all it runs.
    pub async fn teardown(&self, framework: &str) -> Result<(), TeardownError> {
        self.ask(|reply| Command::Teardown(framework.into(), reply)).await?
    }

    /// The state now and everything that happens after.
    pub async fn subscribe_events(&self) -> Result<EventSubscription, Stopped> {
        self.ask(Command::SubscribeEvents).await
    }

    /// Makes a scheduler call other than SUBSCRIBE.
    pub async fn scheduler_call(
        &self,
        request: SchedulerRequest,
    ) -> Result<SchedulerReply, Stopped> {
        self.ask(|reply| Command::Scheduler(request, reply)).await
    }

    /// Starts a scheduler's stream; [`SchedulerReply::Accepted`] says that events follow.
    pub async fn scheduler_subscribe(
        &self,
        subscribe: SchedulerSubscribe,
    ) -> Result<SchedulerReply, Stopped> {
        self.ask(|reply| Command::Subscribe(subscribe, reply)).await
    }

    /// Tells that nobody reads a scheduler's stream any more.
    pub async fn stream_closed(&self, stream_id: String) -> Result<(), Stopped> {
        self.inbox.send(Command::StreamClosed { stream_id }).await.map_err(|_| Stopped)
    }

    pub(crate) async fn message(&self, from: Upid, message: Incoming) -> Result<(), Stopped> {
        self.inbox.send(Command::Message { from, message }).await.map_err(|_| Stopped)
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(command(reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }
}
