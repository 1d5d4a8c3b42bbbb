//! The name servers of one zone: tried in their order, those that failed just now last.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
    ServerOrderingStrategy,
};
use hickory_resolver::{Resolver, TokioResolver};
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::net::{DnsError, NetError};
use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::{LowerName, Name, RecordType, TSigResponseContext};
use hickory_server::server::{Request, RequestInfo};
use hickory_server::zone_handler::{
    AuthLookup, AxfrPolicy, LookupControlFlow, LookupError, LookupOptions, ZoneHandler, ZoneType,
};

use super::{ForwardError, Forwarding};

/// For so long a server that did not answer is tried after the others.
const AVOIDED: Duration = Duration::from_secs(10);
/// Nothing is kept for longer, whatever its time to live.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

pub(super) struct Upstreams {
    origin: LowerName,
    servers: Vec<Upstream>,
    timeout: Duration,
    begun: Instant,
}

/// One server. Each has a resolver of its own: hickory's gives all servers one deadline together,
/// and the second would never be asked where the first is silent.
struct Upstream {
    resolver: TokioResolver,
    /// Milliseconds since the beginning; 0: never.
    avoided_until: AtomicU64,
}

// === impl Upstreams ===

impl Upstreams {
    pub(super) fn new(
        origin: LowerName,
        servers: &[SocketAddr],
        config: &Forwarding,
    ) -> Result<Upstreams, ForwardError> {
        let upstream = |server: &SocketAddr| {
            let resolver = resolver(*server, config)
                .map_err(|source| ForwardError::Server { server: *server, source })?;
            Ok(Upstream { resolver, avoided_until: AtomicU64::new(0) })
        };
        let servers = servers.iter().map(upstream).collect::<Result<_, ForwardError>>()?;
        Ok(Upstreams { origin, servers, timeout: config.timeout, begun: Instant::now() })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The first good answer; else, what the last server said.
    async fn ask(&self, name: Name, kind: RecordType) -> Result<AuthLookup, LookupError> {
        let now = self.now();
        let mut order: Vec<&Upstream> = self.servers.iter().collect();
        // The sort is stable: otherwise the order is the configured one.
        order.sort_by_key(|server| server.avoided_until.load(Ordering::Relaxed) > now);
        let mut last = LookupError::ResponseCode(ResponseCode::ServFail);
        for server in order {
            let lookup = server.resolver.lookup(name.clone(), kind);
            let error = match tokio::time::timeout(self.timeout, lookup).await {
                Ok(Ok(lookup)) => return Ok(AuthLookup::from(lookup)),
                Ok(Err(error)) if is_answer(&error) => return Err(LookupError::from(error)),
                Ok(Err(error)) => error,
                Err(_) => NetError::Timeout,
            };
            tracing::debug!(%error, %name, "a name server did not answer");
            let until = now + u64::try_from(AVOIDED.as_millis()).unwrap_or(0);
            server.avoided_until.store(until, Ordering::Relaxed);
            last = LookupError::from(error);
        }
        Err(last)
    }
}

/// Whether that there is nothing is what the server says, and not that it cannot say.
fn is_answer(error: &NetError) -> bool {
    matches!(error, NetError::Dns(DnsError::NoRecordsFound(none))
        if matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain))
}

fn resolver(server: SocketAddr, config: &Forwarding) -> Result<TokioResolver, NetError> {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    let server = NameServerConfig::new(server.ip(), true, connections.to_vec());
    let resolvers = ResolverConfig::from_name_servers(vec![server]);
    let mut options = ResolverOpts::default();
    options.timeout = config.timeout;
    options.attempts = 1;
    options.cache_size = config.cache;
    options.use_hosts_file = ResolveHosts::Never;
    options.preserve_intermediates = true;
    options.num_concurrent_reqs = 1;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    options.positive_max_ttl = Some(LONGEST);
    options.negative_max_ttl = Some(LONGEST);
    let builder = Resolver::builder_with_config(resolvers, TokioRuntimeProvider::default());
    builder.with_options(options).build()
}

#[async_trait]
impl ZoneHandler for Upstreams {
    fn zone_type(&self) -> ZoneType {
        ZoneType::External
    }

    fn axfr_policy(&self) -> AxfrPolicy {
        AxfrPolicy::Deny
    }

    fn origin(&self) -> &LowerName {
        &self.origin
    }

    async fn lookup(
        &self,
        name: &LowerName,
        kind: RecordType,
        _request: Option<&RequestInfo<'_>>,
        _options: LookupOptions,
    ) -> LookupControlFlow<AuthLookup> {
        // The name is complete: no search domain is tried behind it.
        let mut name = Name::from(name.clone());
        name.set_fqdn(true);
        LookupControlFlow::Break(self.ask(name, kind).await)
    }

    async fn search(
        &self,
        request: &Request,
        options: LookupOptions,
    ) -> (LookupControlFlow<AuthLookup>, Option<TSigResponseContext>) {
        let info = match request.request_info() {
            Ok(info) => info,
            Err(error) => return (LookupControlFlow::Break(Err(error)), None),
        };
        let query = info.query;
        (self.lookup(query.name(), query.query_type(), Some(&info), options).await, None)
    }

    async fn nsec_records(
        &self,
        _name: &LowerName,
        _options: LookupOptions,
    ) -> LookupControlFlow<AuthLookup> {
        LookupControlFlow::Break(Err(LookupError::ResponseCode(ResponseCode::NotImp)))
    }
}
