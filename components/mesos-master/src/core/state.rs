//! The state behind the records: who is connected how, what belongs to whom, what waits for a write.
use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use libprocess::Upid;
use mesos_messages::{internal, resources::Resources, v1};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::Admitted;
use crate::{
    cow::CowSlab,
    metrics::{FrameworkCounters, FrameworkMetrics, StateCounts},
    model::{Agent, Executor, Framework, FrameworkView, Id, Offer, Task, TaskSpec},
};

/// A framework's place in [`Frameworks`]; never used twice.
pub(super) type FrameworkKey = u32;
/// An agent's place in [`Agents`]; may be used again after the agent is removed.
pub(super) type AgentKey = u32;

/// A task's place: its framework and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TaskKey {
    pub(super) framework: FrameworkKey,
    pub(super) slot: u32,
}

/// Where an outstanding offer is.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfferAt {
    pub(super) framework: FrameworkKey,
    pub(super) slot: u32,
    pub(super) agent: AgentKey,
}

/// How a framework is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    None,
    Http { stream: Id },
    Pid(Upid),
}

/// A framework with everything that belongs to it.
#[derive(Debug)]
pub(super) struct FrameworkState {
    pub(super) record: Arc<Framework>,
    pub(super) connection: Connection,
    /// Grows with each connection and disconnection; timers of older ones are void.
    pub(super) connection_number: u64,
    pub(super) partition_aware: bool,
    pub(super) tasks: CowSlab<Task>,
    pub(super) task_slots: FxHashMap<Id, u32>,
    pub(super) unreachable: Arc<VecDeque<Arc<Task>>>,
    pub(super) completed: Arc<VecDeque<Arc<Task>>>,
    pub(super) executors: CowSlab<Executor>,
    pub(super) executor_slots: FxHashMap<AgentKey, SmallVec<[u32; 1]>>,
    pub(super) offers: CowSlab<Offer>,
    pub(super) specs: Specs,
    pub(super) counters: FrameworkCounters,
    /// Tasks that have not ended.
    pub(super) active: StateCounts,
    /// Tasks that have ended, ever.
    pub(super) terminal: StateCounts,
    /// Messages received from it.
    pub(super) messages: u64,
}

/// One copy of what equal tasks have in common.
#[derive(Debug, Default)]
pub(super) struct Specs {
    by_hash: FxHashMap<u64, Arc<TaskSpec>>,
    purge_at: usize,
}

/// All frameworks.
#[derive(Debug, Default)]
pub(super) struct Frameworks {
    states: Vec<Option<Box<FrameworkState>>>,
    pub(super) ids: FxHashMap<Id, FrameworkKey>,
    pub(super) pids: FxHashMap<Upid, FrameworkKey>,
    pub(super) streams: FxHashMap<Id, FrameworkKey>,
    pub(super) completed: VecDeque<Arc<FrameworkView>>,
    pub(super) completed_ids: HashSet<Id>,
    /// Of the frameworks in `completed`, in the same order.
    pub(super) completed_metrics: VecDeque<FrameworkMetrics>,
}

/// What is not in an agent's record.
#[derive(Debug)]
pub(super) struct AgentState {
    pub(super) pid: Upid,
    /// Number of the actor that pings it: unlike the key, never used twice.
    pub(super) observer: u64,
    pub(super) tasks: FxHashSet<TaskKey>,
    pub(super) killed: FxHashSet<TaskKey>,
    pub(super) executors: FxHashSet<(FrameworkKey, u32)>,
    pub(super) offers: SmallVec<[u64; 2]>,
    pub(super) resource_version: Option<v1::Uuid>,
    /// A ping is unanswered.
    pub(super) pinged: bool,
    pub(super) missed_pings: u32,
    /// Grows with each loss of its connection; timers of earlier ones are void.
    pub(super) disconnections: u64,
    /// The networks last seen in a status, to share them.
    pub(super) networks: Option<Arc<[v1::NetworkInfo]>>,
}

/// All agents.
#[derive(Debug, Default)]
pub(super) struct Agents {
    pub(super) records: CowSlab<Agent>,
    states: Vec<Option<Box<AgentState>>>,
    pub(super) ids: FxHashMap<Id, AgentKey>,
    pub(super) pids: FxHashMap<Upid, AgentKey>,
    pub(super) at: FxHashMap<SocketAddr, SmallVec<[AgentKey; 1]>>,
    pub(super) observers: FxHashMap<u64, AgentKey>,
    pub(super) next_observer: u64,
    /// In the registry, not yet back since the start.
    pub(super) recovered: BTreeMap<Id, Admitted>,
    /// Nanoseconds since the epoch.
    pub(super) unreachable: BTreeMap<Id, i64>,
    pub(super) gone: BTreeMap<Id, i64>,
    pub(super) unreachable_tasks: FxHashMap<Id, Vec<(Id, Id)>>,
    /// Addresses with a registration under way.
    pub(super) registering: FxHashSet<Upid>,
    /// Agents with a change to the registry under way.
    pub(super) busy: FxHashSet<Id>,
}

/// What goes on once a write is durable.
#[derive(Debug)]
pub(super) enum Pending {
    Register { from: Upid, newcomer: Box<Newcomer> },
    Readmit { from: Upid, message: Box<internal::ReregisterSlaveMessage> },
    Update { from: Upid, message: Box<internal::ReregisterSlaveMessage> },
    Remove { agent: Id, cause: &'static str, reason: Removal },
    Unreachable { agent: Id, since_ns: i64, message: String, recovered: bool },
    Nothing,
}

/// An agent about to be registered. Ten thousand may wait at once for the
/// registry, so the resources are here in their smaller form only.
#[derive(Debug)]
pub(super) struct Newcomer {
    /// With its id and without resources.
    pub(super) info: v1::AgentInfo,
    pub(super) resources: Resources,
    pub(super) total: Resources,
    pub(super) version: Arc<str>,
    pub(super) capabilities: Arc<[i32]>,
    pub(super) resource_version: Option<v1::Uuid>,
}

/// Why an agent is removed, as the metrics tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    Registered,
    Unregistered,
}

// === impl Frameworks ===

impl Frameworks {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn key(&self, id: &str) -> Option<FrameworkKey> {
        self.ids.get(id).copied()
    }

    pub(super) fn get(&self, key: FrameworkKey) -> Option<&FrameworkState> {
        self.states.get(key as usize)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, key: FrameworkKey) -> Option<&mut FrameworkState> {
        self.states.get_mut(key as usize)?.as_deref_mut()
    }

    pub(super) fn by_id(&self, id: &str) -> Option<&FrameworkState> {
        self.get(self.key(id)?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (FrameworkKey, &FrameworkState)> {
        let states = self.states.iter().enumerate();
        states.filter_map(|(key, state)| Some((key as FrameworkKey, state.as_deref()?)))
    }

    pub(super) fn insert(&mut self, state: FrameworkState) -> FrameworkKey {
        let key = self.states.len() as FrameworkKey;
        self.ids.insert(state.record.id.clone(), key);
        self.states.push(Some(Box::new(state)));
        key
    }

    pub(super) fn remove(&mut self, key: FrameworkKey) -> Option<Box<FrameworkState>> {
        let state = self.states.get_mut(key as usize)?.take()?;
        self.ids.remove(&state.record.id);
        Some(state)
    }
}

// === impl FrameworkState ===

impl FrameworkState {
    pub(super) fn new(record: Framework) -> Self {
        let mut state = Self {
            record: Arc::new(record),
            connection: Connection::None,
            connection_number: 0,
            partition_aware: false,
            tasks: CowSlab::default(),
            task_slots: FxHashMap::default(),
            unreachable: Arc::default(),
            completed: Arc::default(),
            executors: CowSlab::default(),
            executor_slots: FxHashMap::default(),
            offers: CowSlab::default(),
            specs: Specs::default(),
            counters: FrameworkCounters::default(),
            active: StateCounts::default(),
            terminal: StateCounts::default(),
            messages: 0,
        };
        state.read_capabilities();
        state
    }

    pub(super) fn read_capabilities(&mut self) {
        use v1::framework_info::capability::Type;
        self.partition_aware = self.record.capable(Type::PartitionAware);
    }

    /// The record, to change; readers keep what they hold.
    pub(super) fn record_mut(&mut self) -> &mut Framework {
        Arc::make_mut(&mut self.record)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connection != Connection::None
    }

    pub(super) fn is_http(&self) -> bool {
        matches!(self.connection, Connection::Http { .. })
    }

    pub(super) fn metrics(&self) -> FrameworkMetrics {
        FrameworkMetrics {
            framework: self.record.clone(),
            counters: self.counters.clone(),
            active: self.active,
            terminal: self.terminal,
        }
    }

    pub(super) fn view(&self) -> FrameworkView {
        FrameworkView {
            framework: self.record.clone(),
            tasks: self.tasks.clone(),
            unreachable_tasks: self.unreachable.clone(),
            completed_tasks: self.completed.clone(),
            executors: self.executors.clone(),
            offers: self.offers.clone(),
        }
    }

    pub(super) fn executor(&self, agent: AgentKey, id: &str) -> Option<&Arc<Executor>> {
        self.executors.get(self.executor_slot(agent, id)?)
    }

    pub(super) fn executor_slot(&self, agent: AgentKey, id: &str) -> Option<u32> {
        let slots = self.executor_slots.get(&agent)?;
        slots
            .iter()
            .copied()
            .find(|slot| self.executors.get(*slot).is_some_and(|executor| executor.id() == id))
    }

    pub(super) fn complete(&mut self, task: Arc<Task>, limit: usize) {
        push_bounded(Arc::make_mut(&mut self.completed), task, limit, |_| {});
    }

    pub(super) fn lose(&mut self, task: Arc<Task>, limit: usize) {
        push_bounded(Arc::make_mut(&mut self.unreachable), task, limit, |evicted| {
            if evicted.state == v1::TaskState::TaskUnreachable {
                self.active.remove(evicted.state);
            }
        });
    }

    /// Drops the unreachable tasks for which `keep` does not hold.
    pub(super) fn retain_unreachable(&mut self, keep: impl Fn(&Task) -> bool) {
        if self.unreachable.iter().all(|task| keep(task)) {
            return;
        }
        let active = &mut self.active;
        Arc::make_mut(&mut self.unreachable).retain(|task| {
            let keep = keep(task);
            if !keep && task.state == v1::TaskState::TaskUnreachable {
                active.remove(task.state);
            }
            keep
        });
    }
}

fn push_bounded(
    tasks: &mut VecDeque<Arc<Task>>,
    task: Arc<Task>,
    limit: usize,
    mut evicted: impl FnMut(&Task),
) {
    tasks.push_back(task);
    while tasks.len() > limit {
        if let Some(task) = tasks.pop_front() {
            evicted(&task);
        }
    }
}

// === impl Specs ===

impl Specs {
    /// The known spec equal to `spec`, or `spec` itself, known from now on.
    pub(super) fn share(&mut self, spec: TaskSpec) -> Arc<TaskSpec> {
        let hash = hash(&spec);
        if let Some(known) = self.by_hash.get(&hash).filter(|known| ***known == spec) {
            return known.clone();
        }
        let spec = Arc::new(spec);
        self.by_hash.insert(hash, spec.clone());
        if self.by_hash.len() > self.purge_at {
            self.by_hash.retain(|_, spec| Arc::strong_count(spec) > 1);
            self.purge_at = (self.by_hash.len() * 2).max(64);
        }
        spec
    }
}

fn hash(spec: &TaskSpec) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = rustc_hash::FxHasher::default();
    spec.name.hash(&mut hasher);
    spec.role.hash(&mut hasher);
    spec.user.hash(&mut hasher);
    spec.more.is_some().hash(&mut hasher);
    for amount in [spec.resources.cpus(), spec.resources.mem()] {
        amount.unwrap_or_default().to_f64().to_bits().hash(&mut hasher);
    }
    hasher.finish()
}

// === impl Agents ===

impl Agents {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn key(&self, id: &str) -> Option<AgentKey> {
        self.ids.get(id).copied()
    }

    pub(super) fn get(&self, key: AgentKey) -> Option<(&Arc<Agent>, &AgentState)> {
        Some((self.records.get(key)?, self.states.get(key as usize)?.as_deref()?))
    }

    pub(super) fn state_mut(&mut self, key: AgentKey) -> Option<&mut AgentState> {
        self.states.get_mut(key as usize)?.as_deref_mut()
    }

    pub(super) fn by_id(&self, id: &str) -> Option<(AgentKey, &Arc<Agent>, &AgentState)> {
        let key = self.key(id)?;
        let (record, state) = self.get(key)?;
        Some((key, record, state))
    }

    pub(super) fn insert(&mut self, record: Agent, state: AgentState) -> AgentKey {
        let id = record.id.clone();
        let key = self.records.insert(Arc::new(record));
        self.ids.insert(id, key);
        self.observers.insert(state.observer, key);
        self.address(key, state.pid.clone());
        if self.states.len() <= key as usize {
            self.states.resize_with(key as usize + 1, || None);
        }
        if let Some(place) = self.states.get_mut(key as usize) {
            *place = Some(Box::new(state));
        }
        key
    }

    pub(super) fn remove(&mut self, key: AgentKey) -> Option<(Arc<Agent>, AgentState)> {
        let record = self.records.remove(key)?;
        let state = *self.states.get_mut(key as usize)?.take()?;
        self.ids.remove(&record.id);
        self.observers.remove(&state.observer);
        self.forget_address(key, &state.pid);
        Some((record, state))
    }

    /// The agent talks from another address now.
    pub(super) fn move_to(&mut self, key: AgentKey, pid: Upid) {
        let Some(old) =
            self.state_mut(key).map(|state| std::mem::replace(&mut state.pid, pid.clone()))
        else {
            return;
        };
        self.forget_address(key, &old);
        self.address(key, pid);
    }

    fn address(&mut self, key: AgentKey, pid: Upid) {
        self.at.entry(pid.address).or_default().push(key);
        self.pids.insert(pid, key);
    }

    fn forget_address(&mut self, key: AgentKey, pid: &Upid) {
        if self.pids.get(pid) == Some(&key) {
            self.pids.remove(pid);
        }
        if let Some(keys) = self.at.get_mut(&pid.address) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.at.remove(&pid.address);
            }
        }
    }
}
