//! Listeners that come and go with services. What was accepted on one goes on when it closes.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proxy::Doors;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::certificates::Keyring;
use crate::labels::Mode;
use crate::live::{Backend, Place, Table};
use crate::policy::Inner;
use crate::tcp;

const BACKLOG: i32 = 4096;
/// When accepting fails for want of something (file descriptors).
const PAUSE: Duration = Duration::from_millis(50);
/// Raw connections at once, on all listeners together.
const MOST_RAW: usize = 32_768;

/// What all listeners share.
pub(crate) struct Shared {
    pub(crate) inner: Arc<Inner>,
    pub(crate) doors: Doors,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) bind: IpAddr,
    /// Of raw connections.
    pub(crate) idle: Duration,
    /// Ends connections that nobody looks into.
    pub(crate) token: CancellationToken,
    raw: Arc<Semaphore>,
    tasks: TaskTracker,
    troubles: Mutex<BTreeMap<Place, String>>,
}

/// The listeners that there are.
pub(crate) struct Listeners {
    shared: Arc<Shared>,
    open: BTreeMap<Place, CancellationToken>,
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(
        inner: Arc<Inner>,
        doors: Doors,
        keyring: Arc<Keyring>,
        bind: IpAddr,
        idle: Duration,
        token: CancellationToken,
    ) -> Arc<Shared> {
        let (raw, tasks) = (Arc::new(Semaphore::new(MOST_RAW)), TaskTracker::new());
        let troubles = Mutex::default();
        Arc::new(Shared { inner, doors, keyring, bind, idle, token, raw, tasks, troubles })
    }

    /// Why ports are not listened on.
    pub(crate) fn troubles(&self) -> BTreeMap<Place, String> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn trouble(&self, place: Place, text: Option<String>) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match text {
            Some(text) => {
                let before = troubles.insert(place, text.clone());
                if before.as_ref() != Some(&text) {
                    tracing::warn!(port = place.0, "no listener: {text}");
                }
            }
            None => {
                troubles.remove(&place);
            }
        }
    }

    /// Waits for raw connections to end.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

// === impl Listeners ===

impl Listeners {
    pub(crate) fn new(shared: Arc<Shared>) -> Listeners {
        Listeners { shared, open: BTreeMap::new() }
    }

    /// Opens what is missing and closes what is too much. What cannot be opened is tried again
    /// with the next call.
    pub(crate) fn follow(&mut self, table: &Table) {
        let wanted: BTreeMap<Place, &Arc<Backend>> = table.places().collect();
        self.open.retain(|place, token| {
            let wanted = wanted.contains_key(place);
            if !wanted {
                token.cancel();
            }
            wanted
        });
        let places: Vec<Place> = self.shared.troubles().into_keys().collect();
        for place in places.iter().filter(|place| !wanted.contains_key(place)) {
            self.shared.trouble(*place, None);
        }
        for (place, backend) in wanted {
            if let Some(path) = &backend.service.settings.ssl_cert
                && self.shared.keyring.of(path).is_none()
            {
                let text = format!("no certificate can be read from {path}");
                self.shared.trouble(place, Some(text));
                continue;
            }
            if self.open.contains_key(&place) {
                self.shared.trouble(place, None);
                continue;
            }
            match listen((place.1.unwrap_or(self.shared.bind), place.0).into()) {
                Ok(listener) => {
                    self.shared.trouble(place, None);
                    let token = self.shared.token.child_token();
                    let accept = accept(Arc::clone(&self.shared), listener, place, token.clone());
                    self.shared.tasks.spawn(accept);
                    self.open.insert(place, token);
                }
                Err(error) => self.shared.trouble(place, Some(error.to_string())),
            }
        }
    }
}

pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Connections inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn accept(
    shared: Arc<Shared>,
    listener: TcpListener,
    place: Place,
    token: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            // What waits in the kernel's queue is accepted before the end: it would be reset.
            accepted = listener.accept() => accepted,
            () = token.cancelled() => return,
        };
        match accepted {
            Ok((stream, from)) => serve(&shared, stream, from, place).await,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, port = place.0, "accepting pauses");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(shared: &Arc<Shared>, stream: TcpStream, from: SocketAddr, place: Place) {
    let backend = shared.inner.table.load().at(place).cloned();
    // The service has gone while the connection came.
    let Some(backend) = backend else { return };
    match (backend.service.mode, &backend.service.settings.ssl_cert) {
        (Mode::Http, None) => shared.doors.bring(stream, from, None).await,
        (Mode::Http, Some(path)) => {
            if let Some(certificates) = shared.keyring.of(path) {
                shared.doors.bring(stream, from, Some(certificates)).await;
            }
        }
        (Mode::Tcp, None) => {
            let Ok(seat) = Arc::clone(&shared.raw).acquire_owned().await else { return };
            let (idle, token) = (shared.idle, shared.token.clone());
            shared.tasks.spawn(async move {
                tcp::carry(stream, from, backend, idle, token).await;
                drop(seat);
            });
        }
        // See `Table`: such a service has no listener.
        (Mode::Tcp, Some(_)) => {}
    }
}

/// The connection was given up before it was accepted; the next one may be well.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
