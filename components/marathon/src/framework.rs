//! The framework: its subscription, what the master says as inputs, and the calls it makes.
use std::{sync::Arc, time::Duration};

use http::{HeaderValue, header::AUTHORIZATION};
use http_kit::guard::TokenSource;
use marathon_core::{Call, FailedCall, Input};
use mesos_messages::v1::{
    self,
    framework_info::{Capability, capability},
    scheduler::{Event, event},
};
use mesos_scheduler::{Authorize, CallError, Client, ClientError, Credential, Notice};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::task::AbortOnDropHandle;

use crate::config::Config;

/// Acknowledgements in flight at once, each over a connection of its own: their order does not
/// matter, and the agents wait for them.
const LANES: usize = 4;
/// How many failures of calls may wait for the owner.
const FAILURES: usize = 256;

/// The subscription of one life of the core.
#[derive(Debug)]
pub(crate) struct Framework {
    pub(crate) notices: mpsc::Receiver<Notice>,
    pub(crate) calls: Calls,
}

/// Calls on their way; they are made in order, without anybody waiting for them.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) sending: Sending,
    pub(crate) failures: mpsc::Receiver<(FailedCall, String)>,
    _maker: AbortOnDropHandle<()>,
}

/// Their queue.
#[derive(Debug)]
pub(crate) struct Sending {
    batches: mpsc::Sender<Vec<Call>>,
    backlog: Vec<Call>,
}

/// What a notice means.
#[derive(Debug)]
pub(crate) enum Said {
    Input(Box<Input>),
    /// The master ended the framework for good: its tasks are gone, its id is void.
    Removed(String),
    /// It does not want the framework now.
    Refused(String),
    Nothing,
}

// === impl Framework ===

impl Framework {
    /// Subscribes, as the framework with this id if there is one.
    pub(crate) fn start(
        config: &Config,
        id: Option<String>,
        hostname: &str,
        webui_url: String,
    ) -> Self {
        let info = framework_info(config, id, hostname, webui_url);
        let mut settings = mesos_scheduler::Config::new("", info.clone());
        settings.masters.clone_from(&config.masters);
        settings.credential = config
            .principal
            .clone()
            .zip(config.secret.clone())
            .map(|(principal, secret)| Credential { principal, secret: secret.0 });
        let tokens = config.tokens.clone();
        settings.authorization =
            tokens.map(|tokens| Arc::new(Tokens(tokens)) as Arc<dyn Authorize>);
        let (client, notices) = mesos_scheduler::start(settings);
        Self { notices, calls: Calls::start(client, info) }
    }
}

/// The token of the service's account.
#[derive(Debug)]
struct Tokens(TokenSource);

impl Authorize for Tokens {
    fn header(&self) -> Option<HeaderValue> {
        self.0.authorization()
    }

    fn refused(&self, header: &HeaderValue) {
        self.0.refused(&[(AUTHORIZATION, header.clone())].into_iter().collect());
    }
}

/// Who this framework is. Its name in DNS leads to `hostname`.
fn framework_info(
    config: &Config,
    id: Option<String>,
    hostname: &str,
    webui_url: String,
) -> v1::FrameworkInfo {
    let features = &config.core.model.features;
    let mut capabilities = vec![
        capability::Type::PartitionAware,
        capability::Type::RegionAware,
        capability::Type::MultiRole,
    ];
    if features.contains("task_killing") {
        capabilities.push(capability::Type::TaskKillingState);
    }
    if features.contains("gpu_resources") {
        capabilities.push(capability::Type::GpuResources);
    }
    let capability = |kind: capability::Type| Capability { r#type: Some(kind.into()) };
    v1::FrameworkInfo {
        user: config.mesos_user.clone(),
        name: config.framework_name.clone(),
        id: id.map(|value| v1::FrameworkId { value }),
        failover_timeout: Some(config.failover_timeout.as_secs_f64()),
        checkpoint: Some(config.checkpoint),
        hostname: Some(hostname.to_owned()),
        webui_url: Some(webui_url),
        principal: config.principal.clone(),
        roles: vec![config.core.model.mesos_role.clone()],
        capabilities: capabilities.into_iter().map(capability).collect(),
        ..v1::FrameworkInfo::default()
    }
}

/// Whether the reason of an ERROR event says that the framework is over.
fn is_removed(reason: &str) -> bool {
    reason.contains("Framework has been removed")
        || reason.contains("Completed framework attempted to re-subscribe")
}

/// What a notice means to the core.
pub(crate) fn said(notice: Notice) -> Said {
    match notice {
        Notice::Event(event) => said_event(*event),
        Notice::Disconnected { reason } => {
            tracing::warn!(reason, "disconnected from the master");
            Said::Input(Box::new(Input::Disconnected))
        }
        Notice::Failed(ClientError::Ended(reason)) if is_removed(&reason) => Said::Removed(reason),
        Notice::Failed(error) => Said::Refused(error.to_string()),
    }
}

fn said_event(event: Event) -> Said {
    let input = match event.r#type() {
        event::Type::Subscribed => event.subscribed.map(subscribed),
        event::Type::Offers => event.offers.map(|offers| Input::Offers(offers.offers)),
        event::Type::Rescind => event.rescind.map(|rescind| Input::Rescinded(rescind.offer_id)),
        event::Type::Update => event.update.map(|update| Input::Update(Box::new(update.status))),
        event::Type::Failure => event.failure.and_then(lost),
        event::Type::Message => event.message.map(|message| Input::Message {
            agent: message.agent_id.value,
            executor: message.executor_id.value,
            data: message.data.to_vec(),
        }),
        _ => None,
    };
    input.map_or(Said::Nothing, |input| Said::Input(Box::new(input)))
}

fn subscribed(event: event::Subscribed) -> Input {
    let info = event.master_info.unwrap_or_default();
    let address = info.address.as_ref();
    let host = address.and_then(|address| address.hostname.clone().or_else(|| address.ip.clone()));
    let host = host.or_else(|| info.hostname.clone()).unwrap_or_default();
    let port = address.and_then(|address| u32::try_from(address.port).ok()).unwrap_or(info.port);
    let domain = info.domain.and_then(|domain| domain.fault_domain);
    Input::Subscribed {
        framework_id: event.framework_id.value,
        master: format!("{host}:{port}"),
        region: domain.as_ref().map(|domain| domain.region.name.clone()),
        zone: domain.map(|domain| domain.zone.name),
    }
}

/// A failure of an executor is told by its tasks; that of an agent only here.
fn lost(failure: event::Failure) -> Option<Input> {
    if failure.executor_id.is_some() {
        return None;
    }
    failure.agent_id.map(Input::AgentLost)
}

// === impl Calls ===

impl Calls {
    fn start(client: Client, info: v1::FrameworkInfo) -> Self {
        let (batches, receiver) = mpsc::channel(1);
        let (failed, failures) = mpsc::channel(FAILURES);
        let lanes = (0..LANES).map(|_| client.another()).collect();
        let maker = Maker { client, lanes, info, failed };
        let maker = AbortOnDropHandle::new(tokio::spawn(maker.run(receiver)));
        let sending = Sending { batches, backlog: Vec::new() };
        Self { sending, failures, _maker: maker }
    }
}

// === impl Sending ===

impl Sending {
    /// Has calls made after all earlier ones.
    pub(crate) fn make(&mut self, calls: Vec<Call>) {
        self.backlog.extend(calls);
        if !self.backlog.is_empty()
            && let Ok(place) = self.batches.try_reserve()
        {
            place.send(std::mem::take(&mut self.backlog));
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.backlog.len()
    }

    /// Waits until the next ones can go, if there are any.
    pub(crate) async fn next(&mut self) {
        if self.backlog.is_empty() {
            return std::future::pending().await;
        }
        match self.batches.reserve().await {
            Ok(place) => place.send(std::mem::take(&mut self.backlog)),
            // It ends only together with this.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Makes calls and tells of those that fail.
struct Maker {
    client: Client,
    lanes: Vec<Client>,
    info: v1::FrameworkInfo,
    failed: mpsc::Sender<(FailedCall, String)>,
}

// === impl Maker ===

impl Maker {
    async fn run(self, mut batches: mpsc::Receiver<Vec<Call>>) {
        while let Some(batch) = batches.recv().await {
            let (mut acknowledgements, mut others) = (Vec::new(), Vec::new());
            for call in batch {
                match call {
                    Call::Acknowledge(status) => acknowledgements.push(*status),
                    call => others.push(call),
                }
            }
            let mut lanes = self.acknowledge(acknowledgements);
            for call in others {
                let kind = failed_call(&call);
                if let Err(error) = self.call(call).await {
                    let kind = failed_how(kind, &error);
                    tracing::warn!(%error, ?kind, "a call failed");
                    let _ = self.failed.send((kind, error.to_string())).await;
                }
            }
            while lanes.join_next().await.is_some() {}
        }
    }

    fn acknowledge(&self, statuses: Vec<v1::TaskStatus>) -> JoinSet<()> {
        let mut set = JoinSet::new();
        let share = statuses.len().div_ceil(self.lanes.len().max(1)).max(1);
        for (lane, statuses) in self.lanes.iter().zip(statuses.chunks(share)) {
            let (lane, statuses) = (lane.clone(), statuses.to_vec());
            set.spawn(async move {
                for status in statuses {
                    // One that is lost is sent again by the agent.
                    if let Err(error) = lane.acknowledge(&status).await {
                        tracing::debug!(%error, "an acknowledgement was not sent");
                    }
                }
            });
        }
        set
    }

    async fn call(&self, call: Call) -> Result<(), CallError> {
        let client = &self.client;
        match call {
            Call::Accept { offers, operations, refuse } => {
                client.accept(offers, operations, Some(filters(refuse))).await
            }
            Call::Decline { offers, refuse } => client.decline(offers, Some(filters(refuse))).await,
            Call::Kill { task, agent, grace } => {
                let agent = agent.map(|value| v1::AgentId { value });
                let policy = grace.map(|grace| v1::KillPolicy {
                    grace_period: Some(v1::DurationInfo { nanoseconds: nanoseconds(grace) }),
                });
                client.kill(v1::TaskId { value: task }, agent, policy).await
            }
            Call::Revive { roles } => client.revive(roles).await,
            Call::Suppress { roles } => client.suppress(roles).await,
            Call::Reconcile(tasks) => {
                let tasks = tasks.into_iter().map(|(task, agent)| {
                    (v1::TaskId { value: task }, agent.map(|value| v1::AgentId { value }))
                });
                client.reconcile(tasks.collect()).await
            }
            Call::Acknowledge(status) => client.acknowledge(&status).await,
            Call::UpdateFramework { roles, suppressed } => {
                let id = client.framework_id();
                let info = v1::FrameworkInfo { roles, id, ..self.info.clone() };
                client.update_framework(info, suppressed, None).await
            }
        }
    }
}

fn filters(refuse: Duration) -> v1::Filters {
    v1::Filters { refuse_seconds: Some(refuse.as_secs_f64()) }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// What the core must know if the call fails.
fn failed_call(call: &Call) -> FailedCall {
    match call {
        Call::Accept { operations, offers, .. } => {
            let launches = operations.iter().filter_map(|operation| operation.launch.as_ref());
            let tasks = launches.flat_map(|launch| &launch.task_infos);
            let tasks = tasks.map(|task| task.task_id.value.clone()).collect();
            FailedCall::Accept { tasks, offers: offers.clone() }
        }
        Call::Decline { offers, .. } => FailedCall::Decline(offers.clone()),
        Call::Revive { .. } | Call::Suppress { .. } => FailedCall::Interest,
        Call::UpdateFramework { roles, .. } => FailedCall::Roles(roles.clone()),
        _ => FailedCall::Other,
    }
}

/// The same, by how it failed.
fn failed_how(call: FailedCall, error: &CallError) -> FailedCall {
    let lost = matches!(error, CallError::Lost(_));
    match call {
        // Without a subscription there are no offers, and what the master refused it has seen.
        FailedCall::Accept { tasks, .. } if !lost => {
            FailedCall::Accept { tasks, offers: Vec::new() }
        }
        FailedCall::Decline(_) if !lost => FailedCall::Other,
        FailedCall::Roles(_) if !matches!(error, CallError::Refused { status: 400 | 403, .. }) => {
            FailedCall::Interest
        }
        call => call,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_framework_is_the_originals() {
        let info =
            framework_info(&Config::default(), Some("F".to_owned()), "h", "http://h:1".into());
        assert_eq!((info.name.as_str(), info.failover_timeout), ("marathon", Some(604_800.0)));
        assert_eq!(info.checkpoint, Some(true));
        let capabilities = info.capabilities.iter().map(|c| c.r#type().as_str_name());
        assert_eq!(
            capabilities.collect::<Vec<_>>(),
            ["PARTITION_AWARE", "REGION_AWARE", "MULTI_ROLE"]
        );
    }

    #[test]
    fn what_failed_depends_on_how() {
        let offers = vec![v1::OfferId { value: "o".to_owned() }];
        let refused = |status| CallError::Refused { status, message: "no".to_owned() };
        let lost = CallError::Lost("broken".to_owned());
        let refuse = Duration::ZERO;
        let decline = || failed_call(&Call::Decline { offers: offers.clone(), refuse });
        assert_eq!(failed_how(decline(), &lost), FailedCall::Decline(offers.clone()));
        assert_eq!(failed_how(decline(), &refused(400)), FailedCall::Other);
        let call = Call::Accept { offers: offers.clone(), operations: Vec::new(), refuse };
        let accept = |offers| FailedCall::Accept { tasks: Vec::new(), offers };
        assert_eq!(failed_how(failed_call(&call), &lost), accept(offers.clone()));
        assert_eq!(failed_how(failed_call(&call), &CallError::NotSubscribed), accept(Vec::new()));
        let roles = vec!["*".to_owned()];
        let call = Call::UpdateFramework { roles: roles.clone(), suppressed: Vec::new() };
        assert_eq!(failed_how(failed_call(&call), &refused(400)), FailedCall::Roles(roles));
        assert_eq!(failed_how(failed_call(&call), &refused(503)), FailedCall::Interest);
        assert_eq!(failed_how(failed_call(&call), &lost), FailedCall::Interest);
    }

    #[test]
    fn the_end_of_a_framework_is_told_from_other_errors() {
        let ended = |text: &str| said(Notice::Failed(ClientError::Ended(text.to_owned())));
        assert!(matches!(ended("Framework has been removed"), Said::Removed(_)));
        assert!(matches!(ended("Framework failed over"), Said::Refused(_)));
    }
}
