//! Agents: where each listens, and as what it offers its resources.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::facts::AgentFact;
use super::super::snapshot::Snapshot;
use super::Servers;

#[derive(Default)]
pub(super) struct Agents {
    known: HashMap<Arc<str>, AgentFact>,
}

// === impl Agents ===

impl Agents {
    /// As what an agent's resources are offered.
    pub(super) fn hostname(&self, id: &str) -> Option<&Arc<str>> {
        self.known.get(id).map(|agent| &agent.hostname)
    }

    /// Whether its host is another than before, or was not known.
    pub(super) fn add(
        &mut self,
        agent: AgentFact,
        servers: &mut Servers,
        snapshot: &mut Snapshot,
    ) -> bool {
        let before = self.known.get(&agent.id);
        let renamed = before.is_none_or(|before| before.hostname != agent.hostname);
        if before.is_none_or(|before| before.address != agent.address) {
            retire(snapshot, &agent.id, servers);
            if let Some(address) = agent.address {
                let made = servers.upstreams.agent(address);
                snapshot.agents.insert(Arc::clone(&agent.id), made);
            }
        }
        self.known.insert(Arc::clone(&agent.id), agent);
        renamed
    }

    pub(super) fn remove(
        &mut self,
        id: &str,
        servers: &mut Servers,
        snapshot: &mut Snapshot,
    ) -> bool {
        retire(snapshot, id, servers);
        self.known.remove(id).is_some()
    }

    pub(super) fn replace(
        &mut self,
        agents: Vec<AgentFact>,
        servers: &mut Servers,
        snapshot: &mut Snapshot,
    ) {
        let told: HashSet<Arc<str>> = agents.iter().map(|agent| Arc::clone(&agent.id)).collect();
        let gone = self.known.keys().filter(|id| !told.contains(*id));
        for id in gone.cloned().collect::<Vec<_>>() {
            self.remove(&id, servers, snapshot);
        }
        for agent in agents {
            self.add(agent, servers, snapshot);
        }
    }
}

fn retire(snapshot: &mut Snapshot, id: &str, servers: &mut Servers) {
    if let Some(agent) = snapshot.agents.remove(id) {
        servers.retire(agent.upstream);
        servers.retire(agent.gateway);
    }
}
