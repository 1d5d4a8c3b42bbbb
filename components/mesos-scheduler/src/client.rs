//! Calls to the master, in order, over a connection of their own.

use crate::{
    Config,
    connection::{Connection, ConnectionError, text},
};
use bytes::Bytes;
use mesos_messages::v1::{
    AgentId, ExecutorId, Filters, FrameworkId, FrameworkInfo, KillPolicy, OfferId, TaskId,
    TaskStatus,
    offer::Operation,
    scheduler::{Call, OfferConstraints, call},
};
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

/// Makes calls; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    calls: mpsc::Sender<(Call, oneshot::Sender<Result<(), CallError>>)>,
    subscription: watch::Receiver<Option<Subscription>>,
    config: Arc<Config>,
    identity: Arc<Identity>,
}

/// Why a call did not reach its end.
#[derive(Debug, Error)]
pub enum CallError {
    /// There is no subscription now; the call was not sent.
    #[error("the framework is not subscribed")]
    NotSubscribed,
    /// The master said no.
    #[error("the master refused the call with status {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The body of the answer.
        message: String,
    },
    /// Whether the master got the call is not known.
    #[error("{0}")]
    Lost(String),
}

/// What the framework is subscribed as; changed by UPDATE_FRAMEWORK, used to subscribe again.
pub(crate) type Identity = watch::Sender<(FrameworkInfo, Vec<String>, Option<OfferConstraints>)>;

/// Where calls go at present.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) host: String,
    pub(crate) stream_id: String,
    pub(crate) framework_id: FrameworkId,
}

// === impl Client ===

impl Client {
    pub(crate) fn start(
        config: Arc<Config>,
        subscription: watch::Receiver<Option<Subscription>>,
        identity: Arc<Identity>,
    ) -> Self {
        let (calls, queue) = mpsc::channel(config.call_queue.max(1));
        let worker = Worker {
            config: config.clone(),
            subscription: subscription.clone(),
            identity: identity.clone(),
            connection: None,
        };
        tokio::spawn(worker.run(queue));
        Self { calls, subscription, config, identity }
    }

    /// Another client with a connection of its own, for calls whose order among those of this
    /// one does not matter.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::start(self.config.clone(), self.subscription.clone(), self.identity.clone())
    }

    /// The framework's id, while subscribed.
    pub fn framework_id(&self) -> Option<FrameworkId> {
        self.subscription.borrow().as_ref().map(|current| current.framework_id.clone())
    }

    /// Makes any call; the framework's id is filled in.
    pub async fn call(&self, call: Call) -> Result<(), CallError> {
        let (answer, answered) = oneshot::channel();
        let stopped = || CallError::Lost("the client has stopped".to_owned());
        self.calls.send((call, answer)).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }

    async fn send(&self, kind: call::Type, fill: impl FnOnce(&mut Call)) -> Result<(), CallError> {
        let mut call = Call { r#type: Some(kind.into()), ..Default::default() };
        fill(&mut call);
        self.call(call).await
    }

    /// Uses offers, all of one agent and role.
    pub async fn accept(
        &self,
        offer_ids: Vec<OfferId>,
        operations: Vec<Operation>,
        filters: Option<Filters>,
    ) -> Result<(), CallError> {
        self.send(call::Type::Accept, |call| {
            call.accept = Some(call::Accept { offer_ids, operations, filters });
        })
        .await
    }

    /// Gives offers back.
    pub async fn decline(
        &self,
        offer_ids: Vec<OfferId>,
        filters: Option<Filters>,
    ) -> Result<(), CallError> {
        self.send(call::Type::Decline, |call| {
            call.decline = Some(call::Decline { offer_ids, filters });
        })
        .await
    }

    /// Ends a task.
    pub async fn kill(
        &self,
        task_id: TaskId,
        agent_id: Option<AgentId>,
        kill_policy: Option<KillPolicy>,
    ) -> Result<(), CallError> {
        self.send(call::Type::Kill, |call| {
            call.kill = Some(call::Kill { task_id, agent_id, kill_policy });
        })
        .await
    }

    /// Confirms an update that wants it; others need nothing and get nothing.
    pub async fn acknowledge(&self, status: &TaskStatus) -> Result<(), CallError> {
        let (Some(uuid), Some(agent_id)) = (&status.uuid, &status.agent_id) else { return Ok(()) };
        let acknowledge = call::Acknowledge {
            agent_id: agent_id.clone(),
            task_id: status.task_id.clone(),
            uuid: uuid.clone(),
        };
        self.send(call::Type::Acknowledge, |call| call.acknowledge = Some(acknowledge)).await
    }

    /// Asks for the state of these tasks, or of all.
    pub async fn reconcile(&self, tasks: Vec<(TaskId, Option<AgentId>)>) -> Result<(), CallError> {
        let tasks = tasks
            .into_iter()
            .map(|(task_id, agent_id)| call::reconcile::Task { task_id, agent_id })
            .collect();
        self.send(call::Type::Reconcile, |call| {
            call.reconcile = Some(call::Reconcile { tasks });
        })
        .await
    }

    /// Wants offers again, for these roles or all, whatever was declined before.
    pub async fn revive(&self, roles: Vec<String>) -> Result<(), CallError> {
        self.send(call::Type::Revive, |call| call.revive = Some(call::Revive { roles })).await
    }

    /// Wants no offers for now, for these roles or all.
    pub async fn suppress(&self, roles: Vec<String>) -> Result<(), CallError> {
        self.send(call::Type::Suppress, |call| call.suppress = Some(call::Suppress { roles })).await
    }

    /// Sends bytes to an executor; they may get lost.
    pub async fn message(
        &self,
        agent_id: AgentId,
        executor_id: ExecutorId,
        data: Bytes,
    ) -> Result<(), CallError> {
        self.send(call::Type::Message, |call| {
            call.message = Some(call::Message { agent_id, executor_id, data });
        })
        .await
    }

    /// Ends an executor and its tasks.
    pub async fn shutdown(
        &self,
        executor_id: ExecutorId,
        agent_id: AgentId,
    ) -> Result<(), CallError> {
        self.send(call::Type::Shutdown, |call| {
            call.shutdown = Some(call::Shutdown { executor_id, agent_id });
        })
        .await
    }

    /// Ends the framework with everything it runs.
    pub async fn teardown(&self) -> Result<(), CallError> {
        self.send(call::Type::Teardown, |_| {}).await
    }

    /// Changes the framework; the three parts replace what was, and are what the framework
    /// subscribes with again after a lost connection.
    pub async fn update_framework(
        &self,
        framework_info: FrameworkInfo,
        suppressed_roles: Vec<String>,
        offer_constraints: Option<OfferConstraints>,
    ) -> Result<(), CallError> {
        self.send(call::Type::UpdateFramework, |call| {
            call.update_framework =
                Some(call::UpdateFramework { framework_info, suppressed_roles, offer_constraints });
        })
        .await
    }
}

struct Worker {
    config: Arc<Config>,
    subscription: watch::Receiver<Option<Subscription>>,
    identity: Arc<Identity>,
    connection: Option<Connection>,
}

// === impl Worker ===

impl Worker {
    async fn run(
        mut self,
        mut queue: mpsc::Receiver<(Call, oneshot::Sender<Result<(), CallError>>)>,
    ) {
        while let Some((call, answer)) = queue.recv().await {
            // Whoever does not wait for the answer still wants the call made.
            let _ = answer.send(self.perform(call).await);
        }
    }

    async fn perform(&mut self, mut call: Call) -> Result<(), CallError> {
        let current = self.subscription.borrow().clone().ok_or(CallError::NotSubscribed)?;
        call.framework_id = Some(current.framework_id.clone());
        let sent = self.send(&call, &current).await;
        let answer = sent.map_err(|error| {
            self.connection = None;
            CallError::Lost(error.to_string())
        })?;
        let status = answer.status().as_u16();
        let message = text(answer).await;
        if (200..300).contains(&status) {
            self.note(call);
            Ok(())
        } else {
            Err(CallError::Refused { status, message })
        }
    }

    fn note(&self, call: Call) {
        if let Some(update) = call.update_framework {
            let identity =
                (update.framework_info, update.suppressed_roles, update.offer_constraints);
            self.identity.send_replace(identity);
        }
    }

    async fn send(
        &mut self,
        call: &Call,
        current: &Subscription,
    ) -> Result<http::Response<hyper::body::Incoming>, ConnectionError> {
        let usable = match &mut self.connection {
            Some(connection) => connection.host == current.host && connection.is_open().await,
            None => false,
        };
        if !usable {
            self.connection = None;
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            empty => empty.insert(Connection::open(&current.host, &self.config).await?),
        };
        connection.send(call, Some(&current.stream_id)).await
    }
}
