//! All virtual addresses and where they lead, kept up task by task.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use cluster_events::picture::TaskKey;
use rustc_hash::FxHashMap;

use super::label::Host;
use super::offer::{Backend, Offer, Problem, Service};

/// Where a service leads: each backend, and whether new connections go there.
pub type Destinations = BTreeMap<Backend, bool>;

/// All virtual addresses.
#[derive(Debug, Default)]
pub struct Table {
    services: BTreeMap<Service, BTreeMap<Backend, Holders>>,
    tasks: FxHashMap<TaskKey, Arc<Offer>>,
    /// How many services each name and each address of a label has.
    hosts: FxHashMap<Host, usize>,
    problems: BTreeMap<Problem, usize>,
}

/// How many tasks are behind a backend: for moments, one that ends and one that begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Holders {
    open: u32,
    closed: u32,
}

/// What became different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub services: BTreeSet<Service>,
    /// Labels that led nowhere just now for the first time.
    pub problems: BTreeSet<Problem>,
}

// === impl Table ===

impl Table {
    /// Where a service leads; nothing, if there is none.
    pub fn get(&self, service: &Service) -> Option<Destinations> {
        let backends = self.services.get(service)?;
        Some(backends.iter().map(|(backend, holders)| (*backend, holders.is_open())).collect())
    }

    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.keys()
    }

    /// Whether any task has this name, or this address, in a label.
    pub fn has_host(&self, host: &Host) -> bool {
        self.hosts.contains_key(host)
    }

    /// Whether an address stands in a label itself.
    pub fn has_address(&self, address: Ipv4Addr) -> bool {
        self.has_host(&Host::Address(address))
    }

    /// Labels that lead nowhere, each with how many tasks have it.
    pub fn problems(&self) -> &BTreeMap<Problem, usize> {
        &self.problems
    }

    /// How many tasks offer something.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The tasks whose labels name an address themselves, or could not.
    pub fn with_addresses(&self) -> Vec<TaskKey> {
        let has = |offer: &Offer| {
            offer.entries.iter().any(|(service, _)| matches!(service.host, Host::Address(_)))
                || !offer.problems.is_empty()
        };
        self.tasks.iter().filter(|(_, offer)| has(offer)).map(|(key, _)| key.clone()).collect()
    }

    /// What a task offers from now on; what it offered before does not count any more.
    pub fn put(&mut self, key: &TaskKey, offer: Offer, changes: &mut Changes) {
        let empty = offer.entries.is_empty() && offer.problems.is_empty();
        let new = (!empty).then(|| Arc::new(offer));
        let old = match &new {
            Some(new) => self.tasks.insert(key.clone(), new.clone()),
            None => self.tasks.remove(key),
        };
        if old == new {
            return;
        }
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let touched = old.entries.iter().chain(&new.entries);
        let before: Vec<_> = touched.map(|entry| (entry, self.state(entry))).collect();
        // First what is new: a host that stays is not let go between.
        new.entries.iter().for_each(|entry| self.hold(entry, new.open));
        old.entries.iter().for_each(|entry| self.release(entry, old.open));
        for (entry, before) in before {
            if self.state(entry) != before {
                changes.services.insert(entry.0.clone());
            }
        }
        for problem in &new.problems {
            let tasks = self.problems.entry(problem.clone()).or_default();
            if *tasks == 0 {
                changes.problems.insert(problem.clone());
            }
            *tasks += 1;
        }
        for problem in &old.problems {
            if let Some(tasks) = self.problems.get_mut(problem) {
                *tasks -= 1;
                if *tasks == 0 {
                    self.problems.remove(problem);
                    changes.problems.remove(problem);
                }
            }
        }
    }

    /// Whether a backend is there, and whether it is open.
    fn state(&self, (service, backend): &(Service, Backend)) -> Option<bool> {
        Some(self.services.get(service)?.get(backend)?.is_open())
    }

    fn hold(&mut self, (service, backend): &(Service, Backend), open: bool) {
        let backends = self.services.entry(service.clone()).or_insert_with(|| {
            *self.hosts.entry(service.host.clone()).or_default() += 1;
            BTreeMap::new()
        });
        backends.entry(*backend).or_default().count(open, 1);
    }

    fn release(&mut self, (service, backend): &(Service, Backend), open: bool) {
        let Some(backends) = self.services.get_mut(service) else { return };
        if let Some(holders) = backends.get_mut(backend) {
            holders.count(open, -1);
            if *holders == Holders::default() {
                backends.remove(backend);
            }
        }
        if backends.is_empty() {
            self.services.remove(service);
            if let Some(services) = self.hosts.get_mut(&service.host) {
                *services -= 1;
                if *services == 0 {
                    self.hosts.remove(&service.host);
                }
            }
        }
    }
}

// === impl Holders ===

impl Holders {
    fn is_open(self) -> bool {
        self.open > 0
    }

    fn count(&mut self, open: bool, by: i32) {
        let of = if open { &mut self.open } else { &mut self.closed };
        *of = of.saturating_add_signed(by);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV4;

    use proptest::prelude::*;

    use super::super::label::{Fault, Protocol};
    use super::*;

    fn service(number: u8) -> Service {
        let host = match number % 3 {
            0 => Host::Address(Ipv4Addr::new(1, 2, 3, number)),
            _ => Host::Name(format!("web{}.marathon", number % 3).into()),
        };
        let protocol = if number.is_multiple_of(2) { Protocol::Tcp } else { Protocol::Udp };
        Service { host, protocol, port: 80 + u16::from(number) }
    }

    fn backend(number: u8) -> Backend {
        let agent = Ipv4Addr::new(10, 0, 0, number % 3);
        Backend { at: SocketAddrV4::new(agent, 31000 + u16::from(number)), agent, inside: None }
    }

    fn key(number: u8) -> TaskKey {
        ("f".into(), format!("task.{number}").into())
    }

    fn offers() -> impl Strategy<Value = Offer> {
        let entries = prop::collection::btree_set((0u8..6, 0u8..6), 0..4);
        let problems = prop::collection::btree_set(0u8..3, 0..2);
        (entries, any::<bool>(), problems).prop_map(|(entries, open, problems)| Offer {
            entries: entries.into_iter().map(|(s, b)| (service(s), backend(b))).collect(),
            open,
            problems: problems.into_iter().map(problem).collect(),
        })
    }

    fn problem(number: u8) -> Problem {
        Problem {
            framework: "marathon".to_owned(),
            task: "web".to_owned(),
            key: format!("VIP_{number}"),
            value: "x".to_owned(),
            fault: Fault::NoPort,
        }
    }

    fn all(table: &Table) -> BTreeMap<Service, Destinations> {
        table.services().map(|one| (one.clone(), table.get(one).unwrap())).collect()
    }

    proptest! {
        /// However it came to be, the table is what its tasks offer now; and what it says is
        /// different is what is different.
        #[test]
        fn steps_add_up(steps in prop::collection::vec((0u8..5, offers()), 0..40)) {
            let mut table = Table::default();
            let mut now: BTreeMap<u8, Offer> = BTreeMap::new();
            for (task, offer) in steps {
                let (before, had) = (all(&table), table.problems().clone());
                let mut changes = Changes::default();
                table.put(&key(task), offer.clone(), &mut changes);
                let after = all(&table);
                let known: BTreeSet<&Service> = before.keys().chain(after.keys()).collect();
                let differ = known.into_iter().filter(|one| before.get(*one) != after.get(*one));
                prop_assert_eq!(&differ.cloned().collect::<BTreeSet<_>>(), &changes.services);
                let new = table.problems().keys().filter(|one| !had.contains_key(*one));
                prop_assert_eq!(new.cloned().collect::<BTreeSet<_>>(), changes.problems);
                now.insert(task, offer);
            }
            let mut anew = Table::default();
            for (task, offer) in &now {
                anew.put(&key(*task), offer.clone(), &mut Changes::default());
            }
            prop_assert_eq!(all(&table), all(&anew));
            prop_assert_eq!(&table.hosts, &anew.hosts);
            prop_assert_eq!(table.problems(), anew.problems());
            for task in now.keys() {
                table.put(&key(*task), Offer::default(), &mut Changes::default());
            }
            prop_assert!(table.is_empty() && table.services.is_empty());
            prop_assert!(table.hosts.is_empty() && table.problems.is_empty());
        }
    }

    #[test]
    fn one_that_ends_does_not_close_what_another_opens() {
        let mut table = Table::default();
        let offer =
            |open| Offer { entries: vec![(service(1), backend(1))], open, problems: Vec::new() };
        let mut changes = Changes::default();
        table.put(&key(1), offer(true), &mut changes);
        table.put(&key(2), offer(true), &mut changes);
        let mut changes = Changes::default();
        table.put(&key(1), offer(false), &mut changes);
        table.put(&key(1), Offer::default(), &mut changes);
        assert_eq!(changes, Changes::default());
        assert_eq!(table.get(&service(1)).unwrap(), BTreeMap::from([(backend(1), true)]));
        table.put(&key(2), offer(false), &mut changes);
        assert_eq!(table.get(&service(1)).unwrap(), BTreeMap::from([(backend(1), false)]));
        assert_eq!(changes.services, BTreeSet::from([service(1)]));
    }
}
