//! Between libprocess messages and what the core understands.

use crate::core::{Inbound, Outbound};
use mesos_messages::{content, internal, json::JsonMessage};
use prost::Message;

/// Reads a message by its name. None for what an agent does not take; what cannot be read is
/// told and dropped, as the answer on the wire is given already.
pub(super) fn decode(name: &str, body: &[u8]) -> Option<Inbound> {
    let kind = name.strip_prefix("mesos.internal.")?;
    Some(match kind {
        "SlaveRegisteredMessage" => Inbound::Registered(read(body)?),
        "SlaveReregisteredMessage" => Inbound::Reregistered(read(body)?),
        "PingSlaveMessage" => Inbound::Ping(read(body)?),
        "RunTaskMessage" => Inbound::RunTask(read(body)?),
        "RunTaskGroupMessage" => Inbound::RunTaskGroup(read(body)?),
        "KillTaskMessage" => Inbound::KillTask(read(body)?),
        "ShutdownExecutorMessage" => Inbound::ShutdownExecutor(read(body)?),
        "ShutdownFrameworkMessage" => Inbound::ShutdownFramework(read(body)?),
        "UpdateFrameworkMessage" => Inbound::UpdateFramework(read(body)?),
        "StatusUpdateAcknowledgementMessage" => Inbound::Acknowledgement(read(body)?),
        "ShutdownMessage" => Inbound::Shutdown(read(body)?),
        "FrameworkToExecutorMessage" => Inbound::FrameworkToExecutor(read(body)?),
        "RegisterExecutorMessage" => Inbound::RegisterExecutor(read(body)?),
        "ReregisterExecutorMessage" => Inbound::ReregisterExecutor(read(body)?),
        "StatusUpdateMessage" => Inbound::StatusUpdate(read(body)?),
        "ExecutorToFrameworkMessage" => Inbound::ExecutorToFramework(read(body)?),
        "DrainSlaveMessage" => Inbound::Drain(read(body)?),
        "CheckpointResourcesMessage" => Inbound::Unsupported("CheckpointResourcesMessage"),
        "ApplyOperationMessage" => Inbound::ApplyOperation(read(body)?),
        "ReconcileOperationsMessage" => Inbound::Unsupported("ReconcileOperationsMessage"),
        "AcknowledgeOperationStatusMessage" => {
            Inbound::Unsupported("AcknowledgeOperationStatusMessage")
        }
        _ => return None,
    })
}

/// A type that a message can be read into: itself, or a box around it.
trait Target: Sized {
    type Message: JsonMessage;
    fn of(message: Self::Message) -> Self;
}

macro_rules! targets {
    ($($plain:ident),*; $($boxed:ident),*) => {
        $(impl Target for internal::$plain {
            type Message = Self;
            fn of(message: Self) -> Self { message }
        })*
        $(impl Target for Box<internal::$boxed> {
            type Message = internal::$boxed;
            fn of(message: internal::$boxed) -> Self { Box::new(message) }
        })*
    };
}

targets!(
    SlaveRegisteredMessage, PingSlaveMessage, KillTaskMessage, ShutdownExecutorMessage,
    ShutdownFrameworkMessage, StatusUpdateAcknowledgementMessage, ShutdownMessage, DrainSlaveMessage,
    FrameworkToExecutorMessage, RegisterExecutorMessage, ExecutorToFrameworkMessage;
    ApplyOperationMessage, SlaveReregisteredMessage, RunTaskMessage, RunTaskGroupMessage, UpdateFrameworkMessage,
    ReregisterExecutorMessage, StatusUpdateMessage
);

fn read<T: Target>(body: &[u8]) -> Option<T> {
    match content::decode_protobuf::<T::Message>(body) {
        Ok(message) => Some(T::of(message)),
        Err(error) => {
            tracing::warn!(message = T::Message::NAME, ?error, "dropped an unreadable message");
            None
        }
    }
}

/// The name and the bytes of a message.
pub(super) fn encode(message: &Outbound) -> (&'static str, Vec<u8>) {
    fn named<M: JsonMessage + Message>(message: &M) -> (&'static str, Vec<u8>) {
        (M::NAME, message.encode_to_vec())
    }
    match message {
        Outbound::Register(message) => named(&**message),
        Outbound::Reregister(message) => named(&**message),
        Outbound::Unregister(message) => named(message),
        Outbound::UpdateSlave(message) => named(&**message),
        Outbound::StatusUpdate(message) => named(&**message),
        Outbound::ExitedExecutor(message) => named(message),
        Outbound::OperationStatus(message) => named(&**message),
        Outbound::Pong(message) => named(message),
        Outbound::ExecutorToFramework(message) => named(message),
        Outbound::ExecutorRegistered(message) => named(&**message),
        Outbound::ExecutorReregistered(message) => named(&**message),
        Outbound::ReconnectExecutor(message) => named(message),
        Outbound::RunTask(message) => named(&**message),
        Outbound::KillTask(message) => named(message),
        Outbound::FrameworkToExecutor(message) => named(message),
        Outbound::Acknowledgement(message) => named(message),
        Outbound::ShutdownExecutor(message) => named(message),
    }
}
