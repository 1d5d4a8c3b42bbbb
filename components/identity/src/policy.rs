//! Users and what they may do.

use crate::rid::{SUPERUSER, covering};
use crate::{Claims, TokenError};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What may be done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Create,
    Read,
    Update,
    Delete,
    /// Each of the others.
    Full,
}

impl Action {
    pub const ALL: [Action; 5] =
        [Action::Create, Action::Read, Action::Update, Action::Delete, Action::Full];

    pub fn name(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Read => "read",
            Action::Update => "update",
            Action::Delete => "delete",
            Action::Full => "full",
        }
    }

    pub fn from_name(name: &str) -> Option<Action> {
        Action::ALL.into_iter().find(|action| action.name() == name)
    }

    fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

/// A set of actions; travels as a list of names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<Action>", into = "Vec<Action>")]
pub struct Actions(u8);

impl Actions {
    pub const NONE: Actions = Actions(0);

    pub fn insert(&mut self, action: Action) {
        self.0 |= action.bit();
    }

    pub fn remove(&mut self, action: Action) {
        self.0 &= !action.bit();
    }

    /// Whether exactly `action` was granted.
    pub fn contains(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }

    /// Whether what was granted covers `action`.
    pub fn allows(self, action: Action) -> bool {
        self.0 & (action.bit() | Action::Full.bit()) != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(move |action| self.contains(*action))
    }

    #[must_use]
    pub fn union(self, other: Actions) -> Actions {
        Actions(self.0 | other.0)
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Actions {
        let mut set = Actions::NONE;
        actions.into_iter().for_each(|action| set.insert(action));
        set
    }
}

impl From<Vec<Action>> for Actions {
    fn from(actions: Vec<Action>) -> Actions {
        actions.into_iter().collect()
    }
}

impl From<Actions> for Vec<Action> {
    fn from(actions: Actions) -> Vec<Action> {
        actions.iter().collect()
    }
}

/// A user that is active; whoever is not is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub generation: u64,
    pub is_service: bool,
    pub groups: Vec<Box<str>>,
}

/// Who was granted what on one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grants {
    pub(crate) users: FxHashMap<Box<str>, Actions>,
    pub(crate) groups: FxHashMap<Box<str>, Actions>,
}

impl Grants {
    fn of(&self, uid: &str, user: &User) -> Actions {
        let own = self.users.get(uid).copied().unwrap_or_default();
        if self.groups.is_empty() {
            return own;
        }
        let groups = user.groups.iter().filter_map(|gid| self.groups.get(gid));
        groups.fold(own, |all, some| all.union(*some))
    }
}

/// Who may do what. Cheap to clone; a change copies the index of what it touches, not the
/// users or grants themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub(crate) users: Arc<FxHashMap<Box<str>, Arc<User>>>,
    pub(crate) grants: Arc<FxHashMap<Box<str>, Arc<Grants>>>,
}

impl Policy {
    pub fn user(&self, uid: &str) -> Option<&User> {
        self.users.get(uid).map(Arc::as_ref)
    }

    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// Whether a token that verified still counts: its user is active, and no later generation
    /// of tokens has begun.
    pub fn check(&self, claims: &Claims) -> Result<&User, TokenError> {
        let user = self.user(&claims.uid).ok_or(TokenError::UnknownUser)?;
        if user.generation != claims.generation {
            return Err(TokenError::Revoked);
        }
        Ok(user)
    }

    /// Whether `uid` may do `action` with `rid`.
    ///
    /// A permission on a resource covers what stands below it after a colon, and where its last
    /// part is a path, the paths below that.
    pub fn allows(&self, uid: &str, rid: &str, action: Action) -> bool {
        let Some(user) = self.user(uid) else { return false };
        if self.grants(SUPERUSER).is_some_and(|grants| grants.of(uid, user).allows(Action::Full)) {
            return true;
        }
        covering(rid)
            .filter_map(|covering| self.grants(covering))
            .any(|grants| grants.of(uid, user).allows(action))
    }

    /// Whether `uid` may do everything.
    pub fn is_superuser(&self, uid: &str) -> bool {
        self.allows(uid, SUPERUSER, Action::Full)
    }

    fn grants(&self, rid: &str) -> Option<&Grants> {
        self.grants.get(rid).map(Arc::as_ref)
    }

    // For tests and for whoever builds a policy by hand.

    pub fn set_user(&mut self, uid: &str, user: User) {
        Arc::make_mut(&mut self.users).insert(uid.into(), Arc::new(user));
    }

    pub fn remove_user(&mut self, uid: &str) {
        Arc::make_mut(&mut self.users).remove(uid);
    }

    pub fn grant_user(&mut self, uid: &str, rid: &str, action: Action) {
        let grants = self.grants_mut(rid);
        grants.users.entry(uid.into()).or_default().insert(action);
    }

    pub fn grant_group(&mut self, gid: &str, rid: &str, action: Action) {
        let grants = self.grants_mut(rid);
        grants.groups.entry(gid.into()).or_default().insert(action);
    }

    fn grants_mut(&mut self, rid: &str) -> &mut Grants {
        let all = Arc::make_mut(&mut self.grants);
        Arc::make_mut(all.entry(rid.into()).or_default())
    }
}
