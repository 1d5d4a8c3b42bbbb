//! Parts of resources, and their reservations and allocations.
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Item, Quantities, Ranges, ResourceError, Resources, Scalar, Set, Value, check, roles};
use crate::v1::resource::ReservationInfo;

impl Resources {
    /// The entries for which `keep` holds.
    pub fn filter(&self, keep: impl Fn(&Item) -> bool) -> Resources {
        if self.iter().all(&keep) {
            return self.clone();
        }
        Resources::from_items(self.iter().filter(|item| keep(item)).cloned().collect())
    }

    /// The sum of all scalars of that name, whatever their role; `None` if there is none.
    pub fn scalar(&self, name: &str) -> Option<Scalar> {
        self.iter().filter(|item| item.name == *name).fold(None, |sum, item| match item.value {
            Value::Scalar(amount) => Some(sum.unwrap_or_default() + amount),
            _ => sum,
        })
    }

    pub fn ranges(&self, name: &str) -> Option<Ranges> {
        self.iter().filter(|item| item.name == *name).fold(None, |sum, item| match &item.value {
            Value::Ranges(ranges) => Some(sum.map_or(ranges.clone(), |sum| sum.union(ranges))),
            _ => sum,
        })
    }

    pub fn set(&self, name: &str) -> Option<Set> {
        self.iter().filter(|item| item.name == *name).fold(None, |sum, item| match &item.value {
            Value::Set(set) => Some(sum.map_or(set.clone(), |sum: Set| sum.union(set))),
            _ => sum,
        })
    }

    pub fn cpus(&self) -> Option<Scalar> {
        self.scalar("cpus")
    }

    pub fn gpus(&self) -> Option<Scalar> {
        self.scalar("gpus")
    }

    /// In MB.
    pub fn mem(&self) -> Option<Scalar> {
        self.scalar("mem")
    }

    /// In MB.
    pub fn disk(&self) -> Option<Scalar> {
        self.scalar("disk")
    }

    pub fn ports(&self) -> Option<Ranges> {
        self.ranges("ports")
    }

    /// All entries of that name.
    pub fn named(&self, name: &str) -> Resources {
        self.filter(|item| item.name == *name)
    }

    pub fn scalars(&self) -> Resources {
        self.filter(|item| matches!(item.value, Value::Scalar(_)))
    }

    /// Sums of scalars by name, without roles and other facts; shared ones count once.
    pub fn quantities(&self) -> Quantities {
        Quantities::of_scalars(self)
    }

    pub fn revocable(&self) -> Resources {
        self.filter(Item::is_revocable)
    }

    pub fn non_revocable(&self) -> Resources {
        self.filter(|item| !item.is_revocable())
    }

    pub fn shared(&self) -> Resources {
        self.filter(Item::is_shared)
    }

    pub fn non_shared(&self) -> Resources {
        self.filter(|item| !item.is_shared())
    }

    pub fn persistent_volumes(&self) -> Resources {
        self.filter(Item::is_persistent_volume)
    }

    pub fn unreserved(&self) -> Resources {
        self.filter(|item| !item.is_reserved())
    }

    pub fn reserved(&self) -> Resources {
        self.filter(Item::is_reserved)
    }

    /// Reserved to exactly this role.
    pub fn reserved_to(&self, role: &str) -> Resources {
        self.filter(|item| item.reservation_role() == Some(role))
    }

    /// Reserved to the role or one below it.
    pub fn reserved_to_subtree(&self, role: &str) -> Resources {
        self.filter(|item| {
            item.reservation_role().is_some_and(|owner| roles::is_in_subtree(owner, role))
        })
    }

    /// What `role` may be offered: unreserved, its own, and that of the roles above it.
    pub fn allocatable_to(&self, role: &str) -> Resources {
        self.filter(|item| item.is_allocatable_to(role))
    }

    pub fn has_refined_reservations(&self) -> bool {
        self.iter().any(Item::has_refined_reservations)
    }

    /// The reserved resources by owning role.
    pub fn reservations(&self) -> BTreeMap<Arc<str>, Resources> {
        self.grouped(Item::reservation_role)
    }

    /// The allocated resources by the role they are allocated to.
    pub fn allocations(&self) -> BTreeMap<Arc<str>, Resources> {
        self.grouped(Item::allocation_role)
    }

    fn grouped(&self, key: impl Fn(&Item) -> Option<&str>) -> BTreeMap<Arc<str>, Resources> {
        let mut groups: BTreeMap<Arc<str>, Vec<Item>> = BTreeMap::new();
        for item in self {
            let Some(role) = key(item) else { continue };
            match groups.get_mut(role) {
                Some(group) => group.push(item.clone()),
                None => drop(groups.insert(role.into(), vec![item.clone()])),
            }
        }
        groups.into_iter().map(|(role, items)| (role, Resources::from_items(items))).collect()
    }

    /// The role all of it is allocated to, if there is one such role.
    pub fn allocation_role(&self) -> Option<&str> {
        let role = self.iter().next()?.allocation_role()?;
        self.iter().all(|item| item.allocation_role() == Some(role)).then_some(role)
    }

    pub fn allocated(&self, role: &str) -> Resources {
        self.allocated_shared(&role.into())
    }

    /// [`Resources::allocated`] without copying the role's text.
    pub fn allocated_shared(&self, role: &Arc<str>) -> Resources {
        self.with_allocation(Some(role))
    }

    pub fn unallocated(&self) -> Resources {
        if self.iter().all(|item| item.allocation.is_none()) {
            return self.clone();
        }
        self.with_allocation(None)
    }

    fn with_allocation(&self, role: Option<&Arc<str>>) -> Resources {
        let one_role = |items: &[Item]| {
            items
                .windows(2)
                .all(|pair| matches!(pair, [left, right] if left.allocation == right.allocation))
        };
        let change = |item: &Item| Item { allocation: role.cloned(), ..item.clone() };
        if one_role(self.slice()) {
            return Resources::from_items(self.iter().map(change).collect());
        }
        // Entries that differed only in their role now merge.
        self.iter().map(change).collect()
    }

    /// Refines all of it: one more reservation on each stack.
    pub fn push_reservation(&self, info: &ReservationInfo) -> Result<Resources, ResourceError> {
        let pushed: Resources = self
            .iter()
            .map(|item| {
                let mut item = item.clone();
                item.edit_meta(|meta| meta.reservations.push(info.clone()));
                item
            })
            .collect();
        check::validate_all(&pushed.to_proto())?;
        Ok(pushed)
    }

    /// Takes the innermost reservation off each stack; all must be reserved.
    pub fn pop_reservation(&self) -> Result<Resources, ResourceError> {
        self.iter()
            .map(|item| {
                if !item.is_reserved() {
                    return Err(ResourceError::NotReserved(item.to_string()));
                }
                let mut item = item.clone();
                item.edit_meta(|meta| drop(meta.reservations.pop()));
                Ok(item)
            })
            .collect()
    }

    /// The same without any reservation.
    pub fn to_unreserved(&self) -> Resources {
        if !self.iter().any(Item::is_reserved) {
            return self.clone();
        }
        self.iter()
            .map(|item| {
                let mut item = item.clone();
                item.edit_meta(|meta| meta.reservations.clear());
                item
            })
            .collect()
    }

    /// At most `target` of each named scalar is kept; what cannot be split is kept or left whole.
    pub fn shrunk_to(&self, target: &Quantities) -> Resources {
        let mut left = target.clone();
        self.iter()
            .filter_map(|item| {
                let Value::Scalar(amount) = item.value else { return Some(item.clone()) };
                let room = left.get(&item.name);
                let take = if item.is_divisible() || amount <= room {
                    amount.min(room)
                } else {
                    Scalar::ZERO
                };
                left.subtract(&item.name, take);
                take.is_positive().then(|| Item { value: Value::Scalar(take), ..item.clone() })
            })
            .collect()
    }
}
