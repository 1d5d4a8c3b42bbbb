//! What a controller tells its nodes and DNS: a line of JSON for each change.

use std::net::{Ipv4Addr, SocketAddrV4};

use serde::{Deserialize, Serialize};

use crate::kernel::{Targets, Vip};
use crate::vips::label::{Host, Protocol};
use crate::vips::offer::{Backend, Service};
use crate::vips::table::Destinations;

/// The largest line: all there is, in a cluster of a hundred thousand services.
pub const LARGEST_LINE: usize = 256 << 20;

/// A service, as nodes need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The name, without the zone; or the address.
    pub vip: String,
    pub protocol: Protocol,
    pub ip: Ipv4Addr,
    pub port: u16,
    pub backends: Vec<Target>,
}

/// A backend, as nodes need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub ip: Ipv4Addr,
    pub port: u16,
    /// 0: no new connections.
    pub weight: u8,
    /// The node that it is on.
    pub agent: Ipv4Addr,
    /// Where that node itself finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<SocketAddrV4>,
}

/// A service that is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    pub protocol: Protocol,
    pub ip: Ipv4Addr,
    pub port: u16,
}

/// A line of the stream with backends; none of the three: nothing happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// All there are: comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vips: Option<Vec<Entry>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put: Option<Entry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<Gone>,
}

/// A name and its address, as DNS needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub name: String,
    pub ip: Ipv4Addr,
}

/// A line of the stream without backends; none of the three: nothing happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vips: Option<Vec<Named>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put: Option<Named>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<String>,
}

// === impl Entry ===

impl Entry {
    pub fn of(service: &Service, ip: Ipv4Addr, destinations: &Destinations) -> Entry {
        let vip = match &service.host {
            Host::Name(name) => name.to_string(),
            Host::Address(address) => address.to_string(),
        };
        let target = |(backend, open): (&Backend, &bool)| Target {
            ip: *backend.at.ip(),
            port: backend.at.port(),
            weight: u8::from(*open),
            agent: backend.agent,
            inside: backend.inside,
        };
        let backends = destinations.iter().map(target).collect();
        Entry { vip, protocol: service.protocol, ip, port: service.port, backends }
    }

    pub fn key(&self) -> Vip {
        Vip { protocol: self.protocol, address: self.ip, port: self.port }
    }

    /// Where a node at `own` sends connections.
    pub fn targets(&self, own: Option<Ipv4Addr>) -> Targets {
        let mut targets = Targets::default();
        for backend in &self.backends {
            let inside = backend.inside.filter(|_| own == Some(backend.agent));
            let at = inside.unwrap_or_else(|| SocketAddrV4::new(backend.ip, backend.port));
            // One that is open in any way is open.
            if backend.weight > 0 {
                targets.closed.retain(|one| *one != at);
                if !targets.open.contains(&at) {
                    targets.open.push(at);
                }
            } else if !targets.all().any(|one| *one == at) {
                targets.closed.push(at);
            }
        }
        targets
    }
}

// === impl Gone ===

impl Gone {
    pub fn key(self) -> Vip {
        Vip { protocol: self.protocol, address: self.ip, port: self.port }
    }
}

impl From<Vip> for Gone {
    fn from(vip: Vip) -> Gone {
        Gone { protocol: vip.protocol, ip: vip.address, port: vip.port }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(last: u8, weight: u8, inside: Option<&str>) -> Target {
        let ip = Ipv4Addr::new(10, 0, 0, last);
        let inside = inside.map(|text| text.parse().unwrap());
        Target { ip, port: 31000, weight, agent: ip, inside }
    }

    fn entry(backends: Vec<Target>) -> Entry {
        let ip = Ipv4Addr::new(11, 1, 2, 3);
        Entry { vip: "web.marathon".to_owned(), protocol: Protocol::Tcp, ip, port: 80, backends }
    }

    #[test]
    fn lines_are_written_and_read() {
        let line = Line { put: Some(entry(vec![target(1, 1, None)])), ..Line::default() };
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(
            text,
            r#"{"put":{"vip":"web.marathon","protocol":"tcp","ip":"11.1.2.3","port":80,"backends":[{"ip":"10.0.0.1","port":31000,"weight":1,"agent":"10.0.0.1"}]}}"#
        );
        assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
        assert_eq!(serde_json::from_str::<Line>("{}").unwrap(), Line::default());
        let named = Named { name: "web.marathon".to_owned(), ip: Ipv4Addr::new(11, 1, 2, 3) };
        let first = NameLine { vips: Some(vec![named]), ..NameLine::default() };
        let text = serde_json::to_string(&first).unwrap();
        assert_eq!(text, r#"{"vips":[{"name":"web.marathon","ip":"11.1.2.3"}]}"#);
        let gone = NameLine { gone: Some("web.marathon".to_owned()), ..NameLine::default() };
        assert_eq!(serde_json::to_string(&gone).unwrap(), r#"{"gone":"web.marathon"}"#);
        assert_eq!(serde_json::to_string(&NameLine::default()).unwrap(), "{}");
    }

    #[test]
    fn a_node_reaches_its_own_containers_directly() {
        let inside = Some("172.31.0.5:8080");
        let entry = entry(vec![target(1, 1, inside), target(2, 1, inside), target(3, 0, inside)]);
        let at = |text: &str| text.parse::<SocketAddrV4>().unwrap();
        let own = entry.targets(Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(own.open, [at("172.31.0.5:8080"), at("10.0.0.2:31000")]);
        assert_eq!(own.closed, [at("10.0.0.3:31000")]);
        assert_eq!(entry.targets(None).open, [at("10.0.0.1:31000"), at("10.0.0.2:31000")]);
    }

    #[test]
    fn an_address_is_there_once_and_open_if_any_is() {
        let mut other = target(1, 1, None);
        other.agent = Ipv4Addr::new(10, 9, 9, 9);
        let targets = entry(vec![target(1, 0, None), other, target(1, 0, None)]).targets(None);
        assert_eq!((targets.open.len(), targets.closed.len()), (1, 0));
    }
}
