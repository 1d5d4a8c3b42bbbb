//! The task that owns the core: it feeds it and does what it wants done.
//!
//! It takes what waits in its inbox in batches, hands it to the core one by one,
//! and writes what the batch caused in one go: one entry a stream, one
//! transaction for the registry. It never waits for a peer.
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    time::{Duration, Instant, SystemTime},
};

use cluster_state::{ClusterState, StateError};
use libprocess::{Exited, Outbox, Upid};
use mesos_messages::time::Now;
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    core::{Effect, Input, MasterCore, Outgoing, Sender},
    handle::{Command, EventQueue, EventSubscription, SchedulerReply, StreamEvent, TeardownError},
    metrics::MetricsSnapshot,
    model::{Id, OperatorEvent, Snapshot},
    registrar,
    run::MasterError,
    timing::Timing,
};

/// How many commands are taken from the inbox at once.
const BATCH: usize = 256;
/// How many events may wait for a follower of the operator events.
const OPERATOR_EVENTS: usize = 1 << 18;

type Write = Pin<Box<dyn Future<Output = Result<Vec<u64>, StateError>> + Send>>;

/// Everything around the core.
pub(crate) struct Owner {
    pub(crate) core: MasterCore,
    pub(crate) clock: Clock,
    pub(crate) inbox: mpsc::Receiver<Command>,
    pub(crate) exits: mpsc::Receiver<Exited>,
    pub(crate) outbox: Outbox,
    pub(crate) state: Arc<dyn ClusterState>,
    pub(crate) pid: Upid,
    pub(crate) max_subscribers: usize,
    pub(crate) shutdown: CancellationToken,
    pub(crate) waiting: registrar::Waiting,
    pub(crate) write: Option<Write>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) streams: FxHashMap<Id, Stream>,
    /// Streams with something to push.
    pub(crate) touched: Vec<Id>,
    pub(crate) replies: FxHashMap<u64, oneshot::Sender<SchedulerReply>>,
    pub(crate) teardowns: FxHashMap<u64, oneshot::Sender<Result<(), TeardownError>>>,
    pub(crate) next_token: u64,
    pub(crate) subscribers: Vec<mpsc::Sender<OperatorEvent>>,
    pub(crate) last_snapshot: Weak<Snapshot>,
    pub(crate) buffer: Vec<u8>,
    pub(crate) timings: Timings,
}

/// What the owner measures of itself.
#[derive(Default)]
pub(crate) struct Timings {
    allocation: Timing,
    /// From what made an allocation due to its begin.
    allocation_latency: Timing,
    store: Timing,
    store_began: Option<Instant>,
}

/// A scheduler's stream, and what this batch adds to it.
pub(crate) struct Stream {
    queue: EventQueue,
    fresh: Vec<StreamEvent>,
    closing: bool,
}

/// Both clocks, read together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

// === impl Clock ===

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now { mono: self.0.elapsed(), wall }
    }

    /// None for what lies beyond any clock.
    fn instant(&self, mono: Duration) -> Option<tokio::time::Instant> {
        self.0.checked_add(mono).map(Into::into)
    }
}

/// What woke the owner.
enum Woken {
    Commands,
    Exited(Exited),
    Written(Result<Vec<u64>, StateError>),
    Timer,
    Stop,
}

// === impl Owner ===

impl Owner {
    /// Runs until it is told to stop, or the registry fails.
    pub(crate) async fn run(mut self) -> Result<(), MasterError> {
        let mut batch = Vec::with_capacity(BATCH);
        self.finish_batch();
        loop {
            let woken = self.wait(&mut batch).await;
            let now = self.clock.now();
            match woken {
                Woken::Stop => return Ok(()),
                Woken::Commands => {
                    for command in batch.drain(..) {
                        self.command(now, command);
                    }
                }
                Woken::Exited(exited) => {
                    self.input(now, Input::Exited { address: exited.address });
                }
                Woken::Written(tickets) => {
                    for ticket in tickets? {
                        self.input(now, Input::Written { ticket });
                    }
                }
                Woken::Timer => self.timed(now, |owner| owner.input(now, Input::Tick)),
            }
            self.timed(now, |owner| owner.core.settle(now, &mut owner.effects));
            self.finish_batch();
        }
    }

    /// Does what may offer resources, and measures it if it did.
    fn timed(&mut self, now: Now, act: impl FnOnce(&mut Self)) {
        let (before, began) = (self.core.passes(), Instant::now());
        act(self);
        if self.core.passes() != before {
            // Offers are part of what readers see.
            self.last_snapshot = Weak::new();
            let waited = began.duration_since(self.clock.0).saturating_sub(now.mono);
            self.timings.allocation.add(began.elapsed());
            self.timings.allocation_latency.add(waited);
        }
    }

    fn metrics(&self) -> MetricsSnapshot {
        let mut metrics = self.core.metrics();
        metrics.operator_event_stream_subscribers = self.subscribers.len() as u64;
        metrics.event_queue_messages = self.inbox.len() as u64;
        for (name, timing) in [
            ("allocator/mesos/allocation_run_ms", &self.timings.allocation),
            ("allocator/mesos/allocation_run_latency_ms", &self.timings.allocation_latency),
            ("registrar/state_store_ms", &self.timings.store),
        ] {
            timing.values(name, |name, value| metrics.other.push((name, value)));
        }
        metrics
    }

    async fn wait(&mut self, batch: &mut Vec<Command>) -> Woken {
        let deadline = self.core.next_deadline().and_then(|due| self.clock.instant(due));
        let timer = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let writing = self.write.is_some();
        let write = async {
            match self.write.as_mut() {
                Some(write) => write.await,
                None => std::future::pending().await,
            }
        };
        let woken = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Woken::Stop,
            () = timer => Woken::Timer,
            written = write, if writing => Woken::Written(written),
            Some(exited) = self.exits.recv() => Woken::Exited(exited),
            taken = self.inbox.recv_many(batch, BATCH) => {
                if taken == 0 { Woken::Stop } else { Woken::Commands }
            }
        };
        if matches!(woken, Woken::Written(_)) {
            self.write = None;
            if let Some(began) = self.timings.store_began.take() {
                self.timings.store.add(began.elapsed());
            }
        }
        woken
    }

    fn command(&mut self, now: Now, command: Command) {
        match command {
            Command::Message { from, message } => {
                self.input(now, Input::Message { from, message });
            }
            Command::Scheduler(request, reply) => {
                let token = self.token();
                self.replies.insert(token, reply);
                let input = Input::Call {
                    token,
                    call: request.call,
                    stream: request.stream_id,
                    principal: request.principal,
                };
                self.input(now, input);
                self.apply(now);
            }
            Command::Subscribe(subscribe, reply) => {
                let stream = Id::from(subscribe.stream_id);
                let queue = subscribe.events;
                let entry = Stream { queue, fresh: Vec::new(), closing: false };
                self.streams.insert(stream.clone(), entry);
                let _ = reply.send(SchedulerReply::Accepted);
                let (call, principal) = (subscribe.call, subscribe.principal);
                self.input(now, Input::Subscribe { stream, call, principal });
            }
            Command::StreamClosed { stream_id } => self.close_stream(now, stream_id.into()),
            Command::Teardown(framework, reply) => {
                let token = self.token();
                self.teardowns.insert(token, reply);
                self.input(now, Input::Teardown { token, framework });
            }
            Command::Snapshot(reply) => {
                let _ = reply.send(self.snapshot());
            }
            Command::Metrics(reply) => {
                let _ = reply.send(Arc::new(self.metrics()));
            }
            Command::SubscribeEvents(reply) => self.subscribe_events(now, reply),
        }
    }

    fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    fn input(&mut self, now: Now, input: Input) {
        self.last_snapshot = Weak::new();
        self.core.handle(now, input, &mut self.effects);
    }

    fn snapshot(&mut self) -> Arc<Snapshot> {
        if let Some(snapshot) = self.last_snapshot.upgrade() {
            return snapshot;
        }
        let snapshot = Arc::new(self.core.snapshot());
        self.last_snapshot = Arc::downgrade(&snapshot);
        snapshot
    }

    fn subscribe_events(&mut self, now: Now, reply: oneshot::Sender<EventSubscription>) {
        // What happened before is in the snapshot, not in the events.
        self.apply(now);
        let (sender, events) = mpsc::channel(OPERATOR_EVENTS);
        let snapshot = self.snapshot();
        if reply.send(EventSubscription { snapshot, events }).is_err() {
            return;
        }
        self.subscribers.retain(|subscriber| !subscriber.is_closed());
        while self.subscribers.len() >= self.max_subscribers.max(1) {
            self.subscribers.remove(0);
        }
        self.subscribers.push(sender);
        self.core.handle(now, Input::Observed(true), &mut self.effects);
    }

    /// Does all that the batch caused, and pushes what goes to the streams.
    fn finish_batch(&mut self) {
        let now = self.clock.now();
        loop {
            self.apply(now);
            let touched = std::mem::take(&mut self.touched);
            if touched.is_empty() {
                break;
            }
            for id in touched {
                self.push(now, id);
            }
        }
        if self.write.is_none() && !self.waiting.is_empty() {
            let (tickets, ops) = self.waiting.take();
            self.timings.store_began = Some(Instant::now());
            self.write = Some(Box::pin(registrar::write(self.state.clone(), tickets, ops)));
        }
    }

    fn push(&mut self, now: Now, id: Id) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let fresh = std::mem::take(&mut stream.fresh);
        let alive = fresh.is_empty() || stream.queue.push(fresh);
        if stream.closing {
            self.streams.remove(&id);
        } else if !alive {
            tracing::warn!(stream = %id, "a scheduler reads too slowly or is gone");
            self.close_stream(now, id);
        }
    }

    fn close_stream(&mut self, now: Now, id: Id) {
        self.streams.remove(&id);
        self.input(now, Input::StreamClosed { stream: id });
    }

    fn apply(&mut self, _now: Now) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            self.act(effect);
        }
        self.effects = effects;
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Send { from, to, message } => self.send(from, &to, &message),
            Effect::Link(to) => self.outbox.link(&to),
            Effect::Event { stream, event } => {
                if let Some(entry) = self.streams.get_mut(&stream) {
                    if entry.fresh.is_empty() && !entry.closing {
                        self.touched.push(stream);
                    }
                    entry.fresh.push(event);
                }
            }
            Effect::CloseStream { stream } => {
                if let Some(entry) = self.streams.get_mut(&stream) {
                    if entry.fresh.is_empty() && !entry.closing {
                        self.touched.push(stream);
                    }
                    entry.closing = true;
                }
            }
            Effect::Reply { token, reply } => {
                if let Some(waiting) = self.replies.remove(&token) {
                    let _ = waiting.send(reply);
                }
            }
            Effect::TornDown { token, result } => {
                if let Some(waiting) = self.teardowns.remove(&token) {
                    let _ = waiting.send(result);
                }
            }
            Effect::Write { ticket, changes } => self.waiting.push(ticket, changes),
            Effect::Operator(event) => self.tell_operators(event),
        }
    }

    fn send(&mut self, from: Sender, to: &Upid, message: &Outgoing) {
        self.buffer.clear();
        message.encode(&mut self.buffer);
        let sent = match from {
            Sender::Master => self.outbox.send(&self.pid, to, message.name(), &self.buffer),
            Sender::Observer(number) => {
                let from = Upid::new(format!("slave-observer({number})"), self.pid.address);
                self.outbox.send(&from, to, message.name(), &self.buffer)
            }
        };
        if let Err(error) = sent {
            tracing::warn!(%to, message = message.name(), %error, "a message was not sent");
        }
    }

    fn tell_operators(&mut self, event: OperatorEvent) {
        self.subscribers.retain(|subscriber| subscriber.try_send(event.clone()).is_ok());
        if self.subscribers.is_empty() {
            let now = self.clock.now();
            // Nothing but the flag changes, so this has no effects of its own.
            self.core.handle(now, Input::Observed(false), &mut Vec::new());
        }
    }
}
