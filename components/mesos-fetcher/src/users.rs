//! Users by name.

use nix::unistd::{Uid, User, getgrouplist};

use crate::{error::FetchError, job::Identity};

/// Whom to become to be `name`; none when that is who runs already, or nobody can change.
pub(crate) fn identity(name: Option<&str>) -> Result<Option<Identity>, FetchError> {
    let Some(name) = name else {
        return Ok(None);
    };
    let failed = |reason: String| FetchError::User { user: name.to_owned(), reason };
    let user = User::from_name(name)
        .map_err(|error| failed(error.desc().to_owned()))?
        .ok_or_else(|| failed("no such user".to_owned()))?;
    if user.uid == Uid::effective() {
        return Ok(None);
    }
    if !Uid::effective().is_root() {
        return Err(failed("this agent is not root and cannot become another user".to_owned()));
    }
    let c_name = std::ffi::CString::new(name).map_err(|error| failed(error.to_string()))?;
    let groups =
        getgrouplist(&c_name, user.gid).map_err(|error| failed(error.desc().to_owned()))?;
    Ok(Some(Identity {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        groups: groups.iter().map(|group| group.as_raw()).collect(),
    }))
}
