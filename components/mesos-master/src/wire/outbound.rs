//! What the master sends over libprocess.
use std::sync::Arc;

use mesos_messages::{internal, v1};
use prost::{Message, encoding};

macro_rules! outgoing {
    ($($name:ident($type:ident) in $held:ty,)*) => {
        /// A message of the master.
        #[derive(Debug)]
        pub enum Outgoing {
            /// A task to an agent; the parts many tasks share are not copied into it.
            RunTask(Box<RunTask>),
            $($name($held),)*
        }

        impl Outgoing {
            /// The full protobuf name.
            pub fn name(&self) -> &'static str {
                match self {
                    Self::RunTask(_) => "mesos.internal.RunTaskMessage",
                    $(Self::$name(_) => concat!("mesos.internal.", stringify!($type)),)*
                }
            }

            /// Appends the serialized message.
            pub fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    Self::RunTask(message) => message.encode(out),
                    $(Self::$name(message) => {
                        out.reserve(message.encoded_len());
                        message.encode_raw(out);
                    })*
                }
            }
        }
    };
}

outgoing! {
    FrameworkRegistered(FrameworkRegisteredMessage) in Box<internal::FrameworkRegisteredMessage>,
    FrameworkReregistered(FrameworkReregisteredMessage) in Box<internal::FrameworkReregisteredMessage>,
    FrameworkError(FrameworkErrorMessage) in internal::FrameworkErrorMessage,
    ResourceOffers(ResourceOffersMessage) in internal::ResourceOffersMessage,
    RescindOffer(RescindResourceOfferMessage) in internal::RescindResourceOfferMessage,
    StatusUpdate(StatusUpdateMessage) in Box<internal::StatusUpdateMessage>,
    ExecutorMessage(ExecutorToFrameworkMessage) in internal::ExecutorToFrameworkMessage,
    LostAgent(LostSlaveMessage) in internal::LostSlaveMessage,
    ExitedExecutor(ExitedExecutorMessage) in internal::ExitedExecutorMessage,
    AgentRegistered(SlaveRegisteredMessage) in internal::SlaveRegisteredMessage,
    AgentReregistered(SlaveReregisteredMessage) in internal::SlaveReregisteredMessage,
    Ping(PingSlaveMessage) in internal::PingSlaveMessage,
    Shutdown(ShutdownMessage) in internal::ShutdownMessage,
    ShutdownFramework(ShutdownFrameworkMessage) in internal::ShutdownFrameworkMessage,
    ShutdownExecutor(ShutdownExecutorMessage) in internal::ShutdownExecutorMessage,
    KillTask(KillTaskMessage) in internal::KillTaskMessage,
    Acknowledge(StatusUpdateAcknowledgementMessage) in internal::StatusUpdateAcknowledgementMessage,
    UpdateFramework(UpdateFrameworkMessage) in Box<internal::UpdateFrameworkMessage>,
    FrameworkMessage(FrameworkToExecutorMessage) in internal::FrameworkToExecutorMessage,
    ReconcileOperations(ReconcileOperationsMessage) in internal::ReconcileOperationsMessage,
    AuthenticationError(AuthenticationErrorMessage) in internal::AuthenticationErrorMessage,
}

/// `RunTaskMessage`.
#[derive(Clone, Debug)]
pub struct RunTask {
    pub framework: Arc<v1::FrameworkInfo>,
    pub task: v1::TaskInfo,
    /// `@0.0.0.0:0` for a framework connected over HTTP.
    pub pid: Arc<str>,
    pub resource_version: Option<v1::Uuid>,
    pub launch_executor: bool,
}

// === impl RunTask ===

impl RunTask {
    fn encode(&self, out: &mut Vec<u8>) {
        encoding::message::encode(2, &*self.framework, out);
        if !self.pid.is_empty() {
            encoding::encode_key(3, encoding::WireType::LengthDelimited, out);
            encoding::encode_varint(self.pid.len() as u64, out);
            out.extend_from_slice(self.pid.as_bytes());
        }
        encoding::message::encode(4, &self.task, out);
        if let Some(uuid) = &self.resource_version {
            let version =
                internal::ResourceVersionUuid { resource_provider_id: None, uuid: uuid.clone() };
            encoding::message::encode(5, &version, out);
        }
        encoding::bool::encode(6, &self.launch_executor, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_written_as_the_message_would_be() {
        let run = RunTask {
            framework: Arc::new(v1::FrameworkInfo { user: "u".into(), ..Default::default() }),
            task: v1::TaskInfo { name: "t".into(), ..Default::default() },
            pid: "scheduler@127.0.0.1:1".into(),
            resource_version: Some(v1::Uuid { value: vec![7; 16].into() }),
            launch_executor: false,
        };
        let mut out = Vec::new();
        Outgoing::RunTask(Box::new(run.clone())).encode(&mut out);
        let message = internal::RunTaskMessage {
            framework_id: None,
            framework: (*run.framework).clone(),
            task: run.task,
            resource_version_uuids: vec![internal::ResourceVersionUuid {
                resource_provider_id: None,
                uuid: run.resource_version.unwrap(),
            }],
            pid: Some(run.pid.to_string()),
            launch_executor: Some(false),
        };
        assert_eq!(internal::RunTaskMessage::decode(&*out).unwrap(), message);
    }
}
