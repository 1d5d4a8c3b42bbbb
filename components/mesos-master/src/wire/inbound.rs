//! What schedulers and agents send over libprocess. The older message per call becomes the call.
use bytes::Bytes;
use mesos_messages::{content::decode_protobuf, internal, json::JsonMessage, v0_scheduler, v1};
use v1::scheduler::{Call, call};

/// A message to the master.
#[derive(Debug)]
pub enum Incoming {
    /// A call other than SUBSCRIBE.
    Call(Box<Call>),
    Subscribe(Box<PidSubscribe>),
    /// A subscription that says nothing usable; the sender is told why.
    Refuse(String),
    /// A driver aborts; the id is the framework's.
    Deactivate(String),
    Register(Box<internal::RegisterSlaveMessage>),
    Reregister(Box<internal::ReregisterSlaveMessage>),
    /// An agent leaves; the id is its own.
    Unregister(String),
    UpdateAgent(Box<internal::UpdateSlaveMessage>),
    StatusUpdate(Box<internal::StatusUpdateMessage>),
    ExitedExecutor(Box<internal::ExitedExecutorMessage>),
    ExecutorMessage(Box<internal::ExecutorToFrameworkMessage>),
    OperationStatus(Box<internal::UpdateOperationStatusMessage>),
    Pong {
        observer: u64,
    },
    Authenticate,
}

/// A SUBSCRIBE over libprocess.
#[derive(Debug)]
pub struct PidSubscribe {
    pub info: v1::FrameworkInfo,
    /// The scheduler takes over from another that may still be connected.
    pub force: bool,
    pub suppressed_roles: Vec<String>,
    pub offer_constraints: Option<v1::scheduler::OfferConstraints>,
}

// === impl Incoming ===

impl Incoming {
    /// Whether only schedulers send it.
    pub(crate) fn is_of_scheduler(&self) -> bool {
        match self {
            Self::Call(_) | Self::Subscribe(_) | Self::Refuse(_) | Self::Deactivate(_) => true,
            Self::Register(_)
            | Self::Reregister(_)
            | Self::Unregister(_)
            | Self::UpdateAgent(_)
            | Self::StatusUpdate(_)
            | Self::ExitedExecutor(_)
            | Self::ExecutorMessage(_)
            | Self::OperationStatus(_)
            | Self::Pong { .. }
            | Self::Authenticate => false,
        }
    }
}

/// Reads a message to actor `to`; none if it is not one the master knows or can read.
pub fn decode(to: &str, name: &str, body: &Bytes) -> Option<Incoming> {
    if let Some(number) = to.strip_prefix("slave-observer(") {
        let observer = number.strip_suffix(')')?.parse().ok()?;
        return (name == "mesos.internal.PongSlaveMessage").then_some(Incoming::Pong { observer });
    }
    if name == "mesos.scheduler.Call" {
        return call(body);
    }
    let name = name.strip_prefix("mesos.internal.")?;
    from_agent(name, body).or_else(|| from_scheduler(name, body))
}

fn read<M: JsonMessage>(body: &Bytes) -> Option<M> {
    decode_protobuf(body).ok()
}

fn boxed<M: JsonMessage>(body: &Bytes) -> Option<Box<M>> {
    read(body).map(Box::new)
}

fn from_agent(name: &str, body: &Bytes) -> Option<Incoming> {
    Some(match name {
        "StatusUpdateMessage" => Incoming::StatusUpdate(boxed(body)?),
        "RegisterSlaveMessage" => Incoming::Register(boxed(body)?),
        "ReregisterSlaveMessage" => Incoming::Reregister(boxed(body)?),
        "UnregisterSlaveMessage" => {
            Incoming::Unregister(read::<internal::UnregisterSlaveMessage>(body)?.slave_id.value)
        }
        "UpdateSlaveMessage" => Incoming::UpdateAgent(boxed(body)?),
        "ExitedExecutorMessage" => Incoming::ExitedExecutor(boxed(body)?),
        "ExecutorToFrameworkMessage" => Incoming::ExecutorMessage(boxed(body)?),
        "UpdateOperationStatusMessage" => Incoming::OperationStatus(boxed(body)?),
        "AuthenticateMessage" => Incoming::Authenticate,
        _ => return None,
    })
}

/// `mesos.scheduler.Call` has the numbers of the v1 call but for SUBSCRIBE.
fn call(body: &Bytes) -> Option<Incoming> {
    let call: Call = read(body)?;
    if call.r#type != Some(call::Type::Subscribe as i32) {
        return Some(Incoming::Call(Box::new(call)));
    }
    let v0: v0_scheduler::Call = read(body)?;
    let subscribe = v0.subscribe?;
    let top = v0.framework_id.map(|id| id.value).unwrap_or_default();
    let inner = subscribe.framework_info.id.as_ref().map_or("", |id| &id.value);
    // The original drops such a call without a word.
    (top == inner).then(|| {
        Incoming::Subscribe(Box::new(PidSubscribe {
            force: subscribe.force(),
            info: subscribe.framework_info,
            suppressed_roles: subscribe.suppressed_roles,
            offer_constraints: subscribe.offer_constraints,
        }))
    })
}

fn from_scheduler(name: &str, body: &Bytes) -> Option<Incoming> {
    match name {
        "RegisterFrameworkMessage" => {
            let info = read::<internal::RegisterFrameworkMessage>(body)?.framework;
            if has_id(&info) {
                return Some(Incoming::Refuse("Registering with 'id' already set".to_owned()));
            }
            Some(subscribe(info, false))
        }
        "ReregisterFrameworkMessage" => {
            let message: internal::ReregisterFrameworkMessage = read(body)?;
            if !has_id(&message.framework) {
                return Some(Incoming::Refuse("Re-registering without an 'id'".to_owned()));
            }
            Some(subscribe(message.framework, message.failover))
        }
        "DeactivateFrameworkMessage" => {
            let message: internal::DeactivateFrameworkMessage = read(body)?;
            Some(Incoming::Deactivate(message.framework_id.value))
        }
        _ => old_call(name, body).map(|call| Incoming::Call(Box::new(call))),
    }
}

fn has_id(info: &v1::FrameworkInfo) -> bool {
    info.id.as_ref().is_some_and(|id| !id.value.is_empty())
}

fn subscribe(info: v1::FrameworkInfo, force: bool) -> Incoming {
    Incoming::Subscribe(Box::new(PidSubscribe {
        info,
        force,
        suppressed_roles: Vec::new(),
        offer_constraints: None,
    }))
}

fn old_call(name: &str, body: &Bytes) -> Option<Call> {
    let (framework, kind, rest) = match name {
        "UnregisterFrameworkMessage" => {
            let message: internal::UnregisterFrameworkMessage = read(body)?;
            (message.framework_id, call::Type::Teardown, Call::default())
        }
        "LaunchTasksMessage" => {
            let message: internal::LaunchTasksMessage = read(body)?;
            let accept = launch(message.offer_ids, message.tasks, message.filters);
            let rest = Call { accept: Some(accept), ..Call::default() };
            (message.framework_id, call::Type::Accept, rest)
        }
        "ReviveOffersMessage" => {
            let message: internal::ReviveOffersMessage = read(body)?;
            let revive = Some(call::Revive { roles: message.roles });
            (message.framework_id, call::Type::Revive, Call { revive, ..Call::default() })
        }
        "KillTaskMessage" => {
            let message: internal::KillTaskMessage = read(body)?;
            let kill = Some(call::Kill {
                task_id: message.task_id,
                agent_id: None,
                kill_policy: message.kill_policy,
            });
            (message.framework_id, call::Type::Kill, Call { kill, ..Call::default() })
        }
        "StatusUpdateAcknowledgementMessage" => {
            let message: internal::StatusUpdateAcknowledgementMessage = read(body)?;
            let acknowledge = Some(call::Acknowledge {
                agent_id: message.slave_id,
                task_id: message.task_id,
                uuid: message.uuid,
            });
            let rest = Call { acknowledge, ..Call::default() };
            (message.framework_id, call::Type::Acknowledge, rest)
        }
        "ReconcileTasksMessage" => {
            let message: internal::ReconcileTasksMessage = read(body)?;
            let task = |status: v1::TaskStatus| call::reconcile::Task {
                task_id: status.task_id,
                agent_id: status.agent_id,
            };
            let tasks = message.statuses.into_iter().map(task).collect();
            let rest = Call { reconcile: Some(call::Reconcile { tasks }), ..Call::default() };
            (message.framework_id, call::Type::Reconcile, rest)
        }
        "FrameworkToExecutorMessage" => {
            let message: internal::FrameworkToExecutorMessage = read(body)?;
            let forward = Some(call::Message {
                agent_id: message.slave_id,
                executor_id: message.executor_id,
                data: message.data,
            });
            let rest = Call { message: forward, ..Call::default() };
            (message.framework_id, call::Type::Message, rest)
        }
        "ResourceRequestMessage" => {
            let message: internal::ResourceRequestMessage = read(body)?;
            let request = Some(call::Request { requests: message.requests });
            (message.framework_id, call::Type::Request, Call { request, ..Call::default() })
        }
        _ => return None,
    };
    Some(Call { framework_id: Some(framework), r#type: Some(kind as i32), ..rest })
}

fn launch(
    offer_ids: Vec<v1::OfferId>,
    task_infos: Vec<v1::TaskInfo>,
    filters: v1::Filters,
) -> call::Accept {
    let operation = v1::offer::Operation {
        r#type: Some(v1::offer::operation::Type::Launch as i32),
        launch: Some(v1::offer::operation::Launch { task_infos }),
        ..v1::offer::Operation::default()
    };
    call::Accept { offer_ids, operations: vec![operation], filters: Some(filters) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framework_id() -> v1::FrameworkId {
        v1::FrameworkId { value: "f".into() }
    }

    fn old<M: JsonMessage>(message: &M) -> Option<Incoming> {
        decode("master", M::NAME, &message.encode_to_vec().into())
    }

    #[test]
    fn pongs_are_told_by_their_receiver() {
        let name = "mesos.internal.PongSlaveMessage";
        let pong = decode("slave-observer(17)", name, &Bytes::new());
        assert!(matches!(pong, Some(Incoming::Pong { observer: 17 })));
        assert!(decode("slave-observer(x)", name, &Bytes::new()).is_none());
        assert!(decode("slave-observer(1)", "mesos.internal.Other", &Bytes::new()).is_none());
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        for name in ["", "x", "mesos.internal.", "mesos.internal.Nope", "mesos.scheduler.Call"] {
            assert!(decode("master", name, &Bytes::from_static(b"\xff\xff")).is_none(), "{name}");
        }
        // A required field is missing.
        let name = "mesos.internal.UnregisterSlaveMessage";
        assert!(decode("master", name, &Bytes::new()).is_none());
    }

    #[test]
    fn older_messages_become_calls() {
        let kill = internal::KillTaskMessage {
            framework_id: framework_id(),
            task_id: v1::TaskId { value: "t".into() },
            kill_policy: None,
        };
        let Some(Incoming::Call(call)) = old(&kill) else { panic!() };
        assert_eq!(call.r#type(), call::Type::Kill);
        assert_eq!(call.kill.unwrap().task_id.value, "t");
        let launch = internal::LaunchTasksMessage {
            framework_id: framework_id(),
            offer_ids: vec![v1::OfferId { value: "o".into() }],
            ..internal::LaunchTasksMessage::default()
        };
        let Some(Incoming::Call(call)) = old(&launch) else { panic!() };
        let accept = call.accept.unwrap();
        assert_eq!(accept.offer_ids[0].value, "o");
        assert_eq!(accept.operations.len(), 1);
        let unregister = internal::UnregisterFrameworkMessage { framework_id: framework_id() };
        let Some(Incoming::Call(call)) = old(&unregister) else { panic!() };
        assert_eq!(call.r#type(), call::Type::Teardown);
    }

    #[test]
    fn older_registrations_say_whether_they_are_the_first() {
        let known = v1::FrameworkInfo { id: Some(framework_id()), ..v1::FrameworkInfo::default() };
        let first = internal::RegisterFrameworkMessage { framework: known.clone() };
        assert!(
            matches!(old(&first), Some(Incoming::Refuse(text)) if text.contains("already set"))
        );
        let again = internal::ReregisterFrameworkMessage { framework: known, failover: true };
        let Some(Incoming::Subscribe(subscribe)) = old(&again) else { panic!() };
        assert!(subscribe.force);
        let nameless = internal::ReregisterFrameworkMessage::default();
        assert!(matches!(old(&nameless), Some(Incoming::Refuse(_))));
    }
}
