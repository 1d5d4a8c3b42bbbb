//! Uninstalls that take their time: services built with the SDK clean up after themselves, and
//! only then is their app deleted. Which are under way stands in the cluster's state.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster_state::{ClusterState, StateError, Version, When};
use http::StatusCode;
use http::header::AUTHORIZATION;
use http_kit::guard::TokenSource;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use tokio::sync::{OnceCell, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use crate::claims::Claims;
use crate::clients::Authorization;
use crate::clients::marathon::{App, Deployment, Marathon};
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
/// Looks until an uninstall that Marathon may not have heard of counts as never begun: its
/// answer was lost, and the request may still be under way.
const UNBEGUN: u32 = 6;
/// The most that one look may take, however slowly those it asks answer.
const STEP: Duration = Duration::from_secs(30);
/// Looks at once: one slow service does not hold up the others.
const AT_ONCE: usize = 8;
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
    /// Marathon does not seem to have been told.
    Unbegun,
}

/// What the follower is told.
#[derive(Debug)]
enum News {
    Follow(Known),
    Forget(Known),
}

/// An uninstall as it is written.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) pending: Pending,
    /// Of the key: only whoever knows the last one may forget it.
    version: Version,
}

/// The uninstalls under way.
#[derive(Clone, Debug)]
pub(crate) struct Uninstalls {
    state: Arc<dyn ClusterState>,
    follower: mpsc::Sender<News>,
}

/// Whom a look asks.
#[derive(Clone, Debug)]
struct Asked {
    marathon: Marathon,
    services: Services,
    /// Nobody waits whose token could be handed on.
    tokens: Option<TokenSource>,
}

/// The deployments under way, asked for at most once a round.
type Deployments = Arc<OnceCell<Result<Vec<Deployment>, Failure>>>;

struct Follower {
    uninstalls: Uninstalls,
    asked: Asked,
    claims: Claims,
    /// With the looks that came to nothing.
    pending: BTreeMap<String, (Known, u32)>,
    /// What this round has still to look at, as it was when the round began: a deployment
    /// younger than the list of deployments would count as over.
    waiting: VecDeque<Known>,
    deployments: Deployments,
    looks: JoinSet<(Known, Step)>,
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
        claims: Claims,
        tokens: Option<TokenSource>,
        interval: Duration,
        shutdown: CancellationToken,
    ) -> Result<(Uninstalls, JoinHandle<()>), StateError> {
        let (follower, inbox) = mpsc::channel(INBOX);
        let uninstalls = Uninstalls { state, follower };
        let mut pending = BTreeMap::new();
        for entry in uninstalls.state.list(PREFIX).await? {
            match serde_json::from_slice::<Pending>(&entry.value) {
                Ok(known) => {
                    let id = known.app_id.clone();
                    pending.insert(id, (Known { pending: known, version: entry.version }, 0));
                }
                Err(error) => tracing::error!(key = %entry.key, %error, "not an uninstall"),
            }
        }
        let follower = Follower {
            uninstalls: uninstalls.clone(),
            asked: Asked { marathon, services, tokens },
            claims,
            pending,
            waiting: VecDeque::new(),
            deployments: Deployments::default(),
            looks: JoinSet::new(),
        };
        Ok((uninstalls, tokio::spawn(follower.run(inbox, interval, shutdown))))
    }

    /// The uninstall of an app that is under way, or may be.
    pub(crate) async fn find(&self, app_id: &str) -> Result<Option<Known>, Failure> {
        let found = self.state.get(&key(app_id)).await.map_err(unreadable)?;
        Ok(found.and_then(|entry| {
            let pending = serde_json::from_slice(&entry.value).ok()?;
            Some(Known { pending, version: entry.version })
        }))
    }

    /// Writes down and follows an uninstall that is about to begin.
    pub(crate) async fn begin(&self, pending: Pending) -> Result<Known, Failure> {
        let known = self.write(pending, When::Absent).await.map_err(|(pending, error)| {
            tracing::error!(%error, "cannot write an uninstall");
            Failure::failed_to_start_uninstall(&pending.app_id, "it cannot be written down")
        })?;
        self.tell(News::Follow(known.clone())).await;
        Ok(known)
    }

    /// Writes down with which deployment it began.
    pub(crate) async fn begun(&self, mut known: Known, deployment: String) {
        known.pending.deployment = Some(deployment);
        let when = When::Version(known.version);
        let version = known.version;
        let written = self.write(known.pending, when).await.unwrap_or_else(|(pending, error)| {
            // After a restart the deployment is found by the app that it concerns.
            tracing::warn!(app = %pending.app_id, %error, "cannot write an uninstall's deployment");
            Known { pending, version }
        });
        self.tell(News::Follow(written)).await;
    }

    /// Forgets an uninstall that never began.
    pub(crate) async fn forget(&self, known: Known) {
        self.erase(&known).await;
        self.tell(News::Forget(known)).await;
    }

    async fn write(&self, pending: Pending, when: When) -> Result<Known, (Pending, StateError)> {
        let text = serde_json::to_vec(&pending).unwrap_or_default();
        match self.state.put(&key(&pending.app_id), Bytes::from(text), when).await {
            Ok(version) => Ok(Known { pending, version }),
            Err(error) => Err((pending, error)),
        }
    }

    /// Without a follower this service is stopping; the next one finds what was written.
    async fn tell(&self, news: News) {
        let _ = self.follower.send(news).await;
    }

    async fn erase(&self, known: &Known) {
        let app = known.pending.app_id.as_str();
        match self.state.delete(&key(app), When::Version(known.version)).await {
            Ok(_) => {}
            Err(StateError::Conflict { .. }) => {
                tracing::info!(app, "another uninstall of the same app goes on");
            }
            Err(error) => tracing::error!(app, %error, "cannot forget an uninstall"),
        }
    }
}

fn unreadable(error: StateError) -> Failure {
    tracing::error!(%error, "the cluster's state cannot be used");
    Failure::service_unavailable("cluster-state")
}

// === impl Follower ===

impl Follower {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<News>,
        interval: Duration,
        shutdown: CancellationToken,
    ) {
        let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(10)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(news) = inbox.recv() => self.take(news),
                Some(looked) = self.looks.join_next() => {
                    // A look that panicked showed nothing: the next round looks again.
                    if let Ok((known, step)) = looked {
                        self.settle(&known, step).await;
                    }
                    self.look();
                }
                _ = ticks.tick() => self.round(),
            }
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::Follow(known) => {
                self.pending.insert(known.pending.app_id.clone(), (known, 0));
            }
            News::Forget(known) => {
                if self.is_current(&known) {
                    self.pending.remove(&known.pending.app_id);
                }
            }
        }
    }

    /// Begins to look at all of them, unless the last round goes on.
    fn round(&mut self) {
        if self.waiting.is_empty() && self.looks.is_empty() {
            self.deployments = Deployments::default();
            self.waiting = self.pending.values().map(|(known, _)| known.clone()).collect();
            self.look();
        }
    }

    fn look(&mut self) {
        while self.looks.len() < AT_ONCE
            && let Some(known) = self.waiting.pop_front()
        {
            // Whoever holds it is about to tell Marathon.
            if !self.is_current(&known) || self.claims.is_held(&known.pending.app_id) {
                continue;
            }
            let (asked, deployments) = (self.asked.clone(), Arc::clone(&self.deployments));
            self.looks.spawn(async move {
                let step = asked.look(&known.pending, &deployments).await;
                (known, step)
            });
        }
    }

    fn is_current(&self, known: &Known) -> bool {
        let current = self.pending.get(&known.pending.app_id);
        current.is_some_and(|(current, _)| {
            current.version == known.version && current.pending == known.pending
        })
    }

    async fn settle(&mut self, known: &Known, step: Step) {
        let app = known.pending.app_id.as_str();
        if !self.is_current(known) {
            return;
        }
        let Some((_, tries)) = self.pending.get_mut(app) else { return };
        *tries += 1;
        match (step, *tries) {
            (Step::Again, tries) if tries < TRIES => return,
            (Step::Unbegun, tries) if tries < UNBEGUN => return,
            (Step::Again, _) => tracing::error!(app, "Uninstall of app [{app}] failed."),
            (Step::Unbegun, _) => tracing::warn!(app, "the uninstall never began"),
            (Step::Done, _) => {}
        }
        self.pending.remove(app);
        self.uninstalls.erase(known).await;
    }
}

// === impl Asked ===

impl Asked {
    async fn look(&self, pending: &Pending, deployments: &Deployments) -> Step {
        let app = pending.app_id.as_str();
        let token = self.tokens.as_ref().and_then(TokenSource::authorization);
        match timeout(STEP, self.step(pending, deployments, token.as_ref())).await {
            Ok(Ok(step)) => step,
            Ok(Err(failure)) => {
                if let (StatusCode::UNAUTHORIZED, Some(tokens)) = (failure.status, &self.tokens) {
                    tokens
                        .refused(&token.map(|token| (AUTHORIZATION, token)).into_iter().collect());
                }
                tracing::warn!(app, error = %failure.message, "an uninstall waits");
                Step::Again
            }
            Err(_) => {
                tracing::warn!(app, "an uninstall waits: no whole answer within {STEP:?}");
                Step::Again
            }
        }
    }

    /// Looks once: is the deployment over, has the service cleaned up, then delete its app.
    async fn step(
        &self,
        pending: &Pending,
        deployments: &Deployments,
        by: Authorization<'_>,
    ) -> Result<Step, Failure> {
        let id = pending.app_id.as_str();
        let all = deployments.get_or_init(|| self.marathon.deployments(by)).await;
        let going_on = |deployment: &Deployment| match &pending.deployment {
            Some(named) => deployment.id == *named,
            // Its name was lost: any that concerns the app may be it.
            None => deployment.apps.iter().any(|app| app == id),
        };
        if all.as_ref().map_err(Clone::clone)?.iter().any(going_on) {
            return Ok(Step::Again);
        }
        let Some(app) = self.marathon.find(id, by).await? else {
            tracing::warn!(app = id, "the app is gone: nothing to uninstall any more");
            return Ok(Step::Done);
        };
        if !is_uninstalling(&app) {
            tracing::warn!(app = id, "the app is not uninstalling itself");
            return Ok(match pending.deployment {
                None => Step::Unbegun,
                Some(_) => Step::Again,
            });
        }
        let version = app.label(VERSION_LABEL).unwrap_or("v1");
        if !self.services.is_deployed(id, version, by).await? {
            return Ok(Step::Again);
        }
        // When they cannot be read any more the service is ready to go.
        if let Ok(now) = self.services.framework_ids(id, version, by).await
            && !same(&now, &pending.frameworks)
        {
            return Ok(Step::Again);
        }
        let status = self.marathon.delete(id, false, by).await?;
        tracing::info!(app = id, %status, "deleted the app of a service that uninstalled itself");
        // Anything else, such as a deployment in its way, and it stands as before.
        let settled = matches!(status, StatusCode::OK | StatusCode::NOT_FOUND);
        Ok(if settled { Step::Done } else { Step::Again })
    }
}

pub(crate) fn is_uninstalling(app: &App) -> bool {
    let env = app.env();
    let value = env.get(SDK_VARIABLE).and_then(serde_json::Value::as_str);
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn same(a: &[String], b: &[String]) -> bool {
    a.iter().all(|id| b.contains(id)) && b.iter().all(|id| a.contains(id))
}
