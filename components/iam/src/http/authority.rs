//! The cluster's certificate authority and the keys that tokens are signed with.

use http::{HeaderValue, StatusCode};
use http_kit::{Response, respond};
use serde_json::json;

use super::call::Call;
use super::route::Route;
use super::{Answer, render};
use crate::ApiError;
use crate::audit::Event;
use crate::ca::api;
use crate::service::{Begun, Caller, Iam, event};
use crate::signing::SigningError;

/// The authority's own certificate, for everybody.
pub(super) fn certificate(iam: &Iam) -> Response {
    render::text("application/x-x509-ca-cert", iam.keys.authority.pem().to_owned())
}

/// cfssl's calls, in its forms.
pub(super) async fn answer(
    iam: &Iam,
    call: &Call,
    caller: &Caller,
    route: &Route,
    body: &[u8],
) -> Response {
    let authority = &iam.keys.authority;
    let answer = match route {
        Route::CaSign => api::sign(authority, body),
        _ => api::info(authority, body),
    };
    if let Some(issued) = &answer.issued {
        let object = format!("{} certificate {}", issued.profile.name(), issued.serial);
        // All hosts, each by itself: what the log leaves out nobody would ever learn of.
        let details = vec![
            ("common_name", issued.common_name.as_str().into()),
            ("hosts", issued.hosts.as_slice().into()),
            ("sha256", issued.fingerprint.as_str().into()),
        ];
        let signed = event(call, "certificate-sign", &caller.uid);
        let signed = Event { object, result: "allow", details, ..signed };
        if let Err(error) = iam.record(signed).await {
            return render::error(&error);
        }
    }
    let kind = HeaderValue::from_static("application/json");
    respond::with_body(answer.status, kind, format!("{}\n", answer.body))
}

/// A new signing key; it signs once everybody had the time to learn of it.
pub(super) async fn rotate(iam: &Iam, call: &Call, caller: &Caller) -> Answer {
    let object = "a new key".to_owned();
    let rotation = Event { object, ..event(call, "signing-key-create", &caller.uid) };
    let mut begun = iam.begin(rotation).await?;
    let rotated = match iam.keys.keyring.rotate().await {
        Ok(rotated) => rotated,
        Err(error) => return Err(failed(begun, error).await),
    };
    begun.about(format!("key {}", rotated.kid));
    begun.done().await;
    let body = json!({ "kid": rotated.kid, "signs_from": rotated.signs_from });
    let mut response = render::ok(&body);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// A key is out, at once, with all tokens it signed.
pub(super) async fn revoke(iam: &Iam, call: &Call, caller: &Caller, kid: &str) -> Answer {
    let object = format!("key {kid}");
    let gone = Event { object, ..event(call, "signing-key-revoke", &caller.uid) };
    let begun = iam.begin(gone).await?;
    if let Err(error) = iam.keys.keyring.revoke(kid).await {
        return Err(failed(begun, error).await);
    }
    begun.done().await;
    Ok(render::no_content())
}

/// What is answered to a change that was begun and not made.
async fn failed(begun: Begun<'_>, error: SigningError) -> ApiError {
    match error {
        SigningError::UnknownKey | SigningError::TooMany => {
            begun.refused(&error.to_string()).await;
            ApiError::invalid_data(error.to_string())
        }
        SigningError::Contention => {
            begun.refused(&error.to_string()).await;
            ApiError::unavailable(error.to_string())
        }
        error => {
            tracing::error!(error = &error as &dyn std::error::Error, "signing keys");
            begun.unknown().await;
            ApiError::internal()
        }
    }
}
