//! The way to the running service: reads are immediate, commands go to the owner's inbox.
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use marathon_core::{Command, Event, Refusal, Reply, View};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::{
    config::Config,
    events::{Events, Subscription},
    store::Store,
};

/// How many commands may wait for the owner; whoever comes later waits for a place.
const INBOX: usize = 1024;

/// A cheap copy of the way to a running service.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

/// What does not change while the service runs.
#[derive(Clone, Debug)]
pub struct Info {
    /// Where it listens.
    pub address: SocketAddr,
    /// `host:port` as others reach it: what `/v2/leader` says.
    pub leader: String,
    /// The flags it runs with.
    pub config: Arc<Config>,
}

/// The owner's side of a [`Handle`].
#[derive(Debug)]
pub struct Inbox {
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) shared: Arc<Shared>,
}

/// A command and whoever waits for its answer.
#[derive(Debug)]
pub struct Request {
    pub command: Command,
    pub reply: oneshot::Sender<Reply>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    abdicate: Notify,
    inbox: mpsc::Sender<Request>,
    view: ArcSwap<View>,
    events: Events,
    store: Store,
    info: Info,
    commands: AtomicU64,
    registered: AtomicBool,
}

/// A handle and the inbox it leads to. `view` is what readers see at first.
pub fn channel(view: View, store: Store, info: Info) -> (Handle, Inbox) {
    let (inbox, requests) = mpsc::channel(INBOX);
    let shared = Arc::new(Shared {
        inbox,
        view: ArcSwap::from_pointee(view),
        events: Events::new(info.config.event_stream_max_outstanding_messages),
        store,
        info,
        commands: AtomicU64::new(0),
        abdicate: Notify::new(),
        registered: AtomicBool::new(false),
    });
    (Handle { shared: shared.clone() }, Inbox { requests, shared })
}

// === impl Handle ===

impl Handle {
    /// Everything as it was when the latest answer was given.
    pub fn view(&self) -> Arc<View> {
        self.shared.view.load_full()
    }

    /// Has a command done; what it wrote is on disk when this answers.
    ///
    /// A caller that stops waiting does not stop the command.
    pub async fn command(&self, command: Command) -> Reply {
        let (reply, answer) = oneshot::channel();
        self.shared.commands.fetch_add(1, Ordering::Relaxed);
        let request = Request { command, reply };
        self.shared.inbox.send(request).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    /// Everything that happens from now on.
    pub fn events(&self) -> Subscription {
        self.shared.events.subscribe()
    }

    /// Tells all subscribers of something that happened outside of the core.
    pub fn publish(&self, event: Event) {
        self.shared.events.publish(vec![event]);
    }

    /// Where everything is kept, for what was: versions of apps and groups.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// What does not change.
    pub fn info(&self) -> &Info {
        &self.shared.info
    }

    /// Whether the framework is registered with a master now.
    pub fn registered(&self) -> bool {
        self.shared.registered.load(Ordering::Relaxed)
    }

    /// Ends the session with the master and begins anew from what is stored.
    pub fn abdicate(&self) {
        self.shared.abdicate.notify_one();
    }

    /// How many commands there were.
    pub fn commands(&self) -> u64 {
        self.shared.commands.load(Ordering::Relaxed)
    }
}

// === impl Shared ===

impl Shared {
    /// Waits until somebody wants everything to begin anew.
    pub(crate) async fn abdicated(&self) {
        self.abdicate.notified().await;
    }
}

// === impl Inbox ===

impl Inbox {
    /// The next command; none when every handle is gone.
    pub async fn next(&mut self) -> Option<Request> {
        self.requests.recv().await
    }

    /// What does not change.
    pub fn info(&self) -> &Info {
        &self.shared.info
    }

    /// Says whether the framework is registered.
    pub fn set_registered(&self, registered: bool) {
        self.shared.registered.store(registered, Ordering::Relaxed);
    }

    /// Shows readers another state.
    pub fn show(&self, view: View) {
        self.shared.view.store(Arc::new(view));
    }

    /// Tells all subscribers.
    pub fn publish(&self, events: Vec<Event>) {
        self.shared.events.publish(events);
    }
}

/// The answer to commands that come too late.
fn stopping() -> Refusal {
    Refusal::Unavailable("The service is stopping.".to_owned())
}
