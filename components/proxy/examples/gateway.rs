//! A gateway that forwards everything to one upstream: to be measured and tried by hand.
//!
//!     gateway <upstream address> [h1|h2c] [plain <address>] [tls <address> <chain> <key>]
//!             [log <file>] [workers <count>]
#![allow(clippy::print_stdout, reason = "the addresses are said to whoever started it")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use proxy::tls::Certificates;
use proxy::{
    AccessLog, Address, Decision, Forward, HeaderEdits, Host, Limits, Peer, Policy, Protocol,
    Refusal, RequestHead, Response, RouteId, Server, ServerConfig, Upgrade, Upstream,
};
use tokio_util::sync::CancellationToken;

struct Everything {
    upstream: Arc<Upstream>,
    limits: Arc<Limits>,
}

// === impl Everything ===

impl Policy for Everything {
    fn decide(&self, request: &Arc<RequestHead>, _peer: &Peer) -> Decision {
        let target = match request.query() {
            Some(query) => {
                let mut target = request.path().as_str().as_bytes().to_vec();
                target.push(b'?');
                target.extend_from_slice(query);
                Bytes::from(target)
            }
            None => request.path().as_bytes().clone(),
        };
        Decision::Forward(Box::new(Forward {
            upstream: Arc::clone(&self.upstream),
            target,
            host: Host::Keep,
            route: RouteId(0),
            user: None,
            request: HeaderEdits::default(),
            response: None,
            limits: Arc::clone(&self.limits),
            upgrade: Upgrade::Allow,
            follow: None,
        }))
    }

    fn refuse(&self, _: Option<&RequestHead>, _: &Peer, refusal: &Refusal) -> Response {
        Response {
            status: refusal.status(),
            headers: Vec::new(),
            body: Bytes::from(format!("{refusal}\n")),
            route: RouteId(0),
            user: None,
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next();
    let upstream: SocketAddr = next().ok_or("the upstream's address is missing")?.parse()?;
    let mut protocol = Protocol::Http1;
    let mut config = ServerConfig { workers: 1, routes: vec!["all".into()], ..Default::default() };
    while let Some(word) = next() {
        match word.as_str() {
            "h1" => protocol = Protocol::Http1,
            "h2c" => protocol = Protocol::H2c,
            "plain" => config.plain = Some(next().ok_or("plain: an address")?.parse()?),
            "tls" => {
                let address = next().ok_or("tls: an address")?.parse()?;
                let chain = next().ok_or("tls: a chain")?;
                let key = next().ok_or("tls: a key")?;
                config.tls = Some((address, Certificates::from_files(chain, key)?));
            }
            "log" => config.access_log = Some(AccessLog::file(next().ok_or("log: a file")?)?),
            "workers" => config.workers = next().ok_or("workers: a number")?.parse()?,
            other => return Err(format!("{other}?").into()),
        }
    }
    let upstream = Upstream::new("upstream", Address::Tcp(upstream), protocol);
    let policy = Arc::new(Everything { upstream, limits: Arc::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let token = CancellationToken::new();
        let running = Server::start(config, policy, token.clone())?;
        println!("plain {:?}, tls {:?}", running.plain_address, running.tls_address);
        let _guard = token.drop_guard();
        running.join.await?;
        Ok(())
    })
}
