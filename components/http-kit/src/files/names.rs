//! Names of users and groups, looked up once for each listing.

use std::collections::HashMap;

use nix::unistd::{Gid, Group, Uid, User};

/// Names found so far; an id without a name is shown as its number.
#[derive(Default)]
pub(crate) struct Names {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Names {
    pub(crate) fn user(&mut self, uid: u32) -> String {
        let find = || match User::from_uid(Uid::from_raw(uid)) {
            Ok(Some(user)) => user.name,
            _ => uid.to_string(),
        };
        self.users.entry(uid).or_insert_with(find).clone()
    }

    pub(crate) fn group(&mut self, gid: u32) -> String {
        let find = || match Group::from_gid(Gid::from_raw(gid)) {
            Ok(Some(group)) => group.name,
            _ => gid.to_string(),
        };
        self.groups.entry(gid).or_insert_with(find).clone()
    }
}
