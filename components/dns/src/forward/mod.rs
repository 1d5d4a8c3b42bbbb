//! Foreign names: asked of other name servers, and remembered.
//!
//! hickory-server's catalog chooses by the name's zone who is asked, and builds the answer;
//! hickory-resolver asks, over UDP from random ports with random ids and then over TCP, merges what
//! is asked at the same time, and keeps answers, also those that say "nothing", for as long as they
//! hold. What is here is the order of the servers, bounds, and that we never ask ourselves.

mod upstream;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hickory_server::net::NetError;
use hickory_server::net::runtime::TokioTime;
use hickory_server::net::xfer::Protocol;
use hickory_server::proto::rr::{LowerName, Name as DnsName, Record};
use hickory_server::proto::serialize::binary::BinEncoder;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{Catalog, MessageResponse};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::record::Name;
use crate::serve::answer::LONGEST;
use crate::serve::query::{Code, HEADER, PLAIN_SIZE, Query, flag};
use crate::zone::wire::kind;
use upstream::Upstreams;

/// Who is asked about foreign names.
#[derive(Clone, Debug)]
pub struct Forwarding {
    /// In this order; none: those of /etc/resolv.conf.
    pub resolvers: Vec<SocketAddr>,
    /// Others, for names below these.
    pub zones: Vec<(Name, Vec<SocketAddr>)>,
    /// For each server that is tried.
    pub timeout: Duration,
    /// So many answers are kept, of each server.
    pub cache: u64,
    /// So many questions wait for an answer at once; beyond, the answer is that it failed.
    pub waiting: usize,
    /// The longest answer over UDP.
    pub udp_size: usize,
}

impl Default for Forwarding {
    fn default() -> Self {
        Forwarding {
            resolvers: Vec::new(),
            zones: Vec::new(),
            timeout: Duration::from_secs(5),
            cache: 8192,
            waiting: 2048,
            udp_size: 1232,
        }
    }
}

#[derive(Debug, Error)]
pub enum ForwardError {
    #[error("no zone: {0:?}")]
    Zone(Name),
    #[error("cannot ask {server}")]
    Server { server: SocketAddr, source: NetError },
    #[error("cannot read /etc/resolv.conf")]
    System(#[source] NetError),
}

/// A question that is to be forwarded, as it came.
#[derive(Debug)]
pub struct Asked {
    pub packet: Vec<u8>,
    pub from: SocketAddr,
    pub is_tcp: bool,
}

pub struct Forwarder {
    catalog: Catalog,
    waiting: Semaphore,
    udp_size: usize,
}

// === impl Forwarder ===

impl Forwarder {
    /// `own` are the addresses that we serve on: who is asked there would be ourselves, and is left
    /// out. None where nobody is left.
    pub fn new(config: &Forwarding, own: &[SocketAddr]) -> Result<Option<Forwarder>, ForwardError> {
        let mut catalog = Catalog::new();
        let resolvers = match config.resolvers.as_slice() {
            [] => system_resolvers()?,
            some => some.to_vec(),
        };
        let everything = [(Name::from(""), resolvers)];
        let mut is_empty = true;
        for (zone, servers) in everything.iter().chain(&config.zones) {
            let origin = DnsName::from_ascii(format!("{}.", zone.trim_end_matches('.')))
                .map_err(|_| ForwardError::Zone(zone.clone()))?;
            let (ours, others): (Vec<_>, Vec<_>) =
                servers.iter().copied().partition(|server| is_ourselves(*server, own));
            if !ours.is_empty() {
                tracing::warn!(?ours, zone = %origin, "resolvers that are this server itself are left out");
            }
            // A zone without a server is still one: its names go to nobody else.
            if zone.is_empty() && others.is_empty() {
                continue;
            }
            is_empty = false;
            let origin = LowerName::from(origin);
            let upstreams = Upstreams::new(origin.clone(), &others, config)?;
            catalog.upsert(origin, vec![Arc::new(upstreams)]);
        }
        let waiting = Semaphore::new(config.waiting.max(1));
        let udp_size = config.udp_size.max(PLAIN_SIZE);
        Ok((!is_empty).then_some(Forwarder { catalog, waiting, udp_size }))
    }

    /// The answer to a question; None where it is none.
    pub async fn answer(&self, asked: Asked) -> Option<Vec<u8>> {
        let Asked { packet, from, is_tcp } = asked;
        let query = Query::parse(&packet).ok()?;
        let size = if is_tcp { LONGEST } else { query.size(self.udp_size) };
        let size = u16::try_from(size).unwrap_or(u16::MAX);
        let Ok(_place) = self.waiting.try_acquire() else { return Some(failed(&query)) };
        let Some(request) = request(&query, from, is_tcp) else { return Some(failed(&query)) };
        let reply = Reply { size, answer: Arc::default() };
        self.catalog.handle_request::<_, TokioTime>(&request, reply.clone()).await;
        let mut answer = reply.answer.lock().unwrap_or_else(PoisonError::into_inner);
        Some(answer.take().unwrap_or_else(|| failed(&query)))
    }
}

/// The question for hickory: what it is, and nothing else that came with it.
pub(crate) fn request(query: &Query<'_>, from: SocketAddr, is_tcp: bool) -> Option<Request> {
    let mut packet =
        message(query, query.flags & (flag::RECURSION_DESIRED | flag::CHECKING_DISABLED));
    if let Some(edns) = query.edns {
        let [k0, k1] = kind::OPT.to_be_bytes();
        let [s0, s1] = edns.size.to_be_bytes();
        packet.extend([0, k0, k1, s0, s1, 0, 0, 0, 0, 0, 0]);
        if let Some(additional) = packet.get_mut(11) {
            *additional = 1;
        }
    }
    let protocol = if is_tcp { Protocol::Tcp } else { Protocol::Udp };
    Request::from_bytes(packet, from, protocol).ok()
}

/// The question back, and that it could not be answered.
pub(crate) fn failed(query: &Query<'_>) -> Vec<u8> {
    let flags = flag::RESPONSE | flag::RECURSION_AVAILABLE | Code::ServFail as u16;
    message(query, flags | query.flags & flag::RECURSION_DESIRED)
}

/// A header with these flags, and the question.
fn message(query: &Query<'_>, flags: u16) -> Vec<u8> {
    let [high, low] = flags.to_be_bytes();
    let [i0, i1] = query.id;
    let header: [u8; HEADER] = [i0, i1, high, low, 0, 1, 0, 0, 0, 0, 0, 0];
    [&header, query.question].concat()
}

/// Takes the answer that the catalog builds, cut to what the requester takes.
#[derive(Clone)]
struct Reply {
    size: u16,
    answer: Arc<Mutex<Option<Vec<u8>>>>,
}

#[async_trait]
impl ResponseHandler for Reply {
    async fn send_response<'a>(
        &mut self,
        response: MessageResponse<
            '_,
            'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
        >,
    ) -> Result<ResponseInfo, NetError> {
        let mut bytes = Vec::with_capacity(PLAIN_SIZE);
        let mut encoder = BinEncoder::new(&mut bytes);
        encoder.set_max_size(self.size);
        let info = response.destructive_emit(&mut encoder)?;
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
        Ok(info)
    }
}

/// Whether a question to `server` would come back to us.
fn is_ourselves(server: SocketAddr, own: &[SocketAddr]) -> bool {
    own.iter().any(|own| {
        own.port() == server.port()
            && (own.ip() == server.ip() || own.ip().is_unspecified() && is_local(server.ip()))
    })
}

/// Only an address of this machine can be bound.
fn is_local(address: IpAddr) -> bool {
    address.is_unspecified() || UdpSocket::bind((address, 0)).is_ok()
}

/// The name servers of /etc/resolv.conf, in their order.
fn system_resolvers() -> Result<Vec<SocketAddr>, ForwardError> {
    let (config, _) =
        hickory_resolver::system_conf::read_system_conf().map_err(ForwardError::System)?;
    let mut servers = Vec::new();
    for server in config.name_servers() {
        let port = server.connections.first().map_or(53, |connection| connection.port);
        let server = SocketAddr::new(server.ip, port);
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    Ok(servers)
}
