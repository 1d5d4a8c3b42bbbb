//! What a new master has not told of, because agents are still to come back to it: tasks that were
//! known before, and what agents run of which nothing is known.

use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};

use super::facts::{Id, Task, TaskKey};

/// For how long agents may come back, and a little more: then a master gives them up, which it
/// does not always tell.
const PATIENCE: Duration = Duration::from_secs(11 * 60);
/// Of a master that does not say how often it tells that nothing happened.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
pub(super) struct Kept {
    tasks: FxHashMap<Id, FxHashSet<TaskKey>>,
    /// The agents that are back; what they run follows, or came before them.
    back: Vec<Id>,
    /// Those that were when the last heartbeat came.
    settled: Vec<Id>,
    /// Agents of which it is not known what they run.
    unknown: FxHashSet<Id>,
    /// Those of them that are back.
    here: Vec<Id>,
    heartbeat: Duration,
    waited: Duration,
}

// === impl Kept ===

impl Kept {
    pub(super) fn new(
        tasks: impl Iterator<Item = (Id, TaskKey)>,
        unknown: FxHashSet<Id>,
        heartbeat: Option<Duration>,
    ) -> Kept {
        let heartbeat = heartbeat.unwrap_or(HEARTBEAT);
        let mut kept = Kept { heartbeat, unknown, ..Kept::default() };
        for (agent, key) in tasks {
            kept.tasks.entry(agent).or_default().insert(key);
        }
        kept
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.values().map(FxHashSet::len).sum()
    }

    /// An agent is back.
    pub(super) fn returned(&mut self, agent: &Id) {
        if self.tasks.contains_key(agent) {
            self.back.push(agent.clone());
        }
        if self.unknown.contains(agent) {
            self.here.push(agent.clone());
        }
    }

    /// An agent that never comes back.
    pub(super) fn gone(&mut self, agent: &str) {
        self.unknown.remove(agent);
    }

    pub(super) fn is_unknown(&self, agent: &str) -> bool {
        self.unknown.contains(agent)
    }

    /// Whether it is known of every agent what it runs.
    pub(super) fn is_complete(&self) -> bool {
        self.unknown.is_empty()
    }

    /// Agents that are back have said by now what they run.
    pub(super) fn settle(&mut self) {
        for agent in self.here.drain(..) {
            self.unknown.remove(&agent);
        }
    }

    /// A task that is told of, or gone.
    pub(super) fn told(&mut self, task: &Task) {
        if let Some(keys) = self.tasks.get_mut(&task.agent) {
            keys.remove(&task.key());
            if keys.is_empty() {
                self.tasks.remove(&task.agent);
            }
        }
    }

    /// What counts no longer: of agents that have been back for a whole heartbeat, or when all
    /// had time enough.
    pub(super) fn heartbeat(&mut self) -> Vec<TaskKey> {
        self.settle();
        if self.tasks.is_empty() && self.unknown.is_empty() {
            return Vec::new();
        }
        self.waited += self.heartbeat;
        if self.waited > PATIENCE {
            self.unknown.clear();
            return std::mem::take(&mut self.tasks).into_values().flatten().collect();
        }
        let settled = std::mem::replace(&mut self.settled, std::mem::take(&mut self.back));
        settled.iter().filter_map(|agent| self.tasks.remove(agent)).flatten().collect()
    }
}
