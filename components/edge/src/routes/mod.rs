//! What is served where, by apps, tasks and health as Marathon tells of them. Pure.
//!
//! 1. [`Routes`] takes what happened, in the order in which it was told, and says which units
//!    (apps, or deployment groups) have other services than before. Nothing else is computed anew.
//! 2. A task gets requests while it runs and its checks succeed. One that is told to stop gets
//!    none from the moment Marathon says so, whatever older answers say of it.
//! 3. What was read of an app is as old as the question: news that came since are applied again.

pub mod facts;
mod groups;
mod pseudo;
mod service;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::labels::Problem;
pub use facts::HealthCheck;
use facts::{AppFact, State, TaskFact, TaskNews, What};
use groups::Merged;
use pseudo::PseudoPorts;
use service::{Making, Unit};
pub use service::{Server, Service};
pub(crate) use service::{cleaned, conflict};

/// Which apps are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `*` is all of them.
    pub groups: Vec<Arc<str>>,
    /// Ports are served only if their labels say so.
    pub strict: bool,
    /// Tasks get requests only once their checks succeed.
    pub health_check: bool,
    /// For services of containers without a port.
    pub pseudo_ports: RangeInclusive<u16>,
    /// This balancer itself, which does not serve itself.
    pub own: Option<Arc<str>>,
}

/// A problem, and the app it is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reported {
    pub app: Arc<str>,
    pub problem: Problem,
}

/// All that is known.
pub struct Routes {
    scope: Scope,
    apps: BTreeMap<Arc<str>, AppFact>,
    units: BTreeMap<Arc<str>, Unit>,
    pseudo: PseudoPorts,
    /// Tasks that were told to stop.
    stopping: FxHashSet<Arc<str>>,
    /// What happened since the oldest read under way was asked for.
    news: VecDeque<(u64, TaskNews)>,
    addresses: FxHashMap<Arc<str>, IpAddr>,
    /// Units by the hosts they wait for.
    unresolved: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
}

/// Units whose services are to be looked at again.
pub type Changed = BTreeSet<Arc<str>>;

// === impl Scope ===

impl Scope {
    fn takes(&self, groups: Option<&Vec<Arc<str>>>) -> bool {
        let all = self.groups.iter().any(|own| &**own == "*");
        all || groups.is_some_and(|groups| groups.iter().any(|group| self.groups.contains(group)))
    }
}

// === impl Routes ===

impl Routes {
    pub fn new(scope: Scope) -> Routes {
        let pseudo = PseudoPorts::new(scope.pseudo_ports.clone());
        Routes {
            scope,
            apps: BTreeMap::new(),
            units: BTreeMap::new(),
            pseudo,
            stopping: FxHashSet::default(),
            news: VecDeque::new(),
            addresses: FxHashMap::default(),
            unresolved: BTreeMap::new(),
        }
    }

    /// All services, in the order of their apps and ports.
    pub fn services(&self) -> Vec<Arc<Service>> {
        let mut services: Vec<_> =
            self.units.values().flat_map(|unit| &unit.services).cloned().collect();
        services.sort_by(|one, other| (&one.app, one.port).cmp(&(&other.app, other.port)));
        services
    }

    /// The services of one unit.
    pub fn of(&self, unit: &str) -> &[Arc<Service>] {
        self.units.get(unit).map_or(&[], |unit| &unit.services)
    }

    pub fn problems(&self) -> Vec<Reported> {
        let units = self.units.iter();
        let problems = units.flat_map(|(app, unit)| {
            unit.problems
                .iter()
                .map(|problem| Reported { app: Arc::clone(app), problem: problem.clone() })
        });
        problems.collect()
    }

    /// Whether a unit has problems: for the log.
    pub fn problems_of(&self, unit: &str) -> &[Problem] {
        self.units.get(unit).map_or(&[], |unit| &unit.problems)
    }

    pub fn apps(&self) -> usize {
        self.apps.len()
    }

    /// Hosts whose addresses are to be looked up, see [`Routes::resolved`].
    pub fn unresolved(&self) -> impl Iterator<Item = &Arc<str>> {
        self.unresolved.keys()
    }

    /// The address of a host.
    pub fn resolved(&mut self, host: &Arc<str>, address: IpAddr) -> Changed {
        self.addresses.insert(Arc::clone(host), address);
        let units = self.unresolved.remove(host).unwrap_or_default();
        units.into_iter().filter(|unit| self.renew(unit)).collect()
    }

    /// All apps, as they were when `as_of` was the last number.
    pub fn all(&mut self, as_of: u64, apps: Vec<AppFact>) -> Changed {
        let fresh: BTreeSet<Arc<str>> = apps.iter().map(|app| Arc::clone(&app.id)).collect();
        let gone: Vec<_> = self.apps.keys().filter(|id| !fresh.contains(*id)).cloned().collect();
        let mut units: BTreeSet<Arc<str>> = BTreeSet::new();
        for id in gone {
            units.extend(self.remove(&id));
        }
        for app in apps {
            units.extend(self.put(as_of, app));
        }
        let tasks: FxHashSet<&Arc<str>> =
            self.apps.values().flat_map(|app| &app.tasks).map(|task| &task.id).collect();
        self.stopping.retain(|task| tasks.contains(task));
        units.into_iter().filter(|unit| self.renew(unit)).collect()
    }

    /// One app; none if it is gone.
    pub fn one(&mut self, as_of: u64, id: &Arc<str>, app: Option<AppFact>) -> Changed {
        let units = match app {
            Some(app) => self.put(as_of, app),
            None => self.remove(id),
        };
        units.into_iter().filter(|unit| self.renew(unit)).collect()
    }

    /// Something happened to a task. No read under way is older than `oldest`.
    pub fn news(&mut self, number: u64, oldest: u64, news: TaskNews) -> Changed {
        while self.news.front().is_some_and(|(of, _)| *of <= oldest) {
            self.news.pop_front();
        }
        let unit = self.happen(&news);
        if oldest < number {
            self.news.push_back((number, news));
        }
        unit.into_iter().filter(|unit| self.renew(unit)).collect()
    }

    /// The unit that an app is of.
    fn unit_of(app: &AppFact) -> Arc<str> {
        groups::group_of(app).unwrap_or_else(|| Arc::clone(&app.id))
    }

    fn put(&mut self, as_of: u64, mut app: AppFact) -> BTreeSet<Arc<str>> {
        let before = self.apps.get(&app.id);
        for task in &mut app.tasks {
            // What is not told now may have been told before.
            if task.alive.is_none() {
                let known = before.and_then(|app| app.tasks.iter().find(|one| one.id == task.id));
                task.alive = known.and_then(|task| task.alive);
            }
        }
        let mut units = BTreeSet::from([Self::unit_of(&app)]);
        let id = Arc::clone(&app.id);
        let before = self.apps.insert(Arc::clone(&id), app);
        let before: Vec<Arc<str>> = before.iter().map(Self::unit_of).collect();
        units.extend(before);
        let since: Vec<TaskNews> = self
            .news
            .iter()
            .filter(|(number, news)| *number > as_of && news.app == id)
            .map(|(_, news)| news.clone())
            .collect();
        for news in since {
            self.happen(&news);
        }
        units
    }

    fn remove(&mut self, id: &str) -> BTreeSet<Arc<str>> {
        let Some(app) = self.apps.remove(id) else { return BTreeSet::new() };
        for task in &app.tasks {
            self.stopping.remove(&task.id);
        }
        BTreeSet::from([Self::unit_of(&app)])
    }

    /// The unit that may have changed.
    fn happen(&mut self, news: &TaskNews) -> Option<Arc<str>> {
        let app = self.apps.get_mut(&news.app)?;
        match &news.what {
            What::Status { task, ended } => {
                let place = app.tasks.iter().position(|known| known.id == task.id);
                match place {
                    Some(at) if *ended => {
                        app.tasks.remove(at);
                        self.stopping.remove(&task.id);
                    }
                    Some(at) => update(app.tasks.get_mut(at)?, task),
                    None if *ended => return None,
                    None => app.tasks.push(task.clone()),
                }
            }
            What::Health { instance, alive } => {
                let of = app.tasks.iter_mut().filter(|task| task.is_of(instance));
                of.for_each(|task| task.alive = Some(*alive));
            }
            What::Stopping { instance } => {
                let of = app.tasks.iter().filter(|task| task.is_of(instance));
                self.stopping.extend(of.map(|task| Arc::clone(&task.id)));
            }
        }
        Some(Self::unit_of(app))
    }

    /// Makes a unit's services anew; whether they are others than before.
    fn renew(&mut self, id: &Arc<str>) -> bool {
        let merged = self.merged(id);
        let own = self.scope.own.as_ref().is_some_and(|own| own == id);
        let (stopping, addresses) = (&self.stopping, &self.addresses);
        let unit = match merged.filter(|_| !own) {
            Some(merged) => Making {
                scope: &self.scope,
                pseudo: &mut self.pseudo,
                address: &|host| host.parse().ok().or_else(|| addresses.get(host).copied()),
                is_stopping: &|task: &TaskFact| stopping.contains(&task.id),
            }
            .unit(&merged),
            None => {
                self.pseudo.forget(id);
                Unit::default()
            }
        };
        for waiting in self.unresolved.values_mut() {
            waiting.remove(id);
        }
        self.unresolved.retain(|_, waiting| !waiting.is_empty());
        for host in &unit.unresolved {
            self.unresolved.entry(Arc::clone(host)).or_default().insert(Arc::clone(id));
        }
        let empty = unit.services.is_empty() && unit.problems.is_empty();
        let before = match empty {
            true => self.units.remove(id),
            false => self.units.insert(Arc::clone(id), unit),
        };
        let before = before.unwrap_or_default();
        before.services != self.of(id) || before.problems != self.problems_of(id)
    }

    fn merged(&self, id: &Arc<str>) -> Option<Merged> {
        if let Some(app) = self.apps.get(id).filter(|app| groups::group_of(app).is_none()) {
            return Some(Merged { app: app.clone(), draining: BTreeSet::new() });
        }
        let members = self.apps.values();
        let members = members.filter(|app| groups::group_of(app).as_ref() == Some(id)).cloned();
        groups::merge(id, members, |task| {
            task.alive == Some(true)
                && task.state == State::Running
                && !self.stopping.contains(&task.id)
        })
    }
}

/// A state comes without ports and addresses where they did not change.
fn update(known: &mut TaskFact, told: &TaskFact) {
    known.state = told.state;
    if !told.host.is_empty() {
        known.host = Arc::clone(&told.host);
    }
    if !told.ports.is_empty() {
        known.ports.clone_from(&told.ports);
    }
    known.ip = told.ip.or(known.ip);
}
