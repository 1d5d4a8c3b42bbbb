//! Who runs this program.

use anyhow::Context;
use nix::unistd::{Uid, User};

/// The name of the user who runs this.
pub(crate) fn current_user() -> anyhow::Result<String> {
    let uid = Uid::effective();
    let user = User::from_uid(uid)?;
    user.map(|user| user.name).with_context(|| format!("user {uid} has no name"))
}
