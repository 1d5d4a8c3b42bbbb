//! Users, groups and permissions as a state machine without I/O.
//!
//! A [`Command`] looks at a [`State`] and yields [`Write`]s or a refusal; the writes, applied to
//! the state, are what it becomes. What is stored is the same writes, so that a state read back
//! equals the one that was left.

mod command;
mod ids;
mod new_user;
mod policy;
#[cfg(test)]
mod simulation;
mod state;
mod types;

pub use command::{Command, Credential, NewUser, Subject, UserPatch};
pub use identity::{Action, Actions};
pub use ids::{check_gid, check_rid, check_uid, key_part, sanitize_remote_uid};
pub use new_user::{Means, Wish};
pub use policy::{changes, everything, is_protected, needs_superuser};
pub use state::{State, Write};
pub use types::{Acl, Group, PasswordHash, ProviderType, User};

/// The group whose members may do everything.
pub const SUPERUSERS: &str = "superusers";
/// The resource on which `full` allows everything.
pub const SUPERUSER_RID: &str = "dcos:superuser";
/// Whoever has `full` on it gets certificates for any name.
pub const CA_SIGN_RID: &str = "dcos:adminrouter:ops:ca:rw";
