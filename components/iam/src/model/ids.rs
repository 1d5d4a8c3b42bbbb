//! Names of users, groups and resources: what they may look like, and how they are stored.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::ApiError;

/// The longest name of a user or group.
const MAX_ID: usize = 96;
/// The longest name of a resource.
const MAX_RID: usize = 512;
/// The longest a resource's name may become where it is stored.
const MAX_KEY_PART: usize = 960;

/// What stays as it is in a part of a key; dots do not, as `..` is a name, but no part.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b':').remove(b'@');

/// Letters, digits and `-_@.`, at most 96; `anonymous` is nobody's.
pub fn check_uid(uid: &str) -> Result<(), ApiError> {
    if uid != "anonymous" && is_id(uid) {
        return Ok(());
    }
    Err(ApiError::bad("ERR_INVALID_USER_ID", format!("Invalid user ID: {}", shown(uid))))
}

/// As of users.
pub fn check_gid(gid: &str) -> Result<(), ApiError> {
    if is_id(gid) {
        return Ok(());
    }
    Err(ApiError::bad("ERR_INVALID_GROUP_ID", format!("Invalid group ID: {}", shown(gid))))
}

/// Parts between colons, none of them empty: `dcos:adminrouter:ops:mesos`,
/// `dcos:service:marathon:marathon:services:/a/b`. What else stands in a name that a resource has
/// a part of, such as a role's, is written as `%XX`: `dcos:mesos:master:framework:role:a%3Ab`.
pub fn check_rid(rid: &str) -> Result<(), ApiError> {
    let good = rid.len() <= MAX_RID
        && identity::is_plainly_written(rid)
        && rid.split(':').all(|part| !part.is_empty())
        && key_part(rid).len() <= MAX_KEY_PART;
    if good {
        return Ok(());
    }
    Err(ApiError::bad("ERR_INVALID_RESOURCE_ID", format!("Invalid resource ID: {}", shown(rid))))
}

/// A name of elsewhere as one that is allowed here: anything else becomes an underscore, a run
/// of them one.
pub fn sanitize_remote_uid(remote: &str) -> String {
    let mut uid = String::with_capacity(remote.len());
    let mut replaced = false;
    for c in remote.chars() {
        let allowed = c.is_ascii() && is_id_byte(c as u8);
        if allowed {
            uid.push(c);
        } else if !replaced {
            uid.push('_');
        }
        replaced = !allowed;
    }
    uid
}

/// A name as one part of a key.
pub fn key_part(id: &str) -> String {
    utf8_percent_encode(id, PLAIN).to_string()
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(is_id_byte)
}

fn is_id_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-_@.".contains(&b)
}

/// An error does not repeat megabytes.
fn shown(id: &str) -> String {
    id.chars().take(2 * MAX_ID).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_the_originals() {
        let long = "a".repeat(96);
        for good in ["a", "Az09@.", "a-", "a.a", &long, "ldap.username-X09", "a_a", ".."] {
            assert!(check_uid(good).is_ok(), "{good}");
        }
        let longer = "a".repeat(97);
        for bad in ["", "a!", "!a", &longer, "anonymous", "a b", "ä", "a/b", "a\n", "a%"] {
            assert_eq!(check_uid(bad).unwrap_err().code, Some("ERR_INVALID_USER_ID"), "{bad:?}");
        }
    }

    #[test]
    fn rids_have_parts() {
        for good in [
            "dcos:superuser",
            "dcos:service:marathon:marathon:services:/a/b",
            "x",
            "a:*",
            "a:b%3Ac",
            "a:%C3%A4",
        ] {
            assert!(check_rid(good).is_ok(), "{good}");
        }
        let long = "a".repeat(513);
        let dots = ".".repeat(400);
        for bad in ["", ":", "a:", "a::b", "a b", "a%2Fb", "a%3ab", "a?b", "a\\b", &long, &dots] {
            assert_eq!(check_rid(bad).unwrap_err().code, Some("ERR_INVALID_RESOURCE_ID"), "{bad}");
        }
    }

    #[test]
    fn remote_names_become_allowed_ones() {
        assert_eq!(sanitize_remote_uid("a+b c!!d@x.org"), "a_b_c_d@x.org");
        assert_eq!(sanitize_remote_uid("ünder"), "_nder");
    }

    proptest::proptest! {
        #[test]
        fn every_name_is_a_good_part_of_a_key(id in "\\PC{1,80}") {
            let key = format!("/iam/users/{}", key_part(&id));
            proptest::prop_assert!(cluster_state::limits::check_key(&key).is_ok());
        }

        #[test]
        fn different_names_are_different_parts(a in "[a-z%/.:@]{1,8}", b in "[a-z%/.:@]{1,8}") {
            proptest::prop_assert_eq!(a == b, key_part(&a) == key_part(&b));
        }

        #[test]
        fn what_was_sanitized_is_allowed(remote in "\\PC{1,96}") {
            let uid = sanitize_remote_uid(&remote);
            proptest::prop_assert!(check_uid(&uid).is_ok() || uid == "anonymous");
        }
    }
}
