//! The names of everything that is stored.
//!
//! Ids become one key part each: `/a/b` is `a_b`, as no part of an id has a `_`. What may be
//! plenty is spread over 256 folders, so that no folder's list of names grows without bound.

use marathon_model::{InstanceId, PathId, Timestamp};

pub(crate) const FRAMEWORK_ID: &str = "/marathon/framework-id";
pub(crate) const APPS: &str = "/marathon/apps/";
pub(crate) const GROUPS: &str = "/marathon/groups/";
/// When apps and groups that are gone went.
pub(crate) const GONE_APPS: &str = "/marathon/gone-apps/";
pub(crate) const GONE_GROUPS: &str = "/marathon/gone-groups/";
/// Versions of the root, a key each.
pub(crate) const ROOTS: &str = "/marathon/roots/";
pub(crate) const INSTANCES: &str = "/marathon/instances/";
pub(crate) const DEPLOYMENTS: &str = "/marathon/deployments/";
pub(crate) const FAILURES: &str = "/marathon/failures/";
/// A batch that is too large for one transaction, until it has been applied.
pub(crate) const JOURNAL: &str = "/marathon/journal/";
pub(crate) const JOURNAL_HEAD: &str = "/marathon/journal/head";

const OLD_APPS: &str = "/marathon/old-apps/";
const OLD_GROUPS: &str = "/marathon/old-groups/";

/// Apps and groups are kept alike: the current form, old ones by version, and when it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    App,
    Group,
}

impl Kind {
    /// The folder of current ones.
    pub(crate) fn current(self) -> &'static str {
        match self {
            Kind::App => APPS,
            Kind::Group => GROUPS,
        }
    }

    /// The folder of those that are gone.
    pub(crate) fn gone(self) -> &'static str {
        match self {
            Kind::App => GONE_APPS,
            Kind::Group => GONE_GROUPS,
        }
    }

    /// The folder of old versions of one.
    pub(crate) fn old(self, id: &PathId) -> String {
        let folder = match self {
            Kind::App => OLD_APPS,
            Kind::Group => OLD_GROUPS,
        };
        format!("{}/", spread(folder, &part(id)))
    }

    /// The key of an old version.
    pub(crate) fn old_version(self, id: &PathId, version: Timestamp) -> String {
        format!("{}{}", self.old(id), digits(version))
    }

    /// The key of the current form.
    pub(crate) fn key(self, id: &PathId) -> String {
        spread(self.current(), &part(id))
    }

    /// The key that says when it went.
    pub(crate) fn gone_key(self, id: &PathId) -> String {
        spread(self.gone(), &part(id))
    }
}

pub(crate) fn failure(app: &PathId) -> String {
    spread(FAILURES, &part(app))
}

pub(crate) fn instance(id: &InstanceId) -> String {
    spread(INSTANCES, id.as_str())
}

pub(crate) fn root(version: Timestamp) -> String {
    format!("{ROOTS}{}", digits(version))
}

/// A deployment's key; the larger ones have several.
pub(crate) fn deployment(id: &str, number: usize) -> String {
    format!("{DEPLOYMENTS}{id}/{number:06}")
}

pub(crate) fn journal(number: usize) -> String {
    format!("{JOURNAL}{number:06}")
}

/// The last part of a key.
pub(crate) fn name(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or_default()
}

/// The id in the last part of a key.
pub(crate) fn id_of(key: &str) -> Option<PathId> {
    match name(key) {
        "_" => Some(PathId::root()),
        "" => None,
        flat => PathId::parse(&flat.replace('_', "/")).ok(),
    }
}

/// The version in the last part of a key.
pub(crate) fn version_of(key: &str) -> Option<Timestamp> {
    name(key).parse().ok().map(Timestamp)
}

/// The id as one part of a key; the root has no name of its own.
fn part(id: &PathId) -> String {
    if id.is_root() { "_".to_owned() } else { id.flat() }
}

/// As many digits for every moment until the year 10000, so that they sort.
fn digits(version: Timestamp) -> String {
    format!("{:015}", version.0)
}

fn spread(folder: &str, part: &str) -> String {
    // FNV-1a: the same in every build, for ever.
    let hash = part
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{folder}{:02x}/{part}", (hash ^ (hash >> 16)) & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_their_ids_and_versions() {
        let id = PathId::parse("/prod/web.api/x-1").unwrap();
        for kind in [Kind::App, Kind::Group] {
            for key in [kind.key(&id), kind.gone_key(&id)] {
                assert_eq!(id_of(&key), Some(id.clone()), "{key}");
                cluster_state::limits::check_key(&key).unwrap();
            }
            assert_eq!(version_of(&kind.old_version(&id, Timestamp(7))), Some(Timestamp(7)));
            cluster_state::limits::check_prefix(&kind.old(&id)).unwrap();
            assert_eq!(id_of(&kind.key(&PathId::root())), Some(PathId::root()));
        }
        assert!(Kind::App.key(&id).starts_with(APPS));
        assert!(Kind::App.old(&id).ends_with("/prod_web.api_x-1/"));
    }

    #[test]
    fn versions_sort_as_their_times() {
        let keys = [9, 10, 1_700_000_000_000].map(|millis| root(Timestamp(millis)));
        assert!(keys.is_sorted());
    }
}
