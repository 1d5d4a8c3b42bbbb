//! The names of masters, agents, frameworks and of this node.

use std::net::{IpAddr, SocketAddr};

use cluster_events::picture::{Agent, Framework};

use super::book::address;
use super::{Settings, THIS_NODE};
use crate::record::Data;

/// As many names `zk-N.zk` there are, however many servers.
const ZOOKEEPER_NAMES: usize = 5;
/// The address that stands for the resolver on every node.
const RESOLVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));
const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const LOOPBACK6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

pub(super) type Record = (String, Data);

/// What never changes while we run.
pub(super) fn fixed(settings: &Settings) -> Vec<Record> {
    let mut records: Vec<Record> = [
        ("ready.spartan", LOOPBACK),
        ("ns.spartan", RESOLVER),
        ("localhost", LOOPBACK),
        ("localhost", LOOPBACK6),
    ]
    .map(|(name, ip)| (name.to_owned(), address(ip)))
    .into();
    let server = settings.name_server.to_lowercase();
    records.extend(settings.listeners.iter().map(|ip| (server.clone(), address(*ip))));
    let zookeepers = settings.zookeepers.iter().cycle().take(ZOOKEEPER_NAMES);
    records
        .extend(zookeepers.enumerate().map(|(at, ip)| (format!("zk-{}.zk", at + 1), address(*ip))));
    records.extend(settings.node_ips.iter().map(|ip| (THIS_NODE.to_owned(), address(*ip))));
    let public = format!("public.{THIS_NODE}");
    records.extend(settings.public_ips.iter().map(|ip| (public.clone(), address(*ip))));
    records
}

/// Of all masters: `masters` in their order, and the leader behind them if it is not one of them.
pub(super) fn masters(settings: &Settings, leader: Option<SocketAddr>) -> Vec<Record> {
    let domain = &settings.domain;
    let mut all: Vec<SocketAddr> = Vec::new();
    for master in settings.masters.iter().chain(&leader) {
        if !all.contains(master) {
            all.push(*master);
        }
    }
    let mut records: Vec<Record> = Vec::new();
    for (at, master) in all.iter().enumerate() {
        records.push((format!("master{at}.{domain}"), address(master.ip())));
        records.push((format!("master.{domain}"), address(master.ip())));
        records.push((format!("master.{}", super::DCOS), address(master.ip())));
    }
    if let Some(leader) = leader {
        let name = format!("leader.{domain}");
        for protocol in ["_tcp", "_udp"] {
            let service = service(&name, leader.port(), settings.srv_weight);
            records.push((format!("_leader.{protocol}.{domain}"), service));
        }
        records.push((name, address(leader.ip())));
        records.push((format!("leader.{}", super::DCOS), address(leader.ip())));
    }
    records
}

pub(super) fn agent(settings: &Settings, agent: &Agent) -> Vec<Record> {
    let domain = &settings.domain;
    let Some(at) = agent.address else { return Vec::new() };
    let name = format!("slave.{domain}");
    let service = service(&name, at.port(), settings.srv_weight);
    vec![(name, address(at.ip())), (format!("_slave._tcp.{domain}"), service)]
}

/// Where its scheduler listens; of one that does not listen, where it says to run, if that is an
/// address.
pub(super) fn framework(settings: &Settings, framework: &Framework) -> Vec<Record> {
    let label = settings.rule.labels(&framework.name);
    let own = || framework.hostname.parse::<IpAddr>().ok();
    let Some(ip) = framework.scheduler.map(|at| at.ip()).or_else(own) else { return Vec::new() };
    if label.is_empty() {
        return Vec::new();
    }
    let name = format!("{label}.{}", settings.domain);
    let mut records = Vec::with_capacity(2);
    // Port 0: its machine is known, but not that it listens there.
    if let Some(at) = framework.scheduler.filter(|at| at.port() != 0) {
        let service = service(&name, at.port(), settings.srv_weight);
        records.push((format!("_framework._tcp.{name}"), service));
    }
    records.push((name, address(ip)));
    records
}

fn service(target: &str, port: u16, weight: u16) -> Data {
    Data::Srv { priority: 0, weight, port, target: target.into() }
}
