//! Why a request is refused, with the status and the body the original answers.

use crate::{PathId, Timestamp, validate::grouped};
use serde_json::{Value, json};
use thiserror::Error;

/// Something wrong with one field of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// `/container/portMappings(0)/hostPort`; the whole object is `/`.
    pub path: String,
    pub errors: Vec<String>,
}

/// A refused request.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ModelError {
    /// `details` is the parser's text (400), or a list of violations of the JSON's shape (422).
    #[error("{message}")]
    InvalidJson { message: String, details: Value },
    /// The object was understood and is wrong.
    #[error("Object is not valid")]
    Invalid(Vec<Violation>),
    #[error("{0}")]
    BadRequest(String),
    /// An argument that means nothing: a selector, a timestamp; no service port is left.
    #[error("{0}")]
    Unprocessable(String),
    #[error("{0}")]
    NotFound(String),
    /// A name is taken, or `deployments` work on the same apps.
    #[error("{message}")]
    Conflict { message: String, deployments: Vec<String> },
    /// More deployments than may run at once.
    #[error("{0}")]
    TooMany(String),
}

// === impl Violation ===

impl Violation {
    /// One error at one path.
    pub fn new(path: impl Into<String>, error: impl Into<String>) -> Self {
        Self { path: path.into(), errors: vec![error.into()] }
    }

    fn json(&self) -> Value {
        json!({"path": self.path, "errors": self.errors})
    }

    fn from_json(value: &Value) -> Option<Self> {
        let errors = value.get("errors")?.as_array()?.iter().filter_map(Value::as_str);
        let path = value.get("path")?.as_str()?.to_owned();
        Some(Self { path, errors: errors.map(str::to_owned).collect() })
    }

    /// The same below `prefix`, itself a path such as `/apps(0)`.
    #[must_use]
    pub fn below(mut self, prefix: &str) -> Self {
        let rest = if self.path == "/" { "" } else { self.path.as_str() };
        self.path = format!("{prefix}{rest}");
        self
    }
}

// === impl ModelError ===

impl ModelError {
    /// Text that is no JSON.
    pub fn broken_json(parser: impl Into<String>) -> Self {
        Self::InvalidJson {
            message: "Invalid JSON".to_owned(),
            details: Value::String(parser.into()),
        }
    }

    /// JSON whose fields have the wrong types.
    pub fn wrong_shape(violations: &[Violation]) -> Self {
        Self::InvalidJson {
            message: "Invalid JSON".to_owned(),
            details: violations.iter().map(Violation::json).collect(),
        }
    }

    /// One semantic error.
    pub fn invalid(path: impl Into<String>, error: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation::new(path, error)])
    }

    /// No such app; `version` for one of its versions.
    pub fn no_app(id: &PathId, version: Option<Timestamp>) -> Self {
        let version = version.map(|version| format!(" in version {version}")).unwrap_or_default();
        Self::NotFound(format!("App '{id}' does not exist{version}"))
    }

    /// No such group.
    pub fn no_group(id: &PathId) -> Self {
        Self::NotFound(format!("Group '{id}' does not exist"))
    }

    /// A name that is taken.
    pub fn taken(message: impl Into<String>) -> Self {
        Self::Conflict { message: message.into(), deployments: Vec::new() }
    }

    /// Other deployments work on the same apps.
    pub fn locked(deployments: Vec<String>) -> Self {
        let message = "App is locked by one or more deployments. Override with the option \
                       '?force=true'. View details at '/v2/deployments/<DEPLOYMENT_ID>'.";
        Self::Conflict { message: message.to_owned(), deployments }
    }

    /// As many deployments run as may.
    pub fn too_many_deployments(limit: usize) -> Self {
        // The missing blank after "one" is the original's.
        Self::TooMany(format!(
            "Max number ({limit}) of running deployments is achieved. Wait for existing \
             deployments to complete or cancel oneusing force=true parameter. You can increase \
             max deployment number by using --max_running_deployments parameter but be advised \
             that this can have negative effects on the performance."
        ))
    }

    /// What is wrong with which field; for errors that are about something else, the message.
    pub fn violations(&self) -> Vec<Violation> {
        match self {
            Self::Invalid(violations) => violations.clone(),
            Self::InvalidJson { details: Value::Array(details), .. } => {
                details.iter().filter_map(Violation::from_json).collect()
            }
            other => vec![Violation::new("/", other.to_string())],
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::InvalidJson { details: Value::String(_), .. } | Self::BadRequest(_) => 400,
            Self::InvalidJson { .. } | Self::Invalid(_) | Self::Unprocessable(_) => 422,
            Self::NotFound(_) => 404,
            Self::Conflict { .. } => 409,
            Self::TooMany(_) => 403,
        }
    }

    /// The body of the answer.
    pub fn body(&self) -> Value {
        match self {
            Self::InvalidJson { message, details } => {
                json!({"message": message, "details": details})
            }
            Self::Invalid(violations) => json!({
                "message": "Object is not valid",
                "details": grouped(violations.clone()).iter().map(Violation::json).collect::<Value>(),
            }),
            Self::Conflict { message, deployments } if !deployments.is_empty() => json!({
                "message": message,
                "deployments": deployments.iter().map(|id| json!({"id": id})).collect::<Value>(),
            }),
            other => json!({"message": other.to_string()}),
        }
    }
}

impl From<Vec<Violation>> for ModelError {
    fn from(violations: Vec<Violation>) -> Self {
        Self::Invalid(violations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_and_statuses() {
        let id = PathId::parse("/x").unwrap();
        let cases = [
            (ModelError::broken_json("eof"), 400, r#"{"message":"Invalid JSON","details":"eof"}"#),
            (
                ModelError::wrong_shape(&[Violation::new("/cpus", "error.expected.jsnumber")]),
                422,
                r#"{"message":"Invalid JSON","details":[{"path":"/cpus","errors":["error.expected.jsnumber"]}]}"#,
            ),
            (
                ModelError::from(vec![Violation::new("/", "no").below("/apps(0)")]),
                422,
                r#"{"message":"Object is not valid","details":[{"path":"/apps(0)","errors":["no"]}]}"#,
            ),
            (ModelError::no_app(&id, None), 404, r#"{"message":"App '/x' does not exist"}"#),
            (
                ModelError::no_app(&id, Some(Timestamp(0))),
                404,
                r#"{"message":"App '/x' does not exist in version 1970-01-01T00:00:00.000Z"}"#,
            ),
            (ModelError::taken("no"), 409, r#"{"message":"no"}"#),
        ];
        for (error, status, body) in cases {
            assert_eq!((error.status(), error.body().to_string()), (status, body.to_owned()));
        }
        let locked = ModelError::locked(vec!["d".to_owned()]).body();
        assert_eq!(locked.get("deployments"), Some(&json!([{"id": "d"}])));
    }
}
