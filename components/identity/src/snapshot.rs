//! Keys and policy as of one version.

use crate::policy::{Grants, User};
use crate::wire::{Change, Everything, Line, Permission, UserEntry};
use crate::{Claims, KeySet, Policy, SnapshotError, TokenCache, TokenError};
use std::sync::Arc;

/// What is known of identity at one moment. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub version: u64,
    pub keys: KeySet,
    pub policy: Policy,
}

impl Snapshot {
    /// Reads a first line.
    pub fn from_line(line: Line) -> Result<Snapshot, SnapshotError> {
        if line.more {
            return Err(SnapshotError::Pieces);
        }
        let everything = line.snapshot.ok_or(SnapshotError::NoSnapshot)?;
        Snapshot::from_everything(line.version, everything)
    }

    pub fn from_everything(version: u64, all: Everything) -> Result<Snapshot, SnapshotError> {
        let keys = KeySet::from_json(&all.keys)?;
        let users = all.users.into_iter().map(|(uid, user)| (uid.into(), Arc::new(user.into())));
        let permissions = all.permissions.into_iter().filter(|p| !p.is_empty());
        let grants = permissions.map(|permission| {
            let (rid, grants) = permission.into_grants();
            (rid, Arc::new(grants))
        });
        let policy =
            Policy { users: Arc::new(users.collect()), grants: Arc::new(grants.collect()) };
        Ok(Snapshot { version, keys, policy })
    }

    /// Takes in the next line of a stream. A line with a snapshot replaces everything; after an
    /// error nothing has changed, and the stream has to be begun anew.
    pub fn apply_line(&mut self, line: Line) -> Result<(), SnapshotError> {
        if line.snapshot.is_some() {
            *self = Snapshot::from_line(line)?;
            return Ok(());
        }
        if line.more {
            return Err(SnapshotError::Pieces);
        }
        let expected = self.version + u64::from(line.changes.is_some());
        if line.version != expected {
            return Err(SnapshotError::Gap { have: self.version, found: line.version });
        }
        let mut next = self.clone();
        for change in line.changes.into_iter().flatten() {
            next.apply(change)?;
        }
        next.version = line.version;
        *self = next;
        Ok(())
    }

    /// Takes in one change; the version stays.
    pub fn apply(&mut self, change: Change) -> Result<(), SnapshotError> {
        match change {
            Change::KeysSet { keys } => self.keys = KeySet::from_json(&keys)?,
            Change::UserSet { uid, user } => self.policy.set_user(&uid, user.into()),
            Change::UserRemoved { uid } => self.policy.forget_user(&uid),
            Change::MemberSet { gid, uid } => self.policy.set_member(&gid, &uid, true),
            Change::MemberRemoved { gid, uid } => self.policy.set_member(&gid, &uid, false),
            Change::GroupRemoved { gid } => self.policy.forget_group(&gid),
            Change::PermissionSet { permission } => self.policy.set_permission(permission),
            Change::PermissionRemoved { rid } => self.policy.remove_permission(&rid),
        }
        Ok(())
    }

    /// Who `token` is from: signed, in time, of a user who is active, and not revoked.
    pub fn authenticate(&self, token: &str, now_unix: i64) -> Result<Claims, TokenError> {
        let claims = self.keys.verify(token, now_unix)?;
        self.policy.check(&claims)?;
        Ok(claims)
    }

    /// As [`Snapshot::authenticate`], with what a thread remembers.
    pub fn authenticate_cached(
        &self,
        cache: &mut TokenCache,
        token: &str,
        now_unix: i64,
    ) -> Result<Arc<Claims>, TokenError> {
        let claims = cache.verify(&self.keys, token, now_unix)?;
        self.policy.check(&claims)?;
        Ok(claims)
    }
}

impl From<UserEntry> for User {
    fn from(entry: UserEntry) -> User {
        let groups = entry.groups.into_iter().map(String::into_boxed_str).collect();
        User { generation: entry.generation, is_service: entry.service, groups }
    }
}

impl Permission {
    fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    fn into_grants(self) -> (Box<str>, Grants) {
        let boxed = |(id, actions): (String, _)| (id.into_boxed_str(), actions);
        let users = self.users.into_iter().map(boxed).collect();
        let groups = self.groups.into_iter().map(boxed).collect();
        (self.rid.into_boxed_str(), Grants { users, groups })
    }
}

impl Policy {
    fn forget_user(&mut self, uid: &str) {
        self.remove_user(uid);
        self.forget_in_grants(
            |grants| grants.users.contains_key(uid),
            |grants| {
                grants.users.remove(uid);
            },
        );
    }

    fn forget_group(&mut self, gid: &str) {
        let members: Vec<Box<str>> = self
            .users
            .iter()
            .filter(|(_, user)| user.groups.iter().any(|group| &**group == gid))
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in members {
            self.set_member(gid, &uid, false);
        }
        self.forget_in_grants(
            |grants| grants.groups.contains_key(gid),
            |grants| {
                grants.groups.remove(gid);
            },
        );
    }

    fn forget_in_grants(
        &mut self,
        concerns: impl Fn(&Grants) -> bool,
        forget: impl Fn(&mut Grants),
    ) {
        if !self.grants.values().any(|grants| concerns(grants)) {
            return;
        }
        let all = Arc::make_mut(&mut self.grants);
        for grants in all.values_mut().filter(|grants| concerns(grants)) {
            forget(Arc::make_mut(grants));
        }
        all.retain(|_, grants| !grants.users.is_empty() || !grants.groups.is_empty());
    }

    fn set_member(&mut self, gid: &str, uid: &str, member: bool) {
        let Some(user) = Arc::make_mut(&mut self.users).get_mut(uid) else { return };
        let user = Arc::make_mut(user);
        user.groups.retain(|group| &**group != gid);
        if member {
            user.groups.push(gid.into());
        }
    }

    fn set_permission(&mut self, permission: Permission) {
        if permission.is_empty() {
            return self.remove_permission(&permission.rid);
        }
        let (rid, grants) = permission.into_grants();
        Arc::make_mut(&mut self.grants).insert(rid, Arc::new(grants));
    }

    fn remove_permission(&mut self, rid: &str) {
        Arc::make_mut(&mut self.grants).remove(rid);
    }
}
