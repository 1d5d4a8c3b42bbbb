//! A gateway without any policy: forwards all to one address. To be measured against others.
//!
//! `forward LISTEN UPSTREAM [WORKERS]`, with addresses such as `127.0.0.1:8080`.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use proxy::{
    Address, Decision, Forward, HeaderEdits, Host, Limits, Peer, Policy, Protocol, Refusal,
    RequestHead, Response, RouteId, Server, ServerConfig, Upgrade, Upstream,
};
use tokio_util::sync::CancellationToken;

struct Everything {
    upstream: Arc<Upstream>,
    limits: Arc<Limits>,
}

impl Policy for Everything {
    fn decide(&self, request: &Arc<RequestHead>, _peer: &Peer) -> Decision {
        let target = match request.query() {
            None => request.path().as_bytes().clone(),
            Some(query) => {
                let mut target = request.path().as_bytes().to_vec();
                target.push(b'?');
                target.extend_from_slice(query);
                target.into()
            }
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
        let body = Bytes::from(refusal.to_string());
        let (headers, route) = (Vec::new(), RouteId(0));
        Response { status: refusal.status(), headers, body, route, user: None }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen: SocketAddr = arguments.next().ok_or("where to listen?")?.parse()?;
    let upstream: SocketAddr = arguments.next().ok_or("where to forward to?")?.parse()?;
    let workers = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let policy = Everything {
        upstream: Upstream::new("upstream", Address::Tcp(upstream), Protocol::Http1),
        limits: Arc::new(Limits::default()),
    };
    let config = ServerConfig {
        plain: Some(listen),
        workers,
        routes: vec!["all".into()],
        ..ServerConfig::default()
    };
    let running = Server::start(config, Arc::new(policy), CancellationToken::new())?;
    running.join.await?;
    Ok(())
}
