//! What goes wrong with a request, and the answer it gets.

use http::{HeaderValue, StatusCode, header};
use http_kit::{Response, guard::Refusal, respond};
use marathon_core::Refusal as CommandRefusal;
use marathon_model::{ModelError, PathId, Timestamp};
use serde_json::{Value, json};

use crate::store::StoreError;

/// A status and a body; `message` is always in it.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    body: Value,
    allow: Option<&'static [&'static str]>,
    /// Somebody may not; the answer has more headers then.
    refusal: Option<Refusal>,
}

// === impl Problem ===

impl Problem {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, body: json!({"message": message.into()}), allow: None, refusal: None }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// No such app; the id as it was written.
    pub(crate) fn no_app(id: &str) -> Self {
        Self::not_found(format!("App '{id}' does not exist"))
    }

    /// No such version of an app.
    pub(crate) fn no_version(id: &PathId, version: Timestamp) -> Self {
        ModelError::no_app(id, Some(version)).into()
    }

    pub(crate) fn no_group(id: &str) -> Self {
        Self::not_found(format!("Group '{id}' does not exist"))
    }

    pub(crate) fn no_task(id: &str) -> Self {
        Self::not_found(format!("Task '{id}' does not exist"))
    }

    /// There is the path, but not this method.
    pub(crate) fn method(allow: &'static [&'static str]) -> Self {
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        Self { allow: Some(allow), ..problem }
    }

    pub(crate) fn response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        let mut response = respond::with_body(self.status, json, self.body.to_string());
        if let Some(allow) = self.allow.and_then(allow_header) {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        if let Some(refusal) = self.refusal {
            refusal.decorate(&mut response);
        }
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let message = match refusal {
            Refusal::Unauthenticated => "Unauthorized",
            Refusal::Forbidden => "Not Authorized to perform this action!",
            Refusal::Unavailable => refusal.message(),
        };
        Self { refusal: Some(refusal), ..Self::new(refusal.status(), message) }
    }
}

/// The methods of a path, with those that every path with GET has.
pub(crate) fn allow_header(methods: &[&str]) -> Option<HeaderValue> {
    let head = if methods.contains(&"GET") { ",HEAD" } else { "" };
    HeaderValue::from_str(&format!("{}{head},OPTIONS", methods.join(","))).ok()
}

impl From<ModelError> for Problem {
    fn from(error: ModelError) -> Self {
        let status = StatusCode::from_u16(error.status());
        Self {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            body: error.body(),
            allow: None,
            refusal: None,
        }
    }
}

impl From<CommandRefusal> for Problem {
    fn from(refusal: CommandRefusal) -> Self {
        match refusal {
            CommandRefusal::Model(error) => error.into(),
            CommandRefusal::Unavailable(text) => Self::new(StatusCode::SERVICE_UNAVAILABLE, text),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "a version could not be read");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}
