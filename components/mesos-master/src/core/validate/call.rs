//! Calls of schedulers: whether what their type needs is there.
use mesos_messages::v1;
use v1::scheduler::{Call, call};

use super::{Check, invalid};

/// Checks a call; `principal` is who makes it, if authenticated.
pub fn scheduler_call(call: &Call, principal: Option<&str>) -> Check {
    let Some(kind) = call.r#type.and_then(|kind| call::Type::try_from(kind).ok()) else {
        return invalid("Expecting 'type' to be present");
    };
    if kind == call::Type::Subscribe {
        return subscribe(call, principal);
    }
    if call.framework_id.is_none() {
        return invalid("Expecting 'framework_id' to be present");
    }
    match kind {
        call::Type::Accept => present(call.accept.is_some(), "accept"),
        call::Type::Decline => present(call.decline.is_some(), "decline"),
        call::Type::AcceptInverseOffers => {
            present(call.accept_inverse_offers.is_some(), "accept_inverse_offers")
        }
        call::Type::DeclineInverseOffers => {
            present(call.decline_inverse_offers.is_some(), "decline_inverse_offers")
        }
        call::Type::Kill => present(call.kill.is_some(), "kill"),
        call::Type::Shutdown => present(call.shutdown.is_some(), "shutdown"),
        call::Type::Acknowledge => match &call.acknowledge {
            None => present(false, "acknowledge"),
            Some(acknowledge) => uuid(&acknowledge.uuid),
        },
        call::Type::AcknowledgeOperationStatus => match &call.acknowledge_operation_status {
            None => present(false, "acknowledge_operation_status"),
            Some(acknowledge) => {
                uuid(&acknowledge.uuid)?;
                present(acknowledge.agent_id.is_some(), "agent_id")
            }
        },
        call::Type::Reconcile => present(call.reconcile.is_some(), "reconcile"),
        call::Type::ReconcileOperations => {
            present(call.reconcile_operations.is_some(), "reconcile_operations")
        }
        call::Type::Message => present(call.message.is_some(), "message"),
        call::Type::Request => present(call.request.is_some(), "request"),
        call::Type::UpdateFramework => update_framework(call),
        _ => Ok(()),
    }
}

fn subscribe(call: &Call, principal: Option<&str>) -> Check {
    let Some(subscribe) = &call.subscribe else { return present(false, "subscribe") };
    let info = &subscribe.framework_info;
    let top = call.framework_id.as_ref().map_or("", |id| &id.value);
    let inner = info.id.as_ref().map_or("", |id| &id.value);
    if top != inner {
        return invalid("'framework_id' differs from 'subscribe.framework_info.id'");
    }
    match (principal, info.principal.as_deref()) {
        (Some(principal), Some(claimed)) if principal != claimed => invalid(format!(
            "Authenticated principal '{principal}' does not match principal '{claimed}' set in \
             `FrameworkInfo`"
        )),
        _ => Ok(()),
    }
}

fn update_framework(call: &Call) -> Check {
    let Some(update) = &call.update_framework else { return present(false, "update_framework") };
    if call.framework_id != update.framework_info.id {
        return invalid("'framework_id' differs from 'update_framework.framework_info.id'");
    }
    Ok(())
}

fn present(present: bool, field: &str) -> Check {
    if present { Ok(()) } else { invalid(format!("Expecting '{field}' to be present")) }
}

fn uuid(bytes: &[u8]) -> Check {
    if bytes.len() == 16 { Ok(()) } else { invalid("Not a valid UUID") }
}
