//! Names of services: paths with slashes for people, dotted and reversed for look-ups.
//!
//! `group/app` and `app.group` are one service, since that is how Mesos-DNS names it.

use std::borrow::{Borrow, Cow};

use smallvec::SmallVec;

/// How many segments of a path can belong to a service's name.
pub(super) const DEEPEST: usize = 10;

/// The segments of a name as a label or a framework has it: `/group/app` is `group/app`.
pub(super) fn segments(name: &str) -> SmallVec<[&str; 4]> {
    name.split('/').filter(|segment| !segment.is_empty()).collect()
}

/// What a service is looked up by. It is the segment itself where there is only one.
pub(super) fn dotted<S: Borrow<str>>(segments: &[S]) -> Cow<'_, str> {
    match segments {
        [] => Cow::Borrowed(""),
        [one] => Cow::Borrowed(one.borrow()),
        many => {
            let mut name = String::with_capacity(64);
            for segment in many.iter().rev() {
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(segment.borrow());
            }
            Cow::Owned(name)
        }
    }
}

/// The path that the segments make.
pub(super) fn path<S: Borrow<str>>(segments: &[S]) -> String {
    segments.join("/")
}

/// What a user needs a permission for. A name is one part of it, whatever is in it.
pub(super) fn rid(path: &str) -> String {
    let mut rid = String::from("dcos:adminrouter:service:");
    identity::push_part(&mut rid, path);
    rid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_for_a_name_is_for_no_other() {
        assert_eq!(rid("group/app"), "dcos:adminrouter:service:group/app");
        let rid = rid("team:secret");
        assert_eq!(rid, "dcos:adminrouter:service:team%3Asecret");
        assert!(identity::covering(&rid).all(|above| above != "dcos:adminrouter:service:team"));
    }

    #[test]
    fn names_are_looked_up_reversed() {
        for (name, expected, joined) in [
            ("app", "app", "app"),
            ("group/app", "app.group", "group/app"),
            ("/group//sub/app/", "app.sub.group", "group/sub/app"),
            ("a.b", "a.b", "a.b"),
            ("x", "x", "x"),
            ("/", "", ""),
        ] {
            let segments = segments(name);
            assert_eq!(dotted(&segments), expected);
            assert_eq!(path(&segments), joined);
        }
    }
}
