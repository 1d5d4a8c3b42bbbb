//! Checks on resources beyond those of the algebra itself.
use std::collections::BTreeSet;

use mesos_messages::{
    resources::{Resources, validate as validate_resource},
    v1,
};

use super::{Check, Invalid, common, invalid, within};

/// Reads resources of a task or an executor.
pub(super) fn parse(resources: &[v1::Resource]) -> Result<Resources, Invalid> {
    let parsed = Resources::from_proto(resources)
        .map_err(|error| Invalid(format!("Invalid resources: {error}")))?;
    let thousandths = parsed.gpus().unwrap_or_default().to_f64() * 1000.0;
    if thousandths % 1000.0 != 0.0 {
        return invalid("Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer");
    }
    within(disks(&parsed), "Invalid DiskInfo")?;
    within(reservations(&parsed), "Invalid ReservationInfo")?;
    Ok(parsed)
}

fn disks(resources: &Resources) -> Check {
    for item in resources {
        let Some(disk) = item.disk() else { continue };
        let Some(persistence) = &disk.persistence else {
            if disk.volume.is_some() {
                return invalid("Non-persistent volume not supported");
            }
            if disk.source.is_none() {
                return invalid("DiskInfo is set but empty");
            }
            continue;
        };
        if item.is_revocable() {
            return invalid("Persistent volumes cannot be created from revocable resources");
        }
        if !item.is_reserved() {
            return invalid("Persistent volumes cannot be created from unreserved resources");
        }
        match &disk.volume {
            None => return invalid("Expecting 'volume' to be set for persistent volume"),
            Some(volume) if volume.host_path.is_some() => {
                return invalid("Expecting 'host_path' to be unset for persistent volume");
            }
            Some(_) => {}
        }
        let what = "Invalid persistence ID for persistent volume";
        within(common::id(&persistence.id), what)?;
    }
    Ok(())
}

fn reservations(resources: &Resources) -> Check {
    match resources.iter().find(|item| item.is_dynamically_reserved() && item.is_revocable()) {
        Some(item) => invalid(format!(
            "Dynamically reserved resource {item} cannot be created from revocable resources"
        )),
        None => Ok(()),
    }
}

/// Persistence ids are unique per role.
pub(super) fn unique_persistence_ids(resources: &Resources) -> Check {
    let mut seen = BTreeSet::new();
    for item in resources {
        let Some(volume) = item.disk().and_then(|disk| disk.persistence.as_ref()) else { continue };
        let role = item.reservation_role().map(str::to_owned);
        if !seen.insert((role, volume.id.clone())) {
            return invalid(format!("Persistence ID '{}' is not unique", volume.id));
        }
    }
    Ok(())
}

/// All is allocated, and to one role.
pub(super) fn single_role(resources: &Resources) -> Check {
    let mut role: Option<&str> = None;
    for item in resources {
        let Some(this) = item.allocation_role() else {
            return invalid("The resources are not allocated to a role");
        };
        match role {
            Some(other) if other != this => {
                return invalid(format!(
                    "The resources have multiple allocation roles ('{this}' and '{other}') but \
                     only one allocation role is allowed"
                ));
            }
            _ => role = Some(this),
        }
    }
    Ok(())
}

/// No name is used both revocably and not.
pub(super) fn revocable_apart(resources: &Resources) -> Check {
    for item in resources.iter().filter(|item| item.is_revocable()) {
        let mixed =
            resources.iter().any(|other| other.name() == item.name() && !other.is_revocable());
        if mixed {
            return invalid(format!(
                "Cannot use both revocable and non-revocable '{}' at the same time",
                item.name()
            ));
        }
    }
    Ok(())
}

/// Whether ranges or sets of some of `parts` overlap.
pub(super) fn overlap(parts: &[&Resources]) -> bool {
    let mut total = Resources::new();
    let mut counted = 0;
    for part in parts {
        counted += count(part);
        total += *part;
    }
    counted != count(&total)
}

fn count(resources: &Resources) -> u64 {
    use mesos_messages::resources::Value;
    resources
        .iter()
        .map(|item| match item.value() {
            Value::Scalar(_) => 0,
            Value::Ranges(ranges) => ranges.count(),
            Value::Set(set) => set.len() as u64,
        })
        .sum()
}

/// The resources named in an operation of an ACCEPT must be well formed.
pub(in crate::core) fn operation(operation: &v1::offer::Operation) -> Check {
    let check = |resources: &[v1::Resource]| {
        resources.iter().try_for_each(|resource| {
            validate_resource(resource).map_err(|reason| {
                let shown = mesos_messages::resources::ProtoText(resource);
                Invalid(format!("Resource '{shown}' is invalid: {reason}"))
            })
        })
    };
    let tasks = |tasks: &[v1::TaskInfo]| {
        tasks.iter().try_for_each(|task| {
            check(&task.resources)?;
            task.executor.as_ref().map_or(Ok(()), |executor| check(&executor.resources))
        })
    };
    let one = std::slice::from_ref::<v1::Resource>;
    if let Some(launch) = &operation.launch {
        tasks(&launch.task_infos)?;
    }
    if let Some(group) = &operation.launch_group {
        check(&group.executor.resources)?;
        tasks(&group.task_group.tasks)?;
    }
    if let Some(reserve) = &operation.reserve {
        check(&reserve.source)?;
        check(&reserve.resources)?;
    }
    let lists = [
        operation.unreserve.as_ref().map(|unreserve| &*unreserve.resources),
        operation.create.as_ref().map(|create| &*create.volumes),
        operation.destroy.as_ref().map(|destroy| &*destroy.volumes),
        operation.grow_volume.as_ref().map(|grow| one(&grow.volume)),
        operation.grow_volume.as_ref().map(|grow| one(&grow.addition)),
        operation.shrink_volume.as_ref().map(|shrink| one(&shrink.volume)),
        operation.create_disk.as_ref().map(|create| one(&create.source)),
        operation.destroy_disk.as_ref().map(|destroy| one(&destroy.source)),
    ];
    lists.into_iter().flatten().try_for_each(check)
}
