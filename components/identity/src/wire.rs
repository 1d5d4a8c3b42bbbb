//! The policy stream of IAM: a line of JSON with everything, then one for each change.
//!
//! `GET /acs/api/v1/internal/policy` answers `application/x-ndjson` without end. The first line
//! has a snapshot; each later one has the next version and its changes, or, as a sign of life,
//! the version that holds. What would be a very long line comes as several, each but the last
//! with `more`.

use crate::Actions;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Where IAM serves the stream.
pub const PATH: &str = "/acs/api/v1/internal/policy";

/// The header in which a gateway shows a token of its own (`token=…`), so that what it says of
/// the client is believed.
pub const GATEWAY: &str = "dais-gateway";

/// The media type of the stream.
pub const CONTENT_TYPE: &str = "application/x-ndjson";

/// What is needed to read it (or to be a superuser).
pub const RID: &str = "dcos:iam:policy";

/// How often a line comes when nothing changes.
pub const HEARTBEAT_SECONDS: u64 = 5;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Everything>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<Change>>,
    /// The next line goes on with the same; see [`pieces`](super::pieces).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

impl Line {
    pub fn snapshot(version: u64, everything: Everything) -> Line {
        Line { version, snapshot: Some(everything), changes: None, more: false }
    }

    pub fn changes(version: u64, changes: Vec<Change>) -> Line {
        Line { version, snapshot: None, changes: Some(changes), more: false }
    }

    pub fn heartbeat(version: u64) -> Line {
        Line { version, snapshot: None, changes: None, more: false }
    }

    /// The line with its newline.
    pub fn to_bytes(&self) -> Vec<u8> {
        // A structure of strings and numbers always serializes.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// All there is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Everything {
    /// A JSON Web Key Set: `{"keys":[…]}`.
    pub keys: Value,
    /// The active users only.
    pub users: BTreeMap<String, UserEntry>,
    pub permissions: Vec<Permission>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserEntry {
    pub generation: u64,
    #[serde(default)]
    pub groups: Vec<String>,
    #[serde(default)]
    pub service: bool,
}

/// Who was granted what on one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    pub rid: String,
    #[serde(default)]
    pub users: BTreeMap<String, Actions>,
    #[serde(default)]
    pub groups: BTreeMap<String, Actions>,
}

/// What changed. A change names the state after it, so applying one twice does no harm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Change {
    /// A user is new or other than before: its generation, its groups.
    UserSet {
        uid: String,
        #[serde(flatten)]
        user: UserEntry,
    },
    /// A user is gone or no longer active; what was granted to it goes too.
    UserRemoved {
        uid: String,
    },
    /// A user is in a group.
    MemberSet {
        gid: String,
        uid: String,
    },
    MemberRemoved {
        gid: String,
        uid: String,
    },
    /// A group is gone, with its memberships and what was granted to it.
    GroupRemoved {
        gid: String,
    },
    /// All grants on a resource, in place of those of before.
    PermissionSet {
        #[serde(flatten)]
        permission: Permission,
    },
    PermissionRemoved {
        rid: String,
    },
    /// All keys, in place of those of before.
    KeysSet {
        keys: Value,
    },
}
