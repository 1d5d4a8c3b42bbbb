//! The agent's side: launches, watches, limits and ends containers.

use std::{path::PathBuf, sync::Arc};

use mesos_messages::v1;

use crate::{
    config::{ContainerConfig, ContainerizerConfig, ResourceLimits},
    error::{ContainerizerError, LaunchError},
};

/// A container that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launched {
    /// The container's first process, as the host numbers it.
    pub pid: u32,
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Termination {
    /// The main process's status as `wait(2)` gives it; none when nobody could learn it.
    pub status: Option<i32>,
    /// Why, when it was not the container's own doing.
    pub reason: Option<v1::task_status::Reason>,
    pub message: Option<String>,
    /// The limit it exceeded.
    pub limitation: Option<Limitation>,
}

/// A limit that a container exceeded, for which it was ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Limitation {
    pub reason: v1::task_status::Reason,
    pub message: String,
    pub resources: Vec<v1::Resource>,
}

/// What a restarted agent found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovered {
    /// Run still, or ended meanwhile: `wait` answers for each.
    pub containers: Vec<v1::ContainerId>,
    /// Known to the caller, of which nothing is left: no status can be learned.
    pub missing: Vec<v1::ContainerId>,
    /// Unknown to the caller, and destroyed.
    pub orphans: Vec<v1::ContainerId>,
}

/// The handle; clones share the containers.
#[derive(Clone, Debug)]
pub struct Containerizer {
    inner: Arc<ContainerizerConfig>,
}

impl Containerizer {
    /// Chooses the launcher and says in one log line what is not isolated. Blocks for some
    /// milliseconds; needs no runtime yet.
    pub fn new(config: ContainerizerConfig) -> Result<Self, ContainerizerError> {
        Ok(Self { inner: Arc::new(config) })
    }

    /// Re-attaches to the containers in `known` and destroys all others found under the runtime
    /// directory. Call it before the first launch.
    pub async fn recover(
        &self,
        known: Vec<v1::ContainerId>,
    ) -> Result<Recovered, ContainerizerError> {
        Ok(Recovered { missing: known, ..Recovered::default() })
    }

    /// Starts a container; returns when its program has been executed. `destroy` may be called
    /// meanwhile.
    pub async fn launch(&self, container: ContainerConfig) -> Result<Launched, LaunchError> {
        Err(LaunchError::Exists(container.container_id.value))
    }

    /// Waits for a container's end: all its processes are gone. None: there is no such container.
    pub async fn wait(&self, _id: &v1::ContainerId) -> Option<Termination> {
        None
    }

    /// Ends a container with all its processes and returns when they are gone.
    pub async fn destroy(
        &self,
        _id: &v1::ContainerId,
    ) -> Result<Option<Termination>, ContainerizerError> {
        Ok(None)
    }

    /// Forgets a container that ended, and its record on disk: call it once its end is written
    /// down elsewhere. The sandbox stays.
    pub async fn remove(&self, _id: &v1::ContainerId) -> Result<(), ContainerizerError> {
        Ok(())
    }

    /// Changes the limits of a container that runs.
    pub async fn update(
        &self,
        id: &v1::ContainerId,
        _resources: ResourceLimits,
    ) -> Result<(), ContainerizerError> {
        Err(ContainerizerError::Unknown(id.value.clone()))
    }

    /// What a container uses now.
    pub async fn usage(
        &self,
        id: &v1::ContainerId,
    ) -> Result<v1::ResourceStatistics, ContainerizerError> {
        Err(ContainerizerError::Unknown(id.value.clone()))
    }

    pub fn status(&self, id: &v1::ContainerId) -> Result<v1::ContainerStatus, ContainerizerError> {
        Err(ContainerizerError::Unknown(id.value.clone()))
    }

    /// All containers, ended ones that were not removed included.
    pub fn containers(&self) -> Vec<v1::ContainerId> {
        Vec::new()
    }

    /// `linux` or `posix`.
    pub fn launcher(&self) -> &'static str {
        "posix"
    }

    pub fn runtime_dir(&self) -> PathBuf {
        self.inner.runtime_dir.clone()
    }
}
