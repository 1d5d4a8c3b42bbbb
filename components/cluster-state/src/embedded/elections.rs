//! Elections among the candidates of one process: first come, first served.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedMutexGuard, watch};
use tokio_util::sync::CancellationToken;

use crate::{FencingToken, Leader, Leadership};

/// Every election somebody stood for or asked about.
#[derive(Debug, Default)]
pub(super) struct Elections {
    by_name: Mutex<HashMap<String, Arc<Election>>>,
}

#[derive(Debug)]
struct Election {
    /// Held by the leader; the candidates queue for it in order.
    seat: Arc<tokio::sync::Mutex<()>>,
    leader: watch::Sender<Option<Leader>>,
}

/// The seat is ours, the token not yet drawn.
pub(super) struct Turn {
    election: Arc<Election>,
    seat: OwnedMutexGuard<()>,
}

/// Keeps the seat, and empties it when dropped.
struct Hold {
    election: Arc<Election>,
    _seat: OwnedMutexGuard<()>,
}

// === impl Elections ===

impl Elections {
    /// Waits until the election has no leader and nobody came earlier.
    pub(super) async fn turn(&self, name: &str) -> Turn {
        let election = self.election(name);
        let seat = Arc::clone(&election.seat).lock_owned().await;
        Turn { election, seat }
    }

    pub(super) fn observe(&self, name: &str) -> watch::Receiver<Option<Leader>> {
        self.election(name).leader.subscribe()
    }

    /// Whether `token` is the one of the present leader.
    pub(super) fn is_current(&self, name: &str, token: FencingToken) -> bool {
        let leader = self.election(name).leader.borrow().as_ref().map(|leader| leader.token);
        leader == Some(token)
    }

    fn election(&self, name: &str) -> Arc<Election> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(election) = by_name.get(name) {
            return Arc::clone(election);
        }
        let election =
            Arc::new(Election { seat: Arc::default(), leader: watch::Sender::new(None) });
        by_name.insert(name.to_owned(), Arc::clone(&election));
        election
    }
}

// === impl Turn ===

impl Turn {
    /// Takes the seat. In one process nothing can take it away again.
    pub(super) fn lead(self, leader: Leader) -> Leadership {
        let token = leader.token;
        self.election.leader.send_replace(Some(leader));
        let hold = Hold { election: self.election, _seat: self.seat };
        Leadership::new(token, CancellationToken::new(), Box::new(hold))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.election.leader.send_replace(None);
    }
}
