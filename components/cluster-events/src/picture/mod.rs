//! The agents, frameworks and tasks of the cluster as the leading master tells of them.
//!
//! [`Decoder`] reads the events of its operator API, [`Picture`] is what they add up to: pure,
//! no sockets and no clock. It says what changed, so that who makes something of it (names,
//! virtual addresses) makes only that anew.

mod decode;
mod facts;
mod kept;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

pub use decode::{Decoder, decode};
pub use facts::{
    Agent, Discovery, Framework, Id, Label, Network, Phase, Port, PortMapping, PortRange, Runtime,
    State, StatusUpdate, Task, TaskKey,
};

use crate::master::{Decode, DecodeError, Event, Told};
use kept::Kept;

/// Something that a master tells.
#[derive(Clone, Debug)]
pub enum Input {
    /// Everything, at the beginning of a stream.
    State(Box<State>),
    TaskAdded(Task),
    TaskUpdated(StatusUpdate),
    Agent(Agent),
    AgentRemoved(Id),
    Framework(Framework),
    FrameworkRemoved(Id),
    /// Where a framework's scheduler listens, which the stream does not say.
    Scheduler {
        framework: Id,
        address: Option<SocketAddr>,
    },
    /// Nothing happened for a while.
    Heartbeat,
}

/// What is different from before. A task whose agent or framework is different is not named:
/// [`Picture::tasks_on`] and [`Picture::tasks_of`] say which those are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Nothing was known before.
    All,
    Task {
        old: Option<Arc<Task>>,
        new: Option<Arc<Task>>,
    },
    Framework {
        old: Option<Arc<Framework>>,
        new: Option<Arc<Framework>>,
    },
    Agent {
        old: Option<Arc<Agent>>,
        new: Option<Arc<Agent>>,
    },
    /// Another master leads, or none.
    Leader,
}

/// What is known of the cluster.
#[derive(Debug, Default)]
pub struct Picture {
    leader: Option<SocketAddr>,
    /// Whether there has been a state.
    known: bool,
    /// Whether what is here is from before this process, and so perhaps not all there was.
    restored: bool,
    agents: FxHashMap<Id, Arc<Agent>>,
    frameworks: FxHashMap<Id, Arc<Framework>>,
    tasks: FxHashMap<Id, FxHashMap<Id, Arc<Task>>>,
    on_agents: FxHashMap<Id, FxHashSet<TaskKey>>,
    kept: Kept,
}

// === impl Decoder ===

impl Decode for Decoder {
    type Input = Input;

    fn decode(&self, record: &[u8]) -> Result<Told<Input>, DecodeError> {
        Ok(match decode(record)? {
            None => Told::Nothing,
            Some(Input::State(state)) => {
                let heartbeat = state.heartbeat;
                Told::State(Input::State(state), heartbeat)
            }
            Some(input) => Told::Change(input),
        })
    }
}

// === impl Picture ===

impl Picture {
    /// Whether there has been a state: before, that something is not here means nothing.
    pub fn known(&self) -> bool {
        self.known
    }

    /// Where the master that leads listens; none while none is known to lead.
    pub fn leader(&self) -> Option<SocketAddr> {
        self.leader
    }

    pub fn agent(&self, id: &str) -> Option<&Arc<Agent>> {
        self.agents.get(id)
    }

    pub fn framework(&self, id: &str) -> Option<&Arc<Framework>> {
        self.frameworks.get(id)
    }

    pub fn task(&self, framework: &str, id: &str) -> Option<&Arc<Task>> {
        self.tasks.get(framework)?.get(id)
    }

    pub fn agents(&self) -> impl Iterator<Item = &Arc<Agent>> {
        self.agents.values()
    }

    pub fn frameworks(&self) -> impl Iterator<Item = &Arc<Framework>> {
        self.frameworks.values()
    }

    pub fn tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.values().flat_map(FxHashMap::values)
    }

    /// How many tasks there are.
    pub fn len(&self) -> usize {
        self.tasks.values().map(FxHashMap::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The tasks on an agent.
    pub fn tasks_on(&self, agent: &str) -> impl Iterator<Item = &Arc<Task>> {
        let keys = self.on_agents.get(agent).into_iter().flatten();
        keys.filter_map(|(framework, id)| self.task(framework, id))
    }

    /// The tasks of a framework.
    pub fn tasks_of(&self, framework: &str) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.get(framework).into_iter().flat_map(FxHashMap::values)
    }

    /// Whether every task that runs is here: not before the first state, and not while there are
    /// agents that a new master only knows from its registry and whose tasks were not known before.
    pub fn is_complete(&self) -> bool {
        self.known && !self.restored && self.kept.is_complete()
    }

    /// Nothing was told for a while: agents that came back have told what they run.
    pub fn settle(&mut self) {
        self.kept.settle();
    }

    /// Begins with what was known once.
    pub fn restore(&mut self, leader: Option<SocketAddr>, state: State) -> Vec<Changed> {
        let changes = self.connected(leader, Input::State(Box::new(state)));
        self.restored = true;
        changes
    }

    /// How many tasks are here because agents that run them have not come back to a new master.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Enters what a [`Follower`](crate::master::Follower) tells, and says what is different now.
    pub fn take(&mut self, event: Event<Input>) -> Vec<Changed> {
        match event {
            Event::Connected { leader, input } => self.connected(Some(leader.address), input),
            Event::Change(input) => self.apply(input),
            Event::Cut => self.cut(),
        }
    }

    /// The stream ended: what was known stays.
    pub fn cut(&mut self) -> Vec<Changed> {
        self.lead(None)
    }

    /// A stream of the master that leads begins.
    pub fn connected(&mut self, leader: Option<SocketAddr>, input: Input) -> Vec<Changed> {
        let mut changes = self.lead(leader);
        changes.append(&mut self.apply(input));
        changes
    }

    /// Enters what is told, and says what is different now.
    pub fn apply(&mut self, input: Input) -> Vec<Changed> {
        match input {
            Input::State(state) => self.replace(*state),
            Input::TaskAdded(task) => self.put_task(task).into_iter().collect(),
            Input::TaskUpdated(update) => self.update_task(&update).into_iter().collect(),
            Input::Agent(agent) => {
                self.kept.returned(&agent.id);
                self.put_agent(agent).into_iter().collect()
            }
            Input::AgentRemoved(id) => self.remove_agent(&id),
            Input::Framework(framework) => self.put_framework(framework).into_iter().collect(),
            Input::FrameworkRemoved(id) => self.remove_framework(&id),
            Input::Scheduler { framework, address } => {
                self.put_scheduler(&framework, address).into_iter().collect()
            }
            Input::Heartbeat => {
                let gone = self.kept.heartbeat();
                gone.into_iter()
                    .filter_map(|(framework, id)| self.drop_task(&framework, &id))
                    .collect()
            }
        }
    }

    /// All of it, as a master would tell it.
    pub fn state(&self) -> State {
        State {
            agents: self.agents().map(|agent| Agent::clone(agent)).collect(),
            frameworks: self.frameworks().map(|framework| Framework::clone(framework)).collect(),
            tasks: self.tasks().map(|task| Task::clone(task)).collect(),
            ..State::default()
        }
    }

    fn lead(&mut self, leader: Option<SocketAddr>) -> Vec<Changed> {
        if self.leader == leader {
            return Vec::new();
        }
        self.leader = leader;
        vec![Changed::Leader]
    }

    /// Of agents that a new master knows only from its registry, what they run is not told: it
    /// counts until they have come back and said it, or are given up.
    fn replace(&mut self, state: State) -> Vec<Changed> {
        let first = !self.known;
        self.known = true;
        let mut changes = Vec::new();
        let recovered: FxHashSet<Id> = state.recovered.iter().map(|one| one.id.clone()).collect();
        let is_known =
            |id: &Id| !self.restored && self.agents.contains_key(id) && !self.kept.is_unknown(id);
        let unknown = recovered.iter().filter(|id| !is_known(id)).cloned().collect();
        self.restored = false;
        let tasks: FxHashSet<TaskKey> = state.tasks.iter().map(Task::key).collect();
        let missing = self.tasks().filter(|task| !tasks.contains(&task.key()));
        let (kept, gone): (Vec<_>, Vec<_>) =
            missing.cloned().partition(|task| recovered.contains(&task.agent));
        for task in gone {
            changes.extend(self.drop_task(&task.framework, &task.id));
        }
        self.kept = Kept::new(
            kept.iter().map(|task| (task.agent.clone(), task.key())),
            unknown,
            state.heartbeat,
        );

        let ids: FxHashSet<Id> = state.frameworks.iter().map(|one| one.id.clone()).collect();
        let gone =
            self.frameworks.keys().filter(|id| !ids.contains(*id) && !self.tasks.contains_key(*id));
        for id in gone.cloned().collect::<Vec<_>>() {
            changes.append(&mut self.remove_framework(&id));
        }
        let ids: FxHashSet<Id> = state.agents.iter().map(|one| one.id.clone()).collect();
        let gone = self.agents.keys().filter(|id| !ids.contains(*id) && !recovered.contains(*id));
        for id in gone.cloned().collect::<Vec<_>>() {
            changes.append(&mut self.remove_agent(&id));
        }

        for agent in state.recovered {
            // That of its registration has the address, too.
            if !self.agents.contains_key(&agent.id) {
                changes.extend(self.put_agent(agent));
            }
        }
        changes.extend(state.agents.into_iter().filter_map(|agent| self.put_agent(agent)));
        changes.extend(state.frameworks.into_iter().filter_map(|one| self.put_framework(one)));
        changes.extend(state.tasks.into_iter().filter_map(|task| self.put_task(task)));
        if first { vec![Changed::All] } else { changes }
    }

    fn put_agent(&mut self, agent: Agent) -> Option<Changed> {
        let old = self.agents.get(&agent.id).cloned();
        if old.as_deref() == Some(&agent) {
            return None;
        }
        let new = Arc::new(agent);
        self.agents.insert(new.id.clone(), new.clone());
        Some(Changed::Agent { old, new: Some(new) })
    }

    fn put_framework(&mut self, mut framework: Framework) -> Option<Changed> {
        let old = self.frameworks.get(&framework.id).cloned();
        if let Some(old) = &old {
            framework.scheduler = framework.scheduler.or(old.scheduler);
        }
        self.exchange_framework(old, framework)
    }

    fn put_scheduler(&mut self, id: &str, address: Option<SocketAddr>) -> Option<Changed> {
        let old = self.frameworks.get(id)?.clone();
        let framework = Framework { scheduler: address, ..Framework::clone(&old) };
        self.exchange_framework(Some(old), framework)
    }

    fn exchange_framework(
        &mut self,
        old: Option<Arc<Framework>>,
        framework: Framework,
    ) -> Option<Changed> {
        if old.as_deref() == Some(&framework) {
            return None;
        }
        let new = Arc::new(framework);
        self.frameworks.insert(new.id.clone(), new.clone());
        Some(Changed::Framework { old, new: Some(new) })
    }

    fn put_task(&mut self, mut task: Task) -> Option<Changed> {
        if task.phase == Phase::Ended {
            return self.drop_task(&task.framework, &task.id);
        }
        self.share(&mut task);
        self.kept.told(&task);
        let old = self.task(&task.framework, &task.id).cloned();
        if old.as_deref() == Some(&task) {
            return None;
        }
        self.exchange_task(old, task)
    }

    /// Ids of agents and frameworks are there once, not in each task.
    fn share(&self, task: &mut Task) {
        if let Some((id, _)) = self.frameworks.get_key_value(&task.framework) {
            task.framework = id.clone();
        }
        if let Some((id, _)) = self.agents.get_key_value(&task.agent) {
            task.agent = id.clone();
        }
    }

    fn exchange_task(&mut self, old: Option<Arc<Task>>, task: Task) -> Option<Changed> {
        let new = Arc::new(task);
        if let Some(old) = old.as_ref().filter(|old| old.agent != new.agent) {
            self.leave_agent(old);
        }
        self.on_agents.entry(new.agent.clone()).or_default().insert(new.key());
        let tasks = self.tasks.entry(new.framework.clone()).or_default();
        tasks.insert(new.id.clone(), new.clone());
        Some(Changed::Task { old, new: Some(new) })
    }

    fn update_task(&mut self, update: &StatusUpdate) -> Option<Changed> {
        let old = self.task(&update.framework, &update.id)?.clone();
        if update.phase == Phase::Ended {
            return self.drop_task(&update.framework, &update.id);
        }
        self.kept.told(&old);
        let task = old.updated(update);
        if task == *old {
            return None;
        }
        self.exchange_task(Some(old), task)
    }

    fn drop_task(&mut self, framework: &str, id: &str) -> Option<Changed> {
        let tasks = self.tasks.get_mut(framework)?;
        let old = tasks.remove(id)?;
        if tasks.is_empty() {
            self.tasks.remove(framework);
        }
        self.leave_agent(&old);
        self.kept.told(&old);
        Some(Changed::Task { old: Some(old), new: None })
    }

    fn leave_agent(&mut self, task: &Task) {
        if let Some(keys) = self.on_agents.get_mut(&task.agent) {
            keys.remove(&task.key());
            if keys.is_empty() {
                self.on_agents.remove(&task.agent);
            }
        }
    }

    fn remove_agent(&mut self, id: &str) -> Vec<Changed> {
        self.kept.gone(id);
        let keys: Vec<TaskKey> = self.tasks_on(id).map(|task| task.key()).collect();
        let mut changes: Vec<Changed> =
            keys.iter().filter_map(|(framework, id)| self.drop_task(framework, id)).collect();
        if let Some(old) = self.agents.remove(id) {
            changes.push(Changed::Agent { old: Some(old), new: None });
        }
        changes
    }

    fn remove_framework(&mut self, id: &str) -> Vec<Changed> {
        let keys: Vec<Id> = self.tasks_of(id).map(|task| task.id.clone()).collect();
        let mut changes: Vec<Changed> =
            keys.iter().filter_map(|task| self.drop_task(id, task)).collect();
        if let Some(old) = self.frameworks.remove(id) {
            changes.push(Changed::Framework { old: Some(old), new: None });
        }
        changes
    }
}
