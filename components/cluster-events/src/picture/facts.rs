//! What there is in a cluster: no wire types beyond here.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Of an agent, a framework, or (within a framework) a task.
pub type Id = Arc<str>;
/// The ids of a framework and of a task of it.
pub type TaskKey = (Id, Id);

/// All that a master knows and matters here.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    pub agents: Vec<Agent>,
    /// Those of which it knows only that they are in its registry.
    pub recovered: Vec<Agent>,
    pub frameworks: Vec<Framework>,
    pub tasks: Vec<Task>,
    /// How often it tells at least that nothing happened.
    pub heartbeat: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    pub id: Id,
    /// Where it listens.
    pub address: Option<SocketAddr>,
    /// As it is offered to frameworks.
    pub hostname: Box<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Framework {
    pub id: Id,
    pub name: Id,
    pub active: bool,
    pub connected: bool,
    /// Of the machine where its scheduler runs, as it says itself.
    pub hostname: Box<str>,
    /// Where its scheduler listens, if it does.
    pub scheduler: Option<SocketAddr>,
}

/// How far a task has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Staging or starting; or nobody knows.
    Preparing,
    Running,
    /// Told to stop.
    Killing,
    /// Over, or on an agent that is not reached.
    Ended,
}

/// What made the container of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Runtime {
    Docker,
    Mesos,
    /// No container is asked for.
    Unknown,
}

/// A task that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: Id,
    pub framework: Id,
    pub agent: Id,
    pub name: Id,
    pub phase: Phase,
    /// By its health check; none if there is no check. Not healthy until the check says so.
    pub healthy: Option<bool>,
    pub runtime: Runtime,
    pub discovery: Option<Arc<Discovery>>,
    pub labels: Arc<[Label]>,
    /// The ports of the host that it got, in the order of its resources.
    pub host_ports: Arc<[PortRange]>,
    /// From ports of the host to its own, as it was asked for.
    pub mappings: Arc<[PortMapping]>,
    /// As the latest status that it runs says.
    pub network: Arc<Network>,
    /// When `network` was told, in microseconds.
    pub network_told: u64,
}

/// How a task wants to be found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    pub name: Option<Id>,
    pub ports: Vec<Port>,
    pub labels: Vec<Label>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    pub number: u32,
    pub name: Option<Box<str>>,
    /// As it is written.
    pub protocol: Option<Box<str>>,
    pub labels: Box<[Label]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    pub key: Box<str>,
    pub value: Box<str>,
}

/// The first and the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange(pub u16, pub u16);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    pub host: u16,
    pub container: u16,
    /// As it is written.
    pub protocol: Option<Box<str>>,
}

/// The addresses of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub addresses: Box<[IpAddr]>,
    /// Of the label with which Docker's addresses were told once.
    pub docker: Box<[IpAddr]>,
    /// Of the label with which addresses of Mesos's own containers were told once.
    pub mesos: Box<[IpAddr]>,
    pub mappings: Box<[PortMapping]>,
}

/// A change of a task's state or health.
#[derive(Clone, Debug)]
pub struct StatusUpdate {
    pub id: Id,
    pub framework: Id,
    pub phase: Phase,
    /// As far as the status says.
    pub healthy: Option<bool>,
    /// If the status says that the task runs.
    pub network: Option<Arc<Network>>,
    /// When it was told, in microseconds.
    pub told: u64,
}

// === impl Task ===

impl Task {
    pub fn key(&self) -> TaskKey {
        (self.framework.clone(), self.id.clone())
    }

    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    pub fn is_killing(&self) -> bool {
        self.phase == Phase::Killing
    }

    /// The ports of the host that it got, in the order of its resources.
    pub fn host_ports(&self) -> impl Iterator<Item = u16> + '_ {
        self.host_ports.iter().flat_map(|range| range.0..=range.1)
    }

    /// From ports of the host to its own: as it was asked for, else as its status says.
    pub fn port_mappings(&self) -> &[PortMapping] {
        if self.mappings.is_empty() { &self.network.mappings } else { &self.mappings }
    }

    /// The same task with what an update says.
    pub(super) fn updated(&self, update: &StatusUpdate) -> Task {
        let mut task = self.clone();
        task.phase = update.phase;
        task.healthy = update.healthy.or(task.healthy);
        if let Some(network) = &update.network
            && update.told >= task.network_told
        {
            task.network_told = update.told;
            if *task.network != **network {
                task.network = network.clone();
            }
        }
        task
    }
}
