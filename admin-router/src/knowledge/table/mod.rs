//! All that was told, and what follows of it: the one place where knowledge is made.
//!
//! 1. Inputs come one after the other ([`Table::apply`]); nothing here waits or looks at a clock.
//! 2. A change costs what it changes: maps share what stays the same with every [`Snapshot`]
//!    that was handed out.
//! 3. An [`Upstream`] is the same for as long as the same task listens at the same address. When
//!    that ends it is retired, after what replaces it was published: whoever got it a moment ago
//!    looks again and sends nothing new there.
//! 4. Whether a task runs is the leading master's word, since Marathon has it from there. Which
//!    service it is, and which of its ports is meant, is Marathon's. While no master is heard,
//!    Marathon's word about tasks counts too. That a task has ended is believed of both, at once.

mod agents;
mod apps;
mod frameworks;
mod upstreams;

use std::sync::Arc;
use std::time::Duration;

use proxy::Upstream;

use super::facts::{Input, LeaderFact, MarathonInput, MesosInput, MesosState};
use super::snapshot::{Snapshot, Source};
use crate::cluster::Leader;

use agents::Agents;
use apps::Apps;
use frameworks::Frameworks;
use upstreams::Servers;
pub(crate) use upstreams::Upstreams;

/// What is known, and how it came to be known.
pub(crate) struct Table {
    servers: Servers,
    /// How old knowledge may get while its source is away.
    max_age: Duration,
    snapshot: Snapshot,
    agents: Agents,
    frameworks: Frameworks,
    apps: Apps,
    changed: bool,
}

// === impl Table ===

impl Table {
    pub(crate) fn new(upstreams: Upstreams, max_age: Duration) -> Table {
        Table {
            servers: Servers::new(upstreams),
            max_age,
            snapshot: Snapshot::default(),
            agents: Agents::default(),
            frameworks: Frameworks::default(),
            apps: Apps::default(),
            changed: false,
        }
    }

    /// Takes an input that was told at `now`, on a clock that never goes back.
    pub(crate) fn apply(&mut self, input: Input, now: Duration) {
        match input {
            Input::Mesos(input) => self.mesos(input, now),
            Input::Marathon(turn, input) => {
                self.marathon(turn.number, input, now);
                self.apps.forget(turn.oldest);
            }
            Input::Tick => {
                self.expire_mesos(now);
                self.expire_marathon(now);
            }
        }
    }

    /// What is known now, if that is not what it was at the last call.
    pub(crate) fn take_change(&mut self) -> Option<Snapshot> {
        std::mem::take(&mut self.changed).then(|| self.snapshot.clone())
    }

    /// What is not led to any more. To be retired when the change was published.
    pub(crate) fn take_retired(&mut self) -> Vec<Arc<Upstream>> {
        self.servers.take_retired()
    }

    fn mesos(&mut self, input: MesosInput, now: Duration) {
        match input {
            MesosInput::State(state) => self.mesos_state(*state),
            MesosInput::AgentAdded(agent) => {
                let id = Arc::clone(&agent.id);
                let renamed = self.agents.add(agent, &mut self.servers, &mut self.snapshot);
                self.changed = true;
                if renamed {
                    self.with_apps(|apps, context| apps.agent_changed(&id, context));
                }
            }
            MesosInput::AgentRemoved(id) => {
                self.changed |= self.agents.remove(&id, &mut self.servers, &mut self.snapshot);
                self.with_apps(|apps, context| apps.agent_removed(&id, context));
            }
            MesosInput::Framework(framework) => {
                let frameworks = &mut self.frameworks;
                self.changed |= frameworks.put(framework, &mut self.servers, &mut self.snapshot);
            }
            MesosInput::FrameworkRemoved(id) => {
                let frameworks = &mut self.frameworks;
                self.changed |= frameworks.remove(&id, &mut self.servers, &mut self.snapshot);
            }
            MesosInput::TaskAdded(task) => {
                self.with_apps(|apps, context| apps.task_added(task, context));
            }
            MesosInput::TaskUpdated(task) => {
                self.with_apps(|apps, context| apps.task_updated(task, context));
            }
            MesosInput::Cut => {
                if self.snapshot.mesos == Source::Live {
                    self.snapshot.mesos = Source::Cut { since: now };
                    self.mesos_turned();
                }
            }
        }
    }

    fn mesos_state(&mut self, state: MesosState) {
        let MesosState { leader, agents, frameworks, tasks } = state;
        let known = self.snapshot.leader.take();
        self.snapshot.leader = self.leader("mesos", leader, known);
        self.snapshot.mesos = Source::Live;
        self.agents.replace(agents, &mut self.servers, &mut self.snapshot);
        self.frameworks.replace(frameworks, &mut self.servers, &mut self.snapshot);
        self.with_apps(|apps, context| apps.tasks_told(tasks, context));
        self.changed = true;
    }

    fn marathon(&mut self, number: u64, input: MarathonInput, now: Duration) {
        match input {
            MarathonInput::Identity { framework, leader } => {
                let known = self.snapshot.marathon_leader.take();
                self.snapshot.marathon_leader = self.leader("marathon", leader, known);
                self.changed = true;
                self.frameworks.marathon_is(framework.as_ref(), &mut self.snapshot);
                self.with_apps(|apps, context| apps.framework_told(framework, context));
            }
            MarathonInput::Touched(id) => self.apps.touched(id, number),
            MarathonInput::Apps { as_of, apps: read } => {
                self.with_apps(|apps, context| apps.all_read(as_of, read, context));
                self.changed |= self.snapshot.marathon != Source::Live;
                self.snapshot.marathon = Source::Live;
            }
            MarathonInput::App { as_of, id, app } => {
                self.with_apps(|apps, context| apps.one_read(as_of, &id, app, context));
            }
            MarathonInput::Task(task) => {
                self.with_apps(|apps, context| apps.marathon_task(number, task, context));
            }
            MarathonInput::Cut => self.marathon_is_lost(now),
        }
    }

    /// What masters told is not to be used until one tells everything again.
    pub(crate) fn disbelieve_mesos(&mut self, now: Duration) {
        if self.snapshot.mesos.is_usable() {
            self.snapshot.mesos = Source::Expired { since: now };
            self.mesos_turned();
        }
    }

    /// The same of Marathon.
    pub(crate) fn disbelieve_marathon(&mut self, now: Duration) {
        if self.snapshot.marathon.is_usable() {
            self.snapshot.marathon = Source::Expired { since: now };
            self.changed = true;
        }
    }

    /// Marathon's stream broke.
    fn marathon_is_lost(&mut self, now: Duration) {
        if self.snapshot.marathon == Source::Live {
            self.snapshot.marathon = Source::Cut { since: now };
            self.changed = true;
        }
    }

    /// The same value for as long as it is the same leader.
    fn leader(
        &mut self,
        name: &str,
        fact: Option<LeaderFact>,
        known: Option<Arc<Leader>>,
    ) -> Option<Arc<Leader>> {
        let found = fact.map(|fact| self.servers.upstreams.leader(name, fact, known.as_ref()));
        if let Some(old) = known
            && found.as_ref().is_none_or(|new| !Arc::ptr_eq(new, &old))
        {
            self.servers.retire(Arc::clone(&old.upstream));
            self.servers.retire(Arc::clone(&old.gateway));
        }
        found
    }

    fn expire_mesos(&mut self, now: Duration) {
        if let Some(expired) = expired(self.snapshot.mesos, now, self.max_age) {
            self.snapshot.mesos = expired;
            self.mesos_turned();
        }
    }

    fn expire_marathon(&mut self, now: Duration) {
        if let Some(expired) = expired(self.snapshot.marathon, now, self.max_age) {
            self.snapshot.marathon = expired;
            self.changed = true;
        }
    }

    /// Whose word about tasks counts is another now.
    fn mesos_turned(&mut self) {
        self.changed = true;
        self.with_apps(|apps, context| apps.judge_all(context));
    }

    fn with_apps(&mut self, change: impl FnOnce(&mut Apps, &mut apps::Context<'_>)) {
        let mut context = apps::Context {
            master_is_heard: self.snapshot.mesos == Source::Live,
            agents: &self.agents,
            servers: &mut self.servers,
            services: &mut self.snapshot.services,
            ignored: &mut self.snapshot.ignored,
            changed: &mut self.changed,
        };
        change(&mut self.apps, &mut context);
        self.apps.settle(&mut context);
    }
}

fn expired(source: Source, now: Duration, max_age: Duration) -> Option<Source> {
    match source {
        Source::Cut { since } if now.saturating_sub(since) > max_age => {
            Some(Source::Expired { since })
        }
        _ => None,
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
