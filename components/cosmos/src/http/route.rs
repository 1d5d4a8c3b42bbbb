//! Which call a path names, whatever stands before it: gateways keep their prefixes or take
//! them away.

use http::Method;

use crate::handlers::Call;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Call(Call),
    Resource,
    Metrics,
    Health,
}

/// A route, and what stood before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FoundRoute<'a> {
    pub(crate) route: Route,
    /// What it is called, without what stood before it.
    pub(crate) name: &'static str,
    /// Before `/package/...`; empty for calls elsewhere, whose prefix says nothing on packages.
    pub(crate) prefix: &'a str,
}

const POSTED: [(&str, Call); 13] = [
    ("/package/describe", Call::Describe),
    ("/package/install", Call::Install),
    ("/package/list", Call::List),
    ("/package/list-versions", Call::ListVersions),
    ("/package/render", Call::Render),
    ("/package/repository/add", Call::RepositoryAdd),
    ("/package/repository/delete", Call::RepositoryDelete),
    ("/package/repository/list", Call::RepositoryList),
    ("/package/search", Call::Search),
    ("/package/uninstall", Call::Uninstall),
    ("/service/describe", Call::ServiceDescribe),
    ("/service/start", Call::ServiceStart),
    ("/service/update", Call::ServiceUpdate),
];

const GOT: [(&str, Route); 4] = [
    ("/package/resource", Route::Resource),
    ("/capabilities", Route::Call(Call::Capabilities)),
    ("/metrics", Route::Metrics),
    ("/health", Route::Health),
];

/// The route of a path, if it has one. The end of the path decides.
pub(crate) fn find<'a>(method: &Method, path: &'a str) -> Option<FoundRoute<'a>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let found = |name: &'static str, route: Route| {
        let prefix = path.strip_suffix(name)?;
        let prefix = if name.starts_with("/package/") { prefix } else { "" };
        Some(FoundRoute { route, name, prefix })
    };
    match *method {
        Method::GET => GOT.iter().find_map(|(name, route)| found(name, *route)),
        Method::POST => POSTED.iter().find_map(|(name, call)| found(name, Route::Call(*call))),
        _ => None,
    }
}

/// What all routes are called.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    POSTED.iter().map(|(name, _)| *name).chain(GOT.iter().map(|(name, _)| *name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_do_not_matter() {
        let post = |path| find(&Method::POST, path).map(|found| (found.route, found.prefix));
        assert_eq!(post("/package/list"), Some((Route::Call(Call::List), "")));
        assert_eq!(post("/a/b/package/list/"), Some((Route::Call(Call::List), "/a/b")));
        assert_eq!(post("/package/repository/list"), Some((Route::Call(Call::RepositoryList), "")));
        assert_eq!(post("/cosmos/service/update"), Some((Route::Call(Call::ServiceUpdate), "")));
        assert_eq!(
            post("/service/cosmos/package/search"),
            Some((Route::Call(Call::Search), "/service/cosmos"))
        );
        assert_eq!(post("/xpackage/list"), None);
        assert_eq!(post("/capabilities"), None);
        assert_eq!(post("/"), None);
        assert!(find(&Method::GET, "/capabilities").is_some());
        assert!(find(&Method::GET, "/package/resource").is_some());
        assert!(find(&Method::GET, "/metrics").is_some());
        assert!(find(&Method::GET, "/package/list").is_none());
        assert!(find(&Method::PUT, "/package/list").is_none());
    }

    #[test]
    fn every_call_has_a_row_and_every_row_a_call() {
        use super::super::permissions::TABLE;
        let got = GOT.iter().map(|(name, _)| (Method::GET, *name));
        let posted = POSTED.iter().map(|(name, _)| (Method::POST, *name));
        for (method, name) in got.chain(posted) {
            assert!(TABLE.row(&method, name, "").is_some(), "{method} {name} has no row: who may?");
        }
        for row in TABLE.rows {
            let method = row.methods.parse().unwrap();
            assert!(find(&method, row.path).is_some(), "{} {} is no call", row.methods, row.path);
        }
        assert_eq!(TABLE.rows.len(), names().count());
    }
}
