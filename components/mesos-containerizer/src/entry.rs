//! One container as the agent knows it, and the watch over its supervisor.

use std::{
    process::Child,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::watch,
    task::{JoinError, spawn_blocking},
};

use crate::{
    afterlife,
    config::{ContainerizerConfig, ResourceLimits},
    containerizer::Termination,
    launch::Supervisor,
    plan::Plan,
    record::Record,
};

/// How often a supervisor is looked at where the kernel cannot tell of its end.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) record: Record,
    pub(crate) phase: watch::Sender<Phase>,
    state: Mutex<State>,
}

/// What a container's watchers wait for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    Alive,
    Ended(Termination),
    /// It never ran.
    Failed,
}

/// What is known of a container, more as its launch goes on.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) resources: ResourceLimits,
    pub(crate) plan: Option<Arc<Plan>>,
    pub(crate) supervisor: Option<Arc<Supervisor>>,
    pub(crate) pid: Option<u32>,
    pub(crate) destroyed: bool,
}

// === impl Container ===

impl Container {
    pub(crate) fn new(config: &ContainerizerConfig, id: String) -> Self {
        Self {
            record: Record::of(&config.runtime_dir, &id),
            id,
            phase: watch::Sender::new(Phase::Alive),
            state: Mutex::default(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn ended(&self) -> Option<Termination> {
        let mut phase = self.phase.subscribe();
        let ended = phase.wait_for(|phase| *phase != Phase::Alive).await.ok()?;
        match &*ended {
            Phase::Ended(termination) => Some(termination.clone()),
            Phase::Alive | Phase::Failed => None,
        }
    }

    pub(crate) fn signal(&self, signal: i32) {
        let supervisor = {
            let mut state = self.state();
            state.destroyed = true;
            state.supervisor.clone()
        };
        if *self.phase.borrow() == Phase::Alive
            && let Some(supervisor) = supervisor
        {
            supervisor.signal(signal);
        }
    }
}

/// Until the supervisor has ended. `child`: it is ours to reap.
pub(crate) async fn watch_over(container: Arc<Container>, child: Option<Child>) {
    let supervisor = container.state().supervisor.clone();
    if let Some(supervisor) = &supervisor {
        end_of(supervisor).await;
    }
    let record = container.record.clone();
    let ended = blocking(move || {
        if let Some(mut child) = child {
            let _ = child.wait();
        }
        afterlife::termination(&record)
    })
    .await;
    container.phase.send_replace(Phase::Ended(ended));
}

async fn end_of(supervisor: &Supervisor) {
    let handle = supervisor.handle.as_ref().and_then(|handle| handle.try_clone().ok());
    let handle = handle.and_then(|handle| {
        // SAFETY: the descriptor is owned by what is registered, so it stays open and the same as
        // long as that exists.
        unsafe { AsyncFd::register_with_interest(handle, Interest::READABLE) }.ok()
    });
    if let Some(handle) = handle
        && handle.readable().await.is_ok()
    {
        return;
    }
    while supervisor.process.is_alive() {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    joined(spawn_blocking(work).await)
}

/// A task that panicked panics here too; none is ever aborted but with its runtime.
pub(crate) fn joined<T>(result: Result<T, JoinError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(
            error.try_into_panic().unwrap_or_else(|error| Box::new(error.to_string())),
        ),
    }
}
