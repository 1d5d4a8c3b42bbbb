//! How users, groups and permissions are stored: a key each, JSON as value.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::{Write, key_part};

/// Everything of this service.
pub(crate) const ROOT: &str = "/iam/";
/// Counts the changes to users, groups and permissions. Every change writes it, on the condition
/// that it is as it was seen: what was decided on an outdated state is not written.
pub(crate) const REVISION: &str = "/iam/revision";
const USERS: &str = "/iam/users/";
const GROUPS: &str = "/iam/groups/";
const ACLS: &str = "/iam/acls/";

/// What is stored is not what this program writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is stored at {key} is not what this program writes: {reason}")]
pub(crate) struct RecordError {
    pub(crate) key: String,
    pub(crate) reason: String,
}

/// The key of a write, and its value unless it removes.
pub(crate) fn write(write: &Write) -> Result<(String, Option<Vec<u8>>), RecordError> {
    match write {
        Write::User(user) => set(USERS, &user.uid, &**user),
        Write::Group(group) => set(GROUPS, &group.gid, &**group),
        Write::Acl(acl) => set(ACLS, &acl.rid, &**acl),
        Write::NoUser(uid) => Ok((key(USERS, uid), None)),
        Write::NoGroup(gid) => Ok((key(GROUPS, gid), None)),
        Write::NoAcl(rid) => Ok((key(ACLS, rid), None)),
    }
}

/// The write that a key and its value stand for; `None` for keys of others.
pub(crate) fn read(key: &str, value: Option<&[u8]>) -> Result<Option<Write>, RecordError> {
    let kinds = [USERS, GROUPS, ACLS];
    let found = kinds.into_iter().find_map(|kind| Some((kind, key.strip_prefix(kind)?)));
    let Some((kind, part)) = found else { return Ok(None) };
    let wrong = |reason: &str| RecordError { key: key.to_owned(), reason: reason.to_owned() };
    let id = percent_decode_str(part).decode_utf8().map_err(|_| wrong("the key is not text"))?;
    let id = id.into_owned();
    let write = match (kind, value) {
        (USERS, Some(value)) => Write::User(parse(key, value)?),
        (GROUPS, Some(value)) => Write::Group(parse(key, value)?),
        (ACLS, Some(value)) => Write::Acl(parse(key, value)?),
        (USERS, None) => Write::NoUser(id.clone()),
        (GROUPS, None) => Write::NoGroup(id.clone()),
        _ => Write::NoAcl(id.clone()),
    };
    let named = match &write {
        Write::User(user) => &user.uid,
        Write::Group(group) => &group.gid,
        Write::Acl(acl) => &acl.rid,
        Write::NoUser(id) | Write::NoGroup(id) | Write::NoAcl(id) => id,
    };
    if *named != id || key_part(&id) != part {
        return Err(wrong("it names another than its key"));
    }
    Ok(Some(write))
}

/// What the counter says.
pub(crate) fn read_revision(value: &[u8]) -> Result<u64, RecordError> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| RecordError { key: REVISION.to_owned(), reason: "no number".to_owned() })
}

fn key(kind: &str, id: &str) -> String {
    format!("{kind}{}", key_part(id))
}

fn set(
    kind: &str,
    id: &str,
    record: &impl Serialize,
) -> Result<(String, Option<Vec<u8>>), RecordError> {
    let key = key(kind, id);
    match serde_json::to_vec(record) {
        Ok(value) => Ok((key, Some(value))),
        Err(error) => Err(RecordError { key, reason: error.to_string() }),
    }
}

/// The reason names places, not content: a record may hold a hash.
fn parse<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<Arc<T>, RecordError> {
    serde_json::from_slice(value).map(Arc::new).map_err(|error| {
        let reason = format!("line {} column {}", error.line(), error.column());
        RecordError { key: key.to_owned(), reason }
    })
}
