//! The rules in the kernel, and what to tell `nft` when they change: pure.
//!
//! One table with two maps. `services` has an element for each port of a virtual address, which
//! leads to the chain for as many backends as it has; that chain picks a number at random and
//! finds the backend under it in `backends`. A change is a few elements, whatever else there is;
//! no chain and no rule is touched but when a service has more backends than any had before.
//!
//! Only the first packet of a connection is looked up: what is established goes on where it went.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::vips::label::Protocol;

/// All that is ours is in here.
pub const TABLE: &str = "dais_l4lb";

/// A port of a virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vip {
    pub protocol: Protocol,
    pub address: Ipv4Addr,
    pub port: u16,
}

/// Where a service leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// New connections go there.
    pub open: Vec<SocketAddrV4>,
    /// Established ones live on there.
    pub closed: Vec<SocketAddrV4>,
}

/// Where the services lead from now on; none: it is no more.
pub type Wanted = BTreeMap<Vip, Option<Targets>>;

/// What the kernel has.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Every address of these belongs to names.
    range: (Ipv4Addr, Ipv4Addr),
    services: BTreeMap<Vip, Targets>,
    /// Virtual addresses, each with its number of services.
    addresses: BTreeMap<Ipv4Addr, usize>,
    /// Addresses of backends, each with how many there are.
    backends: BTreeMap<Ipv4Addr, usize>,
    /// For how many backends there are chains.
    sizes: BTreeSet<usize>,
    /// The interfaces of the machine.
    links: BTreeSet<String>,
}

/// What is to be said to the kernel, and what follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// For `nft`; empty, if nothing is different.
    pub script: String,
    /// Addresses that need a way to be sent to, and those that do not any more.
    pub routes: BTreeMap<Ipv4Addr, bool>,
    /// Backends of UDP that are gone: the kernel remembers them for each client.
    pub forget: Vec<(Vip, SocketAddrV4)>,
}

/// Elements of one map or set that go and come in one transaction.
#[derive(Default)]
struct Elements {
    gone: Vec<String>,
    new: Vec<String>,
}

// === impl Rules ===

impl Rules {
    /// Without a service yet.
    pub fn new(range: (Ipv4Addr, Ipv4Addr)) -> Rules {
        Rules {
            range,
            services: BTreeMap::new(),
            addresses: BTreeMap::new(),
            backends: BTreeMap::new(),
            sizes: BTreeSet::new(),
            links: BTreeSet::new(),
        }
    }

    pub fn services(&self) -> &BTreeMap<Vip, Targets> {
        &self.services
    }

    /// Addresses that are not of names and need a way to be sent to.
    pub fn literal_addresses(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.addresses.keys().copied().filter(|address| !self.is_of_names(*address))
    }

    fn is_of_names(&self, address: Ipv4Addr) -> bool {
        (self.range.0..=self.range.1).contains(&address)
    }

    /// Enters what is wanted, and what the kernel is to be told so that it is so there.
    pub fn change(&mut self, wanted: Wanted) -> Plan {
        let mut plan = Plan::default();
        let (mut services, mut slots) = (Elements::default(), Elements::default());
        let mut counts: BTreeMap<Ipv4Addr, usize> = BTreeMap::new();
        let mut held: BTreeMap<Ipv4Addr, usize> = BTreeMap::new();
        let mut sizes = BTreeSet::new();
        for (vip, wanted) in wanted {
            let old = self.services.get(&vip).cloned();
            let new = wanted.map(|all| Targets { open: arranged(old.as_ref(), all.open), ..all });
            let all = old.iter().chain(&new).flat_map(|targets| &targets.open);
            for target in all {
                held.entry(*target.ip()).or_insert_with(|| self.holders(*target.ip()));
            }
            counts.entry(vip.address).or_insert_with(|| self.count(vip.address));
            let open = |targets: &Option<Targets>| targets.clone().unwrap_or_default().open;
            let (before, after) = (open(&old), open(&new));
            if before.len() != after.len() {
                services.exchange(
                    (!before.is_empty()).then(|| service(vip)),
                    (!after.is_empty()).then(|| led(vip, after.len())),
                );
                sizes.insert(after.len());
            }
            for number in 0..before.len().max(after.len()) {
                let (before, after) = (before.get(number), after.get(number));
                if before != after {
                    let gone = before.map(|_| slot(vip, number));
                    slots.exchange(gone, after.map(|to| filled(vip, number, to)));
                }
            }
            if vip.protocol == Protocol::Udp {
                let gone = old.iter().flat_map(Targets::all);
                let gone =
                    gone.filter(|one| !new.iter().flat_map(Targets::all).any(|is| is == *one));
                plan.forget.extend(gone.map(|one| (vip, *one)));
            }
            self.enter(vip, old, new);
        }
        sizes.remove(&0);
        for size in sizes {
            if self.sizes.insert(size) {
                chain(&mut plan.script, size);
            }
        }
        let mut addresses = Elements::default();
        for (address, before) in counts {
            let (had, has) = (before > 0, self.count(address) > 0);
            if had != has {
                let text = || address.to_string();
                addresses.exchange(had.then(text), has.then(text));
                if !self.is_of_names(address) {
                    plan.routes.insert(address, has);
                }
            }
        }
        let mut selves = Elements::default();
        for (address, before) in held {
            let (had, has) = (before > 0, self.holders(address) > 0);
            if had != has {
                let text = || format!("{address} . {address}");
                selves.exchange(had.then(text), has.then(text));
            }
        }
        addresses.write("vips", &mut plan.script);
        selves.write("self", &mut plan.script);
        services.write("services", &mut plan.script);
        slots.write("backends", &mut plan.script);
        plan
    }

    /// The interfaces that there are: what comes in at one and leaves there again would be
    /// answered past us.
    pub fn set_links(&mut self, links: BTreeSet<String>) -> String {
        let mut script = String::new();
        let elements = Elements {
            gone: self.links.difference(&links).map(|name| link(name)).collect(),
            new: links.difference(&self.links).map(|name| link(name)).collect(),
        };
        elements.write("same_link", &mut script);
        self.links = links;
        script
    }

    /// All of it anew, in the place of whatever is there, at once.
    pub fn full(&mut self) -> String {
        let (first, last) = self.range;
        let mut script = format!(
            "add table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
  map services {{
    type inet_proto . ipv4_addr . inet_service : verdict
  }}
  map backends {{
    typeof meta l4proto . ip daddr . th dport . numgen inc mod 2 : ip daddr . th dport
  }}
  set vips {{
    type ipv4_addr
  }}
  set self {{
    type ipv4_addr . ipv4_addr
  }}
  set same_link {{
    type ifname . ifname
  }}
  chain prerouting {{
    type nat hook prerouting priority -105
    meta l4proto . ip daddr . th dport vmap @services
  }}
  chain output {{
    type nat hook output priority -105
    meta l4proto . ip daddr . th dport vmap @services
  }}
  chain postrouting {{
    type nat hook postrouting priority 95
    ct status dnat ct original ip daddr @vips ip saddr . ip daddr @self masquerade
    ct status dnat ct original ip daddr @vips iifname . oifname @same_link masquerade
  }}
  chain unserved {{
    ip daddr != {first}-{last} ip daddr != @vips return
    meta l4proto tcp reject with tcp reset
    reject with icmp type port-unreachable
  }}
  chain forward {{
    type filter hook forward priority 0
    jump unserved
  }}
  chain local {{
    type filter hook output priority 0
    icmp type redirect ct status dnat ct original ip daddr @vips drop
    jump unserved
  }}
}}
"
        );
        self.sizes = self.services.values().map(|targets| targets.open.len()).collect();
        self.sizes.remove(&0);
        self.sizes.iter().for_each(|size| chain(&mut script, *size));
        let only = |new: Vec<String>| Elements { gone: Vec::new(), new };
        only(self.links.iter().map(|name| link(name)).collect()).write("same_link", &mut script);
        only(self.addresses.keys().map(ToString::to_string).collect()).write("vips", &mut script);
        let selves = self.backends.keys().map(|address| format!("{address} . {address}"));
        only(selves.collect()).write("self", &mut script);
        let (mut services, mut slots) = (Elements::default(), Elements::default());
        for (vip, targets) in self.services.iter().filter(|(_, targets)| !targets.open.is_empty()) {
            services.new.push(led(*vip, targets.open.len()));
            let all = targets.open.iter().enumerate();
            slots.new.extend(all.map(|(number, to)| filled(*vip, number, to)));
        }
        services.write("services", &mut script);
        slots.write("backends", &mut script);
        script
    }

    fn count(&self, address: Ipv4Addr) -> usize {
        self.addresses.get(&address).copied().unwrap_or_default()
    }

    fn holders(&self, address: Ipv4Addr) -> usize {
        self.backends.get(&address).copied().unwrap_or_default()
    }

    fn enter(&mut self, vip: Vip, old: Option<Targets>, new: Option<Targets>) {
        let open = |targets: &Option<Targets>| targets.clone().unwrap_or_default().open;
        open(&new).iter().for_each(|one| add(&mut self.backends, *one.ip(), 1));
        open(&old).iter().for_each(|one| add(&mut self.backends, *one.ip(), -1));
        match (old.is_some(), new.is_some()) {
            (false, true) => add(&mut self.addresses, vip.address, 1),
            (true, false) => add(&mut self.addresses, vip.address, -1),
            _ => {}
        }
        match new {
            Some(new) => self.services.insert(vip, new),
            None => self.services.remove(&vip),
        };
    }
}

fn add(counts: &mut BTreeMap<Ipv4Addr, usize>, address: Ipv4Addr, by: isize) {
    let count = counts.entry(address).or_default();
    *count = count.saturating_add_signed(by);
    if *count == 0 {
        counts.remove(&address);
    }
}

/// The wanted targets, those that were there where they were as far as possible: the fewer
/// elements change, the better.
fn arranged(old: Option<&Targets>, wanted: Vec<SocketAddrV4>) -> Vec<SocketAddrV4> {
    let old = old.map_or(&[][..], |targets| &targets.open);
    let wanted: BTreeSet<SocketAddrV4> = wanted.into_iter().collect();
    let known: BTreeSet<SocketAddrV4> = old.iter().copied().collect();
    let mut coming = wanted.difference(&known).copied();
    let mut slots: Vec<Option<SocketAddrV4>> = old
        .iter()
        .map(|one| if wanted.contains(one) { Some(*one) } else { coming.next() })
        .collect();
    slots.extend(coming.map(Some));
    // A hole is filled from the end.
    while let Some(hole) = slots.iter().position(Option::is_none) {
        slots.swap_remove(hole);
    }
    slots.into_iter().flatten().collect()
}

fn service(vip: Vip) -> String {
    format!("{} . {} . {}", vip.protocol.as_str(), vip.address, vip.port)
}

fn slot(vip: Vip, number: usize) -> String {
    format!("{} . {number}", service(vip))
}

fn led(vip: Vip, size: usize) -> String {
    format!("{} : goto n{size}", service(vip))
}

fn filled(vip: Vip, number: usize, to: &SocketAddrV4) -> String {
    format!("{} : {} . {}", slot(vip, number), to.ip(), to.port())
}

fn link(name: &str) -> String {
    format!("\"{name}\" . \"{name}\"")
}

/// The chain of services with so many backends. The number that is picked may be of a moment
/// ago, when there were more: the first one always is there.
fn chain(script: &mut String, size: usize) {
    let rule = |modulus| {
        format!(
            "add rule ip {TABLE} n{size} meta l4proto {{ tcp, udp }} dnat ip to \
             meta l4proto . ip daddr . th dport . numgen random mod {modulus} map @backends\n"
        )
    };
    let _ = writeln!(script, "add chain ip {TABLE} n{size}");
    script.push_str(&rule(size));
    if size > 1 {
        script.push_str(&rule(1));
    }
}

// === impl Targets ===

impl Targets {
    /// Those that anything may go to.
    pub fn all(&self) -> impl Iterator<Item = &SocketAddrV4> {
        self.open.iter().chain(&self.closed)
    }
}

// === impl Elements ===

impl Elements {
    fn exchange(&mut self, gone: Option<String>, new: Option<String>) {
        self.gone.extend(gone);
        self.new.extend(new);
    }

    fn write(&self, set: &str, script: &mut String) {
        for (verb, elements) in [("delete", &self.gone), ("add", &self.new)] {
            if !elements.is_empty() {
                let elements = elements.join(", ");
                let _ = writeln!(script, "{verb} element ip {TABLE} {set} {{ {elements} }}");
            }
        }
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
