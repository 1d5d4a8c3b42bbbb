//! The master's decisions, without sockets, files, clocks or randomness.
//!
//! [`MasterCore::handle`] takes one input and appends what must happen to a
//! list of effects; [`MasterCore::settle`] closes a batch of inputs with the
//! allocations they made due. The same inputs give the same effects.
//!
//! * Nothing that outlives the process is promised before it is written: an
//!   agent's admission waits for [`Input::Written`].
//! * The work for one task does not depend on how many tasks there are.
//! * What a message says is believed only as far as its sender may say it.
use std::{collections::BTreeMap, sync::Arc};

use libprocess::Upid;
use mesos_allocator::Allocator;
use mesos_messages::{internal, resources::Resources, time::Now, v1};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::{
    config::MasterConfig,
    handle::{Principal, SchedulerReply, StreamEvent, TeardownError},
    metrics::Counters,
    model::{Id, MasterRecord, OperatorEvent},
};

mod accept;
mod agents;
mod alloc;
mod calls;
mod executors;
mod frameworks;
mod offers;
mod outbound;
mod reconcile;
mod registration;
mod removal;
mod report;
mod reports;
mod state;
mod subscribe;
mod tasks;
mod timers;
mod updates;
pub mod validate;

#[cfg(test)]
mod tests;

use state::{Agents, Frameworks, OfferAt, Pending};
use timers::{Timer, Timers};

pub use crate::wire::{Incoming, Outgoing};

/// Everything the master decides on, and its state.
pub struct MasterCore {
    config: Arc<MasterConfig>,
    master: Arc<MasterRecord>,
    now: Now,
    started: Now,
    out: Vec<Effect>,
    agents: Agents,
    frameworks: Frameworks,
    /// By the number in the offer's id.
    offers: FxHashMap<u64, OfferAt>,
    next_offer: u64,
    next_agent: u64,
    next_framework: u64,
    next_ticket: u64,
    pending: FxHashMap<u64, Pending>,
    timers: Timers,
    allocator: Box<dyn Allocator>,
    /// Something happened that resources should be offered upon at once.
    allocate: bool,
    /// How often resources were offered.
    passes: u64,
    seed: u64,
    weights: Arc<BTreeMap<String, f64>>,
    counters: Counters,
    task_reasons: FxHashMap<(i32, i32, i32), u64>,
    /// Somebody follows the operator events.
    observed: bool,
    /// The resources read last from a report, on the wire and here.
    last_read: Option<(Vec<v1::Resource>, Resources)>,
    /// What the agent that came last has in common with the next, likely.
    last_agent: registration::Alike,
}

/// What a core starts with.
pub struct Start {
    pub config: Arc<MasterConfig>,
    pub master: Arc<MasterRecord>,
    pub allocator: Box<dyn Allocator>,
    pub seed: u64,
    pub now: Now,
    pub registry: Registry,
}

/// What was durable when the master started.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    pub admitted: Vec<Admitted>,
    pub unreachable: Vec<(Id, i64)>,
    pub gone: Vec<(Id, i64)>,
}

/// An agent of the registry.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// With its id.
    pub info: v1::AgentInfo,
    /// Where it was last heard of.
    pub pid: Option<Upid>,
}

/// What happens to a master.
#[derive(Debug)]
pub enum Input {
    /// Time went on.
    Tick,
    /// A scheduler wants a stream of events.
    Subscribe { stream: Id, call: Box<v1::scheduler::Call>, principal: Principal },
    /// A call over HTTP other than SUBSCRIBE; answered under `token`.
    Call {
        token: u64,
        call: Box<v1::scheduler::Call>,
        stream: Option<String>,
        principal: Principal,
    },
    /// The reader of a stream is gone, or was cut off.
    StreamClosed { stream: Id },
    /// A libprocess message.
    Message { from: Upid, message: Incoming },
    /// A link broke.
    Exited { address: std::net::SocketAddr },
    /// A change to the registry is durable.
    Written { ticket: u64 },
    /// An operator removes a framework.
    Teardown { token: u64, framework: Id },
    /// Whether somebody follows the operator events from now on.
    Observed(bool),
}

/// What the master wants done.
#[derive(Debug)]
pub enum Effect {
    /// Sends a libprocess message.
    Send { from: Sender, to: Upid, message: Outgoing },
    /// Keeps a connection to the address and reports its end.
    Link(Upid),
    /// Writes to a scheduler's stream.
    Event { stream: Id, event: StreamEvent },
    /// Ends a scheduler's stream after what was written to it.
    CloseStream { stream: Id },
    /// Answers a call.
    Reply { token: u64, reply: SchedulerReply },
    /// Answers a teardown.
    TornDown { token: u64, result: Result<(), TeardownError> },
    /// Makes a change durable and then gives [`Input::Written`].
    Write { ticket: u64, changes: SmallVec<[Change; 1]> },
    /// Tells those who follow the operator events.
    Operator(OperatorEvent),
}

/// Which of the master's actors sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    Master,
    /// The actor that pings one agent.
    Observer(u64),
}

/// A change to the registry.
#[derive(Clone, Debug)]
pub enum Change {
    /// Admits an agent or replaces what is known of it.
    Put(Box<Admitted>),
    /// Forgets an admitted agent.
    Remove(Id),
    /// Moves an agent to the unreachable ones.
    Unreachable(Id, i64),
    /// Moves an agent back; it is admitted by [`Change::Put`].
    Reachable(Id),
    /// Forgets an unreachable agent.
    Forget(Id),
}

// === impl MasterCore ===

impl MasterCore {
    /// A master that has just become the leader; the effects are its first deeds.
    pub fn new(start: Start, out: &mut Vec<Effect>) -> Self {
        let mut core = Self {
            weights: Arc::new(start.config.weights.clone()),
            config: start.config,
            master: start.master,
            now: start.now,
            started: start.now,
            out: Vec::new(),
            agents: Agents::default(),
            frameworks: Frameworks::default(),
            offers: FxHashMap::default(),
            next_offer: 0,
            next_agent: 0,
            next_framework: 0,
            next_ticket: 0,
            pending: FxHashMap::default(),
            timers: Timers::default(),
            allocator: start.allocator,
            allocate: false,
            passes: 0,
            seed: start.seed,
            counters: Counters::default(),
            task_reasons: FxHashMap::default(),
            observed: false,
            last_read: None,
            last_agent: registration::Alike::default(),
        };
        core.recover(start.registry);
        core.timers.set(core.now.mono + core.config.allocation_interval, Timer::Allocate);
        core.timers.set(core.now.mono + core.config.registry_gc_interval, Timer::RegistryGc);
        out.append(&mut core.out);
        core
    }

    /// When [`Input::Tick`] is due next.
    pub fn next_deadline(&self) -> Option<std::time::Duration> {
        self.timers.next()
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Effect>) {
        self.now = now;
        std::mem::swap(&mut self.out, out);
        match input {
            Input::Tick => self.tick(),
            Input::Subscribe { stream, call, principal } => {
                self.subscribe_http(stream, *call, principal);
            }
            Input::Call { token, call, stream, principal } => {
                let reply = self.call_http(*call, stream.as_deref(), &principal);
                self.out.push(Effect::Reply { token, reply });
            }
            Input::StreamClosed { stream } => self.stream_closed(&stream),
            Input::Message { from, message } => self.message(from, message),
            Input::Exited { address } => self.exited(address),
            Input::Written { ticket } => self.written(ticket),
            Input::Teardown { token, framework } => {
                let result = self.teardown_by_operator(&framework);
                self.out.push(Effect::TornDown { token, result });
            }
            Input::Observed(observed) => self.observed = observed,
        }
        std::mem::swap(&mut self.out, out);
    }

    /// Closes a batch of inputs: offers what they made free to offer at once.
    pub fn settle(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.now = now;
        if std::mem::take(&mut self.allocate) {
            std::mem::swap(&mut self.out, out);
            self.allocate_dirty();
            std::mem::swap(&mut self.out, out);
        }
    }

    /// How often resources were offered so far.
    pub fn passes(&self) -> u64 {
        self.passes
    }

    fn tick(&mut self) {
        while let Some(timer) = self.timers.due(self.now.mono) {
            self.fire(timer);
        }
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Allocate => {
                self.timers.set(self.now.mono + self.config.allocation_interval, Timer::Allocate);
                self.allocate_all();
            }
            Timer::Ping { observer } => self.ping_due(observer),
            Timer::AgentReregister { observer, disconnection } => {
                self.agent_reregister_due(observer, disconnection);
            }
            Timer::RecoveredAgents => self.recovered_agents_due(),
            Timer::RegistryGc => {
                let next = self.now.mono + self.config.registry_gc_interval;
                self.timers.set(next, Timer::RegistryGc);
                self.registry_gc();
            }
            Timer::Offer { offer } => self.offer_due(offer),
            Timer::Failover { framework, connection } => self.failover_due(framework, connection),
            Timer::Heartbeat { framework, connection } => {
                self.heartbeat_due(framework, connection);
            }
        }
    }

    fn message(&mut self, from: Upid, message: Incoming) {
        match message {
            Incoming::Call(call) => self.call_pid(&from, *call),
            Incoming::Subscribe(subscribe) => self.subscribe_pid(from, *subscribe),
            Incoming::Refuse(text) => self.refuse_pid(from, &text),
            Incoming::Deactivate(framework) => self.deactivate_by_driver(&from, &framework),
            Incoming::Register(message) => self.register(from, *message),
            Incoming::Reregister(message) => self.reregister(from, *message),
            Incoming::Unregister(agent) => self.unregister(&from, &agent),
            Incoming::UpdateAgent(message) => self.update_agent(&from, *message),
            Incoming::StatusUpdate(message) => self.status_update(&from, *message),
            Incoming::ExitedExecutor(message) => self.exited_executor(*message),
            Incoming::ExecutorMessage(message) => self.executor_message(*message),
            Incoming::OperationStatus(_) => {
                self.counters.messages_operation_status_update += 1;
                self.counters.invalid_operation_status_updates += 1;
            }
            Incoming::Pong { observer } => self.pong(observer),
            Incoming::Authenticate => {
                self.counters.messages_authenticate += 1;
                let error = Some("No authenticator loaded".to_owned());
                let message = internal::AuthenticationErrorMessage { error };
                self.send(from, Outgoing::AuthenticationError(message));
            }
        }
    }

    fn ticket(&mut self, changes: SmallVec<[Change; 1]>, pending: Pending) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.pending.insert(ticket, pending);
        self.out.push(Effect::Write { ticket, changes });
    }

    fn tell_operators(&mut self, event: impl FnOnce() -> OperatorEvent) {
        if self.observed {
            self.out.push(Effect::Operator(event()));
        }
    }
}

impl std::fmt::Debug for MasterCore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MasterCore")
            .field("agents", &self.agents.len())
            .field("frameworks", &self.frameworks.len())
            .field("offers", &self.offers.len())
            .finish_non_exhaustive()
    }
}
