//! Everything that a request may need, and what all changes have in common.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::audit::{Audit, BEGUN, Budget, Event, Folded, Whose, since_epoch};
use crate::clock::Clock;
use crate::feed::Feed;
use crate::http::call::Call;
use crate::keys::Keys;
use crate::model::{Command, State};
use crate::password::Mix;
use crate::store::{Store, StoreError};
use crate::throttle::Throttle;
use crate::{ApiError, Config};

/// Logins that wait for their turn at once; more are refused.
const HELD_LOGINS: usize = 256;

/// The service.
#[derive(Debug)]
pub(crate) struct Iam {
    pub(crate) config: Config,
    pub(crate) store: Arc<Store>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) audit: Arc<Audit>,
    pub(crate) keys: Keys,
    pub(crate) clock: Clock,
    pub(crate) held: Semaphore,
    throttle: Mutex<Throttle>,
    refusals: Mutex<Budget>,
    /// The kinds of hashes that there are, as of a revision of the state.
    mix: Mutex<(u64, Arc<Mix>)>,
    began: Instant,
}

/// Who makes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) uid: String,
    pub(crate) superuser: bool,
}

/// A change that the audit log has the beginning of. How it ends is told as well; should that
/// line not come about, the beginning says that it may have been made.
#[must_use]
pub(crate) struct Begun<'a> {
    iam: &'a Iam,
    event: Event,
}

// === impl Begun ===

impl Begun<'_> {
    /// What it turned out to be about.
    pub(crate) fn about(&mut self, object: String) {
        self.event.object = object;
    }

    /// It is made.
    pub(crate) async fn done(self) {
        self.end("allow", "").await;
    }

    /// It was not made.
    pub(crate) async fn refused(self, reason: &str) {
        self.end("deny", reason).await;
    }

    /// It may have been made.
    pub(crate) async fn unknown(self) {
        self.end("unknown", "the state could not be written").await;
    }

    async fn end(self, result: &'static str, reason: &str) {
        let event = Event { result, reason: reason.to_owned(), ..self.event };
        // What is made is made, and its beginning is told: the answer is not that it failed.
        if self.iam.record(event).await.is_err() {
            tracing::error!("the audit log has the beginning of a change, but not its end");
        }
    }
}

// === impl Iam ===

impl Iam {
    pub(crate) fn new(
        config: Config,
        store: Arc<Store>,
        feed: Arc<Feed>,
        audit: Arc<Audit>,
        keys: Keys,
        clock: Clock,
    ) -> Iam {
        let throttle = Mutex::new(Throttle::new(config.login_limits.clone()));
        let refusals = Mutex::new(Budget::new(config.refusals.clone()));
        let mix = Mutex::default();
        let held = Semaphore::new(HELD_LOGINS);
        let began = Instant::now();
        Iam { config, store, feed, audit, keys, clock, held, throttle, refusals, mix, began }
    }

    pub(crate) fn state(&self) -> Arc<State> {
        self.store.state()
    }

    /// What failed logins compute, so that all of them take the same work.
    pub(crate) fn mix(&self) -> Arc<Mix> {
        let state = self.state();
        let mut mix = self.mix.lock().unwrap_or_else(PoisonError::into_inner);
        if mix.0 != state.revision() {
            let hashes = state.users().filter_map(|user| user.password.as_ref());
            *mix = (state.revision(), Arc::new(Mix::of(hashes.map(|hash| hash.0.as_str()))));
        }
        Arc::clone(&mix.1)
    }

    /// The time that failed logins are counted by.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change on somebody's behalf. When this returns it is written; that it was begun
    /// stood in the audit log before.
    pub(crate) async fn change(
        &self,
        call: &Call,
        caller: &Caller,
        command: &Command,
    ) -> Result<(), ApiError> {
        let happened =
            Event { object: command.object(), ..event(call, command.name(), &caller.uid) };
        match self.store.would_change(command, caller.superuser) {
            Ok(true) => {}
            Ok(false) => return self.record(Event { result: "allow", ..happened }).await,
            Err(refusal) => {
                if refusal.status == http::StatusCode::FORBIDDEN {
                    let reason = refusal.description.clone();
                    let whose = Whose::User(caller.uid.clone());
                    self.refuse(Event { result: "deny", reason, ..happened }, whose).await?;
                }
                return Err(refusal);
            }
        }
        let begun = self.begin(happened).await?;
        match self.store.run_as(command, caller.superuser).await {
            Ok(_) => {
                begun.done().await;
                Ok(())
            }
            Err(StoreError::Refused(refusal)) => {
                begun.refused(&refusal.description).await;
                Err(refusal)
            }
            Err(StoreError::Contended) => {
                begun.refused("the state changed too fast").await;
                Err(ApiError::unavailable("The state changes too fast; try again."))
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a change failed");
                begun.unknown().await;
                Err(ApiError::internal())
            }
        }
    }

    /// Writes that a change begins: one that cannot be told is not made.
    pub(crate) async fn begin(&self, event: Event) -> Result<Begun<'_>, ApiError> {
        self.record(Event { result: BEGUN, ..event.clone() }).await?;
        Ok(Begun { iam: self, event })
    }

    /// Writes a refusal; what is beyond the budget of whoever caused it is only counted.
    pub(crate) async fn refuse(&self, event: Event, whose: Whose) -> Result<(), ApiError> {
        let room = !self.audit.is_low();
        if self.refusals().allows(whose, room, self.now()) {
            self.record(event).await
        } else {
            Ok(())
        }
    }

    /// Tells now and then what was only counted, until `shutdown`.
    pub(crate) async fn keep_folding(&self, shutdown: CancellationToken) {
        let every = self.config.refusals.told_every;
        while shutdown.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            self.tell_folded().await;
        }
    }

    /// Tells what was only counted so far.
    pub(crate) async fn tell_folded(&self) {
        // It is not forgotten while there is no room, and told later.
        if self.audit.is_low() {
            return;
        }
        let Folded { named, others } = self.refusals().fold(self.now());
        let named = named.into_iter().map(|(whose, count)| (whose.to_string(), count));
        let others = (others > 0).then_some(("others".to_owned(), others));
        for (whose, count) in named.chain(others) {
            let event = Event {
                event: "refusals",
                object: format!("{count} more of {whose}"),
                result: "deny",
                details: vec![("count", count.into())],
                ..Event::default()
            };
            if self.record(event).await.is_err() {
                tracing::error!(count, whose, "refusals that the audit log does not have");
            }
        }
    }

    fn refusals(&self) -> MutexGuard<'_, Budget> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an event; without it nothing is answered as done.
    pub(crate) async fn record(&self, event: Event) -> Result<(), ApiError> {
        let written = self.audit.record(event, since_epoch()).await;
        written.map_err(|_| ApiError::unavailable("The audit log cannot be written."))
    }
}

/// An event of a request.
pub(crate) fn event(call: &Call, name: &'static str, uid: &str) -> Event {
    Event {
        event: name,
        uid: uid.to_owned(),
        from: call.client.to_string(),
        peer: call.peer.to_string(),
        request_id: call.request_id.clone(),
        ..Event::default()
    }
}
