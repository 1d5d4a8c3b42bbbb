//! Login of service accounts: a short-lived token that the account signs itself.

use crate::token::{Claims, Jws};
use crate::{KeyError, PublicKey, SKEW_SECONDS, SigningKey, TokenError};

/// How long a login token of ours lives.
pub const SERVICE_LOGIN_LIFETIME: i64 = 300;

/// How far ahead a login token may expire. The original complains of longer ones.
pub const SERVICE_LOGIN_LONGEST: i64 = 600;

/// What the account `uid` logs in with.
pub fn service_login_token(uid: &str, key_pem: &str, now_unix: i64) -> Result<String, KeyError> {
    let exp = now_unix.saturating_add(SERVICE_LOGIN_LIFETIME);
    let claims = Claims::new(uid, Some(exp), 0);
    SigningKey::from_pem(key_pem)?.sign_payload(&claims.write(), None)
}

/// Whether `token` is a login token of `uid` by the account's own key. Its algorithm is the
/// key's; what it says of key ids does not matter.
pub fn verify_service_login(
    token: &str,
    uid: &str,
    key: &PublicKey,
    now_unix: i64,
) -> Result<Claims, TokenError> {
    let claims = Claims::read(&Jws::parse(token)?.verified_by(key)?)?;
    if claims.uid != uid {
        return Err(TokenError::Claim("uid"));
    }
    let exp = claims.exp.ok_or(TokenError::Claim("exp"))?;
    claims.check_time(now_unix)?;
    if exp > now_unix.saturating_add(SERVICE_LOGIN_LONGEST + SKEW_SECONDS) {
        return Err(TokenError::TooLongLived);
    }
    Ok(claims)
}
