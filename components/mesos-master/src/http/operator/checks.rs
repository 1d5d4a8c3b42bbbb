//! Whether a call has the part that its type needs.
use mesos_messages::v1::master::{Call, call::Type};

/// The type of a call that is complete; else what is missing, in the original's words.
pub(super) fn check(call: &Call) -> Result<Type, String> {
    let kind = call
        .r#type
        .and_then(|number| Type::try_from(number).ok())
        .ok_or_else(|| expecting("type"))?;
    match missing(call, kind) {
        Some(name) => Err(expecting(name)),
        None => Ok(kind),
    }
}

fn expecting(name: &str) -> String {
    format!("Expecting '{name}' to be present")
}

#[allow(deprecated)]
fn missing(call: &Call, kind: Type) -> Option<&'static str> {
    let (present, name) = match kind {
        Type::GetMetrics => (call.get_metrics.is_some(), "get_metrics"),
        Type::SetLoggingLevel => (call.set_logging_level.is_some(), "set_logging_level"),
        Type::ListFiles => (call.list_files.is_some(), "list_files"),
        Type::ReadFile => (call.read_file.is_some(), "read_file"),
        Type::UpdateWeights => (call.update_weights.is_some(), "update_weights"),
        Type::ReserveResources => (call.reserve_resources.is_some(), "reserve_resources"),
        Type::UnreserveResources => (call.unreserve_resources.is_some(), "unreserve_resources"),
        Type::CreateVolumes => (call.create_volumes.is_some(), "create_volumes"),
        Type::DestroyVolumes => (call.destroy_volumes.is_some(), "destroy_volumes"),
        Type::GrowVolume => (call.grow_volume.is_some(), "grow_volume"),
        Type::ShrinkVolume => (call.shrink_volume.is_some(), "shrink_volume"),
        Type::UpdateMaintenanceSchedule => {
            (call.update_maintenance_schedule.is_some(), "update_maintenance_schedule")
        }
        Type::StartMaintenance => (call.start_maintenance.is_some(), "start_maintenance"),
        Type::StopMaintenance => (call.stop_maintenance.is_some(), "stop_maintenance"),
        Type::DrainAgent => (call.drain_agent.is_some(), "drain_agent"),
        Type::DeactivateAgent => (call.deactivate_agent.is_some(), "deactivate_agent"),
        Type::ReactivateAgent => (call.reactivate_agent.is_some(), "reactivate_agent"),
        Type::UpdateQuota => (call.update_quota.is_some(), "update_quota"),
        Type::SetQuota => (call.set_quota.is_some(), "set_quota"),
        Type::RemoveQuota => (call.remove_quota.is_some(), "remove_quota"),
        Type::Teardown => (call.teardown.is_some(), "teardown"),
        Type::MarkAgentGone => (call.mark_agent_gone.is_some(), "mark_agent_gone"),
        _ => return None,
    };
    (!present).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_changes_something_needs_its_part() {
        for number in 0..=39 {
            let Ok(kind) = Type::try_from(number) else { continue };
            let call = Call { r#type: Some(number), ..Call::default() };
            let name = kind.as_str_name();
            let needs = !name.starts_with("GET_") || kind == Type::GetMetrics;
            let free = matches!(kind, Type::Unknown | Type::Subscribe);
            match check(&call) {
                Ok(_) => assert!(!needs || free, "{name}"),
                Err(text) => {
                    assert_eq!(text, expecting(&name.to_lowercase()));
                }
            }
        }
        assert_eq!(check(&Call::default()), Err(expecting("type")));
    }
}
