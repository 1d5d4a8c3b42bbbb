//! Does what the core wants done.

use super::{
    Event,
    environment::{argv, environment},
    runtime::Runtime,
    sandbox,
    streams::Streams,
    wire,
};
use crate::{
    AgentConfig,
    core::{Effect, Input, Launch, Stop},
    http::permissions::{Shown, files},
};
use http_kit::files::VirtualFiles;
use libprocess::{Outbox, Upid};
use mesos_containerizer::{ContainerConfig, LogLimits};
use mesos_fetcher::FetchRequest;
use mesos_messages::v1;
use rustc_hash::FxHashMap;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How many containers got their files.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    pub(crate) succeeded: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// The agent's hands.
pub(crate) struct Actuator {
    pub(crate) config: Arc<AgentConfig>,
    pub(crate) upid: Upid,
    pub(crate) outbox: Outbox,
    pub(crate) streams: Arc<Streams>,
    pub(crate) fetches: Arc<Fetches>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) files: VirtualFiles,
    pub(crate) inbox: mpsc::Sender<Event>,
    /// The id of the agent, once it has one.
    pub(crate) agent_id: RwLock<String>,
    /// Containers whose launch can still be called off.
    pub(crate) launching: Mutex<FxHashMap<String, CancellationToken>>,
    pub(crate) stop: mpsc::Sender<Stop>,
}

impl Actuator {
    /// Does one thing; nothing here waits.
    pub(crate) fn perform(self: &Arc<Self>, effect: Effect) {
        match effect {
            Effect::Write(_) => {}
            Effect::Send { to, message } => {
                let (name, body) = wire::encode(&message);
                self.send(&to, name, &body);
            }
            Effect::Link(to) => {
                if let Ok(to) = to.parse::<Upid>() {
                    self.outbox.link(&to);
                }
            }
            Effect::Answer(request, answer) => self.streams.answer(request, answer),
            Effect::Event(stream, event) => self.streams.event(stream, &event),
            Effect::CloseStream(stream) => self.streams.close(stream),
            Effect::Launch(launch) => self.launch(*launch),
            Effect::Update { container_id, limits } => {
                let this = Arc::clone(self);
                tokio::spawn(async move {
                    let result = this.runtime.update(container_id.clone(), limits).await;
                    this.report(Input::Updated { container_id, result }).await;
                });
            }
            Effect::Destroy(container_id) => self.destroy(container_id),
            Effect::Release(container_id) => {
                let this = Arc::clone(self);
                tokio::spawn(async move { this.runtime.release(container_id).await });
            }
            Effect::MeasureDisk => {
                let this = Arc::clone(self);
                tokio::task::spawn_blocking(move || {
                    if let Some(usage) = crate::detect::usage(&this.config.work_dir) {
                        let _ = this.inbox.blocking_send(Event::Input(Input::DiskUsage(usage)));
                    }
                });
            }
            Effect::Remove(paths) => self.remove(paths),
            Effect::Stop(stop) => {
                let _ = self.stop.try_send(stop);
            }
        }
    }

    async fn report(&self, input: Input) {
        // The owner is gone only when the agent stops.
        let _ = self.inbox.send(Event::Input(input)).await;
    }

    fn send(&self, to: &str, name: &str, body: &[u8]) {
        let result = match to.parse::<Upid>() {
            Ok(to) => self.outbox.send(&self.upid, &to, name, body).map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = result {
            tracing::warn!(%to, message = name, %error, "cannot send a message");
        }
    }

    fn launch(self: &Arc<Self>, launch: Launch) {
        let container_id = launch.container_id.clone();
        let off = CancellationToken::new();
        self.launching
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(container_id.clone(), off.clone());
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let result = this.start(&launch, &off).await;
            this.launching
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&launch.container_id);
            let running = result.is_ok();
            this.report(Input::Launched { container_id: container_id.clone(), result }).await;
            if running {
                this.watch(container_id).await;
            }
        });
    }

    /// Reports a container's end.
    pub(crate) async fn watch(&self, container_id: String) {
        let end = self.runtime.wait(container_id.clone()).await;
        self.report(Input::Terminated { container_id, end }).await;
    }

    async fn start(&self, launch: &Launch, off: &CancellationToken) -> Result<u32, String> {
        let prepare = self.prepare(launch);
        let container = tokio::select! {
            biased;
            () = off.cancelled() => return Err("The launch was called off".to_owned()),
            prepared = prepare => prepared?,
        };
        let launched = self.runtime.launch(container).await;
        // Called off between the last look and the start: the first attempt found nothing to end.
        if off.is_cancelled() && launched.is_ok() {
            let _ = self.runtime.destroy(launch.container_id.clone()).await;
        }
        launched
    }

    /// Everything before the first process: the sandbox, its files, the command line.
    async fn prepare(&self, launch: &Launch) -> Result<ContainerConfig, String> {
        let (directory, user) = (launch.directory.clone(), launch.user.clone());
        tokio::task::spawn_blocking(move || sandbox::create(&directory, user.as_deref()))
            .await
            .map_err(|error| error.to_string())??;
        let executor = &launch.executor.executor_id.value;
        self.attach(&launch.framework_id, executor, launch.directory.clone());
        let command = launch.executor.command.as_deref().cloned().unwrap_or_default();
        let container_id = v1::ContainerId { value: launch.container_id.clone(), parent: None };
        let fetched = self.fetch(launch, &container_id, &command).await;
        let counter = if fetched.is_ok() { &self.fetches.succeeded } else { &self.fetches.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        fetched?;
        let agent_id = self.agent_id.read().unwrap_or_else(PoisonError::into_inner).clone();
        let pid = self.upid.to_string();
        let env = environment(&self.config, &pid, self.upid.address, &agent_id, launch)?;
        let rotation = &self.config.log_rotation;
        Ok(ContainerConfig {
            container_id,
            sandbox: launch.directory.clone(),
            argv: argv(&command)?,
            env,
            user: launch.user.clone(),
            resources: launch.limits,
            container_info: launch.executor.container.as_deref().cloned(),
            logs: LogLimits {
                stdout_max_bytes: rotation.max_stdout_size,
                stderr_max_bytes: rotation.max_stderr_size,
                keep: rotation.max_files,
            },
            working_dir: None,
        })
    }

    async fn fetch(
        &self,
        launch: &Launch,
        container_id: &v1::ContainerId,
        command: &v1::CommandInfo,
    ) -> Result<(), String> {
        if command.uris.is_empty() {
            return Ok(());
        }
        let request = FetchRequest {
            container_id: container_id.clone(),
            uris: command.uris.clone(),
            sandbox: launch.directory.clone(),
            user: launch.user.clone(),
        };
        self.runtime.fetch(request).await
    }

    /// Shows the sandbox under its short name; the long one lies below a shown directory.
    pub(super) fn attach(&self, framework: &str, executor: &str, sandbox: PathBuf) {
        let guard = files(Shown::Sandbox);
        self.files.attach_guarded(&latest_name(framework, executor), sandbox, guard);
    }

    fn destroy(self: &Arc<Self>, container_id: String) {
        let launching = self
            .launching
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&container_id)
            .cloned();
        if let Some(off) = launching {
            off.cancel();
        }
        let this = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = this.runtime.destroy(container_id.clone()).await {
                tracing::warn!(container = %container_id, %error, "cannot destroy a container");
            }
        });
    }

    fn remove(self: &Arc<Self>, paths: Vec<Arc<Path>>) {
        for path in &paths {
            // .../frameworks/<framework>/executors/<executor>
            let names: Vec<_> =
                path.iter().rev().take(4).filter_map(|name| name.to_str()).collect();
            if let [executor, "executors", framework, "frameworks"] = names.as_slice() {
                self.files.detach(&latest_name(framework, executor));
            }
        }
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let (succeeded, failed) = sandbox::remove(&paths);
            let _ = this.inbox.blocking_send(Event::Input(Input::Removed { succeeded, failed }));
        });
    }
}

fn latest_name(framework: &str, executor: &str) -> String {
    format!("/frameworks/{framework}/executors/{executor}/runs/latest")
}
