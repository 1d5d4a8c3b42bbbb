//! The connections of one worker to upstreams, while nobody uses them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::io::Io;
use crate::Upstream;
use crate::config::ServerConfig;
use crate::metrics::{UpstreamMetrics, WorkerMetrics};

/// Where nothing listens: so long nobody asks again.
const REFUSED: Duration = Duration::from_millis(25);
/// Where nothing answers: so long at first, twice as long each time, at most [`MOST`].
const SILENT: Duration = Duration::from_millis(500);
const MOST: Duration = Duration::from_secs(8);

/// One pool for each upstream.
#[derive(Debug)]
pub(crate) struct Pools {
    by_identity: RefCell<FxHashMap<*const Upstream, Rc<Pool>>>,
    limits: PoolLimits,
}

#[derive(Clone, Copy, Debug)]
struct PoolLimits {
    idle: usize,
    keep_alive: Duration,
}

/// What one worker has of one upstream.
pub(crate) struct Pool {
    /// Keeps the address from being used for another upstream, not the upstream itself.
    upstream: Weak<Upstream>,
    pub(crate) metrics: Arc<UpstreamMetrics>,
    idle: RefCell<VecDeque<Idle>>,
    limits: PoolLimits,
    health: Cell<Health>,
}

#[derive(Debug)]
struct Idle {
    io: Io,
    since: Duration,
}

/// What became of the last attempts to connect.
#[derive(Clone, Copy, Debug, Default)]
struct Health {
    down_until: Option<Duration>,
    silences: u32,
}

// === impl Pools ===

impl Pools {
    pub(crate) fn new(config: &ServerConfig) -> Pools {
        let keep_alive = config.timeouts.upstream_keep_alive;
        let limits = PoolLimits { idle: config.idle_upstream_connections, keep_alive };
        Pools { by_identity: RefCell::default(), limits }
    }

    /// The pool of an upstream.
    pub(crate) fn of(&self, upstream: &Arc<Upstream>, metrics: &WorkerMetrics) -> Rc<Pool> {
        let mut pools = self.by_identity.borrow_mut();
        let pool = pools.entry(Arc::as_ptr(upstream)).or_insert_with(|| {
            Rc::new(Pool {
                upstream: Arc::downgrade(upstream),
                metrics: metrics.upstream(&upstream.name),
                idle: RefCell::default(),
                limits: self.limits,
                health: Cell::default(),
            })
        });
        Rc::clone(pool)
    }

    /// Drops the connections to upstreams that are retired or gone.
    pub(crate) fn drop_retired(&self) {
        let alive = |pool: &Rc<Pool>| {
            pool.upstream.upgrade().is_some_and(|upstream| !upstream.is_retired())
        };
        self.by_identity.borrow_mut().retain(|_, pool| {
            let alive = alive(pool);
            if !alive {
                pool.idle.borrow_mut().clear();
            }
            alive
        });
    }

    /// Drops what was idle for too long, or was closed by the other side. To be called about once
    /// a second.
    pub(crate) fn sweep(&self, now: Duration) {
        for pool in self.by_identity.borrow().values() {
            pool.sweep(now);
        }
    }
}

// === impl Pool ===

impl Pool {
    /// The connection that was used last, if it can be used again.
    pub(crate) fn take(&self) -> Option<Io> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut last) = idle.pop_back() {
            if last.io.is_quiet() {
                return Some(last.io);
            }
        }
        None
    }

    /// Keeps a connection whose last exchange is complete.
    pub(crate) fn give(&self, upstream: &Upstream, io: Io, now: Duration) {
        let mut idle = self.idle.borrow_mut();
        if !upstream.is_retired() && idle.len() < self.limits.idle {
            idle.push_back(Idle { io, since: now });
        }
    }

    fn sweep(&self, now: Duration) {
        let keep_alive = self.limits.keep_alive;
        self.idle
            .borrow_mut()
            .retain_mut(|idle| now.saturating_sub(idle.since) < keep_alive && idle.io.is_quiet());
    }

    /// Whether connecting failed so recently that it is not tried now.
    pub(crate) fn is_down(&self, now: Duration) -> bool {
        self.health.get().down_until.is_some_and(|until| now < until)
    }

    /// While somebody asks again whether a silent upstream is back, the others do not wait.
    pub(crate) fn probe(&self, now: Duration, within: Duration) {
        let health = self.health.get();
        if health.silences > 0 {
            self.health.set(Health { down_until: Some(now + within), ..health });
        }
    }

    pub(crate) fn connected(&self) {
        self.metrics.connects.add(1);
        self.health.set(Health::default());
    }

    pub(crate) fn refused(&self, now: Duration) {
        self.metrics.connects_failed.add(1);
        self.health.set(Health { down_until: Some(now + REFUSED), silences: 0 });
    }

    /// It could not even be tried: that says nothing about the upstream.
    pub(crate) fn failed(&self) {
        self.metrics.connects_failed.add(1);
        self.health.set(Health { down_until: None, ..self.health.get() });
    }

    /// Somebody is there, and does not want to talk.
    pub(crate) fn rejected(&self) {
        self.metrics.connects_failed.add(1);
        self.health.set(Health::default());
    }

    pub(crate) fn silent(&self, now: Duration) {
        self.metrics.connects_failed.add(1);
        let silences = self.health.get().silences;
        let pause = SILENT.saturating_mul(1 << silences.min(8)).min(MOST);
        self.health.set(Health { down_until: Some(now + pause), silences: silences + 1 });
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({} idle)", self.idle.borrow().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Address, Protocol};

    fn pools(idle: usize) -> Pools {
        Pools::new(&ServerConfig { idle_upstream_connections: idle, ..ServerConfig::default() })
    }

    fn upstream() -> Arc<Upstream> {
        Upstream::new("u", Address::Unix("/nowhere".into()), Protocol::Http1)
    }

    fn pair() -> (Io, tokio::net::UnixStream) {
        let (one, other) = tokio::net::UnixStream::pair().unwrap();
        (Io::Unix(one), other)
    }

    #[tokio::test]
    async fn connections_are_kept_by_identity_and_dropped_when_retired() {
        let (pools, metrics) = (pools(8), WorkerMetrics::new(0));
        let (one, same_name) = (upstream(), upstream());
        let (io, other) = pair();
        pools.of(&one, &metrics).give(&one, io, Duration::ZERO);
        assert!(pools.of(&same_name, &metrics).take().is_none());
        one.retire();
        pools.drop_retired();
        assert!(pools.of(&one, &metrics).take().is_none());
        let mut byte = [0];
        other.readable().await.unwrap();
        assert_eq!(other.try_read(&mut byte).unwrap(), 0);
        let (io, _other) = pair();
        let pool = pools.of(&one, &metrics);
        pool.give(&one, io, Duration::ZERO);
        assert!(pool.take().is_none());
    }

    #[tokio::test]
    async fn no_more_are_kept_than_allowed_and_none_for_too_long() {
        let (pools, metrics, upstream) = (pools(2), WorkerMetrics::new(0), upstream());
        let pool = pools.of(&upstream, &metrics);
        let mut others = Vec::new();
        for second in 0..3 {
            let (io, other) = pair();
            pool.give(&upstream, io, Duration::from_secs(second));
            others.push(other);
        }
        assert_eq!(pool.idle.borrow().len(), 2);
        pools.sweep(Duration::from_secs(60));
        assert_eq!(pool.idle.borrow().len(), 1);
        pools.sweep(Duration::from_secs(61));
        assert!(pool.take().is_none());
    }

    #[tokio::test]
    async fn what_the_upstream_closed_or_spoke_on_is_not_used_again() {
        use tokio::io::AsyncWriteExt;
        let (pools, metrics, upstream) = (pools(8), WorkerMetrics::new(0), upstream());
        let pool = pools.of(&upstream, &metrics);
        let (io, _quiet) = pair();
        pool.give(&upstream, io, Duration::ZERO);
        let (io, closed) = pair();
        pool.give(&upstream, io, Duration::ZERO);
        let (io, mut talking) = pair();
        pool.give(&upstream, io, Duration::ZERO);
        drop(closed);
        talking.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(pool.take().is_some());
        assert!(pool.take().is_none());
    }

    #[test]
    fn a_silent_upstream_is_asked_less_and_less() {
        let (pools, metrics, upstream) = (pools(8), WorkerMetrics::new(0), upstream());
        let pool = pools.of(&upstream, &metrics);
        let at = Duration::from_millis;
        pool.silent(at(0));
        assert!(pool.is_down(at(499)) && !pool.is_down(at(500)));
        pool.probe(at(500), at(5000));
        assert!(pool.is_down(at(501)));
        pool.silent(at(600));
        assert!(pool.is_down(at(1599)) && !pool.is_down(at(1600)));
        pool.connected();
        assert!(!pool.is_down(at(700)));
        pool.refused(at(700));
        assert!(pool.is_down(at(724)) && !pool.is_down(at(725)));
        pool.probe(at(725), at(5000));
        assert!(!pool.is_down(at(726)));
    }
}
