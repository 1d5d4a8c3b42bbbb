//! Which endpoint a path names, and what is asked of whoever uses it.

use std::borrow::Cow;

use http::Method;
use identity::Action;
use percent_encoding::percent_decode_str;

use crate::model::{CA_SIGN_RID, Subject};

/// Where the API begins.
pub(crate) const PREFIX: &str = "/acs/api/v1";

/// An endpoint, with the names in its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Users,
    User(String),
    UserGroups(String),
    UserPermissions(String),
    UserTokens(String),
    Groups,
    Group(String),
    GroupUsers(String),
    GroupUser(String, String),
    GroupPermissions(String),
    Acls,
    Acl(String),
    AclPermissions(String),
    AclSubject(String, Subject),
    AclAction(String, Subject, String),
    Login,
    Logout,
    Jwks,
    Providers,
    OidcCallback,
    OidcProviders,
    OidcProvider(String),
    UiConfig,
    OpenApi,
    Policy,
    PolicyQuery,
    SigningKeys,
    SigningKey(String),
    CaCertificate,
    CaInfo,
    CaSign,
    Health,
    Metrics,
}

/// Who may use an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody.
    Public,
    /// Everybody on this machine who comes directly, and who has the permission.
    Local(String, Action),
    /// Who has one of the permissions; superusers have all.
    Permission(Vec<(String, Action)>),
    /// The user, and who has the permission.
    User(String, String, Action),
    /// Superusers.
    Superuser,
}

// === impl Route ===

impl Route {
    /// The endpoint of a path as it was sent.
    pub(crate) fn find(path: &str) -> Option<Route> {
        let route = match path {
            "/health" => Some(Route::Health),
            "/metrics" => Some(Route::Metrics),
            "/ca/dcos-ca.crt" => Some(Route::CaCertificate),
            "/ca/api/v2/info" => Some(Route::CaInfo),
            "/ca/api/v2/sign" => Some(Route::CaSign),
            _ => None,
        };
        if route.is_some() {
            return route;
        }
        let rest = path.strip_prefix(PREFIX)?.strip_prefix('/')?;
        // Gateways ask for it with a slash behind it, as the original's does.
        let rest = if rest == "uiconfig/" { "uiconfig" } else { rest };
        let mut parts = Vec::new();
        for part in rest.split('/') {
            if part.is_empty() || parts.len() == 6 {
                return None;
            }
            parts.push(percent_decode_str(part).decode_utf8().ok()?);
        }
        let parts: Vec<&str> = parts.iter().map(Cow::as_ref).collect();
        Route::of(&parts)
    }

    fn of(parts: &[&str]) -> Option<Route> {
        let own = |text: &str| text.to_owned();
        Some(match parts {
            ["users"] => Route::Users,
            ["users", uid] => Route::User(own(uid)),
            ["users", uid, "groups"] => Route::UserGroups(own(uid)),
            ["users", uid, "permissions"] => Route::UserPermissions(own(uid)),
            ["users", uid, "tokens"] => Route::UserTokens(own(uid)),
            ["groups"] => Route::Groups,
            ["groups", gid] => Route::Group(own(gid)),
            ["groups", gid, "users"] => Route::GroupUsers(own(gid)),
            ["groups", gid, "permissions"] => Route::GroupPermissions(own(gid)),
            ["groups", gid, "users", uid] => Route::GroupUser(own(gid), own(uid)),
            ["acls"] => Route::Acls,
            ["acls", rid] => Route::Acl(rid_of(rid)),
            ["acls", rid, "permissions"] => Route::AclPermissions(rid_of(rid)),
            ["acls", rid, kind, id] => Route::AclSubject(rid_of(rid), subject(kind, id)?),
            ["acls", rid, kind, id, action] => {
                Route::AclAction(rid_of(rid), subject(kind, id)?, own(action))
            }
            ["auth", "login"] => Route::Login,
            ["auth", "logout"] => Route::Logout,
            ["auth", "jwks"] => Route::Jwks,
            ["auth", "providers"] => Route::Providers,
            ["auth", "keys", "rotate"] => Route::SigningKeys,
            ["auth", "keys", kid] => Route::SigningKey(own(kid)),
            ["auth", "oidc", "callback"] => Route::OidcCallback,
            ["auth", "oidc", "providers"] => Route::OidcProviders,
            ["auth", "oidc", "providers", id] => Route::OidcProvider(own(id)),
            ["uiconfig"] => Route::UiConfig,
            ["internal", "openapispec.yaml"] => Route::OpenApi,
            ["internal", "policy"] => Route::Policy,
            ["internal", "policyquery"] => Route::PolicyQuery,
            _ => return None,
        })
    }

    /// What `/metrics` and the log call it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Route::Users => "/users",
            Route::User(_) => "/users/{uid}",
            Route::UserGroups(_) => "/users/{uid}/groups",
            Route::UserPermissions(_) => "/users/{uid}/permissions",
            Route::UserTokens(_) => "/users/{uid}/tokens",
            Route::Groups => "/groups",
            Route::Group(_) => "/groups/{gid}",
            Route::GroupUsers(_) => "/groups/{gid}/users",
            Route::GroupUser(..) => "/groups/{gid}/users/{uid}",
            Route::GroupPermissions(_) => "/groups/{gid}/permissions",
            Route::Acls => "/acls",
            Route::Acl(_) => "/acls/{rid}",
            Route::AclPermissions(_) => "/acls/{rid}/permissions",
            Route::AclSubject(_, Subject::User(_)) => "/acls/{rid}/users/{uid}",
            Route::AclSubject(_, Subject::Group(_)) => "/acls/{rid}/groups/{gid}",
            Route::AclAction(_, Subject::User(_), _) => "/acls/{rid}/users/{uid}/{action}",
            Route::AclAction(_, Subject::Group(_), _) => "/acls/{rid}/groups/{gid}/{action}",
            Route::Login => "/auth/login",
            Route::Logout => "/auth/logout",
            Route::Jwks => "/auth/jwks",
            Route::Providers => "/auth/providers",
            Route::OidcCallback => "/auth/oidc/callback",
            Route::OidcProviders => "/auth/oidc/providers",
            Route::OidcProvider(_) => "/auth/oidc/providers/{provider-id}",
            Route::UiConfig => "/uiconfig",
            Route::OpenApi => "/internal/openapispec.yaml",
            Route::Policy => "/internal/policy",
            Route::PolicyQuery => "/internal/policyquery",
            Route::SigningKeys => "/auth/keys/rotate",
            Route::SigningKey(_) => "/auth/keys/{kid}",
            Route::CaCertificate => "/ca/dcos-ca.crt",
            Route::CaInfo => "/ca/api/v2/info",
            Route::CaSign => "/ca/api/v2/sign",
            Route::Health => "/health",
            Route::Metrics => "/metrics",
        }
    }

    /// The methods it knows.
    pub(crate) fn methods(&self) -> &'static [Method] {
        const GET: &[Method] = &[Method::GET];
        const POST: &[Method] = &[Method::POST];
        const ITEM: &[Method] = &[Method::GET, Method::PUT, Method::PATCH, Method::DELETE];
        match self {
            Route::User(_) | Route::Group(_) | Route::Acl(_) | Route::OidcProvider(_) => ITEM,
            Route::UserTokens(_) | Route::SigningKey(_) => &[Method::DELETE],
            Route::GroupUser(..) => &[Method::PUT, Method::DELETE],
            Route::AclSubject(..) => &[Method::GET, Method::DELETE],
            Route::AclAction(..) => &[Method::GET, Method::PUT, Method::DELETE],
            Route::Login => &[Method::GET, Method::POST],
            Route::SigningKeys | Route::CaInfo | Route::CaSign => POST,
            _ => GET,
        }
    }

    /// Who may use it by `method`.
    pub(crate) fn access(&self, method: &Method) -> Access {
        let action = match *method {
            Method::PUT => Action::Create,
            Method::PATCH | Method::POST => Action::Update,
            Method::DELETE => Action::Delete,
            _ => Action::Read,
        };
        let one = |rid: String, action| Access::Permission(vec![(rid, action)]);
        let users = |uid: &str| format!("dcos:iam:users:{uid}");
        match self {
            Route::Users => one("dcos:iam:users".to_owned(), Action::Read),
            Route::User(uid) if matches!(*method, Method::GET | Method::PATCH) => {
                Access::User(uid.clone(), users(uid), action)
            }
            Route::User(uid) => one(users(uid), action),
            Route::UserGroups(uid) | Route::UserPermissions(uid) => {
                Access::User(uid.clone(), users(uid), Action::Read)
            }
            Route::UserTokens(uid) => Access::User(uid.clone(), users(uid), Action::Update),
            Route::Groups => one("dcos:iam:groups".to_owned(), Action::Read),
            Route::Group(gid) => one(format!("dcos:iam:groups:{gid}"), action),
            Route::GroupUsers(gid) | Route::GroupPermissions(gid) => {
                one(format!("dcos:iam:groups:{gid}"), Action::Read)
            }
            Route::GroupUser(gid, _) => one(format!("dcos:iam:groups:{gid}"), Action::Update),
            Route::Acls => one("dcos:iam:acls".to_owned(), Action::Read),
            Route::Acl(rid) => one(format!("dcos:iam:acls:{rid}"), action),
            Route::AclPermissions(rid) => one(format!("dcos:iam:acls:{rid}"), Action::Read),
            Route::AclSubject(rid, _) | Route::AclAction(rid, ..) => {
                let action = if *method == Method::GET { Action::Read } else { Action::Update };
                one(format!("dcos:iam:acls:{rid}"), action)
            }
            Route::OidcProviders => one("dcos:iam:providers".to_owned(), Action::Read),
            // A provider says who somebody is: whoever sets one could be anybody.
            Route::OidcProvider(_) => match *method {
                Method::GET => one("dcos:iam:providers".to_owned(), Action::Read),
                _ => Access::Superuser,
            },
            Route::Policy | Route::PolicyQuery => one(identity::wire::RID.to_owned(), Action::Read),
            Route::SigningKeys | Route::SigningKey(_) => Access::Superuser,
            Route::CaInfo => Access::Permission(vec![
                ("dcos:adminrouter:ops:ca:ro".to_owned(), Action::Full),
                (CA_SIGN_RID.to_owned(), Action::Full),
            ]),
            Route::CaSign => one(CA_SIGN_RID.to_owned(), Action::Full),
            Route::Metrics => Access::Local("dcos:iam:metrics".to_owned(), Action::Read),
            Route::Login
            | Route::Logout
            | Route::Jwks
            | Route::Providers
            | Route::OidcCallback
            | Route::UiConfig
            | Route::OpenApi
            | Route::CaCertificate
            | Route::Health => Access::Public,
        }
    }
}

/// A slash in a resource's name is escaped twice, so that gateways leave it alone.
fn rid_of(part: &str) -> String {
    part.replace("%2F", "/").replace("%2f", "/")
}

fn subject(kind: &str, id: &str) -> Option<Subject> {
    match kind {
        "users" => Some(Subject::User(id.to_owned())),
        "groups" => Some(Subject::Group(id.to_owned())),
        _ => None,
    }
}

/// One of each, for counters and tests.
pub(crate) fn all() -> Vec<Route> {
    let mut routes =
        vec![Route::CaCertificate, Route::CaInfo, Route::CaSign, Route::Health, Route::Metrics];
    let x = "x";
    let paths: [&[&str]; 28] = [
        &["users"],
        &["users", x],
        &["users", x, "groups"],
        &["users", x, "permissions"],
        &["users", x, "tokens"],
        &["groups"],
        &["groups", x],
        &["groups", x, "users"],
        &["groups", x, "permissions"],
        &["groups", x, "users", x],
        &["acls"],
        &["acls", x],
        &["acls", x, "permissions"],
        &["acls", x, "users", x],
        &["acls", x, "groups", x],
        &["acls", x, "users", x, x],
        &["acls", x, "groups", x, x],
        &["auth", "login"],
        &["auth", "logout"],
        &["auth", "jwks"],
        &["auth", "providers"],
        &["auth", "oidc", "callback"],
        &["auth", "oidc", "providers"],
        &["auth", "oidc", "providers", x],
        &["uiconfig"],
        &["internal", "openapispec.yaml"],
        &["internal", "policy"],
        &["internal", "policyquery"],
    ];
    routes.extend(paths.into_iter().filter_map(Route::of));
    routes.extend([Route::SigningKeys, Route::SigningKey(x.to_owned())]);
    routes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(rest: &str) -> Option<Route> {
        Route::find(&format!("{PREFIX}/{rest}"))
    }

    #[test]
    fn slashes_of_resources_are_escaped_twice() {
        let rid = "dcos:service:marathon:marathon:services:/a/b";
        let path = "acls/dcos:service:marathon:marathon:services:%252Fa%252Fb";
        assert_eq!(find(path), Some(Route::Acl(rid.to_owned())));
        let user = Subject::User("u@x".to_owned());
        let found = find(&format!("{path}/users/u%40x/full"));
        assert_eq!(found, Some(Route::AclAction(rid.to_owned(), user, "full".to_owned())));
    }

    #[test]
    fn what_is_no_endpoint_is_none() {
        for path in ["", "users/", "users//u", "user", "users/u/x", "acls/r/x/u", "users/%ff"] {
            assert_eq!(find(path), None, "{path}");
        }
        assert_eq!(Route::find("/acs/api/v1"), None);
        assert_eq!(Route::find("/acs/api/v10/users"), None);
        assert_eq!(Route::find("/users"), None);
    }

    /// What needs no token is a list that has to be changed on purpose.
    #[test]
    fn few_endpoints_are_public() {
        let mut public: Vec<&str> = Vec::new();
        for route in all() {
            for method in route.methods() {
                if route.access(method) == Access::Public && !public.contains(&route.name()) {
                    public.push(route.name());
                }
            }
        }
        public.sort_unstable();
        assert_eq!(
            public,
            [
                "/auth/jwks",
                "/auth/login",
                "/auth/logout",
                "/auth/oidc/callback",
                "/auth/providers",
                "/ca/dcos-ca.crt",
                "/health",
                "/internal/openapispec.yaml",
                "/uiconfig"
            ]
        );
    }

    /// Whatever changes something outside of logging in needs a permission that is named for it.
    #[test]
    fn every_change_needs_a_permission() {
        for route in all() {
            for method in route.methods().iter().filter(|method| **method != Method::GET) {
                if route == Route::Login || route == Route::CaInfo {
                    continue;
                }
                match route.access(method) {
                    Access::Permission(any) => {
                        assert!(any.iter().all(|(_, action)| *action != Action::Read));
                    }
                    Access::User(_, _, action) => assert_eq!(action, Action::Update),
                    Access::Superuser => {}
                    access => panic!("{} {method}: {access:?}", route.name()),
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_path_is_looked_up(path in "[/a-z%0-9A-F:]{0,60}") {
            let _ = Route::find(&path);
            let _ = find(&path);
        }
    }
}
