//! What the connections of one worker share. A worker is one thread: nothing here is locked.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::Policy;
use crate::buffer::Buffers;
use crate::config::ServerConfig;
use crate::deadline::Deadlines;
use crate::exchange::{Connections, Pools};
use crate::h2::Tasks;
use crate::observe::Observer;
use crate::tls::Handshakes;

/// TLS greetings that one worker answers at once.
const HANDSHAKES: usize = 1024;

/// One worker.
pub(crate) struct Context {
    pub(crate) worker: usize,
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) observer: Observer,
    pub(crate) deadlines: Rc<Deadlines>,
    pub(crate) buffers: Buffers,
    pub(crate) pools: Pools,
    pub(crate) h2c: Connections,
    pub(crate) streams: Tasks,
    pub(crate) handshakes: Handshakes,
    date: RefCell<(u64, [u8; 29])>,
    ids: Ids,
    next_sweep: Cell<Duration>,
}

/// Makes request ids: unlike each other, and unlike those of other workers and starts. They are
/// no secrets.
#[derive(Debug)]
struct Ids {
    start: u64,
    next: Cell<u64>,
}

/// 32 hexadecimal digits.
pub(crate) type RequestId = [u8; 32];

// === impl Context ===

impl Context {
    pub(crate) fn new(
        worker: usize,
        policy: Arc<dyn Policy>,
        config: Arc<ServerConfig>,
        observer: Observer,
    ) -> Rc<Context> {
        Rc::new(Context {
            worker,
            policy,
            observer,
            deadlines: Deadlines::new(Instant::now()),
            buffers: Buffers::default(),
            pools: Pools::new(&config),
            h2c: Connections::default(),
            streams: Tasks::default(),
            handshakes: Handshakes::new(HANDSHAKES),
            config,
            date: RefCell::new((0, [b' '; 29])),
            ids: Ids::new(),
            next_sweep: Cell::default(),
        })
    }

    /// Appends the present as the value of a `Date` header. It is put into words once a second.
    pub(crate) fn write_date(&self, out: &mut Vec<u8>) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut date = self.date.borrow_mut();
        if date.0 != since.as_secs() {
            let second = SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs());
            let text = httpdate::fmt_http_date(second);
            if let Ok(text) = text.as_bytes().try_into() {
                *date = (since.as_secs(), text);
            }
        }
        out.extend_from_slice(&date.1);
    }

    /// To be called a few times a second.
    pub(crate) fn tick(&self) {
        self.deadlines.tick(Instant::now());
        let now = self.deadlines.now();
        if now >= self.next_sweep.get() {
            self.next_sweep.set(now + Duration::from_secs(1));
            self.pools.drop_retired();
            self.pools.sweep(now);
            self.h2c.drop_retired();
        }
    }

    pub(crate) fn request_id(&self) -> RequestId {
        self.ids.next()
    }
}

// === impl Ids ===

impl Ids {
    fn new() -> Ids {
        let random = || RandomState::new().build_hasher().finish();
        Ids { start: random(), next: Cell::new(random()) }
    }

    fn next(&self) -> RequestId {
        let number = self.next.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.next.set(number);
        let mut id = [0; 32];
        let (first, second) = id.split_at_mut(16);
        hex(self.start, first);
        hex(mixed(number), second);
        id
    }
}

/// A bijection (the one of SplitMix64): what differs goes on differing.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn hex(number: u64, digits: &mut [u8]) {
    for (place, digit) in digits.iter_mut().enumerate() {
        let value = (number >> (60 - 4 * place)) & 15;
        *digit = b"0123456789abcdef".get(value as usize).copied().unwrap_or(b'0');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_are_well_formed() {
        let (one, other) = (Ids::new(), Ids::new());
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            assert!(seen.insert(one.next()));
            assert!(seen.insert(other.next()));
        }
        assert!(seen.iter().flatten().all(u8::is_ascii_hexdigit));
    }
}
