//! From v0 to v1, where their wire forms differ: the scheduler call, and how long an agent may drain.
//!
//! All other v0 messages have the bytes of their v1 forms and are decoded into those.
use crate::content::{DecodeError, decode_protobuf};
use crate::v0_scheduler::{Call, call};
use crate::v1::scheduler::{self as v1, call as v1_call};
use crate::{google, v1::DrainConfig, v1::DurationInfo, v1::master};
use std::time::Duration;

impl Call {
    /// Whether a subscription asks to take over from a scheduler that is connected still. In v1 it always does.
    pub fn force(&self) -> bool {
        self.subscribe.as_ref().is_some_and(call::Subscribe::force)
    }
}

/// Reads a v0 call, required fields checked, with its [`Call::force`].
pub fn decode_scheduler_call(body: &[u8]) -> Result<(v1::Call, bool), DecodeError> {
    let call: Call = decode_protobuf(body)?;
    let force = call.force();
    Ok((call.into(), force))
}

impl From<Call> for v1::Call {
    fn from(call: Call) -> Self {
        Self {
            framework_id: call.framework_id,
            r#type: call.r#type,
            subscribe: call.subscribe.map(Into::into),
            accept: call.accept.map(Into::into),
            decline: call.decline.map(Into::into),
            accept_inverse_offers: call.accept_inverse_offers.map(Into::into),
            decline_inverse_offers: call.decline_inverse_offers.map(Into::into),
            revive: call.revive.map(Into::into),
            kill: call.kill.map(Into::into),
            shutdown: call.shutdown.map(Into::into),
            acknowledge: call.acknowledge.map(Into::into),
            acknowledge_operation_status: call.acknowledge_operation_status.map(Into::into),
            reconcile: call.reconcile.map(Into::into),
            reconcile_operations: call.reconcile_operations.map(Into::into),
            message: call.message.map(Into::into),
            request: call.request.map(Into::into),
            suppress: call.suppress.map(Into::into),
            update_framework: call.update_framework.map(Into::into),
        }
    }
}

/// Messages that differ in the name of a field at most.
macro_rules! same {
    ($($name:ident { $($to:ident = $from:ident),* })*) => {$(
        impl From<call::$name> for v1_call::$name {
            fn from(v0: call::$name) -> Self {
                Self { $($to: v0.$from),* }
            }
        }
    )*};
}

same! {
    Subscribe {
        framework_info = framework_info,
        suppressed_roles = suppressed_roles,
        offer_constraints = offer_constraints
    }
    Accept { offer_ids = offer_ids, operations = operations, filters = filters }
    Decline { offer_ids = offer_ids, filters = filters }
    AcceptInverseOffers { inverse_offer_ids = inverse_offer_ids, filters = filters }
    DeclineInverseOffers { inverse_offer_ids = inverse_offer_ids, filters = filters }
    Revive { roles = roles }
    Kill { task_id = task_id, agent_id = slave_id, kill_policy = kill_policy }
    Shutdown { executor_id = executor_id, agent_id = slave_id }
    Acknowledge { agent_id = slave_id, task_id = task_id, uuid = uuid }
    AcknowledgeOperationStatus {
        agent_id = slave_id,
        resource_provider_id = resource_provider_id,
        uuid = uuid,
        operation_id = operation_id
    }
    Message { agent_id = slave_id, executor_id = executor_id, data = data }
    Request { requests = requests }
    Suppress { roles = roles }
    UpdateFramework {
        framework_info = framework_info,
        suppressed_roles = suppressed_roles,
        offer_constraints = offer_constraints
    }
}

impl From<call::Reconcile> for v1_call::Reconcile {
    fn from(v0: call::Reconcile) -> Self {
        let task = |task: call::reconcile::Task| v1_call::reconcile::Task {
            task_id: task.task_id,
            agent_id: task.slave_id,
        };
        Self { tasks: v0.tasks.into_iter().map(task).collect() }
    }
}

impl From<call::ReconcileOperations> for v1_call::ReconcileOperations {
    fn from(v0: call::ReconcileOperations) -> Self {
        let operation = |operation: call::reconcile_operations::Operation| {
            v1_call::reconcile_operations::Operation {
                operation_id: operation.operation_id,
                agent_id: operation.slave_id,
                resource_provider_id: operation.resource_provider_id,
            }
        };
        Self { operations: v0.operations.into_iter().map(operation).collect() }
    }
}

impl From<&google::protobuf::Duration> for DurationInfo {
    fn from(duration: &google::protobuf::Duration) -> Self {
        let seconds = duration.seconds.saturating_mul(1_000_000_000);
        Self { nanoseconds: seconds.saturating_add(i64::from(duration.nanos)) }
    }
}

impl From<Duration> for google::protobuf::Duration {
    fn from(duration: Duration) -> Self {
        let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        // Less than a second of nanoseconds fits.
        Self { seconds, nanos: duration.subsec_nanos() as i32 }
    }
}

impl From<&master::call::DrainAgent> for DrainConfig {
    fn from(call: &master::call::DrainAgent) -> Self {
        Self {
            max_grace_period: call.max_grace_period.as_ref().map(Into::into),
            mark_gone: call.mark_gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{internal, v1 as wire};
    use prost::Message;

    fn id(value: &str) -> wire::AgentId {
        wire::AgentId { value: value.to_owned() }
    }

    #[test]
    fn subscribe_has_its_fields_elsewhere() {
        let v0 = Call {
            r#type: Some(call::Type::Subscribe as i32),
            subscribe: Some(call::Subscribe {
                framework_info: wire::FrameworkInfo {
                    user: "root".into(),
                    name: "n".into(),
                    ..Default::default()
                },
                force: Some(true),
                suppressed_roles: vec!["a".into()],
                offer_constraints: Some(v1::OfferConstraints::default()),
            }),
            ..Default::default()
        };
        let body = v0.encode_to_vec();
        let (call, force) = decode_scheduler_call(&body).unwrap_or_default();
        assert!(force);
        assert_eq!(call.r#type(), v1_call::Type::Subscribe);
        let subscribe = call.subscribe.unwrap_or_default();
        assert_eq!(subscribe.suppressed_roles, ["a"]);
        assert!(subscribe.offer_constraints.is_some());
        // Read as v1, the flag stands where a list of roles should.
        assert!(v1::Call::decode(body.as_slice()).is_err());
    }

    #[test]
    fn other_calls_have_the_bytes_of_v1() {
        let task_id = wire::TaskId { value: "t".into() };
        let v0 = Call {
            r#type: Some(call::Type::Reconcile as i32),
            kill: Some(call::Kill {
                task_id: task_id.clone(),
                slave_id: Some(id("s")),
                kill_policy: None,
            }),
            acknowledge: Some(call::Acknowledge {
                slave_id: id("s"),
                task_id: task_id.clone(),
                uuid: vec![7; 16].into(),
            }),
            reconcile: Some(call::Reconcile {
                tasks: vec![call::reconcile::Task { task_id, slave_id: Some(id("s")) }],
            }),
            ..Default::default()
        };
        let body = v0.encode_to_vec();
        let moved: v1::Call = v0.into();
        assert_eq!(v1::Call::decode(body.as_slice()).as_ref(), Ok(&moved));
        assert_eq!(moved.encode_to_vec(), body);
    }

    #[test]
    fn a_call_that_lacks_fields_is_refused() {
        // kill {}
        let error = decode_scheduler_call(b"\x32\x00").err();
        assert!(
            matches!(error, Some(DecodeError::Protobuf { missing, .. }) if missing == ["kill.task_id"])
        );
    }

    #[test]
    fn an_agent_that_registers_says_whether_it_checkpoints() {
        // slave { hostname: "h" checkpoint: true } version: "1.11.0", as v0 numbers them
        let body = b"\x0a\x05\x0a\x01h\x38\x01\x12\x061.11.0";
        let message = internal::RegisterSlaveMessage::decode(&body[..]).unwrap_or_default();
        assert_eq!(message.slave.hostname, "h");
        assert_eq!(message.slave.checkpoint, Some(true));
    }

    #[test]
    fn draining() {
        let call = master::call::DrainAgent {
            agent_id: id("s"),
            max_grace_period: Some(google::protobuf::Duration { seconds: 600, nanos: 5 }),
            mark_gone: Some(true),
        };
        let config = DrainConfig::from(&call);
        assert_eq!(config.max_grace_period, Some(DurationInfo { nanoseconds: 600_000_000_005 }));
        assert_eq!(config.mark_gone, Some(true));
        let long = google::protobuf::Duration { seconds: i64::MAX, nanos: 1 };
        assert_eq!(DurationInfo::from(&long).nanoseconds, i64::MAX);
        let back = google::protobuf::Duration::from(Duration::from_millis(1500));
        assert_eq!((back.seconds, back.nanos), (1, 500_000_000));
    }
}
