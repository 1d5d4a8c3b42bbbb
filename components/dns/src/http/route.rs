//! Which call a path names.

use percent_encoding::percent_decode_str;

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Version,
    Config,
    Host(String),
    Ports,
    Service(String),
    Enumerate,
    Axfr,
    Records,
    Metrics,
    Health,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) route: Route,
    /// As it is in the table of permissions.
    pub(super) pattern: &'static str,
}

const FIXED: [(&str, Route); 7] = [
    ("/v1/version", Route::Version),
    ("/v1/config", Route::Config),
    ("/v1/enumerate", Route::Enumerate),
    ("/v1/axfr", Route::Axfr),
    ("/v1/records", Route::Records),
    ("/metrics", Route::Metrics),
    ("/health", Route::Health),
];
pub(super) const HOST: &str = "/v1/hosts/{name}";
pub(super) const PORTS: &str = "/v1/hosts/{name}/ports";
pub(super) const SERVICE: &str = "/v1/services/{name}";

pub(super) fn find(path: &str) -> Option<Found> {
    let path = path.strip_suffix('/').unwrap_or(path);
    if let Some((pattern, route)) = FIXED.iter().find(|(fixed, _)| *fixed == path) {
        return Some(Found { route: route.clone(), pattern });
    }
    if let Some(name) = path.strip_prefix("/v1/services/") {
        return Some(Found { route: Route::Service(named(name)?), pattern: SERVICE });
    }
    let name = path.strip_prefix("/v1/hosts/")?;
    if let Some(name) = name.strip_suffix("/ports") {
        return named(name).map(|_| Found { route: Route::Ports, pattern: PORTS });
    }
    Some(Found { route: Route::Host(named(name)?), pattern: HOST })
}

/// One part of a path, as it is meant.
fn named(part: &str) -> Option<String> {
    if part.is_empty() || part.contains('/') {
        return None;
    }
    percent_decode_str(part).decode_utf8().ok().map(Into::into)
}

pub(super) fn patterns() -> impl Iterator<Item = &'static str> {
    FIXED.iter().map(|(pattern, _)| *pattern).chain([HOST, PORTS, SERVICE])
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::super::permissions::TABLE;
    use super::*;

    #[test]
    fn paths_are_found() {
        let route = |path| find(path).map(|found| found.route);
        let host = |name: &str| Some(Route::Host(name.into()));
        assert_eq!(route("/v1/version"), Some(Route::Version));
        assert_eq!(route("/v1/hosts/a.marathon.mesos."), host("a.marathon.mesos."));
        assert_eq!(route("/v1/hosts/a.b/"), host("a.b"));
        assert_eq!(route("/v1/hosts/a%5Fb"), host("a_b"));
        assert_eq!(route("/v1/hosts/a/ports"), Some(Route::Ports));
        let service = Some(Route::Service("_a._tcp.m.mesos".into()));
        assert_eq!(route("/v1/services/_a._tcp.m.mesos"), service);
        for path in ["/", "/v1", "/v1/hosts", "/v1/hosts/", "/v1/hosts/a/b", "/v1/services/a/b"] {
            assert_eq!(route(path), None, "{path}");
        }
    }

    #[test]
    fn every_path_has_a_row_and_every_row_a_path() {
        for pattern in patterns() {
            assert!(TABLE.row(&Method::GET, pattern, "").is_some(), "{pattern}: who may?");
        }
        for row in TABLE.rows {
            assert!(patterns().any(|pattern| pattern == row.path), "{} is no path", row.path);
        }
        assert_eq!(TABLE.rows.len(), patterns().count());
    }
}
