//! Says which virtual addresses there are and where they lead: follows the leading master, gives
//! addresses to names, and publishes what follows.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cluster_events::master::Event;
use cluster_events::picture::Input;
use cluster_state::Watch;
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::addresses::Addresses;
use crate::view::{Update, View};
use crate::vips::cluster::Cluster;
use crate::vips::label::Host;
use crate::vips::offer::Service;
use crate::vips::table::Changes;
use crate::wire::Entry;

/// Events taken together when many wait.
const BATCH: usize = 1024;
const TICK: Duration = Duration::from_secs(1);

/// The owner of the table.
#[derive(Debug)]
pub(crate) struct Controller {
    cluster: Cluster,
    addresses: Addresses,
    view: Arc<View>,
    retention: Duration,
    /// Names that no task has, since when.
    unused: FxHashMap<Arc<str>, Instant>,
    /// Services whose name has no address because the state could not be written.
    waiting: BTreeSet<Service>,
    /// Whether what is told seldom (nodes, problems) may be different.
    stale: bool,
}

// === impl Controller ===

impl Controller {
    pub(crate) fn new(addresses: Addresses, view: Arc<View>, retention: Duration) -> Controller {
        Controller {
            cluster: Cluster::default(),
            addresses,
            view,
            retention,
            unused: FxHashMap::default(),
            waiting: BTreeSet::new(),
            stale: false,
        }
    }

    /// Ends when nobody tells anything any more. May be dropped at any moment.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Event<Input>>, mut watch: Watch) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                told = events.recv_many(&mut batch, BATCH) => {
                    if told == 0 {
                        return;
                    }
                    self.tell(batch.drain(..)).await;
                }
                changes = watch.next() => match changes {
                    Ok(changes) => self.addresses.heard(changes),
                    // The state is closed: so is everything else.
                    Err(_) => return,
                },
                _ = tick.tick() => self.tick().await,
            }
        }
    }

    async fn tell(&mut self, events: impl Iterator<Item = Event<Input>>) {
        let mut changes = Changes::default();
        let was_known = self.cluster.known();
        for event in events {
            let pool = self.addresses.pool();
            match event {
                Event::Connected { leader, input } => {
                    self.cluster.connected(leader.address, input, pool, &mut changes);
                }
                Event::Change(input) => self.cluster.apply(input, pool, &mut changes),
                Event::Cut => self.cluster.cut(),
            }
        }
        self.view.set_led(self.cluster.is_led());
        self.stale = true;
        for problem in &changes.problems {
            tracing::warn!(
                framework = problem.framework,
                task = problem.task,
                label = problem.key,
                value = problem.value,
                "a label leads nowhere: {}",
                problem.fault
            );
        }
        if self.cluster.known() {
            self.settle(changes.services).await;
        }
        if !was_known && self.cluster.known() {
            self.look_for_unused();
        }
    }

    /// Gives addresses where they are missing, and publishes.
    async fn settle(&mut self, mut services: BTreeSet<Service>) {
        services.append(&mut self.waiting);
        let table = self.cluster.table();
        let mut names = BTreeSet::new();
        for service in &services {
            let Host::Name(name) = &service.host else { continue };
            if table.has_host(&service.host) {
                self.unused.remove(name);
                if self.addresses.pool().get(name).is_none() {
                    names.insert(name.clone());
                }
            } else {
                self.unused.entry(name.clone()).or_insert_with(Instant::now);
            }
        }
        if !names.is_empty() {
            let reserved = |address| table.has_address(address);
            if let Err(error) = self.addresses.give(names.into_iter().collect(), reserved).await {
                tracing::error!(%error, "names get no address");
            }
        }
        let updates = services.into_iter().filter_map(|service| self.update(service)).collect();
        self.view.publish(updates);
    }

    fn update(&mut self, service: Service) -> Option<Update> {
        let Some(destinations) = self.cluster.table().get(&service) else {
            return Some((service, None));
        };
        let Some(ip) = self.address(&service.host) else {
            self.waiting.insert(service);
            return None;
        };
        let entry = Entry::of(&service, ip, &destinations);
        Some((service, Some(Arc::new(entry))))
    }

    fn address(&self, host: &Host) -> Option<Ipv4Addr> {
        match host {
            Host::Name(name) => self.addresses.pool().get(name),
            Host::Address(address) => Some(*address),
        }
    }

    /// Names of an earlier time.
    fn look_for_unused(&mut self) {
        let (table, now) = (self.cluster.table(), Instant::now());
        let names = self.addresses.pool().names().map(|(name, _)| name);
        let unused = names.filter(|name| !table.has_host(&Host::Name(Arc::clone(name))));
        self.unused.extend(unused.map(|name| (name.clone(), now)));
    }

    async fn tick(&mut self) {
        if std::mem::take(&mut self.stale) {
            let now = rfc3339(SystemTime::now()).into();
            self.view.set_nodes(self.cluster.nodes(), &now);
            let problems = self.cluster.table().problems();
            self.view.set_problems(problems.iter().map(|(one, n)| (one.clone(), *n)).collect());
        }
        // While nobody leads, that a name has no task means nothing.
        if self.cluster.is_led() {
            self.release().await;
        }
        if !self.waiting.is_empty() {
            self.settle(BTreeSet::new()).await;
        }
    }

    async fn release(&mut self) {
        let now = Instant::now();
        let old = |since: &Instant| now.duration_since(*since) >= self.retention;
        let names: Vec<Arc<str>> = self
            .unused
            .iter()
            .filter(|(_, since)| old(since))
            .map(|(name, _)| name.clone())
            .collect();
        if names.is_empty() {
            return;
        }
        match self.addresses.release(&names).await {
            Ok(()) => {
                tracing::info!(names = names.len(), "addresses of names that nobody has are free");
                self.unused.retain(|name, _| !names.contains(name));
            }
            Err(error) => tracing::warn!(%error, "addresses cannot be freed"),
        }
    }
}

/// A moment as `2026-11-20T18:06:02.123Z`.
fn rfc3339(moment: SystemTime) -> String {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days of eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..=9 => (era * 400 + year, month + 3),
        _ => (era * 400 + year + 1, month - 9),
    };
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let millis = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;
