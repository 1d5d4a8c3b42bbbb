//! What can be asked of the state, and what it takes to do it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    Acl, Action, Actions, Group, PasswordHash, ProviderType, SUPERUSER_RID, SUPERUSERS, State,
    User, Write, check_gid, check_rid, check_uid,
};
use crate::ApiError;

/// The most that the members of one group, or the subjects of one resource, may take where they
/// are stored.
const MAX_NAMES_BYTES: usize = 900_000;
/// The longest description, in bytes.
const MAX_DESCRIPTION: usize = 4096;

/// A change somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    CreateUser(NewUser),
    UpdateUser {
        uid: String,
        patch: UserPatch,
    },
    /// The same password under today's parameters: no token becomes void.
    Rehash {
        uid: String,
        from: PasswordHash,
        to: PasswordHash,
    },
    /// All tokens given so far become void.
    RevokeTokens {
        uid: String,
    },
    DeleteUser {
        uid: String,
    },
    CreateGroup {
        gid: String,
        description: String,
        provider_type: ProviderType,
    },
    UpdateGroup {
        gid: String,
        description: String,
    },
    DeleteGroup {
        gid: String,
    },
    AddMember {
        gid: String,
        uid: String,
    },
    RemoveMember {
        gid: String,
        uid: String,
    },
    CreateAcl {
        rid: String,
        description: String,
    },
    UpdateAcl {
        rid: String,
        description: String,
    },
    DeleteAcl {
        rid: String,
    },
    Allow {
        rid: String,
        subject: Subject,
        action: Action,
    },
    Forbid {
        rid: String,
        subject: Subject,
        action: Action,
    },
    ForbidAll {
        rid: String,
        subject: Subject,
    },
}

/// Who is allowed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    User(String),
    Group(String),
}

/// A user to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    pub uid: String,
    pub description: String,
    pub credential: Credential,
}

/// How a user shows who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    Password(PasswordHash),
    /// PEM.
    PublicKey(String),
    /// Another provider vouches.
    Remote {
        provider_type: ProviderType,
        provider_id: String,
    },
}

/// What is to become different about a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserPatch {
    pub description: Option<String>,
    pub password: Option<PasswordHash>,
    pub public_key: Option<String>,
    pub active: Option<bool>,
}

// === impl Command ===

impl Command {
    /// The writes that do it, or why it is refused. The first write to a state makes its
    /// revision one more than it was.
    pub fn run(&self, state: &State) -> Result<Vec<Write>, ApiError> {
        let writes = match self {
            Command::CreateUser(new) => create_user(state, new),
            Command::UpdateUser { uid, patch } => update_user(state, uid, patch),
            Command::Rehash { uid, from, to } => rehash(state, uid, from, to),
            Command::RevokeTokens { uid } => {
                change_user(state, uid, |user| user.generation = state.revision + 1)
            }
            Command::DeleteUser { uid } => delete_user(state, uid),
            Command::CreateGroup { gid, description, provider_type } => {
                create_group(state, gid, description, *provider_type)
            }
            Command::UpdateGroup { gid, description } => change_group(state, gid, |group| {
                group.description.clone_from(description);
                check_description(description)
            }),
            Command::DeleteGroup { gid } => delete_group(state, gid),
            Command::AddMember { gid, uid } => add_member(state, gid, uid),
            Command::RemoveMember { gid, uid } => remove_member(state, gid, uid),
            Command::CreateAcl { rid, description } => create_acl(state, rid, description),
            Command::UpdateAcl { rid, description } => change_acl(state, rid, |acl| {
                acl.description.clone_from(description);
                check_description(description)
            }),
            Command::DeleteAcl { rid } => delete_acl(state, rid),
            Command::Allow { rid, subject, action } => allow(state, rid, subject, *action),
            Command::Forbid { rid, subject, action } => forbid(state, rid, subject, Some(*action)),
            Command::ForbidAll { rid, subject } => forbid(state, rid, subject, None),
        }?;
        keep_a_superuser(state, &writes)?;
        Ok(writes)
    }

    /// What it is called in the audit log.
    pub fn name(&self) -> &'static str {
        match self {
            Command::CreateUser(_) => "user-create",
            Command::UpdateUser { .. } => "user-update",
            Command::Rehash { .. } => "password-rehash",
            Command::RevokeTokens { .. } => "tokens-revoke",
            Command::DeleteUser { .. } => "user-delete",
            Command::CreateGroup { .. } => "group-create",
            Command::UpdateGroup { .. } => "group-update",
            Command::DeleteGroup { .. } => "group-delete",
            Command::AddMember { .. } => "member-add",
            Command::RemoveMember { .. } => "member-remove",
            Command::CreateAcl { .. } => "acl-create",
            Command::UpdateAcl { .. } => "acl-update",
            Command::DeleteAcl { .. } => "acl-delete",
            Command::Allow { .. } => "permission-create",
            Command::Forbid { .. } | Command::ForbidAll { .. } => "permission-delete",
        }
    }

    /// What it is about, for the audit log: names, and never a secret.
    pub fn object(&self) -> String {
        match self {
            Command::CreateUser(new) => format!("user {}", new.uid),
            Command::UpdateUser { uid, patch } => format!("user {uid}: {}", patch.fields()),
            Command::Rehash { uid, .. }
            | Command::RevokeTokens { uid }
            | Command::DeleteUser { uid } => format!("user {uid}"),
            Command::CreateGroup { gid, .. }
            | Command::UpdateGroup { gid, .. }
            | Command::DeleteGroup { gid } => format!("group {gid}"),
            Command::AddMember { gid, uid } | Command::RemoveMember { gid, uid } => {
                format!("user {uid} in group {gid}")
            }
            Command::CreateAcl { rid, .. }
            | Command::UpdateAcl { rid, .. }
            | Command::DeleteAcl { rid } => format!("resource {rid}"),
            Command::Allow { rid, subject, action } | Command::Forbid { rid, subject, action } => {
                format!("{subject}: {} on {rid}", action.name())
            }
            Command::ForbidAll { rid, subject } => format!("{subject}: everything on {rid}"),
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Subject::User(uid) => write!(f, "user {uid}"),
            Subject::Group(gid) => write!(f, "group {gid}"),
        }
    }
}

impl UserPatch {
    fn fields(&self) -> String {
        let given = [
            ("description", self.description.is_some()),
            ("password", self.password.is_some()),
            ("public_key", self.public_key.is_some()),
            (
                if self.active == Some(false) { "disabled" } else { "enabled" },
                self.active.is_some(),
            ),
        ];
        let names = given.into_iter().filter_map(|(name, given)| given.then_some(name));
        names.collect::<Vec<_>>().join(", ")
    }
}

// Users.

fn create_user(state: &State, new: &NewUser) -> Result<Vec<Write>, ApiError> {
    check_uid(&new.uid)?;
    check_description(&new.description)?;
    if state.users.contains_key(&new.uid) {
        let text = format!("User with id `{}` already exists.", new.uid);
        return Err(ApiError::conflict("ERR_USER_EXISTS", text));
    }
    let mut user = User {
        uid: new.uid.clone(),
        description: new.description.clone(),
        provider_type: ProviderType::Internal,
        provider_id: String::new(),
        password: None,
        public_key: None,
        generation: state.revision + 1,
        active: true,
    };
    match &new.credential {
        Credential::Password(hash) => user.password = Some(hash.clone()),
        Credential::PublicKey(pem) => user.public_key = Some(pem.clone()),
        Credential::Remote { provider_type, provider_id } => {
            user.provider_type = *provider_type;
            user.provider_id.clone_from(provider_id);
        }
    }
    Ok(vec![Write::User(Arc::new(user))])
}

fn update_user(state: &State, uid: &str, patch: &UserPatch) -> Result<Vec<Write>, ApiError> {
    let user = state.user(uid)?;
    if patch.password.is_some() && (user.is_service() || user.is_remote()) {
        let kind = if user.is_service() { "service" } else { "remote" };
        let text = format!("Password update is not available for {kind} user accounts.");
        return Err(ApiError::invalid_data(text));
    }
    if patch.public_key.is_some() && !user.is_service() {
        let text = "Only service user accounts have a public key.";
        return Err(ApiError::invalid_data(text));
    }
    check_description(patch.description.as_deref().unwrap_or_default())?;
    let revoked = patch.password.is_some()
        || patch.public_key.is_some()
        || patch.active.is_some_and(|active| active != user.active);
    change_user(state, uid, |user| {
        if let Some(description) = &patch.description {
            user.description.clone_from(description);
        }
        if patch.password.is_some() {
            user.password.clone_from(&patch.password);
        }
        if patch.public_key.is_some() {
            user.public_key.clone_from(&patch.public_key);
        }
        user.active = patch.active.unwrap_or(user.active);
        if revoked {
            user.generation = state.revision + 1;
        }
    })
}

/// Only where the password is still the one that was verified.
fn rehash(
    state: &State,
    uid: &str,
    from: &PasswordHash,
    to: &PasswordHash,
) -> Result<Vec<Write>, ApiError> {
    if state.user(uid)?.password.as_ref() != Some(from) {
        return Ok(Vec::new());
    }
    change_user(state, uid, |user| user.password = Some(to.clone()))
}

fn change_user(
    state: &State,
    uid: &str,
    change: impl FnOnce(&mut User),
) -> Result<Vec<Write>, ApiError> {
    let before = state.user(uid)?;
    let mut user = User::clone(before);
    change(&mut user);
    Ok(if user == **before { Vec::new() } else { vec![Write::User(Arc::new(user))] })
}

/// What named the user goes first: whoever sees a part sees fewer permissions, not a name of
/// nobody.
fn delete_user(state: &State, uid: &str) -> Result<Vec<Write>, ApiError> {
    state.user(uid)?;
    let mut writes = Vec::new();
    for group in state.groups_of(uid) {
        let mut group = Group::clone(group);
        group.members.remove(uid);
        writes.push(Write::Group(Arc::new(group)));
    }
    for acl in state.acls().filter(|acl| acl.users.contains_key(uid)) {
        let mut acl = Acl::clone(acl);
        acl.users.remove(uid);
        writes.push(Write::Acl(Arc::new(acl)));
    }
    writes.push(Write::NoUser(uid.to_owned()));
    Ok(writes)
}

// Groups.

fn create_group(
    state: &State,
    gid: &str,
    description: &str,
    provider_type: ProviderType,
) -> Result<Vec<Write>, ApiError> {
    check_gid(gid)?;
    check_description(description)?;
    if state.groups.contains_key(gid) {
        let text = format!("Group with id `{gid}` already exists.");
        return Err(ApiError::conflict("ERR_GROUP_EXISTS", text));
    }
    let group = Group {
        gid: gid.to_owned(),
        description: description.to_owned(),
        provider_type,
        members: Default::default(),
    };
    Ok(vec![Write::Group(Arc::new(group))])
}

fn change_group(
    state: &State,
    gid: &str,
    change: impl FnOnce(&mut Group) -> Result<(), ApiError>,
) -> Result<Vec<Write>, ApiError> {
    let before = state.group(gid)?;
    let mut group = Group::clone(before);
    change(&mut group)?;
    check_size(group.members.iter())?;
    Ok(if group == **before { Vec::new() } else { vec![Write::Group(Arc::new(group))] })
}

fn delete_group(state: &State, gid: &str) -> Result<Vec<Write>, ApiError> {
    state.group(gid)?;
    if gid == SUPERUSERS {
        return Err(is_superuser_group());
    }
    let mut writes = Vec::new();
    for acl in state.acls().filter(|acl| acl.groups.contains_key(gid)) {
        let mut acl = Acl::clone(acl);
        acl.groups.remove(gid);
        writes.push(Write::Acl(Arc::new(acl)));
    }
    writes.push(Write::NoGroup(gid.to_owned()));
    Ok(writes)
}

fn add_member(state: &State, gid: &str, uid: &str) -> Result<Vec<Write>, ApiError> {
    state.group(gid)?;
    state.user(uid)?;
    change_group(state, gid, |group| {
        if group.members.insert(uid.to_owned()) {
            return Ok(());
        }
        let text = format!("User `{uid}` is already a member of group `{gid}`.");
        Err(ApiError::conflict("ERR_USER_IN_GROUP", text))
    })
}

fn remove_member(state: &State, gid: &str, uid: &str) -> Result<Vec<Write>, ApiError> {
    state.group(gid)?;
    state.user(uid)?;
    change_group(state, gid, |group| {
        if group.members.remove(uid) {
            return Ok(());
        }
        let text = format!("User `{uid}` is not a member of group `{gid}`.");
        Err(ApiError::bad("ERR_USER_NOT_IN_GROUP", text))
    })
}

// Permissions.

fn create_acl(state: &State, rid: &str, description: &str) -> Result<Vec<Write>, ApiError> {
    check_rid(rid)?;
    check_description(description)?;
    if state.acls.contains_key(rid) {
        let text = format!("ACL for resource with rid `{rid}` already exists.");
        return Err(ApiError::conflict("ERR_ACL_EXISTS", text));
    }
    let acl = Acl {
        rid: rid.to_owned(),
        description: description.to_owned(),
        users: BTreeMap::new(),
        groups: BTreeMap::new(),
    };
    Ok(vec![Write::Acl(Arc::new(acl))])
}

fn change_acl(
    state: &State,
    rid: &str,
    change: impl FnOnce(&mut Acl) -> Result<(), ApiError>,
) -> Result<Vec<Write>, ApiError> {
    let before = state.acl(rid)?;
    let mut acl = Acl::clone(before);
    change(&mut acl)?;
    check_size(acl.users.keys().chain(acl.groups.keys()))?;
    Ok(if acl == **before { Vec::new() } else { vec![Write::Acl(Arc::new(acl))] })
}

fn delete_acl(state: &State, rid: &str) -> Result<Vec<Write>, ApiError> {
    state.acl(rid)?;
    if rid == SUPERUSER_RID {
        return Err(is_superuser_group());
    }
    Ok(vec![Write::NoAcl(rid.to_owned())])
}

fn allow(
    state: &State,
    rid: &str,
    subject: &Subject,
    action: Action,
) -> Result<Vec<Write>, ApiError> {
    state.acl(rid)?;
    subject.check(state)?;
    change_acl(state, rid, |acl| {
        let (subjects, id) = subject.of(acl);
        let actions = subjects.entry(id.to_owned()).or_default();
        if !actions.contains(action) {
            actions.insert(action);
            return Ok(());
        }
        let text = format!(
            "Action `{}` already set for {subject} in ACL for resource `{rid}`",
            action.name()
        );
        Err(ApiError::conflict("ERR_ACTION_ALREADY_STORED", text))
    })
}

/// One action, or all of them.
fn forbid(
    state: &State,
    rid: &str,
    subject: &Subject,
    action: Option<Action>,
) -> Result<Vec<Write>, ApiError> {
    state.acl(rid)?;
    subject.check(state)?;
    let of_superusers = rid == SUPERUSER_RID
        && *subject == Subject::Group(SUPERUSERS.to_owned())
        && action.is_none_or(|action| action == Action::Full);
    if of_superusers {
        return Err(is_superuser_group());
    }
    change_acl(state, rid, |acl| {
        let (subjects, id) = subject.of(acl);
        let Some(action) = action else {
            let removed = subjects.remove(id);
            return removed.map(|_| ()).ok_or_else(|| subject.not_in_acl(rid));
        };
        let actions = subjects.get_mut(id).filter(|actions| actions.contains(action));
        let actions = actions.ok_or_else(|| subject.action_not_in_acl(rid, action))?;
        actions.remove(action);
        if actions.is_empty() {
            subjects.remove(id);
        }
        Ok(())
    })
}

impl Subject {
    /// Whether it exists.
    pub fn check(&self, state: &State) -> Result<(), ApiError> {
        match self {
            Subject::User(uid) => state.user(uid).map(|_| ()),
            Subject::Group(gid) => state.group(gid).map(|_| ()),
        }
    }

    /// What it may do with a resource.
    pub fn actions<'a>(&self, acl: &'a Acl) -> Option<&'a Actions> {
        match self {
            Subject::User(uid) => acl.users.get(uid),
            Subject::Group(gid) => acl.groups.get(gid),
        }
    }

    fn of<'a>(&'a self, acl: &'a mut Acl) -> (&'a mut BTreeMap<String, Actions>, &'a str) {
        match self {
            Subject::User(uid) => (&mut acl.users, uid),
            Subject::Group(gid) => (&mut acl.groups, gid),
        }
    }

    fn not_in_acl(&self, rid: &str) -> ApiError {
        let tail = format!("is not part of ACL for resource `{rid}`");
        match self {
            Subject::User(uid) => {
                ApiError::bad("ERR_USER_NOT_IN_ACL", format!("User `{uid}` {tail}"))
            }
            Subject::Group(gid) => {
                ApiError::bad("ERR_GROUP_NOT_IN_ACL", format!("Group `{gid}` {tail}"))
            }
        }
    }

    fn action_not_in_acl(&self, rid: &str, action: Action) -> ApiError {
        let (kind, id) = match self {
            Subject::User(uid) => ("user", uid),
            Subject::Group(gid) => ("group", gid),
        };
        let action = action.name();
        let text =
            format!("Action `{action}` unknown for {kind} `{id}` in ACL for resource `{rid}`");
        ApiError::bad("ERR_ACTION_NOT_YET_STORED", text)
    }
}

// What holds of every change.

/// Where somebody active was a superuser, somebody stays.
fn keep_a_superuser(before: &State, writes: &[Write]) -> Result<(), ApiError> {
    let touched = writes.iter().any(|write| match write {
        Write::User(user) => !user.active,
        Write::NoUser(_) | Write::NoGroup(_) => true,
        Write::Group(group) => group.gid == SUPERUSERS,
        Write::Acl(_) | Write::NoAcl(_) => false,
    });
    if !touched || !has_superuser(before) {
        return Ok(());
    }
    let mut after = before.clone();
    after.apply(writes);
    if has_superuser(&after) { Ok(()) } else { Err(ApiError::no_more_superusers()) }
}

fn has_superuser(state: &State) -> bool {
    let Some(group) = state.groups.get(SUPERUSERS) else { return false };
    let active = |uid: &String| state.users.get(uid).is_some_and(|user| user.active);
    group.members.iter().any(active)
}

fn is_superuser_group() -> ApiError {
    let text =
        "The `superusers` group must have `full` permission on the `dcos:superuser` resource.";
    ApiError::bad("ERR_IS_SUPERUSER_GROUP", text)
}

fn check_description(description: &str) -> Result<(), ApiError> {
    if description.len() <= MAX_DESCRIPTION {
        return Ok(());
    }
    let text = format!("`description` must have at most {MAX_DESCRIPTION} bytes");
    Err(ApiError::invalid_data(text))
}

fn check_size<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), ApiError> {
    // Each name with its quotes, and the longest list of actions.
    let bytes: usize = names.map(|name| name.len() + 50).sum();
    if bytes <= MAX_NAMES_BYTES {
        return Ok(());
    }
    Err(ApiError::invalid_data("One group or resource can name no more users and groups."))
}
