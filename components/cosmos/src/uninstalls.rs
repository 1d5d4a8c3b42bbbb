//! Uninstalls that take their time: services built with the SDK clean up after themselves, and
//! only then is their app deleted. Which are under way stands in the cluster's state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster_state::{ClusterState, StateError, When};
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::clients::marathon::{App, Marathon};
use crate::clients::services::Services;
use crate::error::Failure;

/// A label of services that uninstall themselves.
pub(crate) const SDK_LABEL: &str = "DCOS_COMMONS_UNINSTALL";
/// A label with the version of their API.
pub(crate) const VERSION_LABEL: &str = "DCOS_COMMONS_API_VERSION";
/// The variable that makes them do it.
pub(crate) const SDK_VARIABLE: &str = "SDK_UNINSTALL";

const PREFIX: &str = "/cosmos/uninstalls/";
/// Looks at one uninstall before it is given up.
const TRIES: u32 = 10_000;
/// New uninstalls that wait for the task that follows them.
const INBOX: usize = 64;

/// An uninstall under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) app_id: String,
    /// The framework ids at its beginning.
    pub(crate) frameworks: Vec<String>,
    /// The deployment that sets the variable; none until Marathon has named it.
    pub(crate) deployment: Option<String>,
}

/// What one look showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Done,
    Again,
}

/// The uninstalls under way.
#[derive(Clone, Debug)]
pub(crate) struct Uninstalls {
    state: Arc<dyn ClusterState>,
    follower: mpsc::Sender<Pending>,
}

struct Follower {
    uninstalls: Uninstalls,
    marathon: Marathon,
    services: Services,
    pending: BTreeMap<String, (Pending, u32)>,
}

fn key(app_id: &str) -> String {
    format!("{PREFIX}{}", utf8_percent_encode(app_id, NON_ALPHANUMERIC))
}

// === impl Uninstalls ===

impl Uninstalls {
    /// Takes up what was under way, and follows what comes, until `shutdown`.
    pub(crate) async fn start(
        state: Arc<dyn ClusterState>,
        marathon: Marathon,
        services: Services,
        interval: Duration,
        shutdown: CancellationToken,
    ) -> Result<(Uninstalls, JoinHandle<()>), StateError> {
        let (follower, inbox) = mpsc::channel(INBOX);
        let uninstalls = Uninstalls { state, follower };
        let mut pending = BTreeMap::new();
        for entry in uninstalls.state.list(PREFIX).await? {
            match serde_json::from_slice::<Pending>(&entry.value) {
                Ok(known) => drop(pending.insert(known.app_id.clone(), (known, 0))),
                Err(error) => tracing::error!(key = %entry.key, %error, "not an uninstall"),
            }
        }
        let follower = Follower { uninstalls: uninstalls.clone(), marathon, services, pending };
        Ok((uninstalls, tokio::spawn(follower.run(inbox, interval, shutdown))))
    }

    /// Writes an uninstall that is about to begin.
    pub(crate) async fn write(&self, pending: &Pending) -> Result<(), Failure> {
        let stored = |error: StateError| {
            tracing::error!(%error, "cannot write an uninstall");
            Failure::failed_to_start_uninstall(&pending.app_id, "it cannot be written down")
        };
        let text = serde_json::to_vec(pending).unwrap_or_default();
        let put = self.state.put(&key(&pending.app_id), Bytes::from(text), When::Any).await;
        put.map(drop).map_err(stored)
    }

    /// Follows an uninstall that has begun.
    pub(crate) async fn follow(&self, pending: Pending) -> Result<(), Failure> {
        self.write(&pending).await?;
        // Without a follower this service is stopping; the next one finds what was written.
        let _ = self.follower.send(pending).await;
        Ok(())
    }

    /// Forgets an uninstall that ended, or never began.
    pub(crate) async fn forget(&self, app_id: &str) {
        if let Err(error) = self.state.delete(&key(app_id), When::Any).await {
            tracing::error!(app = app_id, %error, "cannot forget an uninstall");
        }
    }
}

// === impl Follower ===

impl Follower {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Pending>,
        interval: Duration,
        shutdown: CancellationToken,
    ) {
        let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(10)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(new) = inbox.recv() => {
                    self.pending.insert(new.app_id.clone(), (new, 0));
                }
                _ = ticks.tick() => tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = self.look() => {}
                },
            }
        }
    }

    async fn look(&mut self) {
        let all: Vec<Pending> = self.pending.values().map(|(pending, _)| pending.clone()).collect();
        for pending in all {
            let app = pending.app_id.as_str();
            let step = self.step(&pending).await.unwrap_or_else(|failure| {
                tracing::warn!(app, error = %failure.message, "an uninstall waits");
                if failure.kind == "Unauthorized" { Step::Done } else { Step::Again }
            });
            let tries = self.pending.get_mut(app).map_or(0, |(_, tries)| {
                *tries += 1;
                *tries
            });
            if step == Step::Again && tries < TRIES {
                continue;
            }
            if step == Step::Again {
                tracing::error!(app, "Uninstall of app [{app}] failed.");
            }
            self.uninstalls.forget(app).await;
            self.pending.remove(app);
        }
    }

    /// Looks once: is the deployment over, has the service cleaned up, then delete its app.
    async fn step(&self, pending: &Pending) -> Result<Step, Failure> {
        let id = pending.app_id.as_str();
        if let Some(deployment) = &pending.deployment
            && self.marathon.deployments(None).await?.contains(deployment)
        {
            return Ok(Step::Again);
        }
        let Some(app) = self.marathon.find(id, None).await? else {
            tracing::warn!(app = id, "the app is gone: nothing to uninstall any more");
            return Ok(Step::Done);
        };
        if !is_uninstalling(&app) {
            tracing::warn!(app = id, "the app is not uninstalling itself");
            // Never begun, if we stopped before Marathon was told: the client knows of nothing.
            return Ok(if pending.deployment.is_none() { Step::Done } else { Step::Again });
        }
        let version = app.label(VERSION_LABEL).unwrap_or("v1");
        if !self.services.is_deployed(id, version, None).await? {
            return Ok(Step::Again);
        }
        // When they cannot be read any more the service is ready to go.
        if let Ok(now) = self.services.framework_ids(id, version, None).await
            && !same(&now, &pending.frameworks)
        {
            return Ok(Step::Again);
        }
        let status = self.marathon.delete(id, false, None).await?;
        tracing::info!(app = id, %status, "deleted the app of a service that uninstalled itself");
        let settled = status == StatusCode::OK || status.is_client_error();
        Ok(if settled { Step::Done } else { Step::Again })
    }
}

fn is_uninstalling(app: &App) -> bool {
    let env = app.env();
    let value = env.get(SDK_VARIABLE).and_then(serde_json::Value::as_str);
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn same(a: &[String], b: &[String]) -> bool {
    a.iter().all(|id| b.contains(id)) && b.iter().all(|id| a.contains(id))
}
