//! The task that owns the core, for one life of it: from what the store holds to the first
//! write that fails.
//!
//! It hands the core what happens, in batches. What a batch wants is done only when its writes
//! are on disk: the view, events, calls, answers, probes, in this order: whoever follows the events
//! hears of a kill before the task does. While a batch is being
//! written the next one gathers, so that many commands share one flush.
use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant, SystemTime},
};

use marathon_core::{Core, Effects, FailedCall, Input, Refusal, Reply, RequestId, View};
use mesos_messages::time::Now;
use mesos_scheduler::Notice;
use rustc_hash::FxHashMap;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{
    framework::{self, Framework, Said},
    handle::{Inbox, Request},
    probes::Probes,
    run::chain,
    store::{Committer, StoreError},
};

/// How many inputs of one kind are taken at once.
const BATCH: usize = 256;
/// How much may gather behind a write before nothing more is taken in.
const MAX_GATHERED: usize = 1 << 16;
/// How many calls may wait for the master before none of its events are taken.
const MAX_CALLS: usize = 1 << 16;
/// How long the end of the process waits for the write in flight.
const LAST_WRITE: Duration = Duration::from_secs(10);

type Commit = Pin<Box<dyn Future<Output = (Box<Committer>, Result<(), StoreError>)> + Send>>;

/// Both clocks, read together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

/// How a life ends.
#[derive(Debug)]
pub(crate) enum End {
    /// As asked.
    Stopped,
    /// As asked, to begin anew.
    Abdicated,
    /// The state could not be written; the core is ahead of the disk and must not live on.
    Write(StoreError),
    /// The master ended the framework with all its tasks.
    Removed(String),
    /// The master does not take the framework now.
    Refused(String),
}

/// The core and everything around it.
pub(crate) struct Owner {
    core: Core,
    clock: Clock,
    /// Away while it writes.
    committer: Option<Box<Committer>>,
    framework: Framework,
    probes: Probes,
    replies: FxHashMap<RequestId, oneshot::Sender<Reply>>,
    next_request: u64,
    /// What the inputs since the last write want.
    gathered: Effects,
    writing: Option<Writing>,
    ticked: Duration,
}

/// A write in flight and what waits for it.
struct Writing {
    commit: Commit,
    held: Effects,
    view: View,
}

/// What woke the owner.
enum Woken {
    Stop,
    Abdicate,
    Tick,
    Written(Box<Committer>, Result<(), StoreError>),
    Requests(Vec<Request>),
    Notices(Vec<Notice>),
    Probed(Box<Input>),
    Failed(FailedCall, String),
    Called,
}

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

// === impl Owner ===

impl Owner {
    pub(crate) fn new(
        core: Core,
        clock: Clock,
        committer: Committer,
        framework: Framework,
        probes: Probes,
    ) -> Self {
        Self {
            core,
            clock,
            committer: Some(Box::new(committer)),
            framework,
            probes,
            replies: FxHashMap::default(),
            next_request: 0,
            gathered: Effects::default(),
            writing: None,
            ticked: Duration::ZERO,
        }
    }

    /// Lives until it is told to stop or cannot go on. Whoever still waits for an answer then
    /// is told so.
    pub(crate) async fn run(mut self, inbox: &mut Inbox, stop: &CancellationToken) -> End {
        self.input(Input::Tick);
        let end = loop {
            self.settle(inbox);
            let end = match self.wait(inbox, stop).await {
                Woken::Stop => Some(End::Stopped),
                Woken::Abdicate => Some(End::Abdicated),
                Woken::Written(_, Err(error)) => {
                    self.writing = None;
                    Some(End::Write(error))
                }
                Woken::Written(committer, Ok(())) => {
                    self.written(inbox, committer);
                    None
                }
                Woken::Notices(notices) => self.notices(inbox, notices),
                Woken::Requests(requests) => {
                    requests.into_iter().for_each(|request| self.request(request));
                    None
                }
                Woken::Probed(input) => {
                    self.probed(*input);
                    None
                }
                Woken::Failed(call, reason) => {
                    self.input(Input::CallFailed { call, reason });
                    None
                }
                Woken::Tick => {
                    self.ticked = self.clock.now().mono;
                    self.input(Input::Tick);
                    None
                }
                Woken::Called => None,
            };
            if let Some(end) = end {
                break end;
            }
        };
        let end = match (self.last_write(inbox, stop).await, end) {
            (Err(error), End::Stopped | End::Abdicated) => End::Write(error),
            (_, end) => end,
        };
        inbox.set_registered(false);
        self.give_up(&end);
        end
    }

    async fn wait(&mut self, inbox: &mut Inbox, stop: &CancellationToken) -> Woken {
        let tick = tick(&self.core, &self.clock, self.ticked);
        let full = self.writing.is_some() && size(&self.gathered) > MAX_GATHERED;
        let slow = self.framework.calls.sending.waiting() > MAX_CALLS;
        let writing = self.writing.as_mut();
        let written = async {
            match writing {
                Some(writing) => writing.commit.as_mut().await,
                None => std::future::pending().await,
            }
        };
        let shared = inbox.shared.clone();
        let Framework { notices, calls } = &mut self.framework;
        let probes = &mut self.probes;
        let inputs = async {
            let (mut requests, mut events) = (Vec::new(), Vec::new());
            // In no fixed order: none of them may keep the others waiting.
            tokio::select! {
                count = inbox.requests.recv_many(&mut requests, BATCH) => match count {
                    // Nobody can ask for anything any more.
                    0 => Woken::Stop,
                    _ => Woken::Requests(requests),
                },
                _ = notices.recv_many(&mut events, BATCH), if !slow => Woken::Notices(events),
                input = probes.next() => Woken::Probed(Box::new(input)),
            }
        };
        let (failures, calls) = (&mut calls.failures, &mut calls.sending);
        tokio::select! {
            biased;
            () = stop.cancelled() => Woken::Stop,
            () = shared.abdicated() => Woken::Abdicate,
            (committer, result) = written => Woken::Written(committer, result),
            () = tick => Woken::Tick,
            Some((call, reason)) = failures.recv() => Woken::Failed(call, reason),
            () = calls.next() => Woken::Called,
            woken = inputs, if !full => woken,
        }
    }

    // --- inputs ---

    fn input(&mut self, input: Input) {
        self.core.handle(self.clock.now(), input, &mut self.gathered);
    }

    fn request(&mut self, Request { command, reply }: Request) {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.replies.insert(id, reply);
        self.input(Input::Command(id, command));
    }

    fn probed(&mut self, input: Input) {
        self.input(input);
        for _ in 0..BATCH {
            let Some(input) = self.probes.try_next() else { return };
            self.input(input);
        }
    }

    fn notices(&mut self, inbox: &Inbox, notices: Vec<Notice>) -> Option<End> {
        if notices.is_empty() {
            // The client ends only after having said why.
            return Some(End::Refused("the subscription ended".to_owned()));
        }
        for notice in notices {
            match framework::said(notice) {
                Said::Input(input) => {
                    match &*input {
                        Input::Subscribed { .. } => inbox.set_registered(true),
                        Input::Disconnected => inbox.set_registered(false),
                        _ => {}
                    }
                    self.input(*input);
                }
                Said::Removed(reason) => return Some(End::Removed(reason)),
                Said::Refused(reason) => return Some(End::Refused(reason)),
                Said::Nothing => {}
            }
        }
        None
    }

    // --- effects ---

    /// Has what was gathered written, or done at once if nothing is to be written.
    fn settle(&mut self, inbox: &Inbox) {
        if self.committer.is_none() {
            return;
        }
        if self.gathered.is_empty() {
            // Nothing is owed; what checks and refusals have told is to be seen all the same.
            return inbox.show(self.core.view());
        }
        let mut held = std::mem::take(&mut self.gathered);
        let writes = std::mem::take(&mut held.writes);
        let view = self.core.view();
        if writes.is_empty() {
            return self.perform(inbox, held, view);
        }
        let Some(mut committer) = self.committer.take() else { return };
        let commit = Box::pin(async move {
            let result = committer.commit(writes).await;
            (committer, result)
        });
        self.writing = Some(Writing { commit, held, view });
    }

    fn written(&mut self, inbox: &Inbox, committer: Box<Committer>) {
        self.committer = Some(committer);
        if let Some(Writing { held, view, .. }) = self.writing.take() {
            self.perform(inbox, held, view);
        }
    }

    /// Does what depends on nothing but what is on disk.
    fn perform(&mut self, inbox: &Inbox, effects: Effects, view: View) {
        inbox.show(view);
        inbox.publish(effects.events);
        self.framework.calls.sending.make(effects.calls);
        for (id, answer) in effects.replies {
            if let Some(reply) = self.replies.remove(&id) {
                // Nobody may wait any more.
                let _ = reply.send(answer);
            }
        }
        self.probes.make(effects.probes);
    }

    /// Waits for what is being written, however long that takes: the next life begins from what
    /// is on disk, which nothing of this one may change any more. Only the end of the process
    /// does not wait for ever.
    async fn last_write(
        &mut self,
        inbox: &Inbox,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let Some(writing) = &mut self.writing else { return Ok(()) };
        let patience = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_WRITE).await;
        };
        tokio::select! {
            biased;
            (committer, result) = writing.commit.as_mut() => match result {
                Ok(()) => self.written(inbox, committer),
                Err(error) => {
                    self.writing = None;
                    return Err(error);
                }
            },
            () = patience => tracing::warn!("the last write takes too long; leaving it"),
        }
        Ok(())
    }

    fn give_up(&mut self, end: &End) {
        let reason = match end {
            End::Stopped => "The service is stopping.".to_owned(),
            End::Abdicated => "The service begins anew; try again.".to_owned(),
            End::Write(error) => format!("The state could not be written: {}", chain(error)),
            End::Removed(reason) | End::Refused(reason) => {
                format!("The master ended the subscription: {reason}")
            }
        };
        for (_, reply) in self.replies.drain() {
            let _ = reply.send(Err(Refusal::Unavailable(reason.clone())));
        }
    }
}

/// Waits until the core wants to be woken. However often it wants that, others get their turn.
fn tick(core: &Core, clock: &Clock, ticked: Duration) -> impl Future<Output = ()> + use<> {
    let earliest = ticked + Duration::from_millis(1);
    let due = core.deadline().and_then(|due| clock.instant(due.max(earliest)));
    async move {
        match due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }
}

fn size(effects: &Effects) -> usize {
    effects.writes.len() + effects.calls.len() + effects.events.len() + effects.replies.len()
}
