//! The policy that follows from a state, whole and as what changed.
//!
//! Whoever applies the changes to the policy of before has the policy of after; both are made
//! of the same entries.

use std::collections::{BTreeMap, BTreeSet};

use identity::wire::{Change, Everything, Permission, UserEntry};
use imbl::ordmap::DiffItem;
use serde_json::Value;

use super::{Acl, CA_SIGN_RID, Command, SUPERUSER_RID, SUPERUSERS, State, Subject, User};

/// Everything a judge needs to know.
pub fn everything(state: &State, keys: Value) -> Everything {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for group in state.groups() {
        for uid in &group.members {
            groups.entry(uid).or_default().push(group.gid.clone());
        }
    }
    let active = state.users().filter(|user| user.active);
    let users = active.map(|user| {
        let groups = groups.remove(user.uid.as_str()).unwrap_or_default();
        (user.uid.clone(), entry(user, groups))
    });
    let users = users.collect();
    let permissions = state.acls().map(|acl| permission(state, acl)).collect();
    Everything { keys, users, permissions }
}

/// What a judge of `before` has to hear to judge by `after`.
pub fn changes(before: &State, after: &State) -> Vec<Change> {
    let none = BTreeSet::new();
    let mut users = BTreeSet::new();
    let mut rids = BTreeSet::new();
    let mut all = Vec::new();
    for item in before.users.diff(&after.users) {
        let (DiffItem::Add(uid, _)
        | DiffItem::Update { old: (uid, _), .. }
        | DiffItem::Remove(uid, _)) = item;
        users.insert(uid.as_str());
        if is_active(before, uid) != is_active(after, uid) {
            // Resources name active users only.
            let named = |acl: &&std::sync::Arc<Acl>| acl.users.contains_key(uid);
            rids.extend(after.acls().filter(named).map(|acl| acl.rid.as_str()));
        }
    }
    for item in before.groups.diff(&after.groups) {
        let (old, new) = match item {
            DiffItem::Add(_, new) => (None, Some(new)),
            DiffItem::Update { old: (_, old), new: (_, new) } => (Some(old), Some(new)),
            DiffItem::Remove(gid, old) => {
                all.push(Change::GroupRemoved { gid: gid.clone() });
                (Some(old), None)
            }
        };
        let old = old.map_or(&none, |group| &group.members);
        let new = new.map_or(&none, |group| &group.members);
        users.extend(old.symmetric_difference(new).map(String::as_str));
    }
    for item in before.acls.diff(&after.acls) {
        match item {
            DiffItem::Add(rid, _) | DiffItem::Update { new: (rid, _), .. } => {
                rids.insert(rid.as_str());
            }
            DiffItem::Remove(rid, _) => all.push(Change::PermissionRemoved { rid: rid.clone() }),
        }
    }
    all.extend(users.into_iter().filter_map(|uid| user_change(before, after, uid)));
    all.extend(rids.into_iter().filter_map(|rid| permission_change(before, after, rid)));
    all
}

fn user_change(before: &State, after: &State, uid: &str) -> Option<Change> {
    let of = |state: &State| {
        let user = state.users.get(uid).filter(|user| user.active)?;
        Some(entry(user, state.groups_of(uid).map(|group| group.gid.clone()).collect()))
    };
    match (of(before), of(after)) {
        (old, Some(user)) if old.as_ref() != Some(&user) => {
            Some(Change::UserSet { uid: uid.to_owned(), user })
        }
        (Some(_), None) => Some(Change::UserRemoved { uid: uid.to_owned() }),
        _ => None,
    }
}

/// A resource that users became active or inactive on is told again even where its record is
/// the same: with a user their grants are forgotten.
fn permission_change(before: &State, after: &State, rid: &str) -> Option<Change> {
    let old = before.acls.get(rid).map(|acl| permission(before, acl));
    let new = permission(after, after.acls.get(rid)?);
    let nothing = old.is_none() && new.users.is_empty() && new.groups.is_empty();
    if nothing || old.as_ref() == Some(&new) {
        return None;
    }
    Some(Change::PermissionSet { permission: new })
}

fn entry(user: &User, groups: Vec<String>) -> UserEntry {
    UserEntry { generation: user.generation, groups, service: user.is_service() }
}

fn permission(state: &State, acl: &Acl) -> Permission {
    let active = acl.users.iter().filter(|(uid, _)| is_active(state, uid));
    Permission {
        rid: acl.rid.clone(),
        users: active.map(|(uid, actions)| (uid.clone(), *actions)).collect(),
        groups: acl.groups.clone(),
    }
}

fn is_active(state: &State, uid: &str) -> bool {
    state.users.get(uid).is_some_and(|user| user.active)
}

// Who may touch what.

/// With these, and what is below them, somebody could give himself everything: users and
/// permissions, and certificates under which others pass for the gateway and hear passwords.
const MIGHTY: [&str; 3] = [SUPERUSER_RID, "dcos:iam", CA_SIGN_RID];

/// Whether whoever has it could give himself everything: it is one of the mighty, below one, or
/// covers one.
pub fn is_protected(rid: &str) -> bool {
    let covers = |rid: &str, other: &str| identity::covering(other).any(|piece| piece == rid);
    MIGHTY.into_iter().any(|mighty| covers(rid, mighty) || covers(mighty, rid))
}

/// Whether a change is for superusers alone: with it somebody who may only keep users, groups
/// or permissions would come by more than they have.
pub fn needs_superuser(state: &State, command: &Command) -> bool {
    match command {
        Command::CreateUser(_) | Command::CreateGroup { .. } | Command::UpdateGroup { .. } => false,
        Command::UpdateUser { uid, .. }
        | Command::Rehash { uid, .. }
        | Command::RevokeTokens { uid }
        | Command::DeleteUser { uid } => is_privileged_user(state, uid),
        Command::DeleteGroup { gid }
        | Command::AddMember { gid, .. }
        | Command::RemoveMember { gid, .. } => is_privileged_group(state, gid),
        Command::CreateAcl { rid, .. }
        | Command::UpdateAcl { rid, .. }
        | Command::DeleteAcl { rid }
        | Command::Allow { rid, .. }
        | Command::Forbid { rid, .. }
        | Command::ForbidAll { rid, .. } => is_protected(rid),
    }
}

fn is_privileged_user(state: &State, uid: &str) -> bool {
    is_granted(state, &Subject::User(uid.to_owned()))
        || state.groups_of(uid).any(|group| is_privileged_group(state, &group.gid))
}

fn is_privileged_group(state: &State, gid: &str) -> bool {
    gid == SUPERUSERS || is_granted(state, &Subject::Group(gid.to_owned()))
}

fn is_granted(state: &State, subject: &Subject) -> bool {
    let mut protected = state.acls().filter(|acl| is_protected(&acl.rid));
    protected.any(|acl| subject.actions(acl).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_everything_is_protected() {
        for rid in [
            "dcos",
            "dcos:superuser",
            "dcos:iam",
            "dcos:iam:users:anna",
            "dcos:adminrouter",
            "dcos:adminrouter:ops",
            "dcos:adminrouter:ops:ca",
            "dcos:adminrouter:ops:ca:rw",
            "dcos:adminrouter:ops:ca:rw:x",
        ] {
            assert!(is_protected(rid), "{rid}");
        }
        for rid in [
            "dcos:super",
            "dcos:superusers",
            "dcos:iams",
            "dcos:adminrouter:ops:ca:ro",
            "dcos:adminrouter:ops:mesos",
            "dcos:adminrouter:service:marathon",
            "dcos:mesos",
            "x",
        ] {
            assert!(!is_protected(rid), "{rid}");
        }
    }
}
