//! Balancing by listeners of this process, where the kernel cannot or must not: on loopback
//! addresses, so that nothing is reachable from other machines, and with the process's own
//! address as the source of every connection.

mod tcp;
mod udp;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use socket2::{Domain, Protocol as SocketProtocol, Socket, Type};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::UserSpaceLimits;
use crate::kernel::{Targets, Vip, Wanted};
use crate::vips::label::Protocol;

/// Connections that wait to be taken.
const BACKLOG: i32 = 1024;

/// Where services listen that do not listen at their own address and port.
#[derive(Debug, Default)]
pub(crate) struct Listening(Mutex<BTreeMap<Vip, SocketAddr>>);

/// All listeners.
#[derive(Debug)]
pub(crate) struct UserSpace {
    services: BTreeMap<Vip, Service>,
    shared: Arc<Shared>,
    listening: Arc<Listening>,
}

/// What all listeners have in common.
#[derive(Debug)]
struct Shared {
    limits: UserSpaceLimits,
    connections: Arc<Semaphore>,
    udp_clients: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Service {
    targets: Arc<Choice>,
    /// Ends the listener; what is established goes on.
    close: CancellationToken,
}

/// The backends of a service, one after the other.
#[derive(Debug)]
struct Choice {
    targets: ArcSwap<Targets>,
    next: AtomicUsize,
}

// === impl Listening ===

impl Listening {
    pub(crate) fn get(&self, vip: Vip) -> Option<SocketAddr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&vip).copied()
    }

    fn set(&self, vip: Vip, address: Option<SocketAddr>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match address {
            Some(address) => all.insert(vip, address),
            None => all.remove(&vip),
        };
    }
}

/// The loopback address that stands for a virtual one.
pub(crate) fn stand_in(address: Ipv4Addr) -> Ipv4Addr {
    let [_, second, third, last] = address.octets();
    Ipv4Addr::new(127, second, third, last)
}

// === impl UserSpace ===

impl UserSpace {
    pub(crate) fn new(limits: UserSpaceLimits, listening: Arc<Listening>) -> UserSpace {
        let shared = Shared {
            limits,
            connections: Arc::new(Semaphore::new(limits.connections)),
            udp_clients: Arc::new(Semaphore::new(limits.udp_clients)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        UserSpace { services: BTreeMap::new(), shared: Arc::new(shared), listening }
    }

    pub(crate) async fn change(&mut self, wanted: Wanted) {
        for (vip, targets) in wanted {
            match (targets, self.services.get(&vip)) {
                (Some(targets), Some(known)) => known.targets.targets.store(Arc::new(targets)),
                (Some(targets), None) => self.open(vip, targets),
                (None, _) => {
                    if let Some(service) = self.services.remove(&vip) {
                        service.close.cancel();
                        self.listening.set(vip, None);
                    }
                }
            }
        }
    }

    pub(crate) async fn stop(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    fn open(&mut self, vip: Vip, targets: Targets) {
        if self.services.len() >= self.shared.limits.listeners {
            tracing::warn!(?vip, "no listener: there are as many as may be");
            return;
        }
        let targets =
            Arc::new(Choice { targets: ArcSwap::from_pointee(targets), next: AtomicUsize::new(0) });
        let close = self.shared.stop.child_token();
        match self.listen(vip, Arc::clone(&targets), close.clone()) {
            Ok(address) => {
                if address.port() != vip.port {
                    tracing::info!(?vip, %address, "its own port is not to be had: it listens there");
                }
                self.listening.set(vip, Some(address));
                self.services.insert(vip, Service { targets, close });
            }
            Err(error) => tracing::warn!(?vip, %error, "no listener"),
        }
    }

    fn listen(
        &self,
        vip: Vip,
        targets: Arc<Choice>,
        close: CancellationToken,
    ) -> io::Result<SocketAddr> {
        let socket = socket(vip)?;
        let shared = Arc::clone(&self.shared);
        match vip.protocol {
            Protocol::Tcp => {
                socket.listen(BACKLOG)?;
                let listener = tokio::net::TcpListener::from_std(socket.into())?;
                let address = listener.local_addr()?;
                self.shared.tasks.spawn(tcp::run(listener, targets, shared, close));
                Ok(address)
            }
            Protocol::Udp => {
                let socket = tokio::net::UdpSocket::from_std(socket.into())?;
                let address = socket.local_addr()?;
                self.shared.tasks.spawn(udp::run(Arc::new(socket), targets, shared, close));
                Ok(address)
            }
        }
    }
}

/// At the stand-in's address and the service's port; or at another port, where that one is taken
/// or needs rights that this process does not have.
fn socket(vip: Vip) -> io::Result<Socket> {
    let address = stand_in(vip.address);
    match bound(vip.protocol, SocketAddrV4::new(address, vip.port)) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::AddrInUse
            ) =>
        {
            bound(vip.protocol, SocketAddrV4::new(address, 0))
        }
        other => other,
    }
}

fn bound(protocol: Protocol, address: SocketAddrV4) -> io::Result<Socket> {
    let socket = match protocol {
        Protocol::Tcp => Socket::new(Domain::IPV4, Type::STREAM, Some(SocketProtocol::TCP))?,
        Protocol::Udp => Socket::new(Domain::IPV4, Type::DGRAM, Some(SocketProtocol::UDP))?,
    };
    if protocol == Protocol::Tcp {
        socket.set_reuse_address(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::V4(address).into())?;
    Ok(socket)
}

// === impl Choice ===

impl Choice {
    /// The backends that are open, another one first each time.
    fn order(&self) -> Vec<SocketAddrV4> {
        let targets = self.targets.load();
        let mut open = targets.open.clone();
        if !open.is_empty() {
            let first = self.next.fetch_add(1, Ordering::Relaxed) % open.len();
            open.rotate_left(first);
        }
        open
    }

    /// Whether what is established there may go on.
    fn has(&self, target: SocketAddrV4) -> bool {
        self.targets.load().all().any(|one| *one == target)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
