//! The API of the authority, in cfssl's shape: requests as JSON in, answers as JSON out.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Authority, CERTIFICATE_LIFETIME, Issued, Profile, RequestError};

/// cfssl's numbers: what is wrong with the request, the policy, the certificate request.
const INVALID_REQUEST: u32 = 5300;
const UNKNOWN_PROFILE: u32 = 5400;
const PARSE_FAILED: u32 = 9002;
/// The largest body that is read: a request with its names.
pub(crate) const BODY_LIMIT: usize = 64 * 1024;

#[derive(Deserialize)]
struct Sign {
    certificate_request: String,
    #[serde(default)]
    hosts: Option<Vec<String>>,
    #[serde(default)]
    profile: String,
}

#[derive(Default, Deserialize)]
struct Info {
    #[serde(default)]
    profile: String,
}

/// An answer, and the certificate in it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    pub(crate) issued: Option<Issued>,
}

/// `POST /ca/api/v2/sign`
pub(crate) fn sign(authority: &Authority, body: &[u8]) -> Answer {
    let request: Sign = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => return refused(INVALID_REQUEST, &format!("invalid request body: {error}")),
    };
    let Some(profile) = Profile::parse(&request.profile) else {
        return refused(UNKNOWN_PROFILE, "unknown profile; there are server, client and peer");
    };
    match authority.sign(&request.certificate_request, request.hosts.as_deref(), profile) {
        Ok(issued) => {
            let body = succeeded(json!({ "certificate": issued.pem }));
            Answer { status: StatusCode::OK, body, issued: Some(issued) }
        }
        Err(error) => refused(code(&error), &error.to_string()),
    }
}

/// `POST /ca/api/v2/info`
pub(crate) fn info(authority: &Authority, body: &[u8]) -> Answer {
    let request: Result<Info, _> = match body.trim_ascii() {
        [] => Ok(Info::default()),
        body => serde_json::from_slice(body),
    };
    let request = match request {
        Ok(request) => request,
        Err(error) => return refused(INVALID_REQUEST, &format!("invalid request body: {error}")),
    };
    let Some(profile) = Profile::parse(&request.profile) else {
        return refused(UNKNOWN_PROFILE, "unknown profile; there are server, client and peer");
    };
    let result = json!({
        "certificate": authority.pem(),
        "usages": profile.usages(),
        "expiry": format!("{}h", CERTIFICATE_LIFETIME / 3600),
    });
    Answer { status: StatusCode::OK, body: succeeded(result), issued: None }
}

fn succeeded(result: Value) -> Value {
    json!({ "success": true, "result": result, "errors": [], "messages": [] })
}

fn refused(code: u32, message: &str) -> Answer {
    let errors = json!([{ "code": code, "message": message }]);
    let body = json!({ "success": false, "result": null, "errors": errors, "messages": [] });
    Answer { status: StatusCode::BAD_REQUEST, body, issued: None }
}

fn code(error: &RequestError) -> u32 {
    match error {
        RequestError::Pem | RequestError::Malformed | RequestError::Signature => PARSE_FAILED,
        _ => INVALID_REQUEST,
    }
}
