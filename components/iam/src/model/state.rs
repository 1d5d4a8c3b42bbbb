//! Everything that is known, and the writes that change it.

use std::sync::Arc;

use imbl::OrdMap;

use super::{Acl, Group, User};
use crate::ApiError;

/// Users, groups and permissions at one revision. A copy is cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Counts the changes, of all instances together.
    pub(crate) revision: u64,
    pub(crate) users: OrdMap<String, Arc<User>>,
    pub(crate) groups: OrdMap<String, Arc<Group>>,
    pub(crate) acls: OrdMap<String, Arc<Acl>>,
}

/// One record set or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    User(Arc<User>),
    NoUser(String),
    Group(Arc<Group>),
    NoGroup(String),
    Acl(Arc<Acl>),
    NoAcl(String),
}

// === impl State ===

impl State {
    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn user(&self, uid: &str) -> Result<&Arc<User>, ApiError> {
        self.users.get(uid).ok_or_else(|| ApiError::unknown_user(uid))
    }

    pub fn group(&self, gid: &str) -> Result<&Arc<Group>, ApiError> {
        self.groups.get(gid).ok_or_else(|| ApiError::unknown_group(gid))
    }

    pub fn acl(&self, rid: &str) -> Result<&Arc<Acl>, ApiError> {
        self.acls.get(rid).ok_or_else(|| ApiError::unknown_resource(rid))
    }

    /// All users, by uid.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values()
    }

    /// All groups, by gid.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.groups.values()
    }

    /// All permissions, by rid.
    pub fn acls(&self) -> impl Iterator<Item = &Arc<Acl>> {
        self.acls.values()
    }

    /// The groups a user is a member of.
    pub fn groups_of<'a>(&'a self, uid: &'a str) -> impl Iterator<Item = &'a Arc<Group>> {
        self.groups().filter(move |group| group.members.contains(uid))
    }

    /// Becomes what the writes say.
    pub fn apply(&mut self, writes: &[Write]) {
        for write in writes {
            match write {
                Write::User(user) => {
                    self.users.insert(user.uid.clone(), Arc::clone(user));
                }
                Write::NoUser(uid) => {
                    self.users.remove(uid);
                }
                Write::Group(group) => {
                    self.groups.insert(group.gid.clone(), Arc::clone(group));
                }
                Write::NoGroup(gid) => {
                    self.groups.remove(gid);
                }
                Write::Acl(acl) => {
                    self.acls.insert(acl.rid.clone(), Arc::clone(acl));
                }
                Write::NoAcl(rid) => {
                    self.acls.remove(rid);
                }
            }
        }
    }
}
