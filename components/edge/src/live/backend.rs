//! A service that is served: its servers, which of them gets a request, what is edited.

use std::hash::{BuildHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use proxy::{Address, Limits, Protocol, ResponseEdit, Upstream};
use rustc_hash::{FxBuildHasher, FxHasher};

use super::counts::Counts;
use super::edit::Edit;
use crate::auth::Passwords;
use crate::labels::Balance;
use crate::routes;

/// A server that could not be connected to gets nothing for so long, where there are others.
const TROUBLE: Duration = Duration::from_secs(1);

/// One server. The same one for as long as its task is the same.
pub struct Server {
    pub fact: routes::Server,
    pub upstream: Arc<Upstream>,
    pub counts: Counts,
    /// Since the start of the process, in milliseconds, and one more: 0 is no trouble.
    trouble: AtomicU64,
}

/// A server, and what is done to its answers.
#[derive(Clone)]
pub struct Entry {
    pub server: Arc<Server>,
    /// As it is now.
    pub fact: routes::Server,
    /// For clients that are not bound to it yet.
    binding: Option<Arc<dyn ResponseEdit>>,
}

/// All servers at one moment.
#[derive(Default)]
pub struct Servers {
    pub all: Vec<Entry>,
    /// Those of them that get requests.
    usable: Vec<usize>,
}

/// One service.
pub struct Backend {
    /// Its servers are those of the moment it was made: see [`Backend::servers`].
    pub service: Arc<routes::Service>,
    pub counts: Arc<Counts>,
    /// Of the frontend with the service's own port.
    pub front: Arc<Counts>,
    pub limits: Arc<Limits>,
    pub(crate) passwords: Option<Arc<Passwords>>,
    servers: ArcSwap<Servers>,
    cursor: AtomicUsize,
    edit: Option<Arc<dyn ResponseEdit>>,
}

/// What a server may be chosen by.
#[derive(Clone, Copy)]
pub struct Hint<'a> {
    pub client: IpAddr,
    pub path: &'a str,
    pub header: Option<&'a [u8]>,
    /// Not that one.
    pub not: Option<&'a Upstream>,
}

/// What holds for services whose labels say nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Usual {
    pub connect: Duration,
    pub server: Duration,
    pub client: Duration,
    pub retries: u8,
}

/// A server for a request.
pub(crate) struct Chosen {
    pub server: Arc<Server>,
    pub edit: Option<Arc<dyn ResponseEdit>>,
}

// === impl Server ===

impl Server {
    fn new(backend: &str, fact: &routes::Server) -> Server {
        let address = Address::Tcp((fact.ip, fact.port).into());
        let name = format!("{backend}/{}", fact.name);
        Server {
            fact: fact.clone(),
            upstream: Upstream::new(&name, address, Protocol::Http1),
            counts: Counts::default(),
            trouble: AtomicU64::new(0),
        }
    }

    fn is(&self, fact: &routes::Server) -> bool {
        (&self.fact.task, self.fact.ip, self.fact.port) == (&fact.task, fact.ip, fact.port)
    }

    /// It could not be connected to just now.
    pub(crate) fn has_trouble(&self) {
        self.trouble.store(clock() + 1, Ordering::Relaxed);
    }

    fn in_trouble(&self) -> bool {
        let since = self.trouble.load(Ordering::Relaxed);
        since != 0 && clock() < since + TROUBLE.as_millis() as u64
    }
}

impl AsRef<Counts> for Server {
    fn as_ref(&self) -> &Counts {
        &self.counts
    }
}

impl AsRef<Counts> for Backend {
    fn as_ref(&self) -> &Counts {
        &self.counts
    }
}

fn clock() -> u64 {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or_default()
}

// === impl Servers ===

impl Servers {
    fn entries(&self) -> impl Iterator<Item = &Entry> + Clone {
        self.usable.iter().filter_map(|at| self.all.get(*at))
    }

    /// How many get requests.
    pub fn usable(&self) -> usize {
        self.usable.len()
    }
}

// === impl Backend ===

impl Backend {
    /// `before` is the one of the same name until now; servers and counts go on.
    pub(crate) fn new(
        service: &Arc<routes::Service>,
        before: Option<&Backend>,
        usual: &Usual,
    ) -> Backend {
        let settings = &service.settings;
        let same_auth = before.filter(|one| one.service.settings.auth == settings.auth);
        let passwords = match same_auth {
            Some(before) => before.passwords.clone(),
            None => settings.auth.as_ref().map(|auth| Arc::new(Passwords::new(auth))),
        };
        let (counts, front) = match before {
            Some(before) => (Arc::clone(&before.counts), Arc::clone(&before.front)),
            None => Default::default(),
        };
        let backend = Backend {
            service: Arc::clone(service),
            counts,
            front,
            limits: Arc::new(limits(service, usual)),
            passwords,
            servers: ArcSwap::default(),
            cursor: AtomicUsize::new(0),
            edit: Edit::of(service, None),
        };
        let known = before.map(|before| before.servers.load_full());
        backend.set(service, known.as_deref().unwrap_or(&Servers::default()));
        backend
    }

    /// The servers are these now. Those that are not among them get no new request, not on an
    /// idle connection either.
    pub(crate) fn update(&self, service: &routes::Service) {
        let known = self.servers.load_full();
        self.set(service, &known);
        self.retire(&known);
    }

    /// Those of `known` that this does not have get no new request.
    pub(crate) fn retire(&self, known: &Servers) {
        let now = self.servers.load();
        for entry in &known.all {
            let still = now.all.iter().any(|one| Arc::ptr_eq(&one.server, &entry.server));
            if !still {
                entry.server.upstream.retire();
            }
        }
    }

    fn set(&self, service: &routes::Service, known: &Servers) {
        let all: Vec<Entry> = service
            .servers
            .iter()
            .map(|fact| {
                let same = known.all.iter().find(|entry| entry.server.is(fact));
                let server = match same {
                    Some(entry) => Arc::clone(&entry.server),
                    None => Arc::new(Server::new(&service.name, fact)),
                };
                let sticky = self.service.settings.sticky;
                let binding = sticky.then(|| Edit::of(&self.service, Some(fact))).flatten();
                Entry { server, fact: fact.clone(), binding }
            })
            .collect();
        let facts = || service.servers.iter().enumerate().filter(|(_, fact)| !fact.draining);
        let mut usable: Vec<usize> =
            facts().filter(|(_, fact)| !fact.lost).map(|(at, _)| at).collect();
        if usable.is_empty() {
            usable = facts().map(|(at, _)| at).collect();
        }
        self.servers.store(Arc::new(Servers { all, usable }));
    }

    pub fn servers(&self) -> Arc<Servers> {
        self.servers.load_full()
    }

    /// The server that a cookie names, if requests may go there.
    pub(crate) fn bound(&self, cookie: &[u8], hint: &Hint<'_>) -> Option<Chosen> {
        let servers = self.servers.load();
        let mut entries = servers.entries();
        let entry = entries.find(|entry| entry.server.fact.cookie.as_bytes() == cookie)?;
        let server = &entry.server;
        if is(server, hint.not) || server.in_trouble() {
            return None;
        }
        Some(Chosen { server: Arc::clone(server), edit: self.edit.clone() })
    }

    /// A server for a request that is bound to none.
    pub(crate) fn choose(&self, hint: &Hint<'_>) -> Option<Chosen> {
        let servers = self.servers.load();
        let entry = self.pick(&servers, hint)?;
        let edit = entry.binding.as_ref().or(self.edit.as_ref()).cloned();
        Some(Chosen { server: Arc::clone(&entry.server), edit })
    }

    fn pick<'a>(&self, servers: &'a Servers, hint: &Hint<'_>) -> Option<&'a Entry> {
        let count = servers.usable.len();
        let at = |index: usize| servers.all.get(*servers.usable.get(index % count.max(1))?);
        let start = match &self.service.settings.balance {
            Balance::First => 0,
            Balance::RoundRobin => self.cursor.fetch_add(1, Ordering::Relaxed),
            Balance::LeastConn => self.least(servers)?,
            Balance::Random => random(&self.cursor),
            Balance::Source => hash(&hint.client),
            Balance::Uri => hash(hint.path),
            Balance::Header(_) => match hint.header {
                Some(value) => hash(value),
                None => self.cursor.fetch_add(1, Ordering::Relaxed),
            },
        };
        let others = || {
            let all = (0..count).filter_map(|step| at(start.wrapping_add(step)));
            all.filter(|entry| !is(&entry.server, hint.not))
        };
        others().find(|entry| !entry.server.in_trouble()).or_else(|| others().next())
    }

    /// The one with the fewest requests under way; each in turn where several have as few.
    fn least(&self, servers: &Servers) -> Option<usize> {
        let start = self.cursor.fetch_add(1, Ordering::Relaxed);
        let count = servers.usable.len();
        let active = |step: &usize| {
            let at = servers.usable.get(start.wrapping_add(*step) % count.max(1))?;
            servers.all.get(*at).map(|entry| Counts::get(&entry.server.counts.active))
        };
        (0..count).min_by_key(active).map(|step| start.wrapping_add(step))
    }
}

fn is(server: &Server, upstream: Option<&Upstream>) -> bool {
    upstream.is_some_and(|upstream| std::ptr::eq(upstream, &*server.upstream))
}

fn hash<H: Hash + ?Sized>(value: &H) -> usize {
    let mut hasher = FxHasher::default();
    value.hash(&mut hasher);
    mixed(hasher.finish())
}

/// The low bits of a multiplicative hash are poor ones.
fn mixed(number: u64) -> usize {
    let number = (number ^ (number >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
    (number ^ (number >> 27)) as usize
}

fn random(cursor: &AtomicUsize) -> usize {
    let next = cursor.fetch_add(1, Ordering::Relaxed);
    mixed(FxBuildHasher.hash_one(next))
}

fn limits(service: &routes::Service, usual: &Usual) -> Limits {
    let timeouts = service.settings.options.timeouts;
    let server = timeouts.server.unwrap_or(usual.server);
    Limits {
        request_body: u64::MAX,
        connect: timeouts.connect.unwrap_or(usual.connect),
        response_head: server,
        idle: Some(server),
        request_idle: timeouts.client.unwrap_or(usual.client),
        retries: usual.retries,
    }
}
