//! Which request is for which service. Immutable: a change makes another one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::backend::{Backend, Usual};
use crate::labels::Mode;
use crate::routes::{Reported, Service, conflict};

/// Where a service's own port is: an address (none: all of them) and the port.
pub type Place = (u16, Option<IpAddr>);

/// All services at one moment.
#[derive(Default)]
pub struct Table {
    /// In the order of their apps and ports.
    pub backends: Vec<Arc<Backend>>,
    names: FxHashMap<Arc<str>, usize>,
    /// Host names, to services in the order in which they are tried.
    hosts: FxHashMap<Arc<str>, Vec<usize>>,
    /// Ids of apps, lower case.
    apps: FxHashMap<Box<str>, usize>,
    ports: BTreeMap<Place, usize>,
    /// What services cannot both have.
    pub conflicts: Vec<Reported>,
}

/// Which ports services may have.
#[derive(Clone, Debug)]
pub struct Ports {
    pub allowed: Vec<RangeInclusive<u16>>,
    /// In use by the balancer itself.
    pub own: Vec<u16>,
}

// === impl Table ===

impl Table {
    /// `services` in the order of apps and ports; servers and counts of `before` go on.
    pub fn build(services: &[Arc<Service>], before: &Table, usual: &Usual, ports: &Ports) -> Table {
        let mut table = Table::default();
        for service in services {
            if table.names.contains_key(&service.name) {
                let text = format!("another app's service is called {} too", service.name);
                table.conflict(service, "HAPROXY_n_PORT", text);
                continue;
            }
            let known = before.named(&service.name);
            let same = known.filter(|known| known.service.same_shape(service));
            let backend = match same {
                Some(known) => {
                    known.update(service);
                    Arc::clone(known)
                }
                None => {
                    let known = known.map(|known| &**known);
                    Arc::new(Backend::new(service, known, usual))
                }
            };
            table.add(backend, ports);
        }
        let backends = &table.backends;
        let weight = |at: &usize| backends.get(*at).map(|one| one.service.settings.weight);
        for rules in table.hosts.values_mut() {
            // Those of equal weight stay in their order.
            rules.sort_by_key(|at| std::cmp::Reverse(weight(at)));
        }
        table
    }

    fn add(&mut self, backend: Arc<Backend>, ports: &Ports) {
        let (at, service) = (self.backends.len(), Arc::clone(&backend.service));
        self.names.insert(Arc::clone(&service.name), at);
        let hosts = service.settings.hosts.iter().filter(|_| service.mode == Mode::Http);
        for host in hosts {
            let rules = self.hosts.entry(Arc::clone(host)).or_default();
            if rules.last() != Some(&at) {
                rules.push(at);
            }
        }
        if service.mode == Mode::Http {
            self.apps.entry(service.app.to_ascii_lowercase().into()).or_insert(at);
        }
        self.backends.push(backend);
        if let Err(text) = self.place(at, &service, ports) {
            self.conflict(&service, "HAPROXY_n_PORT", text);
        }
    }

    fn place(&mut self, at: usize, service: &Service, ports: &Ports) -> Result<(), String> {
        let port = service.port;
        // Marathon gives every service a port: whoever names a host needs none.
        let wanted = service.settings.hosts.is_empty() || service.settings.port.is_some();
        let refused = |text: &str| match wanted {
            true => Err(format!("port {port} is {text}: no listener of its own")),
            false => Ok(()),
        };
        if ports.own.contains(&port) {
            return refused("the balancer's own");
        }
        if !ports.allowed.iter().any(|range| range.contains(&port)) {
            return refused("none of this balancer's");
        }
        if service.mode == Mode::Tcp && service.settings.ssl_cert.is_some() {
            return Err("TLS is ended in mode http only: no listener of its own".to_owned());
        }
        let place: Place = (port, service.settings.bind_address);
        let mut others = self.ports.range((port, None)..).take_while(|((of, _), _)| *of == port);
        let taken = others.find(|((_, address), _)| {
            address.is_none() || place.1.is_none() || *address == place.1
        });
        if let Some(other) = taken.and_then(|(_, at)| self.backends.get(*at)) {
            let name = &other.service.name;
            return Err(format!("port {port} is that of {name}: no listener of its own"));
        }
        self.ports.insert(place, at);
        Ok(())
    }

    fn conflict(&mut self, service: &Service, label: &str, text: String) {
        let problem = conflict(label, text);
        self.conflicts.push(Reported { app: Arc::clone(&service.app), problem });
    }

    /// To be called once this one is in force: what `before` has and this has not gets no new
    /// requests.
    pub(crate) fn supersede(&self, before: &Table) {
        for old in &before.backends {
            let servers = old.servers();
            match self.named(&old.service.name) {
                Some(new) if Arc::ptr_eq(new, old) => {}
                Some(new) => new.retire(&servers),
                None => servers.all.iter().for_each(|entry| entry.server.upstream.retire()),
            }
        }
    }

    pub fn named(&self, name: &str) -> Option<&Arc<Backend>> {
        self.backends.get(*self.names.get(name)?)
    }

    /// The services of a host, in the order in which they are tried.
    pub(crate) fn of_host<'a>(
        &'a self,
        host: &str,
    ) -> Option<impl Iterator<Item = &'a Arc<Backend>> + Clone> {
        let rules = self.hosts.get(host)?;
        Some(rules.iter().filter_map(|at| self.backends.get(*at)))
    }

    pub(crate) fn of_app(&self, id: &str) -> Option<&Arc<Backend>> {
        self.backends.get(*self.apps.get(id)?)
    }

    pub(crate) fn at(&self, place: Place) -> Option<&Arc<Backend>> {
        self.backends.get(*self.ports.get(&place)?)
    }

    /// Where listeners have to be.
    pub(crate) fn places(&self) -> impl Iterator<Item = (Place, &Arc<Backend>)> {
        let placed = self.ports.iter();
        placed.filter_map(|(place, at)| Some((*place, self.backends.get(*at)?)))
    }

    /// Hosts and the first service of each, sorted.
    pub(crate) fn host_map(&self) -> BTreeMap<&str, &Arc<Backend>> {
        let first = |rules: &Vec<usize>| self.backends.get(*rules.first()?);
        self.hosts.iter().filter_map(|(host, rules)| Some((&**host, first(rules)?))).collect()
    }

    /// Ids of apps and the service of each, sorted.
    pub(crate) fn app_map(&self) -> BTreeMap<&str, &Arc<Backend>> {
        let apps = self.apps.values().filter_map(|at| self.backends.get(*at));
        apps.map(|backend| (&*backend.service.app, backend)).collect()
    }
}
