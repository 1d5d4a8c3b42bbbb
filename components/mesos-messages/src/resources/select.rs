//! Parts of resources, and their reservations and allocations.
use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::smallvec;

use super::{
    Item, Items, Quantities, Ranges, ResourceError, Resources, Scalar, Set, Value, check, roles,
};
use crate::v1::resource::ReservationInfo;

impl Resources {
    /// The entries for which `keep` holds.
    pub fn filter(&self, keep: impl Fn(&Item) -> bool) -> Resources {
        if self.slice().iter().all(&keep) {
            return self.clone();
        }
        self.with_items(self.slice().iter().filter(|item| keep(item)).cloned().collect())
    }

    /// Other entries, already merged, allocated like these.
    fn with_items(&self, items: Items) -> Resources {
        let mut resources = Resources::from_items(items);
        if !resources.is_empty() && self.role.is_some() {
            resources.role.clone_from(&self.role);
        }
        resources
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
        self.slice().iter().any(Item::has_refined_reservations)
    }

    /// The reserved resources by owning role.
    pub fn reservations(&self) -> BTreeMap<Arc<str>, Resources> {
        let mut groups: BTreeMap<Arc<str>, Items> = BTreeMap::new();
        for item in self.slice() {
            let Some(role) = item.reservation_role() else { continue };
            match groups.get_mut(role) {
                Some(group) => group.push(item.clone()),
                None => drop(groups.insert(role.into(), smallvec![item.clone()])),
            }
        }
        groups.into_iter().map(|(role, items)| (role, self.with_items(items))).collect()
    }

    /// The allocated resources by the role they are allocated to.
    pub fn allocations(&self) -> BTreeMap<Arc<str>, Resources> {
        if let Some(role) = &self.role {
            return BTreeMap::from([(role.clone(), self.clone())]);
        }
        let mut groups: BTreeMap<Arc<str>, Items> = BTreeMap::new();
        for item in self.slice() {
            let Some(role) = item.own_allocation() else { continue };
            groups.entry(role.clone()).or_default().push(item.clone());
        }
        groups.into_iter().map(|(role, items)| (role, Resources::from_items(items))).collect()
    }

    /// The role all of it is allocated to, if there is one such role.
    pub fn allocation_role(&self) -> Option<&Arc<str>> {
        self.role.as_ref()
    }

    pub fn allocated(&self, role: &str) -> Resources {
        self.allocated_shared(&role.into())
    }

    /// [`Resources::allocated`] without copying the role's text.
    pub fn allocated_shared(&self, role: &Arc<str>) -> Resources {
        let mut resources = self.unallocated();
        if !resources.is_empty() {
            resources.role = Some(role.clone());
        }
        resources
    }

    pub fn unallocated(&self) -> Resources {
        // With a common role they cannot be mixed; that saves a look.
        if self.role.is_some() || self.body.as_ref().is_none_or(|body| !body.mixed) {
            return Resources { body: self.body.clone(), role: None };
        }
        // Entries that differed only in their role now merge.
        self.iter().map(|entry| entry.item.allocated_to(None)).collect()
    }

    /// Refines all of it: one more reservation on each stack.
    pub fn push_reservation(&self, info: &ReservationInfo) -> Result<Resources, ResourceError> {
        let pushed: Resources = self
            .iter()
            .map(|entry| {
                let mut item = entry.to_item();
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
            .map(|entry| {
                if !entry.is_reserved() {
                    return Err(ResourceError::NotReserved(entry.to_string()));
                }
                let mut item = entry.to_item();
                item.edit_meta(|meta| drop(meta.reservations.pop()));
                Ok(item)
            })
            .collect()
    }

    /// The same without any reservation.
    pub fn to_unreserved(&self) -> Resources {
        if !self.slice().iter().any(Item::is_reserved) {
            return self.clone();
        }
        self.iter()
            .map(|entry| {
                let mut item = entry.to_item();
                item.edit_meta(|meta| meta.reservations.clear());
                item
            })
            .collect()
    }

    /// At most `target` of each named scalar is kept; what cannot be split is kept or left whole.
    pub fn shrunk_to(&self, target: &Quantities) -> Resources {
        let mut left = target.clone();
        self.iter()
            .filter_map(|entry| {
                let item = entry.to_item();
                let Value::Scalar(amount) = item.value else { return Some(item) };
                let room = left.get(&item.name);
                let take = if item.is_divisible() || amount <= room {
                    amount.min(room)
                } else {
                    Scalar::ZERO
                };
                left.subtract(&item.name, take);
                take.is_positive().then(|| Item { value: Value::Scalar(take), ..item })
            })
            .collect()
    }
}
