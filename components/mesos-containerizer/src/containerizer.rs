//! The agent's side: launches, watches, limits and ends containers.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::Child,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mesos_messages::v1;
use tokio::time::timeout;

use crate::{
    afterlife,
    cgroups::{self, Settings},
    config::{ContainerConfig, ContainerizerConfig, ResourceLimits},
    entry::{Container, Phase, blocking, joined, watch_over},
    error::{ContainerizerError, LaunchError},
    launch::{self, Launcher, Spawned, Supervisor},
    nursery::Nursery,
    plan::Plan,
    record::Record,
    stats,
};

/// Older than any container that is still starting.
const SWEEP_AGE: Duration = Duration::from_secs(600);
/// As in the original; names of directories may be little longer.
const MAX_ID_BYTES: usize = 242;
/// How long a supervisor that was killed is waited for.
const KILLED_TIMEOUT: Duration = Duration::from_secs(10);

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
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: ContainerizerConfig,
    launcher: Launcher,
    boot_id: String,
    containers: Mutex<BTreeMap<String, Arc<Container>>>,
    nursery: Mutex<Option<Nursery>>,
}

// === impl Containerizer ===

impl Containerizer {
    /// Chooses the launcher and says in one log line what is not isolated. Blocks for some
    /// milliseconds; needs no runtime yet.
    pub fn new(config: ContainerizerConfig) -> Result<Self, ContainerizerError> {
        let boot_id = launch::boot_id().map_err(|source| ContainerizerError::Io {
            action: "read",
            path: PathBuf::from("/proc/sys/kernel/random/boot_id"),
            source,
        })?;
        let launcher = Launcher::choose(&config)?;
        let (containers, nursery) = (Mutex::default(), Mutex::default());
        Ok(Self { inner: Arc::new(Inner { config, launcher, boot_id, containers, nursery }) })
    }

    /// Re-attaches to the containers in `known` and destroys all others found under the runtime
    /// directory. Call it before the first launch.
    pub async fn recover(
        &self,
        known: Vec<v1::ContainerId>,
    ) -> Result<Recovered, ContainerizerError> {
        let runtime_dir = self.inner.config.runtime_dir.clone();
        let failed = |source| ContainerizerError::Io {
            action: "read the containers in",
            path: self.inner.config.runtime_dir.clone(),
            source,
        };
        let found = blocking(move || Record::list(&runtime_dir)).await.map_err(failed)?;
        if let Launcher::Linux(hierarchies) = self.inner.launcher.clone() {
            blocking(move || hierarchies.sweep(SWEEP_AGE)).await;
        }
        let mut recovered = Recovered::default();
        for id in found {
            let inner = Arc::clone(&self.inner);
            let name = id.clone();
            let attached = blocking(move || inner.attach(name)).await;
            let container_id = known.iter().find(|known| known.value == id).cloned();
            match (attached, container_id) {
                (true, Some(id)) => recovered.containers.push(id),
                (true, None) => {
                    let orphan = v1::ContainerId { value: id, ..Default::default() };
                    recovered.orphans.push(orphan);
                }
                (false, _) => {}
            }
        }
        for orphan in &recovered.orphans {
            match self.destroy(orphan).await {
                Ok(_) => self.remove(orphan).await?,
                Err(error) => tracing::warn!("An orphan stays: {error}"),
            }
        }
        let is_missing = |id: &v1::ContainerId| !recovered.containers.contains(id);
        recovered.missing = known.into_iter().filter(is_missing).collect();
        Ok(recovered)
    }

    /// Starts a container; returns when its program has been executed. `destroy` may be called
    /// meanwhile. Dropping the future does not stop it.
    pub async fn launch(&self, container: ContainerConfig) -> Result<Launched, LaunchError> {
        check_id(&container.container_id)?;
        let inner = Arc::clone(&self.inner);
        let entry = inner.register(&container)?;
        let launch = async move {
            let (inner2, entry2) = (Arc::clone(&inner), Arc::clone(&entry));
            let started = blocking(move || inner2.start(&entry2, &container)).await;
            match started {
                Ok((launched, child)) => {
                    tokio::spawn(watch_over(entry, child));
                    Ok(launched)
                }
                Err(error) => {
                    inner.forget(&entry);
                    entry.phase.send_replace(Phase::Failed);
                    Err(error)
                }
            }
        };
        joined(tokio::spawn(launch).await)
    }

    /// Waits for a container's end: all its processes are gone. None: there is no such container.
    pub async fn wait(&self, id: &v1::ContainerId) -> Option<Termination> {
        self.inner.find(id)?.ended().await
    }

    /// Ends a container with all its processes and returns when they are gone. None: there is no
    /// such container, or it failed to start.
    pub async fn destroy(
        &self,
        id: &v1::ContainerId,
    ) -> Result<Option<Termination>, ContainerizerError> {
        let Some(container) = self.inner.find(id) else {
            return Ok(None);
        };
        container.signal(libc::SIGTERM);
        if let Ok(ended) = timeout(self.inner.config.destroy_timeout, container.ended()).await {
            return Ok(ended);
        }
        // The supervisor is stuck; what it leaves is cleaned up by whoever watches over it.
        container.signal(libc::SIGKILL);
        timeout(KILLED_TIMEOUT, container.ended()).await.map_err(|_| ContainerizerError::Destroy {
            id: id.value.clone(),
            reason: "its processes do not die".to_owned(),
        })
    }

    /// Forgets a container that ended, and its record on disk: call it once its end is written
    /// down elsewhere. The sandbox stays.
    pub async fn remove(&self, id: &v1::ContainerId) -> Result<(), ContainerizerError> {
        let Some(container) = self.inner.find(id) else {
            return Ok(());
        };
        if *container.phase.borrow() == Phase::Alive {
            let reason = "it has not ended".to_owned();
            return Err(ContainerizerError::Destroy { id: id.value.clone(), reason });
        }
        let record = container.record.clone();
        let path = record.path().to_owned();
        blocking(move || record.remove()).await.map_err(|source| ContainerizerError::Io {
            action: "remove",
            path,
            source,
        })?;
        self.inner.forget(&container);
        Ok(())
    }

    /// Changes the limits of a container that runs.
    pub async fn update(
        &self,
        id: &v1::ContainerId,
        resources: ResourceLimits,
    ) -> Result<(), ContainerizerError> {
        let (container, plan) = self.inner.running(id)?;
        container.state().resources = resources;
        let settings = Settings::new(&self.inner.config, &resources);
        blocking(move || cgroups::update(&plan.cgroups, &settings)).await.map_err(|error| {
            ContainerizerError::Update { id: id.value.clone(), reason: error.to_string() }
        })
    }

    /// What a container uses now.
    pub async fn usage(
        &self,
        id: &v1::ContainerId,
    ) -> Result<v1::ResourceStatistics, ContainerizerError> {
        let (container, plan) = self.inner.running(id)?;
        let (resources, supervisor) = {
            let state = container.state();
            (state.resources, state.supervisor.as_ref().map_or(0, |own| own.process.pid))
        };
        let settings = Settings::new(&self.inner.config, &resources);
        let count = self.inner.config.count_processes;
        Ok(blocking(move || stats::usage(&plan, &resources, &settings, supervisor, count)).await)
    }

    pub fn status(&self, id: &v1::ContainerId) -> Result<v1::ContainerStatus, ContainerizerError> {
        let container = self.inner.find(id);
        let container = container.ok_or_else(|| ContainerizerError::Unknown(id.value.clone()))?;
        let pid = container.state().pid;
        Ok(v1::ContainerStatus {
            container_id: Some(id.clone()),
            executor_pid: pid,
            ..v1::ContainerStatus::default()
        })
    }

    /// All containers, ended ones that were not removed included.
    pub fn containers(&self) -> Vec<v1::ContainerId> {
        let id = |value: &String| v1::ContainerId { value: value.clone(), ..Default::default() };
        self.inner.lock().keys().map(id).collect()
    }

    /// `linux` or `posix`.
    pub fn launcher(&self) -> &'static str {
        self.inner.launcher.name()
    }

    pub fn runtime_dir(&self) -> PathBuf {
        self.inner.config.runtime_dir.clone()
    }
}

// === impl Inner ===

impl Inner {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Container>>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: &v1::ContainerId) -> Option<Arc<Container>> {
        self.lock().get(&id.value).cloned()
    }

    fn running(
        &self,
        id: &v1::ContainerId,
    ) -> Result<(Arc<Container>, Arc<Plan>), ContainerizerError> {
        let container = self.find(id).filter(|found| *found.phase.borrow() == Phase::Alive);
        let plan = container.as_ref().and_then(|container| container.state().plan.clone());
        container.zip(plan).ok_or_else(|| ContainerizerError::Unknown(id.value.clone()))
    }

    fn register(&self, container: &ContainerConfig) -> Result<Arc<Container>, LaunchError> {
        let id = &container.container_id.value;
        let mut containers = self.lock();
        if containers.contains_key(id) {
            return Err(LaunchError::Exists(id.clone()));
        }
        let entry = Arc::new(Container::new(&self.config, id.clone()));
        entry.state().resources = container.resources;
        containers.insert(id.clone(), Arc::clone(&entry));
        Ok(entry)
    }

    /// Only this very entry: another may have taken its place.
    fn forget(&self, container: &Arc<Container>) {
        let mut containers = self.lock();
        if containers.get(&container.id).is_some_and(|entry| Arc::ptr_eq(entry, container)) {
            containers.remove(&container.id);
        }
    }

    fn start(
        &self,
        entry: &Container,
        container: &ContainerConfig,
    ) -> Result<(Launched, Option<Child>), LaunchError> {
        let mut plan = launch::plan(&self.config, &self.launcher, &self.boot_id, container)?;
        launch::prepare(&self.config, &self.launcher, container, &entry.record, &mut plan)?;
        let plan = Arc::new(plan);
        entry.state().plan = Some(Arc::clone(&plan));
        let result = self.spawn(entry);
        if result.is_err() {
            launch::discard(&entry.record, &plan);
        }
        result
    }

    fn spawn(&self, entry: &Container) -> Result<(Launched, Option<Child>), LaunchError> {
        let (report, child) = {
            // Under the lock: whoever destroys the container finds a supervisor, or is found.
            let mut state = entry.state();
            if state.destroyed {
                return Err(LaunchError::Destroyed(entry.id.clone()));
            }
            let spawned = self.supervisor(&entry.record)?;
            state.supervisor = Some(Arc::new(spawned.supervisor));
            (spawned.report, spawned.child)
        };
        match launch::read_report(report) {
            Ok(pid) => {
                entry.state().pid = Some(pid);
                Ok((Launched { pid }, child))
            }
            Err(error) => {
                let (supervisor, destroyed) = {
                    let state = entry.state();
                    (state.supervisor.clone(), state.destroyed)
                };
                if let Some(supervisor) = supervisor {
                    supervisor.signal(libc::SIGKILL);
                }
                if let Some(mut child) = child {
                    let _ = child.wait();
                }
                Err(if destroyed { LaunchError::Destroyed(entry.id.clone()) } else { error })
            }
        }
    }

    /// From the nursery, which is made anew when it is gone; without one, from scratch.
    fn supervisor(&self, record: &Record) -> Result<Spawned, LaunchError> {
        let mut nursery = self.nursery.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..2 {
            if nursery.is_none() {
                *nursery = Nursery::start(launch::helper(&self.config)).ok();
            }
            match nursery.as_ref().map(|nursery| nursery.fork(record)) {
                Some(Ok(spawned)) => return Ok(spawned),
                Some(Err(error)) => {
                    tracing::debug!(%error, "the nursery of supervisors is gone");
                    *nursery = None;
                }
                None => {}
            }
        }
        drop(nursery);
        launch::spawn(&self.config, record)
    }

    /// Takes up a container found on disk. False: nothing of it is left, its record neither.
    fn attach(&self, id: String) -> bool {
        let entry = Arc::new(Container::new(&self.config, id));
        let Ok(found) = entry.record.read_or_withdraw() else {
            return false;
        };
        let Some((plan, process)) = found.plan.as_ref().zip(found.supervisor) else {
            if let Some(plan) = found.plan {
                let _ = cgroups::remove(&plan.cgroups);
            }
            return false;
        };
        let plan = plan.clone();
        let process = Some(process).filter(|_| plan.boot_id == self.boot_id);
        if process.is_none() && found.ending.is_none() {
            // A reboot has ended it.
            launch::discard(&entry.record, &plan);
            return false;
        }
        let supervisor = process.and_then(Supervisor::find).map(Arc::new);
        if supervisor.is_none() {
            entry.phase.send_replace(Phase::Ended(afterlife::termination(&entry.record)));
        }
        {
            let mut state = entry.state();
            state.resources.cpus = plan.resources.cpus;
            state.resources.mem_bytes = plan.resources.mem_bytes;
            state.pid = found.main.and_then(|main| u32::try_from(main.pid).ok());
            state.plan = Some(Arc::new(plan));
            state.supervisor = supervisor;
        }
        if *entry.phase.borrow() == Phase::Alive {
            tokio::runtime::Handle::current().spawn(watch_over(Arc::clone(&entry), None));
        }
        self.lock().insert(entry.id.clone(), entry);
        true
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Launcher::Linux(hierarchies) = &self.launcher {
            hierarchies.remove_roots();
        }
    }
}

/// One path component, for it names directories.
fn check_id(id: &v1::ContainerId) -> Result<(), LaunchError> {
    if id.parent.is_some() {
        return Err(LaunchError::Unsupported("nested containers".to_owned()));
    }
    let value = &id.value;
    let plain = |c: char| !c.is_control() && c != '/';
    if value.is_empty()
        || value.len() > MAX_ID_BYTES
        || value.starts_with('.')
        || value.starts_with('-')
        || !value.chars().all(plain)
    {
        return Err(LaunchError::InvalidId(value.clone()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_plain_path_component() {
        let id = |value: &str| v1::ContainerId { value: value.to_owned(), ..Default::default() };
        assert!(check_id(&id("c0b2253a-ebf8-4865-b10c-8a72d24ce3d4")).is_ok());
        for wrong in ["", ".", "..", ".x", "a/b", "a\n", "--probe", &"x".repeat(MAX_ID_BYTES + 1)] {
            assert!(check_id(&id(wrong)).is_err(), "{wrong:?}");
        }
        let nested = v1::ContainerId { parent: Some(Box::new(id("p"))), ..id("c") };
        assert!(check_id(&nested).is_err());
    }
}
