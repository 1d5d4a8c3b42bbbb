//! Calls of schedulers: who may make one, and what each does.
use libprocess::Upid;
use mesos_messages::{internal, v1};
use v1::scheduler::{Call, call};

use super::{
    MasterCore, Outgoing,
    offers::refuse_seconds,
    outbound,
    state::{Connection, FrameworkKey, FrameworkState},
    validate,
};
use crate::handle::{Principal, SchedulerReply};

impl MasterCore {
    /// A call over HTTP; what its type needs was checked by the caller.
    pub(super) fn call_http(
        &mut self,
        call: Call,
        stream: Option<&str>,
        principal: &Principal,
    ) -> SchedulerReply {
        let id = call.framework_id.as_ref().map_or("", |id| &id.value);
        let Some(key) = self.frameworks.key(id) else {
            return SchedulerReply::Refused(400, "Framework cannot be found".to_owned());
        };
        let kind = kind(&call);
        if let Some(framework) = self.frameworks.get_mut(key) {
            count(framework, kind);
            if let Some(refused) = refusal(framework, stream, principal) {
                return refused;
            }
        }
        match kind {
            call::Type::Teardown => {
                self.remove_framework(key);
                SchedulerReply::Accepted
            }
            call::Type::UpdateFramework => self.update_by_call(key, call),
            call::Type::Unknown | call::Type::Subscribe => {
                SchedulerReply::Refused(501, String::new())
            }
            _ => {
                self.perform(key, kind, call);
                SchedulerReply::Accepted
            }
        }
    }

    /// A call over libprocess; one that is not valid, or not from the scheduler, is dropped.
    pub(super) fn call_pid(&mut self, from: &Upid, call: Call) {
        if let Err(reason) = validate::scheduler_call(&call, None) {
            self.count_invalid(&call);
            tracing::warn!(%from, %reason, "dropping a call");
            return;
        }
        let id = call.framework_id.as_ref().map_or("", |id| &id.value);
        let Some(key) = self.frameworks.key(id) else {
            tracing::warn!(%from, framework = id, "dropping a call of an unknown framework");
            return;
        };
        let kind = kind(&call);
        let Some(framework) = self.frameworks.get_mut(key) else { return };
        if framework.connection != Connection::Pid(from.clone()) {
            let text = from.to_string();
            if framework.record.pid.as_deref() == Some(&text) && !framework.is_connected() {
                count(framework, kind);
                return self.refuse_pid(from.clone(), "Framework disconnected");
            }
            tracing::warn!(%from, framework = id, "dropping a call from another address");
            return;
        }
        count(framework, kind);
        framework.messages += 1;
        match kind {
            call::Type::Teardown => self.teardown(key),
            call::Type::UpdateFramework => {
                if let SchedulerReply::Refused(_, text) = self.update_by_call(key, call) {
                    self.refuse_pid(from.clone(), &text);
                }
            }
            // Not part of the older protocol.
            call::Type::AcknowledgeOperationStatus | call::Type::ReconcileOperations => {}
            _ => self.perform(key, kind, call),
        }
    }

    fn perform(&mut self, key: FrameworkKey, kind: call::Type, call: Call) {
        match kind {
            call::Type::Accept => self.accept(key, call.accept.unwrap_or_default()),
            call::Type::Decline => self.decline(key, &call.decline.unwrap_or_default()),
            call::Type::Revive => {
                self.counters.messages_revive_offers += 1;
                self.revive(key, &call.revive.unwrap_or_default().roles);
            }
            call::Type::Suppress => {
                self.counters.messages_suppress_offers += 1;
                self.suppress(key, &call.suppress.unwrap_or_default().roles);
            }
            call::Type::Kill => self.kill(key, call.kill.unwrap_or_default()),
            call::Type::Shutdown => self.shutdown(key, call.shutdown.unwrap_or_default()),
            call::Type::Acknowledge => {
                self.acknowledge(key, call.acknowledge.unwrap_or_default());
            }
            call::Type::AcknowledgeOperationStatus => {
                self.counters.messages_operation_status_update_acknowledgement += 1;
                self.counters.invalid_operation_status_update_acknowledgements += 1;
            }
            call::Type::Reconcile => self.reconcile(key, call.reconcile.unwrap_or_default()),
            call::Type::ReconcileOperations => {
                self.reconcile_operations(key, call.reconcile_operations.unwrap_or_default());
            }
            call::Type::Message => self.framework_message(key, call.message.unwrap_or_default()),
            call::Type::Request => self.counters.messages_resource_request += 1,
            // No inverse offers are ever made, so none of them is valid any more.
            call::Type::AcceptInverseOffers | call::Type::DeclineInverseOffers => {}
            call::Type::Unknown
            | call::Type::Subscribe
            | call::Type::Teardown
            | call::Type::UpdateFramework => {}
        }
    }

    fn decline(&mut self, key: FrameworkKey, decline: &call::Decline) {
        self.counters.messages_decline_offers += 1;
        let refuse = refuse_seconds(decline.filters.as_ref());
        for id in &decline.offer_ids {
            let Some(number) = self.own_offer(key, &id.value) else { continue };
            self.discard_offer(number, Some(refuse));
            if let Some(framework) = self.frameworks.get_mut(key) {
                framework.counters.offers_declined += 1;
            }
        }
    }

    /// An outstanding offer of this framework.
    fn own_offer(&self, key: FrameworkKey, id: &str) -> Option<u64> {
        let number = self.offer_number(id)?;
        (self.offers.get(&number)?.framework == key).then_some(number)
    }

    fn revive(&mut self, key: FrameworkKey, roles: &[String]) {
        if self.are_subscribed(key, roles) {
            self.set_suppressed(key, roles, false);
            self.alloc_revive(key, roles);
        }
    }

    fn suppress(&mut self, key: FrameworkKey, roles: &[String]) {
        if self.are_subscribed(key, roles) {
            self.set_suppressed(key, roles, true);
            self.alloc_suppress(key, roles);
        }
    }

    /// One role that is not the framework's drops the whole call.
    fn are_subscribed(&self, key: FrameworkKey, roles: &[String]) -> bool {
        self.frameworks.get(key).is_some_and(|framework| {
            let known = &framework.record.roles;
            roles.iter().all(|role| known.iter().any(|other| **other == **role))
        })
    }

    fn set_suppressed(&mut self, key: FrameworkKey, roles: &[String], suppressed: bool) {
        let Some(framework) = self.frameworks.get_mut(key) else { return };
        let record = framework.record_mut();
        let concerns = |role: &str| roles.is_empty() || roles.iter().any(|other| other == role);
        let kept = record.roles.iter().filter(|role| {
            if concerns(role) { suppressed } else { record.suppressed_roles.contains(role) }
        });
        record.suppressed_roles = kept.cloned().collect();
    }

    fn update_by_call(&mut self, key: FrameworkKey, call: Call) -> SchedulerReply {
        let refuse = |text: String| SchedulerReply::Refused(400, text);
        let Some(update) = call.update_framework else {
            return refuse("Expecting 'update_framework' to be present".to_owned());
        };
        let info = update.framework_info;
        let completed = |id: &str| self.frameworks.completed_ids.contains(id);
        if let Err(reason) = validate::framework(&info, &self.config, completed) {
            return refuse(format!("Supplied FrameworkInfo is not valid: {reason}"));
        }
        let Some(framework) = self.frameworks.get(key) else {
            return refuse("Framework cannot be found".to_owned());
        };
        if let Err(reason) = validate::update(&framework.record.info, &info) {
            return refuse(format!("FrameworkInfo update is not valid: {reason}"));
        }
        let changed = *framework.record.info != info;
        let constraints = update.offer_constraints;
        if let Err(reason) =
            self.check_options(&info, &update.suppressed_roles, constraints.as_ref())
        {
            return refuse(format!("'UpdateFramework' call is not valid: {reason}"));
        }
        self.update_framework(key, info, &update.suppressed_roles, constraints);
        if changed {
            self.broadcast_framework(key);
        }
        SchedulerReply::Done
    }

    fn framework_message(&mut self, key: FrameworkKey, message: call::Message) {
        self.counters.messages_framework_to_executor += 1;
        let Some(framework) = self.frameworks.get(key) else { return };
        let framework_id = outbound::framework_id(&framework.record.id);
        let Some(pid) = self.connected_agent(&message.agent_id.value) else {
            self.counters.invalid_framework_to_executor_messages += 1;
            return;
        };
        self.counters.valid_framework_to_executor_messages += 1;
        let message = internal::FrameworkToExecutorMessage {
            slave_id: message.agent_id,
            framework_id,
            executor_id: message.executor_id,
            data: message.data,
        };
        self.send(pid, Outgoing::FrameworkMessage(message));
    }

    fn shutdown(&mut self, key: FrameworkKey, shutdown: call::Shutdown) {
        let Some(framework) = self.frameworks.get(key) else { return };
        let framework_id = outbound::framework_id(&framework.record.id);
        let Some((_, _, agent)) = self.agents.by_id(&shutdown.agent_id.value) else { return };
        let to = agent.pid.clone();
        let message = internal::ShutdownExecutorMessage {
            executor_id: Some(shutdown.executor_id),
            framework_id: Some(framework_id),
        };
        self.send(to, Outgoing::ShutdownExecutor(message));
    }

    /// The address of an agent that is there.
    pub(super) fn connected_agent(&self, id: &str) -> Option<Upid> {
        let (_, record, state) = self.agents.by_id(id)?;
        record.connected.then(|| state.pid.clone())
    }

    fn count_invalid(&mut self, call: &Call) {
        if kind(call) == call::Type::Acknowledge {
            self.counters.invalid_status_update_acknowledgements += 1;
        }
    }
}

fn kind(call: &Call) -> call::Type {
    call.r#type()
}

fn refusal(
    framework: &FrameworkState,
    stream: Option<&str>,
    principal: &Principal,
) -> Option<SchedulerReply> {
    let refused = |status, text: String| Some(SchedulerReply::Refused(status, text));
    let record = &framework.record;
    if let Some(principal) = &principal.0
        && record.info.principal.as_ref() != Some(principal)
    {
        return refused(
            400,
            format!(
                "Authenticated principal '{principal}' does not match principal '{}' set in \
                 `FrameworkInfo`",
                record.info.principal()
            ),
        );
    }
    let current = match &framework.connection {
        Connection::None => return refused(403, "Framework is not subscribed".to_owned()),
        Connection::Pid(_) => {
            return refused(403, "Framework is not connected via HTTP".to_owned());
        }
        Connection::Http { stream } => stream,
    };
    match stream {
        None => refused(
            400,
            "All non-subscribe calls should include the 'Mesos-Stream-Id' header".to_owned(),
        ),
        Some(stream) if *stream != **current => refused(
            400,
            format!(
                "The stream ID '{stream}' included in this request didn't match the stream ID \
                 currently associated with framework ID {}",
                record.id
            ),
        ),
        Some(_) => None,
    }
}

fn count(framework: &mut FrameworkState, kind: call::Type) {
    let counters = &mut framework.counters;
    counters.calls += 1;
    let counter = match kind {
        call::Type::Subscribe => &mut counters.calls_subscribe,
        call::Type::Teardown => &mut counters.calls_teardown,
        call::Type::Accept => &mut counters.calls_accept,
        call::Type::Decline => &mut counters.calls_decline,
        call::Type::AcceptInverseOffers => &mut counters.calls_accept_inverse_offers,
        call::Type::DeclineInverseOffers => &mut counters.calls_decline_inverse_offers,
        call::Type::Revive => &mut counters.calls_revive,
        call::Type::Suppress => &mut counters.calls_suppress,
        call::Type::Kill => &mut counters.calls_kill,
        call::Type::Shutdown => &mut counters.calls_shutdown,
        call::Type::Acknowledge => &mut counters.calls_acknowledge,
        call::Type::AcknowledgeOperationStatus => &mut counters.calls_acknowledge_operation_status,
        call::Type::Reconcile => &mut counters.calls_reconcile,
        call::Type::ReconcileOperations => &mut counters.calls_reconcile_operations,
        call::Type::Message => &mut counters.calls_message,
        call::Type::Request => &mut counters.calls_request,
        call::Type::UpdateFramework => &mut counters.calls_update_framework,
        call::Type::Unknown => return,
    };
    *counter += 1;
}
