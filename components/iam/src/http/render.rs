//! The answers, in the original's forms.

use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use http_kit::{Response, respond};
use identity::Actions;
use serde_json::{Map, Value, json};

use super::route::PREFIX;
use crate::ApiError;
use crate::model::{Acl, Group, Subject, User};

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// `200` with JSON as the original writes it.
pub(crate) fn ok(body: &Value) -> Response {
    let mut text = serde_json::to_string_pretty(body).unwrap_or_default();
    text.push('\n');
    respond::with_body(StatusCode::OK, JSON, text)
}

/// `200` with a list.
pub(crate) fn array(items: impl IntoIterator<Item = Value>) -> Response {
    ok(&json!({ "array": items.into_iter().collect::<Vec<_>>() }))
}

pub(crate) fn created() -> Response {
    respond::status(StatusCode::CREATED)
}

pub(crate) fn no_content() -> Response {
    respond::status(StatusCode::NO_CONTENT)
}

/// A refusal.
pub(crate) fn error(error: &ApiError) -> Response {
    let mut body = Map::new();
    body.insert("title".to_owned(), error.title.as_str().into());
    if !error.description.is_empty() {
        body.insert("description".to_owned(), error.description.as_str().into());
    }
    if let Some(code) = error.code {
        body.insert("code".to_owned(), code.into());
    }
    let mut response = match error.status {
        StatusCode::NOT_FOUND => respond::status(error.status),
        status => {
            let kind = HeaderValue::from_static("application/json");
            respond::with_body(status, kind, Value::Object(body).to_string())
        }
    };
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    if error.status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("acsjwt"));
    }
    if let Some(seconds) = error.retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// `405`, or what an endpoint answers to `OPTIONS`.
pub(crate) fn methods(status: StatusCode, methods: &[Method]) -> Response {
    let mut response = respond::status(status);
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

/// A text of another type.
pub(crate) fn text(kind: &'static str, text: impl Into<http_kit::Body>) -> Response {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

pub(crate) fn user(user: &User) -> Value {
    let mut body = json!({
        "uid": user.uid,
        "description": user.description,
        "url": user_url(&user.uid),
        "is_remote": user.is_remote(),
        "is_service": user.is_service(),
        "provider_type": user.provider_type.name(),
        "provider_id": user.provider_id,
    });
    if let Some(fields) = body.as_object_mut() {
        if let Some(key) = &user.public_key {
            fields.insert("public_key".to_owned(), key.as_str().into());
        }
        // The original knows active users only.
        if !user.active {
            fields.insert("active".to_owned(), false.into());
        }
    }
    body
}

pub(crate) fn group(group: &Group) -> Value {
    json!({
        "gid": group.gid,
        "description": group.description,
        "url": group_url(&group.gid),
        "provider_type": group.provider_type.name(),
    })
}

pub(crate) fn acl(acl: &Acl) -> Value {
    json!({ "rid": acl.rid, "description": acl.description, "url": acl_url(&acl.rid) })
}

/// What a subject may do with a resource, as items with addresses.
pub(crate) fn actions(rid: &str, subject: &Subject, actions: Actions) -> Vec<Value> {
    let base = match subject {
        Subject::User(uid) => format!("{}/users/{uid}", acl_url(rid)),
        Subject::Group(gid) => format!("{}/groups/{gid}", acl_url(rid)),
    };
    let item = |action: identity::Action| json!({ "name": action.name(), "url": format!("{base}/{}", action.name()) });
    actions.iter().map(item).collect()
}

/// A resource with what a subject may do with it.
pub(crate) fn permission(acl: &Acl, subject: &Subject, allowed: Actions) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("rid".to_owned(), acl.rid.as_str().into());
    body.insert("description".to_owned(), acl.description.as_str().into());
    body.insert("aclurl".to_owned(), acl_url(&acl.rid).into());
    body.insert("actions".to_owned(), actions(&acl.rid, subject, allowed).into());
    body
}

pub(crate) fn user_url(uid: &str) -> String {
    format!("{PREFIX}/users/{uid}")
}

pub(crate) fn group_url(gid: &str) -> String {
    format!("{PREFIX}/groups/{gid}")
}

pub(crate) fn membership_url(gid: &str, uid: &str) -> String {
    format!("{PREFIX}/groups/{gid}/users/{uid}")
}

/// Slashes are escaped twice.
pub(crate) fn acl_url(rid: &str) -> String {
    format!("{PREFIX}/acls/{}", rid.replace('%', "%25").replace('/', "%252F"))
}
