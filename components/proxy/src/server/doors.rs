//! Which worker gets a connection, and what counts while it is open.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use smallvec::SmallVec;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::begin;
use crate::tls::Certificates;
use crate::worker::Context;

/// Where accepted connections go.
#[derive(Clone)]
pub struct Doors {
    seats: Arc<Semaphore>,
    loads: Arc<[AtomicUsize]>,
    workers: Arc<[mpsc::Sender<Accepted>]>,
}

/// An accepted connection on its way to a worker.
pub(super) struct Accepted {
    pub(super) stream: std::net::TcpStream,
    pub(super) seat: Seat,
    pub(super) tls: Option<Arc<Certificates>>,
}

/// What a connection holds as long as it is open.
pub(super) struct Seat {
    pub(super) address: SocketAddr,
    loads: Arc<[AtomicUsize]>,
    worker: usize,
    _permit: OwnedSemaphorePermit,
}

/// Where a connection goes.
enum Place<'a> {
    /// To the worker that asks.
    Own(usize),
    /// To another one, which has room for it.
    Door(usize, mpsc::Permit<'a, Accepted>),
}

// === impl Doors ===

impl Doors {
    /// For so many workers, of which each is sent so many connections before it took one up. With
    /// what each of them gets.
    pub(super) fn new(
        workers: usize,
        handed: usize,
        connections: usize,
    ) -> (Doors, Vec<mpsc::Receiver<Accepted>>) {
        let loads = (0..workers).map(|_| AtomicUsize::new(0)).collect();
        let seats = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        let (workers, receivers): (Vec<_>, Vec<_>) =
            (0..workers).map(|_| mpsc::channel(handed)).unzip();
        (Doors { seats, loads, workers: workers.into() }, receivers)
    }

    /// Serves a connection that was accepted elsewhere, with TLS where there are certificates.
    /// It counts as one of the server's: while all seats are taken this waits.
    pub async fn bring(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        tls: Option<Arc<Certificates>>,
    ) {
        let Some(permit) = self.permit().await else { return };
        let free = match self.choose(None) {
            Some(Place::Door(worker, door)) => Some((worker, door)),
            _ => self.wait().await,
        };
        let Some((worker, door)) = free else {
            tracing::debug!("a connection is lost: the server has ended");
            return;
        };
        let seat = Seat::new(address, Arc::clone(&self.loads), worker, permit);
        send(door, stream, seat, tls);
    }

    /// One of the connections that may be open at once.
    pub(super) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.seats).acquire_owned().await.ok()
    }

    /// The worker with the fewest connections, of those that can take one now: nobody waits for
    /// one that is busy, or is sent to one that is gone. `own` always can.
    fn choose(&self, own: Option<usize>) -> Option<Place<'_>> {
        let mut workers: SmallVec<[usize; 16]> = (0..self.workers.len()).collect();
        workers.sort_by_key(|worker| {
            self.loads.get(*worker).map_or(usize::MAX, |load| load.load(Ordering::Relaxed))
        });
        workers.into_iter().find_map(|worker| match own == Some(worker) {
            true => Some(Place::Own(worker)),
            false => {
                let door = self.workers.get(worker)?.try_reserve().ok()?;
                Some(Place::Door(worker, door))
            }
        })
    }

    /// All are busy: whoever is there.
    async fn wait(&self) -> Option<(usize, mpsc::Permit<'_, Accepted>)> {
        for (worker, door) in self.workers.iter().enumerate() {
            if let Ok(permit) = door.reserve().await {
                return Some((worker, permit));
            }
        }
        None
    }

    /// Gives away a connection that was accepted here, or serves it.
    pub(super) fn hand(
        &self,
        context: &Rc<Context>,
        stream: TcpStream,
        address: SocketAddr,
        tls: Option<Arc<Certificates>>,
        permit: OwnedSemaphorePermit,
    ) {
        let seat = |worker| Seat::new(address, Arc::clone(&self.loads), worker, permit);
        match self.choose(Some(context.worker)) {
            Some(Place::Door(worker, door)) => send(door, stream, seat(worker), tls),
            Some(Place::Own(worker)) => begin(context, stream, seat(worker), tls),
            // That one is always there.
            None => begin(context, stream, seat(context.worker), tls),
        }
    }
}

fn send(
    door: mpsc::Permit<'_, Accepted>,
    stream: TcpStream,
    seat: Seat,
    tls: Option<Arc<Certificates>>,
) {
    match stream.into_std() {
        Ok(stream) => door.send(Accepted { stream, seat, tls }),
        Err(error) => tracing::debug!(%error, "a connection is lost"),
    }
}

// === impl Seat ===

impl Seat {
    fn new(
        address: SocketAddr,
        loads: Arc<[AtomicUsize]>,
        worker: usize,
        permit: OwnedSemaphorePermit,
    ) -> Seat {
        if let Some(load) = loads.get(worker) {
            load.fetch_add(1, Ordering::Relaxed);
        }
        Seat { address, loads, worker, _permit: permit }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(load) = self.loads.get(self.worker) {
            load.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Doors with room for one connection each, and their other sides.
    fn doors(loads: &[usize]) -> (Doors, Vec<mpsc::Receiver<Accepted>>) {
        let (doors, others) = Doors::new(loads.len(), 1, 100);
        for (load, number) in doors.loads.iter().zip(loads) {
            load.store(*number, Ordering::Relaxed);
        }
        (doors, others)
    }

    /// Who gets the next connection of those that worker 0 accepts. What is given stays at the door.
    fn chosen(doors: &Doors) -> usize {
        match doors.choose(Some(0)) {
            Some(Place::Own(worker)) => worker,
            Some(Place::Door(worker, door)) => {
                // Taken for good, as by a connection that is not taken up.
                std::mem::forget(door);
                worker
            }
            None => panic!("nobody"),
        }
    }

    #[test]
    fn a_worker_that_does_not_take_up_its_connections_holds_up_nobody() {
        let (doors, _others) = doors(&[9, 0, 5]);
        assert_eq!([chosen(&doors), chosen(&doors), chosen(&doors), chosen(&doors)], [1, 2, 0, 0]);
    }

    #[tokio::test]
    async fn a_worker_that_is_gone_gets_nothing() {
        let (doors, mut others) = doors(&[9, 0, 5]);
        drop(others.remove(1));
        assert_eq!([chosen(&doors), chosen(&doors)], [2, 0]);
        others.truncate(1);
        // Brought by somebody else, who has no worker of their own.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        doors.bring(client, address, None).await;
        assert_eq!(others.remove(0).try_recv().unwrap().seat.worker, 0);
    }
}
