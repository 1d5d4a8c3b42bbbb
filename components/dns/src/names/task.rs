//! The names of a task.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use cluster_events::picture::{Agent, Discovery, Framework, Port, Task};

use super::book::address;
use super::labels::{MOST_LABEL, Rule, cut};
use super::{DCOS, IpSource, Settings, canonical};
use crate::record::{Data, Name};

/// A task that runs, with the agent and the framework that it runs on and for.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) task: Arc<Task>,
    pub(crate) agent: Arc<Agent>,
    pub(crate) framework: Arc<Framework>,
}

/// A record before its target is a name that is there once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Raw<'t> {
    Address(IpAddr),
    Service { port: u16, weight: u16, target: &'t str },
}

// === impl Raw ===

impl Raw<'_> {
    pub(crate) fn data(self, name: impl FnOnce(&str) -> Name) -> Data {
        match self {
            Raw::Address(ip) => address(ip),
            Raw::Service { port, weight, target } => {
                Data::Srv { priority: 0, weight, port, target: name(target) }
            }
        }
    }
}

// === impl Placed ===

impl Placed {
    /// Whether all that names are made of is the same.
    pub(super) fn is_like(&self, other: &Placed) -> bool {
        let (one, two) = (&*self.task, &*other.task);
        let same = |one: &Arc<Discovery>, two: &Arc<Discovery>| Arc::ptr_eq(one, two) || one == two;
        let same_discovery = match (&one.discovery, &two.discovery) {
            (Some(one), Some(two)) => same(one, two),
            (one, two) => one.is_none() && two.is_none(),
        };
        same_discovery
            && one.name == two.name
            && one.network == two.network
            && one.host_ports == two.host_ports
            && one.mappings == two.mappings
            && one.labels == two.labels
            && self.agent.id == other.agent.id
            && self.agent.address == other.agent.address
            && self.framework.name == other.framework.name
    }

    /// All records, those that it shares with other tasks included. A record may be seen twice.
    pub(crate) fn records(&self, settings: &Settings, see: &mut impl FnMut(&str, Raw<'_>)) {
        self.mesos_records(settings, see);
        self.dcos_records(see);
    }

    /// In Mesos-DNS's zone.
    pub(crate) fn mesos_records(&self, settings: &Settings, see: &mut impl FnMut(&str, Raw<'_>)) {
        let rule = settings.rule;
        let discovery = self.discovery_name();
        let label = rule.label(discovery.unwrap_or(&self.task.name));
        let maker = Maker::new(self, settings);
        if let Some(raw) = discovery.map(str::to_lowercase).filter(|raw| *raw != label) {
            maker.all(raw.trim_end_matches('.'), see);
        }
        maker.all(&label, see);
    }

    /// An empty discovery name is none.
    fn discovery_name(&self) -> Option<&str> {
        self.task.discovery.as_ref()?.name.as_deref()
    }

    fn agent_ip(&self) -> Option<IpAddr> {
        self.agent.address.map(|address| address.ip())
    }

    /// Of the first source that has any.
    fn addresses(&self, sources: &[IpSource]) -> Vec<IpAddr> {
        let network = &self.task.network;
        let of = |source: &IpSource| match source {
            IpSource::Host => self.agent_ip().into_iter().collect(),
            IpSource::Netinfo => network.addresses.to_vec(),
            IpSource::Docker => network.docker.to_vec(),
            IpSource::Mesos => network.mesos.to_vec(),
        };
        sources.iter().map(of).find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// In dcos-net's zone.
    fn dcos_records(&self, see: &mut impl FnMut(&str, Raw<'_>)) {
        let rule = Rule::Rfc1123;
        let task = rule.label(self.discovery_name().unwrap_or(&self.task.name));
        let framework = rule.label(&self.framework.name);
        let agent = self.agent_ip();
        let own = &*self.task.network.addresses;
        let is_own = !own.is_empty() && !self.has_host_port();
        let mut name = String::with_capacity(80);
        let mut put = |kind: &str, ip: IpAddr| {
            name.clear();
            let _ = write!(name, "{task}.{framework}.{kind}.{DCOS}");
            see(&name, Raw::Address(ip));
        };
        own.iter().for_each(|ip| put("containerip", *ip));
        if is_own {
            own.iter().for_each(|ip| put("autoip", *ip));
        }
        if let Some(agent) = agent {
            put("agentip", agent);
            if !is_own {
                put("autoip", agent);
            }
        }
    }

    /// Whether any of its ports is one of the host.
    fn has_host_port(&self) -> bool {
        let discovery = self.task.discovery.iter().flat_map(|discovery| &discovery.ports);
        let is_known = |protocol: &str| {
            protocol.eq_ignore_ascii_case("tcp") || protocol.eq_ignore_ascii_case("udp")
        };
        let mut mappings = self.task.port_mappings().iter();
        mappings.any(|mapping| mapping.protocol.as_deref().is_none_or(is_known))
            || discovery
                .filter(|port| port.protocol.as_deref().is_some_and(is_known))
                .any(is_host_scoped)
            || self.has_port_label()
    }

    /// Labels `vip_port<n>` name ports of the host.
    fn has_port_label(&self) -> bool {
        let labels = self.task.labels.iter().filter_map(|label| {
            let key = label.key.to_ascii_lowercase();
            let index: usize = key.strip_prefix("vip_port")?.parse().ok()?;
            let is_address = label.value.starts_with("tcp://") || label.value.starts_with("udp://");
            is_address.then_some(index)
        });
        labels.into_iter().any(|index| self.task.host_ports().nth(index).is_some())
    }
}

fn is_host_scoped(port: &Port) -> bool {
    let scopes = port.labels.iter().filter(|label| &*label.key == "network-scope");
    let mut scopes = scopes.map(|label| &*label.value);
    scopes.next() == Some("host") && scopes.next().is_none()
}

/// What all names of a task have in common.
struct Maker<'t> {
    placed: &'t Placed,
    weight: u16,
    rule: Rule,
    domain: &'t str,
    framework: String,
    /// Behind the label, where the name is that of the one task.
    suffix: String,
    addresses: Vec<IpAddr>,
}

// === impl Maker ===

impl<'t> Maker<'t> {
    fn new(placed: &'t Placed, settings: &'t Settings) -> Maker<'t> {
        let (hash, tail) = (canonical::hash(&placed.task.id), canonical::tail(&placed.task.agent));
        Maker {
            placed,
            weight: settings.srv_weight,
            rule: settings.rule,
            domain: &settings.domain,
            framework: settings.rule.labels(&placed.framework.name),
            suffix: format!("-{hash}-{tail}"),
            addresses: placed.addresses(&settings.ip_sources),
        }
    }

    /// All records under one label (or several, of a discovery name with dots).
    fn all(&self, label: &str, see: &mut impl FnMut(&str, Raw<'_>)) {
        if label.is_empty() || self.framework.is_empty() {
            return;
        }
        let Maker { framework, domain, .. } = self;
        let own = self.canonical(label);
        let canonical = format!("{own}.{framework}.{domain}");
        let on_agent = format!("{own}.{framework}.slave.{domain}");
        let shared = format!("{label}.{framework}.{domain}");
        for ip in &self.addresses {
            see(&shared, Raw::Address(*ip));
            see(&canonical, Raw::Address(*ip));
        }
        if let Some(ip) = self.placed.agent_ip() {
            see(&format!("{label}.{framework}.slave.{domain}"), Raw::Address(ip));
            see(&on_agent, Raw::Address(ip));
        }
        self.host_services(label, &on_agent, see);
        self.services(label, &canonical, see);
    }

    /// The label of this task alone: cut where it would be too long to be asked for.
    fn canonical(&self, label: &str) -> String {
        let (above, last) =
            label.rsplit_once('.').map_or(("", label), |(above, last)| (above, last));
        let last = cut(last, MOST_LABEL.saturating_sub(self.suffix.len())).trim_end_matches('-');
        let dot = if above.is_empty() { "" } else { "." };
        format!("{above}{dot}{last}{}", self.suffix)
    }

    /// The ports that it got of the host.
    fn host_services(&self, label: &str, target: &str, see: &mut impl FnMut(&str, Raw<'_>)) {
        let Maker { framework, domain, .. } = self;
        let service = underscored(label);
        let has_discovery = self.placed.discovery_name().is_some();
        if self.placed.task.host_ports().next().is_none() {
            return;
        }
        for protocol in ["tcp", "udp"] {
            let on_agent = format!("{service}._{protocol}.{framework}.slave.{domain}");
            let own = format!("{service}._{protocol}.{framework}.{domain}");
            for port in self.placed.task.host_ports() {
                let raw = Raw::Service { port, weight: self.weight, target };
                see(&on_agent, raw);
                if !has_discovery {
                    see(&own, raw);
                }
            }
        }
    }

    /// The ports by which it wants to be found.
    fn services(&self, label: &str, target: &str, see: &mut impl FnMut(&str, Raw<'_>)) {
        let Some(discovery) = &self.placed.task.discovery else { return };
        if discovery.name.is_none() {
            return;
        }
        let Maker { framework, domain, .. } = self;
        let service = underscored(label);
        for port in &discovery.ports {
            let Ok(number) = u16::try_from(port.number) else { continue };
            let raw = Raw::Service { port: number, weight: self.weight, target };
            let name = self.rule.label(port.name.as_deref().unwrap_or_default());
            let protocol = self.rule.label(port.protocol.as_deref().unwrap_or_default());
            let protocols: &[&str] =
                if protocol.is_empty() { &["tcp", "udp"] } else { &[&protocol] };
            for protocol in protocols {
                let own = format!("{service}.{}.{framework}.{domain}", underscored(protocol));
                see(&own, raw);
                if !name.is_empty() {
                    see(&format!("{}.{own}", underscored(&name)), raw);
                }
            }
        }
    }
}

/// With an underscore before it, and not too long with that.
fn underscored(label: &str) -> String {
    let (first, below) = label.split_once('.').map_or((label, None), |(one, two)| (one, Some(two)));
    let first = cut(first, MOST_LABEL - 1);
    below.map_or_else(|| format!("_{first}"), |below| format!("_{first}.{below}"))
}
