//! Refusals as the API tells them: title, description, code; in the original's words.

use http::StatusCode;

/// A refusal, in the form of the original.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{description}")]
pub struct ApiError {
    pub status: StatusCode,
    pub title: String,
    pub description: String,
    /// `ERR_…`; some errors of the original have none.
    pub code: Option<&'static str>,
    /// Seconds after which it may go better.
    pub retry_after: Option<u64>,
}

// === impl ApiError ===

impl ApiError {
    fn new(
        status: StatusCode,
        title: &str,
        code: Option<&'static str>,
        description: String,
    ) -> ApiError {
        ApiError { status, title: title.to_owned(), description, code, retry_after: None }
    }

    /// `400` with a code.
    pub fn bad(code: &'static str, description: impl Into<String>) -> ApiError {
        let status = StatusCode::BAD_REQUEST;
        ApiError::new(status, "400 Bad Request", Some(code), description.into())
    }

    /// `400` without a code: the request itself makes no sense.
    pub fn malformed(description: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "Bad Request", None, description.into())
    }

    /// `400` of a login without a code.
    pub fn bad_plain(description: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "400 Bad Request", None, description.into())
    }

    /// `406`.
    pub fn not_acceptable() -> ApiError {
        let text = "The user agent must support application/json responses.".to_owned();
        ApiError::new(StatusCode::NOT_ACCEPTABLE, "Media type not acceptable", None, text)
    }

    /// `415`.
    pub fn unsupported_media_type(description: impl Into<String>) -> ApiError {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        ApiError::new(status, "Unsupported media type", None, description.into())
    }

    /// `429`: too many logins failed.
    pub fn too_many_logins(wait: std::time::Duration) -> ApiError {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let text = "Too many failed logins; try again later.".to_owned();
        let code = Some("ERR_TOO_MANY_LOGINS");
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let retry_after = Some(seconds.max(1));
        ApiError { retry_after, ..ApiError::new(status, "429 Too Many Requests", code, text) }
    }

    /// `409`.
    pub fn conflict(code: &'static str, description: impl Into<String>) -> ApiError {
        let status = StatusCode::CONFLICT;
        ApiError::new(status, "409 Conflict", Some(code), description.into())
    }

    pub fn invalid_data(description: impl Into<String>) -> ApiError {
        ApiError::bad("ERR_INVALID_DATA", description)
    }

    pub fn invalid_public_key(why: impl std::fmt::Display) -> ApiError {
        ApiError::bad("ERR_INVALID_PUBLIC_KEY", format!("Invalid public key: {why}"))
    }

    pub fn missing_query(description: impl Into<String>) -> ApiError {
        ApiError::bad("ERR_MISSING_QUERY_PARAMETERS", description)
    }

    pub fn unknown_user(uid: &str) -> ApiError {
        ApiError::bad("ERR_UNKNOWN_USER_ID", format!("User with uid `{uid}` not known."))
    }

    pub fn unknown_group(gid: &str) -> ApiError {
        ApiError::bad("ERR_UNKNOWN_GROUP_ID", format!("Group with gid `{gid}` not known."))
    }

    pub fn unknown_resource(rid: &str) -> ApiError {
        let text = format!("Protected resource with rid `{rid}` not known.");
        ApiError::bad("ERR_UNKNOWN_RESOURCE_ID", text)
    }

    pub fn no_more_superusers() -> ApiError {
        let text = "Last member from `superusers` group cannot be removed";
        ApiError::bad("ERR_NO_MORE_SUPERUSERS", text)
    }

    /// `401` of a login, whatever was wrong with it.
    pub fn invalid_credentials() -> ApiError {
        ApiError {
            code: Some("ERR_INVALID_CREDENTIALS"),
            ..ApiError::unauthorized("Invalid credentials.")
        }
    }

    /// `401` without a code.
    pub fn unauthorized(description: impl Into<String>) -> ApiError {
        let status = StatusCode::UNAUTHORIZED;
        ApiError::new(status, "401 Unauthorized", None, description.into())
    }

    /// `403`.
    pub fn forbidden(description: impl Into<String>) -> ApiError {
        let status = StatusCode::FORBIDDEN;
        ApiError::new(status, "403 Forbidden", Some("ERR_FORBIDDEN"), description.into())
    }

    /// `404`.
    pub fn not_found() -> ApiError {
        let status = StatusCode::NOT_FOUND;
        ApiError::new(status, "404 Not Found", None, String::new())
    }

    /// `503`.
    pub fn unavailable(description: impl Into<String>) -> ApiError {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let error = ApiError::new(status, "503 Service Unavailable", None, description.into());
        ApiError { retry_after: Some(1), ..error }
    }

    /// `500`; what went wrong is for the log, not for the client.
    pub fn internal() -> ApiError {
        let text = "The request could not be completed; the log says why.".to_owned();
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        ApiError::new(status, "500 Internal Server Error", None, text)
    }
}
