//! Which route a path belongs to.

use proxy::Path;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{Pattern, Route};

/// The routes of a role, by the first segment of their paths.
pub(crate) struct Table {
    routes: &'static [Route],
    by_segment: FxHashMap<&'static str, SmallVec<[u16; 8]>>,
    rest: u16,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    Route {
        route: &'static Route,
        id: u16,
    },
    /// The path is that of a route whose paths go on with a slash.
    Slash,
}

// === impl Table ===

impl Table {
    pub(crate) fn new(routes: &'static [Route]) -> Table {
        let mut by_segment: FxHashMap<&str, SmallVec<[u16; 8]>> = FxHashMap::default();
        let mut rest = 0;
        for (id, route) in (0u16..).zip(routes) {
            match route.pattern {
                Pattern::Rest => rest = id,
                pattern => by_segment.entry(first_segment(pattern.base())).or_default().push(id),
            }
        }
        let rank = |id: &u16| routes.get(usize::from(*id)).map(|route| rank(route.pattern));
        for ids in by_segment.values_mut() {
            ids.sort_by_key(|id| std::cmp::Reverse(rank(id)));
        }
        Table { routes, by_segment, rest }
    }

    /// The names behind the ids, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.routes.iter().map(|route| route.name.to_owned()).collect()
    }

    /// The most specific route of a path: the same path first, then the longest that begins it.
    pub(crate) fn find(&self, path: &Path) -> Option<Found> {
        let text = path.as_str();
        let ids = self.by_segment.get(first_segment(text));
        for id in ids.map(SmallVec::as_slice).unwrap_or_default() {
            let Some(route) = self.routes.get(usize::from(*id)) else { continue };
            let Some(rest) = path.strip_prefix(route.pattern.base()) else { continue };
            match (route.pattern, rest) {
                (Pattern::Exactly(base), _) if base.len() != text.len() => {}
                (Pattern::Below(_), "") => return Some(Found::Slash),
                _ => return Some(Found::Route { route, id: *id }),
            }
        }
        let route = self.routes.get(usize::from(self.rest))?;
        Some(Found::Route { route, id: self.rest })
    }
}

/// What stands between the first two slashes.
fn first_segment(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split('/').next().unwrap_or(path)
}

/// The longer the more specific; the path itself before what is below it.
fn rank(pattern: Pattern) -> (bool, usize) {
    (matches!(pattern, Pattern::Exactly(_)), pattern.base().len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;
    use crate::routes;

    fn check(role: Role, path: &str, expected: &str) {
        let table = Table::new(routes::of(role));
        let path = Path::parse(path.as_bytes()).unwrap();
        let found = match table.find(&path) {
            Some(Found::Route { route, id }) => {
                assert_eq!(table.names()[usize::from(id)], route.name);
                let rest = path.strip_prefix(route.pattern.base()).unwrap_or(path.as_str());
                format!("{} {rest}", route.name)
            }
            Some(Found::Slash) => "slash".to_owned(),
            None => "none".to_owned(),
        };
        assert_eq!(found.trim(), expected, "{path}");
    }

    #[test]
    fn the_most_specific_route_wins() {
        for (path, expected) in [
            ("/", "ui /"),
            ("/index.html", "ui /index.html"),
            ("/login", "login"),
            ("/login/", "ui /login/"),
            ("/login/token", "login-token"),
            ("/mesos", "slash"),
            ("/mesos/", "mesos /"),
            ("/mesos/state", "mesos /state"),
            ("/mesosx", "ui /mesosx"),
            ("/mesos_dns/v1", "mesos-dns /v1"),
            ("/marathon", "marathon-slash"),
            ("/marathon/v2/apps", "marathon /v2/apps"),
            ("/acs/api/v1/users", "iam /users"),
            ("/acs/api/v1/auth/login", "iam-login /login"),
            ("/acs/api/v1/auth", "slash"),
            ("/acs/api/v1/authx", "iam /authx"),
            ("/acs/api/v1/internal/policy", "iam-internal /policy"),
            ("/acs/api/v2/users", "ui /acs/api/v2/users"),
            ("/pkgpanda/active.buildinfo.full.json", "build-info"),
            ("/pkgpanda/active.buildinfo.full.json/x", "pkgpanda /active.buildinfo.full.json/x"),
            ("/dcos-metadata/dcos-version.json", "version"),
            ("/dcos-metadata/ui-config.json", "ui-config"),
            ("/dcos-metadata/x.json", "metadata-files /x.json"),
            ("/exhibitor/exhibitor/v1/cluster/status", "exhibitor-status"),
            ("/exhibitor/exhibitor/v1/cluster/state", "exhibitor /exhibitor/v1/cluster/state"),
            ("/system/v1/agent/a-S0/logs/v1", "agent-host /a-S0/logs/v1"),
            ("/system/v1/leader/mesos/logs", "mesos-host /logs"),
            ("/system/v1/leader/marathon", "marathon-host"),
            ("/system/health/v1", "health"),
            ("/system/health/v1/report", "health /report"),
            ("/dcos-ui-update-service/api/v1/version/", "ui-update-version"),
            ("/dcos-ui-update-service/api/v1/version", "ui-update /v1/version"),
            ("/ca/dcos-ca.crt", "ca-certificate"),
            ("/ca/api/v2/info", "ca-info"),
            ("/ca/api/v2/sign", "ca /sign"),
            ("/internal/mesos_dns/v1", "internal /mesos_dns/v1"),
            ("/nginx/metrics", "metrics"),
            ("/service/a/b", "service /a/b"),
            ("/service", "slash"),
        ] {
            check(Role::Master, path, expected);
        }
        for (path, expected) in [
            ("/", "nothing /"),
            ("/mesos/", "nothing /mesos/"),
            ("/acs/api/v1/auth/login", "nothing /acs/api/v1/auth/login"),
            ("/system/v1/logs/v1", "logs /v1"),
            ("/pkgpanda/x", "pkgpanda /x"),
        ] {
            check(Role::Agent, path, expected);
        }
    }

    #[test]
    fn spelling_does_not_change_where_a_path_leads() {
        for path in ["//mesos//state", "/%6Desos/state", "/x/../mesos/state", "/mesos%2Fstate"] {
            check(Role::Master, path, "mesos /state");
        }
        for path in ["/Mesos/state", "/mesos;x/state", "/mesos%25/state"] {
            let path = Path::parse(path.as_bytes()).unwrap();
            let table = Table::new(routes::of(Role::Master));
            let Some(Found::Route { route, .. }) = table.find(&path) else { panic!("{path}") };
            assert_eq!(route.name, "ui", "{path}");
        }
    }

    #[test]
    fn every_name_stands_once_in_a_table() {
        for role in [Role::Master, Role::Agent] {
            let mut names = Table::new(routes::of(role)).names();
            names.sort();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all);
        }
    }
}
