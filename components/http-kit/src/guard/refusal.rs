//! The answers to those who may not.

use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

use crate::{Response, respond};

/// Why a request does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `401`: no token, or none that counts.
    Unauthenticated,
    /// `403`: it is known who it is, and they may not.
    Forbidden,
    /// `503`: IAM has not been heard of for too long to tell.
    Unavailable,
}

impl Refusal {
    pub fn status(self) -> StatusCode {
        match self {
            Refusal::Unauthenticated => StatusCode::UNAUTHORIZED,
            Refusal::Forbidden => StatusCode::FORBIDDEN,
            Refusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Refusal::Unauthenticated => "401 Unauthorized.",
            Refusal::Forbidden => "403 Forbidden.",
            Refusal::Unavailable => "Who may do what is not known at the moment; try again.",
        }
    }

    /// A plain answer. A component with a form of its own for errors keeps the status and
    /// [`Refusal::decorate`]s its answer.
    pub fn response(self) -> Response {
        let mut response = respond::text(self.status(), self.message());
        self.decorate(&mut response);
        response
    }

    /// The headers that belong to it.
    pub fn decorate(self, response: &mut Response) {
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Refusal::Unauthenticated => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("acsjwt"));
            }
            Refusal::Forbidden => {}
            Refusal::Unavailable => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
        }
    }
}
