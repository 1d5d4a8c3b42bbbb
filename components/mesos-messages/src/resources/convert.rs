//! To and from the wire, in its three formats of reservations.
//!
//! The newer format has a stack (`reservations`); the older one `role` and `reservation`, which
//! cannot say refinements; endpoints show both where both can be said.
use super::item::Meta;
use super::{Entry, Item, Range, Ranges, ResourceError, Resources, Scalar, Set, Value, check};
use crate::v1;
use crate::v1::resource::reservation_info::Type as ReservationType;
use crate::v1::resource::{AllocationInfo, ReservationInfo, RevocableInfo, SharedInfo};
use crate::v1::value::Type;

impl Resources {
    /// Validates and merges; either format of reservations is read, empty resources vanish.
    pub fn from_proto(resources: &[v1::Resource]) -> Result<Resources, ResourceError> {
        check::validate_all(resources)?;
        Ok(resources.iter().filter_map(Item::from_valid).collect())
    }

    /// The newer format, which masters and agents speak among themselves.
    pub fn to_proto(&self) -> Vec<v1::Resource> {
        self.iter().map(Entry::to_proto).collect()
    }

    /// What endpoints show: unrefined reservations in both formats.
    pub fn to_proto_endpoint(&self) -> Vec<v1::Resource> {
        self.iter().map(|item| with_old_fields(item.to_proto())).collect()
    }

    /// The older format, for frameworks and agents without RESERVATION_REFINEMENT.
    pub fn to_proto_pre_refinement(&self) -> Result<Vec<v1::Resource>, ResourceError> {
        if self.has_refined_reservations() {
            return Err(ResourceError::Refined);
        }
        let old = |entry: Entry<'_>| {
            let mut resource = with_old_fields(entry.to_proto());
            resource.reservations.clear();
            resource
        };
        Ok(self.iter().map(old).collect())
    }
}

/// Rewrites one valid resource of any format into the newer one.
#[allow(deprecated)]
pub fn to_post_refinement(resource: &mut v1::Resource) {
    let role = resource.role.take();
    let reservation = resource.reservation.take();
    let Some(role) = role.filter(|role| role != "*") else { return };
    if !resource.reservations.is_empty() {
        return;
    }
    let kind =
        if reservation.is_some() { ReservationType::Dynamic } else { ReservationType::Static };
    let mut reservation = reservation.unwrap_or_default();
    reservation.r#type = Some(kind as i32);
    reservation.role = Some(role);
    resource.reservations.push(reservation);
}

#[allow(deprecated)]
fn with_old_fields(mut resource: v1::Resource) -> v1::Resource {
    match resource.reservations.as_slice() {
        [] => resource.role = Some("*".to_owned()),
        [only] => {
            if only.r#type() == ReservationType::Dynamic {
                resource.reservation = Some(ReservationInfo {
                    principal: only.principal.clone(),
                    labels: only.labels.clone(),
                    ..ReservationInfo::default()
                });
            }
            resource.role = only.role.clone();
        }
        _ => {}
    }
    resource
}

impl Item {
    /// `None` for an empty one. The resource must have been validated.
    pub(super) fn from_valid(resource: &v1::Resource) -> Option<Item> {
        let value = match (&resource.scalar, &resource.ranges, &resource.set) {
            (Some(scalar), _, _) => Value::Scalar(Scalar::from_f64(scalar.value)?),
            (_, Some(ranges), _) => {
                let pair = |range: &v1::value::Range| Range { begin: range.begin, end: range.end };
                Value::Ranges(Ranges::new(ranges.range.iter().map(pair).collect()))
            }
            (_, _, Some(set)) => Value::Set(Set::new(set.item.iter().map(String::as_str))),
            _ => return None,
        };
        let mut item = Item::new(resource.name.as_str().into(), value);
        item.meta = meta_of(resource);
        (!item.is_empty()).then_some(item)
    }
}

impl Entry<'_> {
    pub fn to_proto(self) -> v1::Resource {
        let mut resource = v1::Resource { name: self.name.to_string(), ..v1::Resource::default() };
        match &self.value {
            Value::Scalar(scalar) => {
                resource.set_type(Type::Scalar);
                resource.scalar = Some(v1::value::Scalar { value: scalar.to_f64() });
            }
            Value::Ranges(ranges) => {
                resource.set_type(Type::Ranges);
                let pair = |range: Range| v1::value::Range { begin: range.begin, end: range.end };
                let range = ranges.iter().map(pair).collect();
                resource.ranges = Some(v1::value::Ranges { range });
            }
            Value::Set(set) => {
                resource.set_type(Type::Set);
                let item = set.iter().map(str::to_owned).collect();
                resource.set = Some(v1::value::Set { item });
            }
        }
        let role = self.allocation_role().map(str::to_owned);
        resource.allocation_info = role.map(|role| AllocationInfo { role: Some(role) });
        if let Some(meta) = &self.meta {
            resource.reservations = meta.reservations.clone();
            resource.disk = meta.disk.clone().map(Into::into);
            resource.provider_id =
                meta.provider.as_deref().map(|id| v1::ResourceProviderId { value: id.to_owned() });
            resource.revocable = meta.revocable.then_some(RevocableInfo {});
            resource.shared = meta.shared.then_some(SharedInfo {});
        }
        resource
    }
}

#[allow(deprecated)]
fn meta_of(resource: &v1::Resource) -> Option<std::sync::Arc<Meta>> {
    let reserved_before = resource.role.as_deref().is_some_and(|role| role != "*");
    let allocation = resource.allocation_info.as_ref().and_then(|info| info.role.as_deref());
    let plain = resource.reservations.is_empty()
        && allocation.is_none()
        && !reserved_before
        && resource.disk.is_none()
        && resource.provider_id.is_none()
        && resource.revocable.is_none()
        && resource.shared.is_none();
    if plain {
        return None;
    }
    let mut reservations = resource.reservations.clone();
    if reservations.is_empty() && reserved_before {
        let mut upgraded = v1::Resource {
            role: resource.role.clone(),
            reservation: resource.reservation.clone(),
            ..v1::Resource::default()
        };
        to_post_refinement(&mut upgraded);
        reservations = upgraded.reservations;
    }
    Some(std::sync::Arc::new(Meta {
        reservations,
        disk: resource.disk.as_deref().cloned(),
        provider: resource.provider_id.as_ref().map(|id| id.value.as_str().into()),
        allocation: allocation.map(Into::into),
        copies: 1,
        revocable: resource.revocable.is_some(),
        shared: resource.shared.is_some(),
    }))
}
