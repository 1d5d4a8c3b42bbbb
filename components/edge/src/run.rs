//! Starts everything, and keeps what is served up to date with Marathon.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use cluster_events::asking::{Ask, AskConfig};
use cluster_events::marathon::{Event, Follower};
use http::HeaderValue;
use http_kit::guard::{TokenSource, TokenSourceConfig};
use http_kit::{Client, ClientConfig, Request, ServeConfig};
use proxy::{ServerConfig, ServerError, Timeouts};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::certificates::{Keyring, KeyringError};
use crate::config::{AccessLog, Config, Credentials};
use crate::control::{self, Control};
use crate::follow::{Heard, Reader, look_up};
use crate::labels::Kind;
use crate::listeners::{self, Listeners};
use crate::live::{Counts, Ports, Table};
use crate::policy::{Balancer, Fronts, ROUTES};
use crate::routes::{Changed, Routes};

/// What Marathon tells and was not taken up yet.
const WAITING: usize = 1024;
/// Events that are taken up together, at most.
const TOGETHER: usize = 256;
/// How often what could not be listened on or looked up is tried again.
const AGAIN: Duration = Duration::from_secs(3);
/// As the original calls itself.
const AGENT: HeaderValue = HeaderValue::from_static("marathon-lb");

/// A balancer that runs, until the token it was started with is cancelled.
#[derive(Debug)]
pub struct Running {
    pub http: Option<SocketAddr>,
    pub https: Option<SocketAddr>,
    pub app_id: Option<SocketAddr>,
    pub stats: SocketAddr,
    /// Ends when every connection has ended.
    pub join: JoinHandle<()>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("cannot listen at {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Certificates(#[from] KeyringError),
    #[error("cannot write the access log")]
    AccessLog(#[source] std::io::Error),
    #[error("credentials with letters that no header may have")]
    Credentials,
}

/// Starts a balancer. It serves nothing until Marathon was read.
///
/// # Errors
/// A port cannot be had, or what was configured cannot be used.
pub async fn start(config: Config, token: CancellationToken) -> Result<Running, StartError> {
    let keyring = Keyring::new(config.certificates.clone())?;
    let balancer = Balancer::new();
    let engine = proxy::Server::start(
        server_config(&config, &keyring)?,
        Arc::new(balancer.clone()),
        token.clone(),
    )?;
    let shared = listeners::Shared::new(
        Arc::clone(balancer.inner()),
        engine.doors.clone(),
        Arc::clone(&keyring),
        config.bind,
        config.tunnel,
        token.clone(),
    );
    let app_id = match config.app_id_port {
        Some(port) => Some(bound((config.bind, port).into())?),
        None => None,
    };
    let stats = bound((config.stats_bind, config.stats_port).into())?;
    let app_id_address = app_id.as_ref().map(|(address, _)| *address);
    let ports = control::Ports {
        http: engine.plain_address,
        https: engine.tls_address,
        app_id: app_id_address,
    };
    let port = |address: Option<SocketAddr>| address.map(|address| address.port());
    balancer.set_fronts(Fronts {
        http: port(ports.http),
        https: port(ports.https),
        app_id: port(ports.app_id),
    });
    let own = [ports.http, ports.https, ports.app_id, Some(stats.0)];
    let (stats_address, stats) = stats;
    let control = Arc::new(Control {
        inner: Arc::clone(balancer.inner()),
        keyring: Arc::clone(&keyring),
        listeners: Arc::clone(&shared),
        metrics: Arc::clone(&engine.metrics),
        problems: ArcSwap::default(),
        ready: AtomicBool::new(false),
        connected: AtomicBool::new(false),
        again: Notify::new(),
        certificates: Arc::new(Notify::new()),
        started: Instant::now(),
        ports,
        changes: Counts::default(),
        config,
    });
    let center = Center {
        routes: Routes::new(control.config.scope.clone()),
        ports: Ports {
            allowed: control.config.service_ports.clone(),
            own: own.into_iter().flatten().map(|address| address.port()).collect(),
        },
        listeners: Listeners::new(Arc::clone(&shared)),
        control: Arc::clone(&control),
        look_ups: JoinSet::new(),
        last: 0,
        changed: Arc::new(Notify::new()),
    };
    let (ask, login) = asking(&control.config, &token)?;
    let running = Running {
        http: ports.http,
        https: ports.https,
        app_id: app_id_address,
        stats: stats_address,
        join: tokio::spawn(async move {
            let serving = serve(control, stats, token.clone());
            let accepting = async {
                if let Some((_, listener)) = app_id {
                    bring(listener, &engine.doors, &token).await;
                }
            };
            let following = center.run(ask, &token);
            tokio::join!(serving, accepting, following);
            shared.ended().await;
            // The engine ends by itself; nothing is left to do about a thread that panicked.
            let _ = engine.join.await;
            if let Some(login) = login {
                let _ = login.await;
            }
        }),
    };
    Ok(running)
}

fn bound(address: SocketAddr) -> Result<(SocketAddr, TcpListener), StartError> {
    let open = || {
        let listener = listeners::listen(address)?;
        Ok((listener.local_addr()?, listener))
    };
    open().map_err(|source| StartError::Listen { address, source })
}

fn server_config(config: &Config, keyring: &Keyring) -> Result<ServerConfig, StartError> {
    let log = match &config.access_log {
        None => None,
        Some(AccessLog::Stdout) => Some(proxy::AccessLog::stdout()),
        Some(AccessLog::File(path)) => Some(proxy::AccessLog::file(path)),
    };
    let at = |port| SocketAddr::new(config.bind, port);
    Ok(ServerConfig {
        plain: config.http_port.map(at),
        tls: config.https_port.map(|port| (at(port), Arc::clone(keyring.https()))),
        workers: config.workers,
        routes: ROUTES.iter().map(|name| (*name).to_owned()).collect(),
        timeouts: Timeouts { tunnel: config.tunnel, grace: config.grace, ..Timeouts::default() },
        access_log: log.transpose().map_err(StartError::AccessLog)?,
        ..ServerConfig::default()
    })
}

/// How Marathon is asked, and who keeps the token for that.
pub(crate) fn asking(
    config: &Config,
    token: &CancellationToken,
) -> Result<(Arc<Ask>, Option<JoinHandle<()>>), StartError> {
    let (tokens, login) = match &config.credentials {
        Credentials::None => (None, None),
        Credentials::Fixed(value) => {
            (Some(TokenSource::fixed(value).ok_or(StartError::Credentials)?), None)
        }
        Credentials::Account { file, iam } => {
            let client = Client::new(ClientConfig {
                authorities: config.authorities.clone(),
                ..ClientConfig::default()
            });
            let account = TokenSourceConfig { iam: iam.clone(), account: file.clone(), client };
            let (tokens, login) = TokenSource::start(account, token.clone());
            (Some(tokens), Some(login))
        }
    };
    let authorization = tokens.map(|tokens| {
        let ask: cluster_events::asking::Authorization = Arc::new(move || {
            let tokens = tokens.clone();
            Box::pin(async move {
                // Without the first token there would only be a refusal.
                let wait = tokio::time::timeout(Duration::from_secs(10), tokens.ready());
                let _ = wait.await;
                tokens.authorization()
            })
        });
        ask
    });
    let mut ask = AskConfig::new(AGENT);
    ask.authorization = authorization;
    ask.authorities = config.authorities.clone();
    Ok((Arc::new(Ask::new(ask)), login))
}

/// Statistics and control.
async fn serve(control: Arc<Control>, listener: TcpListener, token: CancellationToken) {
    let service = move |request: Request, _: SocketAddr| control.call(&request);
    let limits = ServeConfig { grace: Duration::from_secs(1), ..ServeConfig::default() };
    http_kit::serve(listener, Arc::new(service), limits, token).await;
}

/// A frontend beside the engine's own.
async fn bring(listener: TcpListener, doors: &proxy::Doors, token: &CancellationToken) {
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => doors.bring(stream, from, None).await,
                Err(error) => {
                    tracing::debug!(%error, "accepting pauses");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    token.run_until_cancelled(accept).await;
}

/// Keeps what is served up to date.
struct Center {
    routes: Routes,
    ports: Ports,
    listeners: Listeners,
    control: Arc<Control>,
    look_ups: JoinSet<(Arc<str>, Option<std::net::IpAddr>)>,
    /// The number of the last event.
    last: u64,
    /// Certificates were read anew.
    changed: Arc<Notify>,
}

// === impl Center ===

impl Center {
    async fn run(mut self, ask: Arc<Ask>, token: &CancellationToken) {
        let changed = Arc::clone(&self.changed);
        let keyring = Arc::clone(&self.control.keyring);
        let now = Arc::clone(&self.control.certificates);
        let watching = keyring.watch(now, move || changed.notify_one(), token.clone());
        let following = async {
            while !token.is_cancelled() {
                self.follow(&ask, token).await;
            }
        };
        tokio::join!(watching, following);
    }

    /// Follows Marathon until the end, or until somebody wants it to be read anew.
    async fn follow(&mut self, ask: &Arc<Ask>, token: &CancellationToken) {
        let (to, mut heard) = mpsc::channel::<Heard>(WAITING);
        let follower = Follower {
            ask: Arc::clone(ask),
            marathons: self.control.config.marathons.clone(),
            decoder: Arc::new(Reader),
            after: self.last,
            to,
        };
        let following = follower.run();
        let mut following = std::pin::pin!(following);
        let mut again = tokio::time::interval(AGAIN);
        let control = Arc::clone(&self.control);
        let changed = Arc::clone(&self.changed);
        loop {
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                () = control.again.notified() => return,
                Some(first) = heard.recv() => {
                    let mut all = self.hear(first);
                    for _ in 0..TOGETHER {
                        let Ok(next) = heard.try_recv() else { break };
                        all.append(&mut self.hear(next));
                    }
                    self.update(&all);
                }
                () = &mut following => return,
                Some(Ok((host, address))) = self.look_ups.join_next() => {
                    if let Some(address) = address {
                        let units = self.routes.resolved(&host, address);
                        self.update(&units);
                    }
                }
                () = changed.notified() => self.listen(),
                _ = again.tick() => {
                    self.listen();
                    self.look_up();
                }
            }
        }
    }

    fn hear(&mut self, (turn, event): Heard) -> Changed {
        self.last = turn.number;
        match event {
            Event::Apps { as_of, apps } => {
                self.control.ready.store(true, Ordering::Relaxed);
                self.control.connected.store(true, Ordering::Relaxed);
                tracing::info!(apps = apps.len(), "read all apps");
                self.routes.all(as_of, apps)
            }
            Event::App { as_of, id, app } => self.routes.one(as_of, &id, app),
            Event::Task(news) => self.routes.news(turn.number, turn.oldest, news),
            Event::Cut => {
                // What was known last is served on.
                self.control.connected.store(false, Ordering::Relaxed);
                Changed::new()
            }
            Event::Identity { .. } | Event::Touched(_) => Changed::new(),
        }
    }

    /// Puts changes in force.
    fn update(&mut self, units: &Changed) {
        if units.is_empty() {
            return;
        }
        let inner = Arc::clone(&self.control.inner);
        let table = inner.table.load_full();
        Counts::add(&self.control.changes.total, 1);
        if self.is_about_servers(&table, units) {
            for service in units.iter().flat_map(|unit| self.routes.of(unit)) {
                if let Some(backend) = table.named(&service.name) {
                    backend.update(service);
                }
            }
        } else {
            let usual = &self.control.config.timeouts;
            let next = Table::build(&self.routes.services(), &table, usual, &self.ports);
            let next = Arc::new(next);
            inner.table.store(Arc::clone(&next));
            next.supersede(&table);
            self.control.problems.store(Arc::new(self.routes.problems()));
            self.want_certificates();
            self.listen();
            self.tell(units);
        }
        self.look_up();
    }

    /// Whether the services of these units are the same as before but for their servers.
    fn is_about_servers(&self, table: &Table, units: &BTreeSet<Arc<str>>) -> bool {
        let known = self.control.problems.load();
        units.iter().all(|unit| {
            let now = self.routes.of(unit);
            let before = || table.backends.iter().filter(|one| one.service.app == *unit);
            let same = before().count() == now.len()
                && now.iter().all(|service| {
                    let known = table.named(&service.name);
                    known.is_some_and(|known| known.service.same_shape(service))
                });
            let problems = self.routes.problems_of(unit);
            let told = known.iter().filter(|one| one.app == *unit);
            same && told.map(|one| &one.problem).eq(problems)
        })
    }

    fn tell(&self, units: &Changed) {
        for unit in units {
            for problem in self.routes.problems_of(unit) {
                match problem.kind {
                    Kind::Unneeded => tracing::info!(app = %unit, "{problem}"),
                    _ => tracing::warn!(app = %unit, "{problem}"),
                }
            }
            for service in self.routes.of(unit) {
                let (name, servers) = (&service.name, service.servers.len());
                tracing::info!(app = %unit, service = %name, servers, "served");
            }
        }
        for conflict in &self.control.inner.table.load().conflicts {
            tracing::warn!(app = %conflict.app, "{}", conflict.problem);
        }
    }

    fn want_certificates(&self) {
        let table = self.control.inner.table.load();
        let services = table.backends.iter().map(|backend| &backend.service.settings);
        let paths = services.filter_map(|settings| settings.ssl_cert.clone()).collect();
        if self.control.keyring.want(paths) {
            self.control.certificates.notify_one();
        }
    }

    fn listen(&mut self) {
        self.listeners.follow(&self.control.inner.table.load());
    }

    fn look_up(&mut self) {
        if self.look_ups.is_empty() {
            for host in self.routes.unresolved().take(TOGETHER) {
                self.look_ups.spawn(look_up(Arc::clone(host)));
            }
        }
    }
}
