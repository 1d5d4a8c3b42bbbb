//! What pages and other components ask.

use http::header::{CACHE_CONTROL, HeaderValue};
use http_kit::Response;
use http_kit::guard::{Token, token};
use identity::{Action, wire};
use serde_json::json;

use super::call::Call;
use super::{Answer, render};
use crate::ApiError;
use crate::service::Iam;

const OPENAPI: &str = include_str!("openapi.yaml");

/// What the login page needs to know.
pub(super) fn ui_config(iam: &Iam) -> Response {
    let people = iam.state().users().any(|user| !user.is_service());
    render::ok(&json!({
        "uiConfiguration": iam.config.ui_configuration,
        "clusterConfiguration": { "firstUser": !people, "id": iam.config.cluster_id },
    }))
}

/// A description of this API.
pub(super) fn openapi() -> Response {
    render::text("application/yaml", OPENAPI)
}

/// Everything that judges need, and every change of it, until somebody leaves or may no longer
/// read it.
pub(super) fn policy(iam: &Iam, call: &Call) -> Answer {
    let Token::Given(token) = token(&call.headers) else {
        return Err(ApiError::unauthorized("A valid authentication token is needed."));
    };
    let standing = iam.feed.snapshot().standing(token, iam.clock.now());
    let standing =
        standing.map_err(|_| ApiError::unauthorized("The authentication token is not valid."))?;
    let clock = iam.clock.clone();
    let body = iam.feed.follow(Box::new(move |now| {
        let stands = now.stands(&standing, clock.now()).is_ok();
        stands && now.policy.allows(standing.uid(), wire::RID, Action::Read)
    }));
    let body =
        body.ok_or_else(|| ApiError::unavailable("The policy cannot be followed at the moment."))?;
    let mut response = render::text(wire::CONTENT_TYPE, body);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Whether somebody may do something.
pub(super) fn policy_query(iam: &Iam, call: &Call) -> Answer {
    let params = ["rid", "uid", "action"].map(|name| call.params.get(name));
    let [Some(rid), Some(uid), Some(action)] = params else {
        let text = "Expected query parameters `rid`, `uid` and `action`.";
        return Err(ApiError::missing_query(text));
    };
    let action = Action::from_name(action);
    let policy = &iam.feed.snapshot().policy;
    let allowed = action.is_some_and(|action| policy.allows(uid, rid, action));
    Ok(render::ok(&json!({ "allowed": allowed })))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::route;
    use super::*;

    /// The document's paths with their methods, as its own layout has them.
    fn described() -> BTreeSet<String> {
        let paths = OPENAPI.split_once("\npaths:\n").unwrap().1;
        let paths = paths.split_once("\ncomponents:").unwrap().0;
        let mut path = "";
        let mut all = BTreeSet::new();
        for line in paths.lines() {
            let Some(name) = line.strip_suffix(':') else { continue };
            if let Some(name) = name.strip_prefix("  ").filter(|name| name.starts_with('/')) {
                path = name;
            } else if let Some(name) = name.strip_prefix("    ")
                && matches!(name, "get" | "put" | "post" | "patch" | "delete")
            {
                all.insert(format!("{} {path}", name.to_uppercase()));
            }
        }
        all
    }

    #[test]
    fn every_endpoint_is_described_and_nothing_else() {
        let mut there = BTreeSet::new();
        for route in route::all() {
            there.extend(route.methods().iter().map(|method| format!("{method} {}", route.name())));
        }
        assert_eq!(described(), there);
    }
}
