//! Users and groups by name. Resolved by the agent: the supervisor need not load the system's
//! name services.

use nix::unistd::{Uid, User, getgrouplist};

use crate::{error::LaunchError, plan::Identity};

/// Whom to become to be `name`; none when that is who runs already, or `switch` is off.
pub(crate) fn identity(name: Option<&str>, switch: bool) -> Result<Option<Identity>, LaunchError> {
    let Some(name) = name.filter(|_| switch) else {
        return Ok(None);
    };
    let failed = |reason: String| LaunchError::User { user: name.to_owned(), reason };
    let user = User::from_name(name)
        .map_err(|error| failed(error.desc().to_owned()))?
        .ok_or_else(|| failed("no such user".to_owned()))?;
    let own = Uid::effective();
    if user.uid == own {
        return Ok(None);
    }
    if !own.is_root() {
        let own = User::from_uid(own).ok().flatten().map_or(own.to_string(), |user| user.name);
        return Err(LaunchError::SwitchUser { user: name.to_owned(), own });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_user_is_named() {
        let error = identity(Some("no-such-user-here"), true).unwrap_err();
        assert_eq!(error.to_string(), "Failed to find user 'no-such-user-here': no such user");
    }

    #[test]
    fn oneself_needs_no_switch() {
        let own = User::from_uid(Uid::effective()).unwrap().unwrap();
        assert_eq!(identity(Some(&own.name), true).unwrap(), None);
        assert_eq!(identity(None, true).unwrap(), None);
        assert_eq!(identity(Some("no-such-user-here"), false).unwrap(), None);
    }
}
