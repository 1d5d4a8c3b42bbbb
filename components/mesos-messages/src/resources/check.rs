//! What makes a wire resource valid, in the original's order and words.
use super::print::{LabelsText, SourceText};
use super::{ResourceError, Scalar, roles};
use crate::v1;
use crate::v1::resource::disk_info::source::Type as SourceType;
use crate::v1::resource::reservation_info::Type as ReservationType;
use crate::v1::value::Type;
use crate::validate::ids::validate_role;

/// More entries than this in one list are refused: merging them takes quadratic time.
pub const MAX_RESOURCES: usize = 4096;

type Check = Result<(), String>;

/// Says why one resource is invalid, in the original's words.
pub fn validate(resource: &v1::Resource) -> Result<(), String> {
    if resource.name.is_empty() {
        return Err("Empty resource name".to_owned());
    }
    check_value(resource)?;
    check_disk(resource)?;
    if resource.reservations.is_empty() {
        check_old_reservation(resource)?;
    } else {
        check_reservations(resource)?;
        check_formats_agree(resource)?;
    }
    check_shared(resource)
}

/// [`validate`] for a list; the error names the resource.
pub(super) fn validate_all(resources: &[v1::Resource]) -> Result<(), ResourceError> {
    if resources.len() > MAX_RESOURCES {
        return Err(ResourceError::TooMany);
    }
    resources.iter().try_for_each(|resource| {
        validate(resource).map_err(|reason| ResourceError::Invalid {
            resource: super::ProtoText(resource).to_string(),
            reason,
        })
    })
}

fn check_value(resource: &v1::Resource) -> Check {
    let Ok(kind) = Type::try_from(resource.r#type) else {
        return Err("Invalid resource type".to_owned());
    };
    let fields = (&resource.scalar, &resource.ranges, &resource.set);
    match (kind, fields) {
        (Type::Scalar, (Some(scalar), None, None)) => {
            // The original's rounding turns NaN and the like into a negative number.
            let fixed = Scalar::from_f64(scalar.value);
            if scalar.value != 0.0 && !fixed.is_some_and(Scalar::is_positive) {
                return Err("Invalid scalar resource: value <= 0".to_owned());
            }
            Ok(())
        }
        (Type::Ranges, (None, Some(ranges), None)) => check_ranges(ranges),
        (Type::Set, (None, None, Some(set))) => check_set(set),
        (Type::Scalar, _) => Err("Invalid scalar resource".to_owned()),
        (Type::Ranges, _) => Err("Invalid ranges resource".to_owned()),
        (Type::Set, _) => Err("Invalid set resource".to_owned()),
        (Type::Text, _) => Err("Unsupported resource type".to_owned()),
    }
}

fn check_ranges(ranges: &v1::value::Ranges) -> Check {
    if ranges.range.iter().any(|range| range.begin > range.end) {
        return Err("Invalid ranges resource: begin > end".to_owned());
    }
    let mut sorted: Vec<_> = ranges.range.iter().map(|range| (range.begin, range.end)).collect();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| matches!(pair, [left, right] if right.0 <= left.1)) {
        return Err("Invalid ranges resource: overlapping ranges".to_owned());
    }
    Ok(())
}

fn check_set(set: &v1::value::Set) -> Check {
    let mut sorted: Vec<_> = set.item.iter().collect();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| matches!(pair, [left, right] if left == right)) {
        return Err("Invalid set resource: duplicated elements".to_owned());
    }
    Ok(())
}

fn check_disk(resource: &v1::Resource) -> Check {
    let Some(disk) = &resource.disk else { return Ok(()) };
    if resource.name != "disk" {
        return Err(format!("DiskInfo should not be set for {} resource", resource.name));
    }
    let Some(source) = &disk.source else { return Ok(()) };
    let kind = SourceType::try_from(source.r#type).unwrap_or(SourceType::Unknown);
    match kind {
        SourceType::Path | SourceType::Mount => Ok(()),
        SourceType::Unknown => {
            Err(format!("Unsupported 'DiskInfo.Source.Type' in '{}'", SourceText(source)))
        }
        SourceType::Block | SourceType::Raw if source.mount.is_some() => {
            Err(format!("Mount should not be set for {} disk source", kind.as_str_name()))
        }
        SourceType::Block | SourceType::Raw if source.path.is_some() => {
            Err(format!("Path should not be set for {} disk source", kind.as_str_name()))
        }
        SourceType::Block | SourceType::Raw => Ok(()),
    }
}

/// The older format: `role` and at most one `reservation` without type and role.
#[allow(deprecated)]
fn check_old_reservation(resource: &v1::Resource) -> Check {
    check_role(resource.role())?;
    let Some(reservation) = &resource.reservation else { return Ok(()) };
    for (set, field) in
        [(reservation.r#type.is_some(), "type"), (reservation.role.is_some(), "role")]
    {
        if set {
            return Err(format!(
                "'Resource.ReservationInfo.{field}' must not be set for the \
                 'Resource.reservation' field"
            ));
        }
    }
    if resource.role() == "*" {
        return Err("Invalid reservation: role \"*\" cannot be dynamically reserved".to_owned());
    }
    Ok(())
}

/// The newer format: a stack, each role below the one before.
fn check_reservations(resource: &v1::Resource) -> Check {
    for reservation in &resource.reservations {
        for (missing, field) in
            [(reservation.r#type.is_none(), "type"), (reservation.role.is_none(), "role")]
        {
            if missing {
                return Err(format!(
                    "Invalid reservation: 'Resource.ReservationInfo.{field}' field must be set."
                ));
            }
        }
        check_role(reservation.role())?;
        if reservation.role() == "*" {
            return Err("Invalid reservation: role \"*\" cannot be reserved".to_owned());
        }
    }
    for pair in resource.reservations.windows(2) {
        let [outer, inner] = pair else { continue };
        if inner.r#type() == ReservationType::Static {
            return Err(
                "Invalid refined reservation: A refined reservation cannot be STATIC".to_owned()
            );
        }
        if !roles::is_strict_subrole_of(inner.role(), outer.role()) {
            return Err(format!(
                "Invalid refined reservation: role '{}' is not a refinement of '{}'",
                inner.role(),
                outer.role()
            ));
        }
    }
    Ok(())
}

/// Both formats may be there at once, if they say the same.
#[allow(deprecated)]
fn check_formats_agree(resource: &v1::Resource) -> Check {
    let [reservation] = resource.reservations.as_slice() else {
        for (set, field) in
            [(resource.role.is_some(), "role"), (resource.reservation.is_some(), "reservation")]
        {
            if set {
                return Err(format!(
                    "Invalid resource format: 'Resource.{field}' must not be set if there is \
                     more than one reservation in 'Resource.reservations'"
                ));
            }
        }
        return Ok(());
    };
    if resource.role.is_some() && resource.role() != reservation.role() {
        return Err(format!(
            "Invalid resource format: 'Resource.role' field with '{}' does not match the role \
             '{}' in 'Resource.reservations'",
            resource.role(),
            reservation.role()
        ));
    }
    match reservation.r#type() {
        ReservationType::Static if resource.reservation.is_some() => {
            Err("Invalid resource format: 'Resource.reservation' must not be set if the single \
             reservation in 'Resource.reservations' is STATIC"
                .to_owned())
        }
        ReservationType::Static => Ok(()),
        ReservationType::Dynamic => check_dynamic_formats_agree(resource, reservation),
        ReservationType::Unknown => Err("Unsupported 'Resource.ReservationInfo.Type'".to_owned()),
    }
}

#[allow(deprecated)]
fn check_dynamic_formats_agree(
    resource: &v1::Resource,
    reservation: &v1::resource::ReservationInfo,
) -> Check {
    if resource.role.is_some() != resource.reservation.is_some() {
        return Err("Invalid resource format: 'Resource.role' and 'Resource.reservation' must \
                    either be both set or both not set if the single reservation in \
                    'Resource.reservations' is DYNAMIC"
            .to_owned());
    }
    let Some(old) = &resource.reservation else { return Ok(()) };
    if old.principal() != reservation.principal() {
        return Err(format!(
            "Invalid resource format: 'Resource.reservation.principal' field with '{}' does not \
             match the principal '{}' in 'Resource.reservations'",
            old.principal(),
            reservation.principal()
        ));
    }
    let none = v1::Labels::default();
    let (left, right) =
        (old.labels.as_ref().unwrap_or(&none), reservation.labels.as_ref().unwrap_or(&none));
    if !super::item::same_labels(Some(left), Some(right)) {
        return Err(format!(
            "Invalid resource format: 'Resource.reservation.labels' field with '{}' does not \
             match the labels '{}' in 'Resource.reservations'",
            LabelsText(left),
            LabelsText(right)
        ));
    }
    Ok(())
}

fn check_role(role: &str) -> Check {
    validate_role(role).map_err(|error| error.to_string())
}

fn check_shared(resource: &v1::Resource) -> Check {
    if resource.shared.is_none() {
        return Ok(());
    }
    if resource.name != "disk" {
        return Err(format!("Resource {} cannot be shared", resource.name));
    }
    if resource.disk.as_ref().is_none_or(|disk| disk.persistence.is_none()) {
        return Err("Only persistent volumes can be shared".to_owned());
    }
    Ok(())
}
