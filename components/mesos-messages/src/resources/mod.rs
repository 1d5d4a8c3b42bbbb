//! The algebra of resources: add, subtract, compare, reserve, and read or print them.
//!
//! [`Resources`] keeps one entry for everything that may be merged. Cloning one is a reference
//! count; the facts most resources lack (reservations, disks) are shared behind a pointer.
//! Operations are total: taking away more than there is leaves nothing of that entry, never a
//! negative amount.

mod check;
mod convert;
pub mod fuzz;
mod item;
mod name;
pub mod operation;
mod print;
mod quantities;
pub mod roles;
mod scalar;
mod select;
mod summary;
mod text;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

pub use check::{MAX_RESOURCES, validate};
pub use convert::to_post_refinement;
pub use item::{Entry, Item};
pub use name::Name;
pub use print::ProtoText;
pub use quantities::Quantities;
pub use scalar::Scalar;
pub use summary::write_summary_of_proto;
pub use text::{ParsedValue, parse_value};
pub use value::{Range, Ranges, Set, Value};

/// Why resources were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// One of several; names which.
    #[error("Resource '{resource}' is invalid: {reason}")]
    Invalid { resource: String, reason: String },
    #[error("more than {MAX_RESOURCES} resources")]
    TooMany,
    /// Text or JSON that does not say resources.
    #[error("{0}")]
    Syntax(String),
    #[error("Cannot downgrade resources containing refined reservations")]
    Refined,
    #[error("resource '{0}' is not reserved")]
    NotReserved(String),
    #[error("{0}")]
    Operation(String),
}

/// Most have no more entries than this: cpus, mem, disk and ports.
type Items = SmallVec<[Item; 4]>;

#[derive(Clone, Debug, Default)]
struct Body {
    items: Items,
    /// The entries are not all allocated to the same role, and say so themselves.
    mixed: bool,
}

/// Resources that add up; see the module.
#[derive(Clone, Default)]
pub struct Resources {
    /// Never holds an empty list, so that emptiness takes no memory.
    body: Option<Arc<Body>>,
    /// The role all entries are allocated to, so that allocating copies nothing.
    role: Option<Arc<str>>,
}

/// The entries of [`Resources`] without their role: one word.
#[derive(Clone, Default)]
pub struct Entries(Option<Arc<Body>>);

impl Entries {
    pub fn of(resources: &Resources) -> Entries {
        Entries(resources.unallocated().body)
    }

    /// [`Entries::of`], without another count of them.
    pub fn from_resources(resources: Resources) -> Entries {
        // With a common role they cannot be mixed; that saves a look.
        match &resources.body {
            Some(body) if resources.role.is_none() && body.mixed => Entries::of(&resources),
            _ => Entries(resources.body),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether both are one and the same in memory; false says nothing.
    pub fn is_same(&self, other: &Entries) -> bool {
        same_body(self.0.as_ref(), other.0.as_ref())
    }

    /// Whether `resources` are these very entries in memory, in whatever role; false says nothing.
    pub fn is_same_object(&self, resources: &Resources) -> bool {
        same_body(self.0.as_ref(), resources.body.as_ref())
    }

    /// How many hold these entries.
    pub fn holders(&self) -> usize {
        self.0.as_ref().map_or(0, Arc::strong_count)
    }

    pub fn contains(&self, other: &Entries) -> bool {
        same_body(self.0.as_ref(), other.0.as_ref())
            || self.unallocated().contains(&other.unallocated())
    }

    /// As resources allocated to `role`.
    pub fn allocated(&self, role: &Arc<str>) -> Resources {
        let role = self.0.is_some().then(|| role.clone());
        Resources { body: self.0.clone(), role }
    }

    /// As resources allocated to no role.
    pub fn unallocated(&self) -> Resources {
        Resources { body: self.0.clone(), role: None }
    }

    pub fn into_allocated(self, role: Arc<str>) -> Resources {
        let role = self.0.is_some().then_some(role);
        Resources { body: self.0, role }
    }

    pub fn into_unallocated(self) -> Resources {
        Resources { body: self.0, role: None }
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.unallocated().fmt(f)
    }
}

fn same_body(left: Option<&Arc<Body>>, right: Option<&Arc<Body>>) -> bool {
    match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) => Arc::ptr_eq(left, right),
        _ => false,
    }
}

impl Resources {
    pub const fn new() -> Resources {
        Resources { body: None, role: None }
    }

    /// Takes items that are already merged, and hoists the role if they agree on it.
    fn from_items(mut items: Items) -> Resources {
        let role = common_role(&items);
        if role.is_some() {
            items.iter_mut().for_each(|item| item.set_own_allocation(None));
        }
        let mixed = items.iter().any(|item| item.own_allocation().is_some());
        let body = (!items.is_empty()).then(|| Arc::new(Body { items, mixed }));
        Resources { body, role }
    }

    /// A plain scalar; nothing when the amount is not positive.
    pub fn of_scalar(name: &str, amount: Scalar) -> Resources {
        if !amount.is_positive() {
            return Resources::new();
        }
        Resources::from_items(smallvec![Item::new(name.into(), Value::Scalar(amount))])
    }

    /// Plain ranges, such as ports.
    pub fn of_ranges(name: &str, ranges: Ranges) -> Resources {
        if ranges.is_empty() {
            return Resources::new();
        }
        Resources::from_items(smallvec![Item::new(name.into(), Value::Ranges(ranges))])
    }

    fn slice(&self) -> &[Item] {
        self.body.as_ref().map_or(&[], |body| &body.items)
    }

    pub fn iter(&self) -> Iter<'_> {
        Iter { items: self.slice().iter(), role: self.role.as_ref() }
    }

    pub fn is_empty(&self) -> bool {
        self.body.is_none()
    }

    pub fn len(&self) -> usize {
        self.slice().len()
    }

    /// Whether both are one and the same in memory; false says nothing.
    pub fn is_same_object(&self, other: &Resources) -> bool {
        self.has_same_entries(other) && same_role(self.role.as_ref(), other.role.as_ref())
    }

    /// [`Resources::is_same_object`] but for the role they are allocated to.
    pub fn has_same_entries(&self, other: &Resources) -> bool {
        same_body(self.body.as_ref(), other.body.as_ref())
    }

    /// Whether every entry of `other` is contained in an entry of this.
    pub fn contains(&self, other: &Resources) -> bool {
        if other.is_empty() || self.is_same_object(other) {
            return true;
        }
        if same_role(self.role.as_ref(), other.role.as_ref()) {
            return self.contains_entries(other);
        }
        if self.role.is_some() && other.role.is_some() {
            return false;
        }
        self.lowered().contains_entries(&other.lowered())
    }

    /// Both must have the same role.
    fn contains_entries(&self, other: &Resources) -> bool {
        let wanted = other.slice();
        if !wanted.iter().any(Item::counts_once) {
            return wanted.iter().all(|wanted| self.holds(wanted));
        }
        let mut left = self.clone();
        wanted.iter().all(|wanted| {
            let held = left.holds(wanted);
            if held && wanted.counts_once() {
                left.subtract_item(wanted);
            }
            held
        })
    }

    fn holds(&self, wanted: &Item) -> bool {
        self.slice().iter().any(|item| item.contains(wanted))
    }

    /// Whether an entry like this one is there, whatever role it is allocated to.
    pub fn has_entry(&self, wanted: &Item) -> bool {
        self.slice().iter().any(|item| item.same_unallocated(wanted))
    }

    /// The difference, if all of `other` is there.
    pub fn checked_sub(&self, other: &Resources) -> Option<Resources> {
        self.contains(other).then(|| self - other)
    }

    /// The same with the role said by each entry, to meet those of other roles.
    fn lowered(&self) -> Resources {
        let Some(role) = &self.role else { return self.clone() };
        let items = self.slice().iter().map(|item| item.allocated_to(Some(role))).collect();
        Resources { body: Some(Arc::new(Body { items, mixed: true })), role: None }
    }

    /// Puts roles where they belong, after entries that have their own were changed.
    fn hoist(&mut self) {
        match &mut self.body {
            None => self.role = None,
            Some(body) if body.mixed => {
                let items = std::mem::take(&mut Arc::make_mut(body).items);
                *self = Resources::from_items(items);
            }
            Some(_) => {}
        }
    }

    /// The entry must be of the same role as the rest, unless they are lowered.
    fn add_item(&mut self, item: Item) {
        if item.is_empty() {
            return;
        }
        let mixed = item.own_allocation().is_some();
        let body = Arc::make_mut(self.body.get_or_insert_default());
        body.mixed |= mixed;
        match body.items.iter_mut().find(|mine| mine.addable(&item)) {
            Some(mine) => mine.add(&item),
            None => body.items.push(item),
        }
    }

    fn subtract_item(&mut self, item: &Item) {
        let Some(body) = &mut self.body else { return };
        let Some(at) = body.items.iter().position(|mine| mine.subtractable(item)) else { return };
        let items = &mut Arc::make_mut(body).items;
        // The original fills the gap with the last entry; its texts show that order.
        if items.get_mut(at).is_some_and(|mine| !mine.subtract(item)) {
            items.swap_remove(at);
        }
        if items.is_empty() {
            self.body = None;
        }
    }
}

/// The role that all entries say they are allocated to.
fn common_role(items: &[Item]) -> Option<Arc<str>> {
    let role = items.first()?.own_allocation()?;
    items.iter().all(|item| item.own_allocation() == Some(role)).then(|| role.clone())
}

fn same_role(left: Option<&Arc<str>>, right: Option<&Arc<str>>) -> bool {
    match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) => Arc::ptr_eq(left, right) || left == right,
        _ => false,
    }
}

/// The entries of a [`Resources`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    items: std::slice::Iter<'a, Item>,
    role: Option<&'a Arc<str>>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let item = self.items.next()?;
        Some(Entry { item, role: item.own_allocation().or(self.role) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl FromIterator<Item> for Resources {
    fn from_iter<I: IntoIterator<Item = Item>>(items: I) -> Resources {
        let mut resources = Resources::new();
        items.into_iter().for_each(|item| resources.add_item(item));
        resources.hoist();
        resources
    }
}

impl<'a> IntoIterator for &'a Resources {
    type Item = Entry<'a>;
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl AddAssign<&Resources> for Resources {
    fn add_assign(&mut self, other: &Resources) {
        if self.is_empty() {
            self.clone_from(other);
        } else if other.is_empty() || same_role(self.role.as_ref(), other.role.as_ref()) {
            other.slice().iter().for_each(|item| self.add_item(item.clone()));
        } else {
            *self = self.lowered();
            other.lowered().slice().iter().for_each(|item| self.add_item(item.clone()));
            self.hoist();
        }
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, other: Resources) {
        *self += &other;
    }
}

impl SubAssign<&Resources> for Resources {
    fn sub_assign(&mut self, other: &Resources) {
        if self.is_same_object(other) {
            *self = Resources::new();
        } else if same_role(self.role.as_ref(), other.role.as_ref()) {
            other.slice().iter().for_each(|item| self.subtract_item(item));
            self.hoist();
        } else if self.role.is_none() || other.role.is_none() {
            *self = self.lowered();
            other.lowered().slice().iter().for_each(|item| self.subtract_item(item));
            self.hoist();
        }
    }
}

impl SubAssign for Resources {
    fn sub_assign(&mut self, other: Resources) {
        *self -= &other;
    }
}

impl Add for &Resources {
    type Output = Resources;
    fn add(self, other: &Resources) -> Resources {
        let mut sum = self.clone();
        sum += other;
        sum
    }
}

impl Add for Resources {
    type Output = Resources;
    fn add(mut self, other: Resources) -> Resources {
        self += &other;
        self
    }
}

impl Sub for &Resources {
    type Output = Resources;
    fn sub(self, other: &Resources) -> Resources {
        let mut left = self.clone();
        left -= other;
        left
    }
}

impl Sub for Resources {
    type Output = Resources;
    fn sub(mut self, other: Resources) -> Resources {
        self -= &other;
        self
    }
}

impl PartialEq for Resources {
    fn eq(&self, other: &Resources) -> bool {
        self.is_same_object(other)
            || (self.len() == other.len() && self.contains(other) && other.contains(self))
    }
}

impl Eq for Resources {}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("{}");
        }
        for (at, item) in self.iter().enumerate() {
            f.write_str(if at > 0 { "; " } else { "" })?;
            item.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resources({self})")
    }
}
