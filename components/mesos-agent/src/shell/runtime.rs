//! What runs containers: the containerizer and the fetcher, behind a seam for tests.

use crate::core::ContainerEnd;
use mesos_containerizer::{ContainerConfig, Containerizer, ResourceLimits, Termination};
use mesos_fetcher::{FetchRequest, Fetcher};
use mesos_messages::v1;
use std::{future::Future, pin::Pin};

/// A future of a trait object.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs containers for the agent.
pub(crate) trait Runtime: Send + Sync + 'static {
    /// Takes back the containers in `known`, destroys all others; answers with those that still
    /// run or of which the end can be learned.
    fn recover(&self, known: Vec<String>) -> BoxFuture<'_, Result<Vec<String>, String>>;
    /// Brings a container's files into its sandbox.
    fn fetch(&self, request: FetchRequest) -> BoxFuture<'_, Result<(), String>>;
    /// Starts a container; answers with its main process's pid.
    fn launch(&self, container: ContainerConfig) -> BoxFuture<'_, Result<u32, String>>;
    /// Waits for a container's end.
    fn wait(&self, id: String) -> BoxFuture<'_, ContainerEnd>;
    /// Ends a container, or what is fetched for it.
    fn destroy(&self, id: String) -> BoxFuture<'_, Result<(), String>>;
    /// Forgets a container that ended.
    fn release(&self, id: String) -> BoxFuture<'_, ()>;
    /// Changes a container's limits.
    fn update(&self, id: String, limits: ResourceLimits) -> BoxFuture<'_, Result<(), String>>;
    /// What a container uses.
    fn usage(&self, id: String) -> BoxFuture<'_, Option<v1::ResourceStatistics>>;
    /// What a container is.
    fn status(&self, id: &str) -> Option<v1::ContainerStatus>;
    /// `linux` or `posix`.
    fn launcher(&self) -> &'static str;
}

/// The real thing.
pub(crate) struct Containers {
    pub(crate) containerizer: Containerizer,
    pub(crate) fetcher: Fetcher,
}

fn id_of(id: &str) -> v1::ContainerId {
    v1::ContainerId { value: id.to_owned(), parent: None }
}

/// An error with its causes, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn end_of(termination: Termination) -> ContainerEnd {
    let limit_message = termination.limitation.as_ref().map(|limit| limit.message.clone());
    ContainerEnd {
        status: termination.status,
        reason: termination.limitation.as_ref().map(|limit| limit.reason).or(termination.reason),
        message: termination.message.or(limit_message),
        limitation: termination
            .limitation
            .map(|limit| v1::TaskResourceLimitation { resources: limit.resources }),
    }
}

impl Runtime for Containers {
    fn recover(&self, known: Vec<String>) -> BoxFuture<'_, Result<Vec<String>, String>> {
        Box::pin(async move {
            let known = known.iter().map(|id| id_of(id)).collect();
            let recovered =
                self.containerizer.recover(known).await.map_err(|error| causes(&error))?;
            Ok(recovered.containers.into_iter().map(|id| id.value).collect())
        })
    }

    fn fetch(&self, request: FetchRequest) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move { self.fetcher.fetch(request).await.map_err(|error| causes(&error)) })
    }

    fn launch(&self, container: ContainerConfig) -> BoxFuture<'_, Result<u32, String>> {
        Box::pin(async move {
            let launched = self.containerizer.launch(container).await;
            launched.map(|launched| launched.pid).map_err(|error| causes(&error))
        })
    }

    fn wait(&self, id: String) -> BoxFuture<'_, ContainerEnd> {
        Box::pin(async move {
            let end = self.containerizer.wait(&id_of(&id)).await;
            end.map(end_of).unwrap_or_default()
        })
    }

    fn destroy(&self, id: String) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let id = id_of(&id);
            self.fetcher.kill(&id);
            self.containerizer.destroy(&id).await.map(drop).map_err(|error| causes(&error))
        })
    }

    fn release(&self, id: String) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Err(error) = self.containerizer.remove(&id_of(&id)).await {
                tracing::debug!(container = %id, %error, "nothing to forget of a container");
            }
        })
    }

    fn update(&self, id: String, limits: ResourceLimits) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            self.containerizer.update(&id_of(&id), limits).await.map_err(|error| causes(&error))
        })
    }

    fn usage(&self, id: String) -> BoxFuture<'_, Option<v1::ResourceStatistics>> {
        Box::pin(async move { self.containerizer.usage(&id_of(&id)).await.ok() })
    }

    fn status(&self, id: &str) -> Option<v1::ContainerStatus> {
        self.containerizer.status(&id_of(id)).ok()
    }

    fn launcher(&self) -> &'static str {
        self.containerizer.launcher()
    }
}
