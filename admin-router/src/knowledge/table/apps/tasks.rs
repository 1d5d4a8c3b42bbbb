//! A task, as the master and Marathon tell of it.

use std::net::IpAddr;
use std::sync::Arc;

use proxy::Address;

use super::super::super::facts::{MarathonTask, Phase, TaskFact};
use super::super::super::labels::{Labelled, Reach};
use super::Context;

pub(super) struct Task {
    pub(super) app: Arc<str>,
    pub(super) master: Option<MasterWord>,
    pub(super) marathon: Option<MarathonWord>,
}

/// What the leading master tells of a task.
pub(super) struct MasterWord {
    id: Arc<str>,
    framework: Arc<str>,
    pub(super) agent: Arc<str>,
    phase: Phase,
    since: Option<u64>,
    ip: Option<IpAddr>,
    ports: Vec<u16>,
}

/// What Marathon tells of a task.
pub(super) struct MarathonWord {
    phase: Phase,
    host: Arc<str>,
    ports: Vec<u16>,
    ip: Option<IpAddr>,
    /// The number of the input that told it.
    pub(super) told: u64,
}

// === impl Task ===

impl Task {
    /// Takes what Marathon tells now. What it told of ports and host stays true when a later
    /// word leaves it out; and a task that has ended does not come back. While no master is heard
    /// it takes the place of the master's word.
    pub(super) fn hear(&mut self, fact: MarathonTask, number: u64, master_is_heard: bool) {
        if !master_is_heard && let Some(master) = &mut self.master {
            master.phase = fact.phase;
        }
        let Some(known) = &mut self.marathon else {
            self.marathon = Some(MarathonWord::new(fact, number));
            return;
        };
        known.told = number;
        if known.phase != Phase::Ended {
            known.phase = fact.phase;
        }
        if !fact.host.is_empty() {
            known.host = fact.host;
        }
        if !fact.ports.is_empty() {
            known.ports = fact.ports;
        }
        known.ip = fact.ip.or(known.ip);
    }

    /// Whether nobody tells of it any more but that it has ended.
    pub(super) fn is_over(&self) -> bool {
        let may_run = |word: &MarathonWord| word.phase != Phase::Ended;
        self.master.is_none() && !self.marathon.as_ref().is_some_and(may_run)
    }

    /// Whether it runs, and is Marathon's own: another framework may name its tasks likewise.
    pub(super) fn runs(&self, marathon: Option<&str>, master_is_heard: bool) -> bool {
        let told = self.marathon.as_ref().map(|word| word.phase);
        if told == Some(Phase::Ended) {
            return false;
        }
        let told = told == Some(Phase::Running);
        let Some(master) = &self.master else { return told && !master_is_heard };
        let is_own = match marathon {
            Some(marathon) => *master.framework == *marathon,
            None => self.marathon.is_some(),
        };
        is_own && (master.phase == Phase::Running || (told && !master_is_heard))
    }

    /// The first to run is the one.
    pub(super) fn since(&self) -> u64 {
        self.master.as_ref().and_then(|word| word.since).unwrap_or(u64::MAX)
    }

    /// Where the service listens, or why nobody can say.
    pub(super) fn address(
        &self,
        labelled: &Labelled,
        context: &Context<'_>,
    ) -> Result<Address, &'static str> {
        match labelled.reach {
            Reach::Container { port } => self.in_container(port),
            Reach::ContainerAssigned => self.in_container(self.port(labelled, None)?),
            Reach::Host { definitions } => {
                let host = self.host(context).ok_or("the host of its task is not known")?;
                Ok(crate::origin::address(host, self.port(labelled, definitions)?))
            }
        }
    }

    fn in_container(&self, port: u16) -> Result<Address, &'static str> {
        let master = self.master.as_ref().and_then(|word| word.ip);
        let marathon = self.marathon.as_ref().and_then(|word| word.ip);
        let ip = master.or(marathon).ok_or("its task has no address of its own yet")?;
        Ok(Address::Tcp((ip, port).into()))
    }

    fn host<'a>(&'a self, context: &'a Context<'_>) -> Option<&'a str> {
        let told = self.marathon.as_ref().map(|word| &*word.host).filter(|host| !host.is_empty());
        let agent = self.master.as_ref().map(|word| &word.agent);
        told.or_else(|| agent.and_then(|id| context.agents.hostname(id)).map(|host| &**host))
    }

    /// Of the labelled index. What the task itself says counts as long as Marathon has not said
    /// it, and only if there is no doubt about the order: one for each that the app defines.
    fn port(&self, labelled: &Labelled, definitions: Option<usize>) -> Result<u16, &'static str> {
        let told = self.marathon.as_ref().map(|word| &word.ports).filter(|ports| !ports.is_empty());
        let own = self.master.as_ref().map(|word| &word.ports);
        let own = own.filter(|ports| definitions == Some(ports.len()));
        let ports = told.or(own).ok_or("the ports of its task are not known")?;
        let port = ports.get(labelled.index).copied().filter(|port| *port != 0);
        port.ok_or("its task has no port of that index")
    }
}

// === impl MasterWord ===

impl MasterWord {
    pub(super) fn new(fact: TaskFact) -> MasterWord {
        let TaskFact { id, framework, agent, phase, since, ip, ports } = fact;
        MasterWord { id, framework, agent, phase, since, ip, ports }
    }

    /// All of a task, of what an update tells about it.
    pub(super) fn updated(&self, update: TaskFact) -> TaskFact {
        let agent = if update.agent.is_empty() { &self.agent } else { &update.agent };
        TaskFact {
            id: Arc::clone(&self.id),
            framework: Arc::clone(&self.framework),
            agent: Arc::clone(agent),
            phase: update.phase,
            // Later words that it still runs do not make it younger.
            since: self.since.or(update.since),
            ip: update.ip.or(self.ip),
            ports: self.ports.clone(),
        }
    }
}

// === impl MarathonWord ===

impl MarathonWord {
    pub(super) fn new(fact: MarathonTask, told: u64) -> MarathonWord {
        let MarathonTask { phase, host, ports, ip, .. } = fact;
        MarathonWord { phase, host, ports, ip, told }
    }
}
