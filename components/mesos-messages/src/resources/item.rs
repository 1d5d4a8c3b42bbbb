//! One resource: a name, a value, and the seldom facts that tell it from its namesakes.
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::{Name, Value, print};
use crate::v1;
use crate::v1::resource::disk_info::source::Type as SourceType;
use crate::v1::resource::reservation_info::Type as ReservationType;
use crate::v1::resource::{DiskInfo, ReservationInfo};

/// What most resources do not have; shared by all that have the same.
#[derive(Clone, Debug)]
pub(super) struct Meta {
    /// The stack of reservations, outermost first; the last role owns the resource.
    pub reservations: Vec<ReservationInfo>,
    pub disk: Option<DiskInfo>,
    pub provider: Option<Arc<str>>,
    /// Set only among entries allocated to several roles.
    pub allocation: Option<Arc<str>>,
    /// How many of an identical shared resource this stands for; 1 for all others.
    pub copies: u32,
    pub revocable: bool,
    pub shared: bool,
}

impl Default for Meta {
    fn default() -> Meta {
        Meta {
            reservations: Vec::new(),
            disk: None,
            provider: None,
            allocation: None,
            copies: 1,
            revocable: false,
            shared: false,
        }
    }
}

impl Meta {
    pub(super) fn is_default(&self) -> bool {
        self.reservations.is_empty()
            && self.disk.is_none()
            && self.provider.is_none()
            && self.allocation.is_none()
            && !self.revocable
            && !self.shared
    }

    /// All but the number of copies, and the allocation unless that matters.
    fn same(&self, other: &Meta, with_allocation: bool) -> bool {
        self.revocable == other.revocable
            && self.shared == other.shared
            && self.provider == other.provider
            && (!with_allocation || self.allocation == other.allocation)
            && same_reservations(&self.reservations, &other.reservations)
            && same_disk(self.disk.as_ref(), other.disk.as_ref())
    }
}

/// One resource, but for the role it may be allocated to: an [`Entry`] knows that.
#[derive(Clone, Debug)]
pub struct Item {
    pub(super) name: Name,
    pub(super) value: Value,
    pub(super) meta: Option<Arc<Meta>>,
}

impl Item {
    pub(super) fn new(name: Name, value: Value) -> Item {
        Item { name, value, meta: None }
    }

    /// The role of this entry alone.
    pub(super) fn own_allocation(&self) -> Option<&Arc<str>> {
        self.meta.as_ref()?.allocation.as_ref()
    }

    pub(super) fn set_own_allocation(&mut self, role: Option<&Arc<str>>) {
        if self.own_allocation() != role {
            self.edit_meta(|meta| meta.allocation = role.cloned());
        }
    }

    /// This entry in the name of that role.
    pub(super) fn allocated_to(&self, role: Option<&Arc<str>>) -> Item {
        let mut item = self.clone();
        item.set_own_allocation(role);
        item
    }

    pub fn name(&self) -> &Name {
        &self.name
    }

    pub fn value(&self) -> &Value {
        &self.value
    }

    pub fn reservations(&self) -> &[ReservationInfo] {
        self.meta.as_ref().map_or(&[], |meta| &meta.reservations)
    }

    /// The role that owns it: the last of the reservations.
    pub fn reservation_role(&self) -> Option<&str> {
        self.reservations().last().map(ReservationInfo::role)
    }

    pub fn is_reserved(&self) -> bool {
        !self.reservations().is_empty()
    }

    pub fn is_dynamically_reserved(&self) -> bool {
        self.reservations().last().is_some_and(|last| last.r#type() == ReservationType::Dynamic)
    }

    pub fn has_refined_reservations(&self) -> bool {
        self.reservations().len() > 1
    }

    /// Whether `role` may be offered it: unreserved, its own, or of an ancestor.
    pub fn is_allocatable_to(&self, role: &str) -> bool {
        self.reservation_role()
            .is_none_or(|owner| owner == role || super::roles::is_strict_subrole_of(role, owner))
    }

    pub fn disk(&self) -> Option<&DiskInfo> {
        self.meta.as_ref()?.disk.as_ref()
    }

    pub fn is_persistent_volume(&self) -> bool {
        self.disk().is_some_and(|disk| disk.persistence.is_some())
    }

    pub fn is_revocable(&self) -> bool {
        self.meta.as_ref().is_some_and(|meta| meta.revocable)
    }

    pub fn is_shared(&self) -> bool {
        self.meta.as_ref().is_some_and(|meta| meta.shared)
    }

    /// How many of an identical shared resource this stands for; 1 for all others.
    pub fn copies(&self) -> u32 {
        self.meta.as_ref().map_or(1, |meta| meta.copies)
    }

    pub fn provider_id(&self) -> Option<&str> {
        self.meta.as_ref()?.provider.as_deref()
    }

    pub fn is_empty(&self) -> bool {
        self.copies() == 0 || self.value.is_empty()
    }

    pub(super) fn edit_meta(&mut self, change: impl FnOnce(&mut Meta)) {
        let mut meta = self.meta.take().map(Arc::unwrap_or_clone).unwrap_or_default();
        change(&mut meta);
        self.meta = (!meta.is_default()).then(|| Arc::new(meta));
    }

    /// Same name, kind and facts; only the amount may differ.
    pub(super) fn same_kind(&self, other: &Item) -> bool {
        self.name == other.name
            && self.value.same_kind(&other.value)
            && same_meta(self.meta.as_ref(), other.meta.as_ref(), true)
    }

    /// Equal but for the number of copies.
    pub(super) fn same(&self, other: &Item) -> bool {
        self.same_kind(other) && self.value == other.value
    }

    /// [`Item::same`], whatever role they are allocated to.
    pub(super) fn same_unallocated(&self, other: &Item) -> bool {
        self.name == other.name
            && self.value == other.value
            && same_meta(self.meta.as_ref(), other.meta.as_ref(), false)
    }

    /// A resource that cannot be merged with its like nor split.
    fn is_exclusive(&self) -> bool {
        let Some(disk) = self.disk() else { return false };
        let Some(source) = &disk.source else { return disk.persistence.is_some() };
        match source.r#type() {
            SourceType::Mount | SourceType::Block => true,
            SourceType::Raw => source.id.is_some() || disk.persistence.is_some(),
            SourceType::Path | SourceType::Unknown => disk.persistence.is_some(),
        }
    }

    /// Containing it uses it up: two of it are not contained in one.
    pub(super) fn counts_once(&self) -> bool {
        !self.is_shared() && self.is_exclusive()
    }

    pub(super) fn addable(&self, other: &Item) -> bool {
        if self.is_shared() {
            return self.same(other);
        }
        self.same_kind(other) && !self.is_exclusive()
    }

    pub(super) fn subtractable(&self, other: &Item) -> bool {
        if self.is_shared() || self.is_exclusive() {
            return self.same(other);
        }
        self.same_kind(other)
    }

    pub(super) fn contains(&self, other: &Item) -> bool {
        if !self.subtractable(other) {
            return false;
        }
        if self.is_shared() {
            return self.copies() >= other.copies();
        }
        self.value.contains(&other.value)
    }

    /// Whether a smaller amount of it may be taken.
    pub fn is_divisible(&self) -> bool {
        !self.is_shared() && !self.is_exclusive()
    }

    /// `other` must be [`Item::addable`].
    pub(super) fn add(&mut self, other: &Item) {
        if self.is_shared() {
            let more = other.copies();
            self.edit_meta(|meta| meta.copies = meta.copies.saturating_add(more));
        } else {
            self.value.add(&other.value);
        }
    }

    /// Takes away and says whether anything is left; `other` must be [`Item::subtractable`].
    pub(super) fn subtract(&mut self, other: &Item) -> bool {
        if self.is_shared() {
            let less = other.copies();
            self.edit_meta(|meta| meta.copies = meta.copies.saturating_sub(less));
        } else {
            self.value.subtract(&other.value);
        }
        let negative = matches!(self.value, Value::Scalar(left) if left.millis() < 0);
        !negative && !self.is_empty()
    }
}

/// One entry of a [`super::Resources`].
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub(super) item: &'a Item,
    pub(super) role: Option<&'a Arc<str>>,
}

impl<'a> Entry<'a> {
    /// The role it is offered or allocated to.
    pub fn allocation_role(&self) -> Option<&'a str> {
        self.role.map(|role| &**role)
    }

    pub(super) fn to_item(self) -> Item {
        self.item.allocated_to(self.role)
    }
}

impl Deref for Entry<'_> {
    type Target = Item;
    fn deref(&self) -> &Item {
        self.item
    }
}

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = print::Facts {
            name: self.name.as_str(),
            allocation: self.allocation_role(),
            reservations: self.reservations(),
            disk: self.disk(),
            revocable: self.is_revocable(),
            shared: self.is_shared(),
        };
        write!(f, "{facts}:{}", self.value)?;
        if self.is_shared() {
            write!(f, "<{}>", self.copies())?;
        }
        Ok(())
    }
}

fn same_meta(left: Option<&Arc<Meta>>, right: Option<&Arc<Meta>>, with_allocation: bool) -> bool {
    match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) => Arc::ptr_eq(left, right) || left.same(right, with_allocation),
        // One whose only fact is a role, against one without any.
        (Some(one), None) | (None, Some(one)) => {
            !with_allocation && one.same(&Meta::default(), false)
        }
    }
}

fn same_reservations(left: &[ReservationInfo], right: &[ReservationInfo]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).all(|(left, right)| {
            left.r#type() == right.r#type()
                && left.role == right.role
                && left.principal == right.principal
                && same_labels(left.labels.as_ref(), right.labels.as_ref())
        })
}

/// Labels are compared without regard to their order.
pub(super) fn same_labels(left: Option<&v1::Labels>, right: Option<&v1::Labels>) -> bool {
    match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) => sorted(left) == sorted(right),
        _ => false,
    }
}

fn sorted(labels: &v1::Labels) -> Vec<(&str, Option<&str>)> {
    let mut pairs: Vec<_> =
        labels.labels.iter().map(|label| (label.key.as_str(), label.value.as_deref())).collect();
    pairs.sort_unstable();
    pairs
}

/// The volume says how a disk is used, not which it is, and so is not compared.
fn same_disk(left: Option<&DiskInfo>, right: Option<&DiskInfo>) -> bool {
    let (Some(left), Some(right)) = (left, right) else {
        return left.is_none() && right.is_none();
    };
    let id = |disk: &DiskInfo| disk.persistence.as_ref().map(|it| it.id.clone());
    id(left) == id(right)
        && match (&left.source, &right.source) {
            (None, None) => true,
            (Some(left), Some(right)) => {
                left.r#type == right.r#type
                    && left.path == right.path
                    && left.mount == right.mount
                    && left.vendor == right.vendor
                    && left.id == right.id
                    && left.profile == right.profile
                    && same_labels(left.metadata.as_ref(), right.metadata.as_ref())
            }
            _ => false,
        }
}
