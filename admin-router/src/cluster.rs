//! What routes ask about the cluster: who leads, where agents and services are.

use std::borrow::Cow;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use proxy::Upstream;

/// An answer to a question about the cluster.
#[derive(Clone, Debug)]
pub enum Known<T> {
    Found(T),
    /// There is no such thing.
    Missing,
    /// Nobody can say: the source was never reached, or too long ago.
    Unknown,
}

/// Knowledge of the cluster; never waits.
pub trait Cluster: Send + Sync + 'static {
    /// The leading master.
    fn leader(&self) -> Known<Arc<Leader>>;

    /// An agent by its id: where the agent itself listens.
    fn agent(&self, id: &str) -> Known<Agent>;

    /// The leading Marathon.
    fn marathon_leader(&self) -> Known<Arc<Leader>>;

    /// The service under `/service/`, by the decoded segments after it (at most the first ten
    /// of them are looked at). The shortest prefix that is a service wins.
    fn service(&self, segments: &[Cow<'_, str>]) -> Resolution;
}

/// Where an agent is.
#[derive(Clone, Debug)]
pub struct Agent {
    pub upstream: Arc<Upstream>,
    /// The agent's host, for its gateway.
    pub gateway: Arc<Upstream>,
}

/// Where a leader is.
#[derive(Clone, Debug)]
pub struct Leader {
    /// The leader itself.
    pub upstream: Arc<Upstream>,
    pub host: IpAddr,
    /// Whether it is this host; absent where nobody said which this is (`HOST_IP`).
    pub is_local: Option<bool>,
    /// The gateway on its host.
    pub gateway: Arc<Upstream>,
}

/// What became of a look-up under `/service/`.
pub enum Resolution {
    Found(Arc<Service>),
    /// 404.
    Missing,
    /// 503.
    Failed(Failure),
    /// Somebody has to be asked (Mesos-DNS); the rest of the look-up.
    Later(Pin<Box<dyn Future<Output = Resolution> + Send>>),
}

/// Why a look-up cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Marathon,
    Mesos,
    MesosDns,
    /// The scheduler that would answer is not connected to the master.
    Framework,
}

/// A service that requests are forwarded to.
#[derive(Debug)]
pub struct Service {
    /// How it was asked for, decoded, without slashes at the ends: `group/app`.
    pub path: Arc<str>,
    /// How many segments that is.
    pub depth: usize,
    /// `dcos:adminrouter:service:<path>`: what a user needs.
    pub rid: Arc<str>,
    pub upstream: Arc<Upstream>,
    /// `http` or `https`: redirects to others are not mapped.
    pub scheme: proxy::Scheme,
    /// What stands before the path at the service (of its `webui_url`), without a slash at the
    /// end; mostly empty. Percent-encoded.
    pub base: Arc<str>,
    /// False keeps `/service/<path>` in what is forwarded.
    pub rewrite: bool,
    /// False lets requests and answers take longer (600 s).
    pub buffering: bool,
}

impl std::fmt::Debug for Resolution {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Resolution::Found(service) => out.debug_tuple("Found").field(service).finish(),
            Resolution::Missing => out.write_str("Missing"),
            Resolution::Failed(failure) => out.debug_tuple("Failed").field(failure).finish(),
            Resolution::Later(_) => out.write_str("Later"),
        }
    }
}
