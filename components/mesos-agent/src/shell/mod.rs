//! The agent's process: owns the core, feeds it, and does what it decides, writes first.

pub(crate) mod actuator;
mod committer;
mod environment;
pub(crate) mod runtime;
mod sandbox;
mod start;
pub(crate) mod streams;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use start::start;

use crate::{
    AgentError,
    core::{Answer, Core, Effects, Input, RequestId, Snapshot, Stop},
};
use actuator::Actuator;
use committer::Committer;
use libprocess::{Exited, Inbound};
use mesos_messages::{time::Now, v1};
use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Inputs taken before their effects are done: more share a wait for the disk.
const BATCH: usize = 256;

/// What reaches the owner of the core.
#[derive(Debug)]
pub(crate) enum Event {
    Input(Input),
    /// A call on the executor API, to be answered.
    Call(RequestId, Box<v1::executor::Call>, oneshot::Sender<Answer>),
    /// A reader wants to see the agent.
    Snapshot(oneshot::Sender<Arc<Snapshot>>),
}

/// Asks the owner.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) inbox: mpsc::Sender<Event>,
}

impl Handle {
    /// The agent now. None when it is stopping.
    pub(crate) async fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let (sender, receiver) = oneshot::channel();
        self.inbox.send(Event::Snapshot(sender)).await.ok()?;
        receiver.await.ok()
    }

    /// Passes on a call of an executor. None when the agent is stopping.
    pub(crate) async fn call(
        &self,
        request: RequestId,
        call: v1::executor::Call,
    ) -> Option<Answer> {
        let (sender, receiver) = oneshot::channel();
        self.inbox.send(Event::Call(request, Box::new(call), sender)).await.ok()?;
        receiver.await.ok()
    }
}

impl Handle {
    /// Tells that the stream of a SUBSCRIBE has ended.
    pub(crate) async fn stream_closed(&self, request: RequestId) {
        let _ = self.inbox.send(Event::Input(Input::StreamClosed(request))).await;
    }
}

/// Readings of both clocks.
#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> Now {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now { mono: self.0.elapsed(), wall }
    }

    fn until(self, deadline: Duration) -> Duration {
        deadline.saturating_sub(self.0.elapsed())
    }
}

/// Owns the core.
struct Owner {
    core: Core,
    clock: Clock,
    inbox: mpsc::Receiver<Event>,
    messages: mpsc::Receiver<Inbound>,
    exits: mpsc::Receiver<Exited>,
    stops: mpsc::Receiver<Stop>,
    actuator: Arc<Actuator>,
    committer: Committer,
    effects: Effects,
    shown: Option<Arc<Snapshot>>,
}

impl Owner {
    async fn run(mut self, shutdown: CancellationToken) -> Result<(), AgentError> {
        loop {
            let wait = self
                .core
                .next_deadline()
                .map_or(Duration::from_secs(3600), |deadline| self.clock.until(deadline));
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                Some(stop) = self.stops.recv() => return stopped(stop),
                Some(event) = self.inbox.recv() => self.event(event),
                Some(message) = self.messages.recv() => self.message(message),
                Some(exited) = self.exits.recv() => self.input(Input::Exited(exited.address)),
                () = self.committer.failed() => {
                    return Err(AgentError::Internal("the checkpoints cannot be written".into()));
                }
                () = tokio::time::sleep(wait) => self.input(Input::Timer),
            }
            self.drain();
            self.flush().await;
        }
    }

    /// Takes what else is waiting, in fair measure.
    fn drain(&mut self) {
        for _ in 0..BATCH {
            let event = self.inbox.try_recv().ok();
            let message = self.messages.try_recv().ok();
            if event.is_none() && message.is_none() {
                break;
            }
            if let Some(event) = event {
                self.event(event);
            }
            if let Some(message) = message {
                self.message(message);
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Input(input) => self.input(input),
            Event::Call(request, call, answer) => {
                self.actuator.streams.expect(request, answer);
                self.input(Input::Call { request, call });
            }
            Event::Snapshot(reader) => {
                let snapshot = self.shown.get_or_insert_with(|| Arc::new(self.core.snapshot()));
                let _ = reader.send(Arc::clone(snapshot));
            }
        }
    }

    fn message(&mut self, message: Inbound) {
        if let Some(inbound) = wire::decode(&message.name, &message.body) {
            self.input(Input::Message { from: message.from.to_string(), message: inbound });
        }
    }

    fn input(&mut self, input: Input) {
        self.shown = None;
        self.core.handle(self.clock.now(), input, &mut self.effects);
    }

    async fn flush(&mut self) {
        if self.effects.is_empty() {
            return;
        }
        if self.actuator.agent_id.read().unwrap_or_else(PoisonError::into_inner).is_empty()
            && let Some(id) = self.core.agent_id_text()
        {
            *self.actuator.agent_id.write().unwrap_or_else(PoisonError::into_inner) = id;
        }
        self.committer.submit(&self.actuator, std::mem::take(&mut self.effects)).await;
    }
}

fn stopped(stop: Stop) -> Result<(), AgentError> {
    match stop {
        Stop::Left => Ok(()),
        Stop::ByMaster(text) => Err(AgentError::ShutDownByMaster(text)),
        Stop::Broken(text) => Err(AgentError::Internal(text)),
    }
}
