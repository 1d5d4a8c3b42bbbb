//! The agent's relation to its master: registering, pings, starting over.

use super::{Core, Effect, Effects, Outbound, Settings, State, Stop, Timer, dropped};
use crate::checkpoint::Write;
use mesos_messages::{
    internal,
    resources::Resources,
    time::{self, Now},
    v1,
    validate::ids::validate_id,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// Registrations are repeated at least this often.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// What is known of the master.
#[derive(Debug)]
pub(crate) struct MasterLink {
    /// Its address, as configured: who answers from another one is not obeyed.
    pub(crate) pid: Arc<str>,
    /// Names the attempt whose timer counts.
    attempt: u64,
    backoff: Duration,
    ping_timeout: Duration,
    last_ping: Duration,
    ping_timer: bool,
}

impl MasterLink {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            pid: Arc::from(settings.master.as_str()),
            attempt: 0,
            backoff: settings.registration_backoff_factor * 2,
            ping_timeout: settings.ping_timeout,
            last_ping: Duration::ZERO,
            ping_timer: false,
        }
    }

    fn is_at(&self, address: SocketAddr) -> bool {
        self.pid.split_once('@').and_then(|(_, host)| host.parse().ok()) == Some(address)
    }
}

/// What this agent can do, as the master wants to know it.
pub(crate) fn capabilities() -> Vec<v1::agent_info::Capability> {
    use v1::agent_info::capability::Type;
    [
        Type::MultiRole,
        Type::HierarchicalRole,
        Type::ReservationRefinement,
        Type::ResourceProvider,
        Type::ResizeVolume,
        Type::AgentOperationFeedback,
        Type::AgentDraining,
        Type::TaskResourceLimits,
    ]
    .into_iter()
    .map(|r#type| v1::agent_info::Capability { r#type: Some(r#type as i32) })
    .collect()
}

impl Core {
    /// Whether a message may be taken for the master's.
    pub(super) fn is_master(&self, from: &str) -> bool {
        *self.master.pid == *from
    }

    /// Whether a message is from the process of the master: it pings by other actors.
    fn is_at_master(&self, from: &str) -> bool {
        let address = |pid: &str| pid.split_once('@').map(|(_, address)| address.to_owned());
        address(from).is_some() && address(from) == address(&self.master.pid)
    }

    pub(super) fn ignore_stranger(&self, from: &str) {
        tracing::warn!(%from, master = %self.master.pid,
            "ignored a message that is not from the master that this agent was told of");
    }

    /// Starts looking for a master, after a random wait: others may have lost it too.
    pub(super) fn detect(&mut self, now: Now, from: Duration) {
        if self.state == State::Terminating {
            return;
        }
        self.state = State::Disconnected;
        self.master.backoff = self.settings.registration_backoff_factor * 2;
        let wait = self.random(from, self.settings.registration_backoff_factor);
        self.plan_registration(now, wait);
    }

    fn plan_registration(&mut self, now: Now, wait: Duration) {
        self.master.attempt += 1;
        self.timers.add(now.mono + wait, Timer::Register(self.master.attempt));
    }

    pub(super) fn register(&mut self, now: Now, attempt: u64, fx: &mut Effects) {
        if self.state != State::Disconnected || attempt != self.master.attempt {
            return;
        }
        fx.push(Effect::Link(Arc::clone(&self.master.pid)));
        let message = if self.info.id.is_none() {
            Outbound::Register(Box::new(self.register_message()))
        } else {
            Outbound::Reregister(Box::new(self.reregister_message()))
        };
        self.send_to_master(message, fx);
        // No answer may mean that a connection is half open or that the master has not recovered.
        let backoff = self.master.backoff;
        self.master.backoff = (backoff * 2).min(RETRY_MAX);
        let wait = self.random(backoff / 4, backoff);
        self.plan_registration(now, wait);
    }

    fn register_message(&self) -> internal::RegisterSlaveMessage {
        internal::RegisterSlaveMessage {
            slave: self.info_for_v0(),
            checkpointed_resources: Vec::new(),
            version: Some(self.settings.version.clone()),
            agent_capabilities: capabilities(),
            resource_version_uuid: Some(v1::Uuid { value: self.resource_version.clone() }),
        }
    }

    /// The agent as v0 peers see it: resources in the older form, as long as nothing needs the
    /// newer one.
    pub(super) fn info_for_v0(&self) -> v1::AgentInfo {
        let mut info = (*self.info).clone();
        let older =
            Resources::from_proto(&info.resources).and_then(|all| all.to_proto_pre_refinement());
        if let Ok(resources) = older {
            info.resources = resources;
        }
        info.checkpoint = Some(true);
        info
    }

    fn reregister_message(&self) -> internal::ReregisterSlaveMessage {
        let mut message = internal::ReregisterSlaveMessage {
            slave: self.info_for_v0(),
            version: Some(self.settings.version.clone()),
            agent_capabilities: capabilities(),
            resource_version_uuid: Some(v1::Uuid { value: self.resource_version.clone() }),
            ..Default::default()
        };
        for framework in self.frameworks.values() {
            message.frameworks.push((*framework.info).clone());
            for executor in framework.executors.values() {
                message.tasks.extend(executor.all_tasks().map(|task| (**task).clone()));
                let ended = executor.state == super::ExecutorState::Terminated;
                if !executor.generated && !ended {
                    let mut info = (*executor.info).clone();
                    info.framework_id.get_or_insert_with(|| v1::FrameworkId {
                        value: executor.run.framework_id.clone(),
                    });
                    message.executor_infos.push(info);
                }
            }
        }
        message.completed_frameworks =
            self.completed_frameworks.iter().map(super::snapshot::archive).collect();
        message
    }

    pub(super) fn registered(
        &mut self,
        now: Now,
        from: &str,
        message: internal::SlaveRegisteredMessage,
        fx: &mut Effects,
    ) {
        if !self.is_master(from) {
            return self.ignore_stranger(from);
        }
        // It becomes the name of a directory.
        if validate_id(&message.slave_id.value).is_err() {
            tracing::warn!(%from, "ignored a registration with an impossible agent id");
            return;
        }
        match (self.state, &self.info.id) {
            (State::Disconnected, None) => {
                tracing::info!(agent_id = %message.slave_id.value, %from, "registered");
                let mut info = (*self.info).clone();
                info.id = Some(message.slave_id);
                self.info = Arc::new(info);
                Self::write(Write::Agent((*self.info).clone()), fx);
                self.connected(now, message.connection, fx);
            }
            (State::Disconnected, Some(id)) if *id == message.slave_id => {
                self.connected(now, message.connection, fx);
            }
            (State::Disconnected | State::Running, Some(id)) if *id != message.slave_id => {
                let text = format!(
                    "the master gave the id {} to the agent that has {}",
                    message.slave_id.value, id.value
                );
                self.shut_down(now, Stop::Broken(text), fx);
            }
            _ => tracing::debug!(%from, "ignored a repeated registration"),
        }
    }

    pub(super) fn reregistered(
        &mut self,
        now: Now,
        from: &str,
        message: internal::SlaveReregisteredMessage,
        fx: &mut Effects,
    ) {
        if !self.is_master(from) {
            return self.ignore_stranger(from);
        }
        if self.info.id.as_ref() != Some(&message.slave_id) {
            let text = format!("the master took this agent for {}", message.slave_id.value);
            self.shut_down(now, Stop::Broken(text), fx);
            return;
        }
        match self.state {
            State::Disconnected => {
                tracing::info!(agent_id = %message.slave_id.value, %from, "registered again");
                self.connected(now, message.connection, fx);
            }
            State::Running => {}
            _ => return,
        }
        for reconciliation in message.reconciliations {
            self.reconcile(now, reconciliation, fx);
        }
    }

    /// Tasks that the master knows and this agent does not are over.
    fn reconcile(
        &mut self,
        now: Now,
        reconciliation: internal::ReconcileTasksMessage,
        fx: &mut Effects,
    ) {
        let framework_id = reconciliation.framework_id;
        let framework = self.frameworks.get(&framework_id.value);
        let aware = match (&reconciliation.framework, framework) {
            (Some(info), _) => super::is_partition_aware(info),
            (None, Some(framework)) => framework.is_partition_aware(),
            (None, None) => false,
        };
        for status in reconciliation.statuses {
            let held = self
                .frameworks
                .get(&framework_id.value)
                .is_some_and(|framework| framework.executor_of(&status.task_id.value).is_some());
            let key = (framework_id.value.clone(), status.task_id.value.clone());
            // What is on its way already needs no second end.
            if held || self.streams.front(&key).is_some() {
                continue;
            }
            let update = self.agent_update(
                now,
                &framework_id.value,
                &status.task_id.value,
                status.executor_id.as_ref().map(|id| id.value.as_str()),
                dropped(aware),
                v1::task_status::Reason::Reconciliation,
                "Reconciliation: task unknown to agent".to_owned(),
            );
            self.stream_update(now, Arc::new(update), None, fx);
        }
    }

    fn connected(
        &mut self,
        now: Now,
        connection: Option<internal::MasterSlaveConnection>,
        fx: &mut Effects,
    ) {
        self.state = State::Running;
        self.counters.registered = true;
        self.master.attempt += 1;
        let told = connection
            .and_then(|connection| connection.total_ping_timeout_seconds)
            .and_then(time::from_seconds)
            .filter(|timeout| !timeout.is_zero());
        self.master.ping_timeout = told.unwrap_or(self.settings.ping_timeout);
        self.master.last_ping = now.mono;
        self.arm_ping(now.mono + self.master.ping_timeout);
        self.send_to_master(Outbound::UpdateSlave(Box::new(self.update_message())), fx);
        self.resend_updates(now, None, fx);
    }

    fn update_message(&self) -> internal::UpdateSlaveMessage {
        internal::UpdateSlaveMessage {
            slave_id: self.agent_id(),
            update_oversubscribed_resources: Some(false),
            operations: Some(Default::default()),
            resource_version_uuid: Some(v1::Uuid { value: self.resource_version.clone() }),
            resource_providers: Some(Default::default()),
            ..Default::default()
        }
    }

    fn arm_ping(&mut self, at: Duration) {
        if !self.master.ping_timer {
            self.master.ping_timer = true;
            self.timers.add(at, Timer::Ping);
        }
    }

    pub(super) fn ping(
        &mut self,
        now: Now,
        from: &str,
        ping: &internal::PingSlaveMessage,
        fx: &mut Effects,
    ) {
        if !self.is_at_master(from) {
            return self.ignore_stranger(from);
        }
        Self::send(&Arc::from(from), Outbound::Pong(internal::PongSlaveMessage {}), fx);
        self.master.last_ping = now.mono;
        if !ping.connected && self.state == State::Running {
            tracing::info!("the master thinks this agent is disconnected: registering again");
            self.detect(now, Duration::ZERO);
        }
    }

    pub(super) fn ping_timer(&mut self, now: Now, _fx: &mut Effects) {
        self.master.ping_timer = false;
        let deadline = self.master.last_ping + self.master.ping_timeout;
        if self.state != State::Running {
            return;
        }
        if now.mono < deadline {
            self.arm_ping(deadline);
            return;
        }
        tracing::warn!(timeout = ?self.master.ping_timeout, "no ping from the master");
        self.detect(now, Duration::ZERO);
    }

    /// A link broke. The original waits for its ping timeout here, over a minute.
    pub(super) fn exited(&mut self, now: Now, address: SocketAddr, _fx: &mut Effects) {
        if !self.master.is_at(address) {
            tracing::debug!(%address, "a linked peer is gone");
            return;
        }
        match self.state {
            State::Running => {
                tracing::warn!(%address, "the connection to the master broke");
                self.detect(now, Duration::ZERO);
            }
            // Nobody listens there: a cheap try each back-off unit, so that a master is found
            // soon after it is up again.
            State::Disconnected => self.detect(now, self.settings.registration_backoff_factor / 2),
            State::Recovering | State::Terminating => {}
        }
    }

    /// Ends everything, then the agent.
    pub(super) fn shut_down(&mut self, now: Now, stop: Stop, fx: &mut Effects) {
        if self.state == State::Terminating {
            return;
        }
        tracing::warn!(?stop, "the agent stops");
        self.state = State::Terminating;
        self.stop = Some(stop);
        let frameworks: Vec<String> = self.frameworks.keys().cloned().collect();
        for framework in frameworks {
            self.shutdown_framework(now, &framework, fx);
        }
    }

    pub(super) fn leave(&mut self, now: Now, fx: &mut Effects) {
        if self.state == State::Running {
            let slave_id = self.agent_id();
            self.send_to_master(
                Outbound::Unregister(internal::UnregisterSlaveMessage { slave_id }),
                fx,
            );
        }
        self.shut_down(now, Stop::Left, fx);
    }
}
