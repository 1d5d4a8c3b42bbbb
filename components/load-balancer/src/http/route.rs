//! Which endpoint a path names.

use super::permissions::BACKENDS;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Health,
    Version,
    Vips,
    Problems,
    Backends,
    Names,
    Nodes,
    /// Of DNS.
    Forwarded,
    NotImplemented,
    Metrics,
    Key,
}

const EXACT: [(&str, Route); 11] = [
    ("/health", Route::Health),
    ("/v1/version", Route::Version),
    ("/v1/vips", Route::Vips),
    ("/v1/vips/problems", Route::Problems),
    ("/v1/vips/stream", Route::Names),
    ("/v1/nodes", Route::Nodes),
    ("/v1/records", Route::Forwarded),
    ("/v1/config", Route::NotImplemented),
    ("/v1/enumerate", Route::NotImplemented),
    ("/v1/metrics", Route::Metrics),
    ("/lashup/key", Route::Key),
];
/// The original's registries; all of what is counted here is in each.
const REGISTRIES: [&str; 6] = ["default", "dns", "mesos_listener", "lashup", "l4lb", "overlay"];

/// The route of a path, and the endpoint by which it is judged.
pub(super) fn find(path: &str, backends: bool) -> Option<(Route, &'static str)> {
    let path = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
    if let Some((name, route)) = EXACT.iter().find(|(name, _)| *name == path) {
        return Some(match route {
            Route::Names if backends => (Route::Backends, BACKENDS),
            route => (*route, *name),
        });
    }
    let one = |prefix: &str| path.strip_prefix(prefix).filter(|rest| is_segment(rest));
    if one("/v1/hosts/").is_some() {
        return Some((Route::Forwarded, "/v1/hosts/{name}"));
    }
    if one("/v1/services/").is_some() {
        return Some((Route::Forwarded, "/v1/services/{name}"));
    }
    one("/v1/metrics/")
        .filter(|registry| REGISTRIES.contains(registry))
        .map(|_| (Route::Metrics, "/v1/metrics"))
}

fn is_segment(text: &str) -> bool {
    !text.is_empty() && !text.contains('/') && text != "." && text != ".."
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::super::permissions::TABLE;
    use super::*;

    #[test]
    fn each_endpoint_has_a_row() {
        let paths = EXACT.iter().map(|(path, _)| *path);
        for path in paths.chain(["/v1/hosts/a.mesos", "/v1/services/_a._tcp.x", "/v1/metrics/dns"])
        {
            for backends in [false, true] {
                let (_, endpoint) = find(path, backends).unwrap();
                assert!(TABLE.row(&Method::GET, endpoint, "").is_some(), "{path}");
                assert!(TABLE.row(&Method::POST, endpoint, "").is_none(), "{path}");
            }
        }
    }

    #[test]
    fn other_paths_are_none() {
        for path in [
            "/",
            "",
            "/v1",
            "/v1/hosts/",
            "/v1/hosts/..",
            "/v1/hosts/a/b",
            "/lashup/kv/x",
            "/v1/metrics/other",
            "/v1/vips/stream/x",
        ] {
            assert_eq!(find(path, false), None, "{path}");
        }
        assert_eq!(find("/v1/vips/", false), Some((Route::Vips, "/v1/vips")));
    }
}
