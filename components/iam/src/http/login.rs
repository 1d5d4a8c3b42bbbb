//! `/auth`: logging in and out.

use http::header::{CACHE_CONTROL, HeaderValue};
use http_kit::{Response, respond};
use serde_json::{Value, json};

use super::call::Call;
use super::schema::{Fields, LOGIN};
use super::users::unhashed;
use super::{Answer, cookies, render, sso};
use crate::ApiError;
use crate::audit::{Event, Whose};
use crate::model::{Command, PasswordHash, User};
use crate::nobody::{Checking, checking};
use crate::password::Stored;
use crate::service::{Caller, Iam, event};
use crate::signing::SigningError;
use crate::throttle::{Attempt, Turn, network};

/// What a login came with.
struct Login {
    uid: Option<String>,
    secret: Secret,
    exp: Option<i64>,
}

enum Secret {
    Password(String),
    Token(String),
}

// === impl Login ===

impl Login {
    fn read(mut fields: Fields) -> Result<Login, ApiError> {
        let uid = fields.take("uid");
        let exp = fields.whole("exp");
        let secret = match (fields.take("password"), fields.take("token")) {
            (Some(password), None) => Secret::Password(password),
            (None, Some(token)) => Secret::Token(token),
            _ => {
                let text =
                    "Exactly one of `token` and `password` must be provided in the request body";
                return Err(ApiError::bad_plain(text));
            }
        };
        if let (Secret::Password(_), None) = (&secret, &uid) {
            return Err(ApiError::bad_plain("`uid` missing in the request body"));
        }
        let empty = matches!(&secret, Secret::Password(password) if password.is_empty());
        if empty || uid.as_deref() == Some("") {
            let text = "`uid` and `password` must not be empty strings";
            return Err(ApiError::bad_plain(text));
        }
        Ok(Login { uid, secret, exp })
    }
}

/// Exchanges a password, a service's token or one of another provider for a token.
pub(super) async fn post(iam: &Iam, call: &Call, body: Option<Value>) -> Answer {
    let login = Login::read(LOGIN.read(body)?)?;
    match (login.uid, login.secret) {
        (Some(uid), Secret::Password(password)) => with_password(iam, call, &uid, password).await,
        (Some(uid), Secret::Token(token)) => {
            with_service_token(iam, call, &uid, &token, login.exp).await
        }
        (None, Secret::Token(token)) => sso::id_token(iam, call, &token).await,
        (None, Secret::Password(_)) => Err(ApiError::internal()),
    }
}

async fn with_password(iam: &Iam, call: &Call, uid: &str, password: String) -> Answer {
    let mut attempt = Attempt::new(uid, call.client);
    turn(iam, call, "login-password", uid, &mut attempt).await?;
    // Whoever is unknown, or may not log in this way, takes as long.
    let user = iam.state().user(uid).ok().filter(|user| user.active && !user.is_remote()).cloned();
    let stored = user.as_deref().and_then(stored);
    let verified = match iam.keys.passwords.verify(stored, password.clone(), iam.mix()).await {
        Ok(verified) => verified,
        Err(error) => {
            iam.throttle().undone(&attempt, iam.now());
            return Err(unhashed(error));
        }
    };
    let Some(user) = user.filter(|_| verified.ok) else {
        denied(iam, call, "login-password", uid, "wrong uid or password").await?;
        return Err(ApiError::invalid_credentials());
    };
    iam.throttle().succeeded(&attempt, iam.now());
    let response = granted(iam, call, "login-password", &user, None).await?;
    if verified.rehash {
        rehash(iam, call, &user, password).await;
    }
    Ok(response)
}

/// A login works also where the better hash cannot be kept.
async fn rehash(iam: &Iam, call: &Call, user: &User, password: String) {
    let Some(from) = user.password.clone() else { return };
    let Ok(to) = iam.keys.passwords.hash(password).await else { return };
    let to = PasswordHash(to.as_str().to_owned());
    let command = Command::Rehash { uid: user.uid.clone(), from, to };
    // It is ours to keep hashes well, also those of superusers.
    let caller = Caller { uid: user.uid.clone(), superuser: true };
    if let Err(error) = iam.change(call, &caller, &command).await {
        tracing::warn!(%error, "an old hash of a password stays");
    }
}

async fn with_service_token(
    iam: &Iam,
    call: &Call,
    uid: &str,
    token: &str,
    exp: Option<i64>,
) -> Answer {
    let user = iam.state().user(uid).ok().filter(|user| user.active).cloned();
    let pem = user.as_ref().and_then(|user| user.public_key.as_deref());
    let named = identity::Jws::parse(token).ok().map(|jws| jws.algorithm());
    let Checking { key, own } = checking(pem, named);
    let key = key.ok_or_else(ApiError::internal)?;
    let verified = identity::verify_service_login(token, uid, &key, iam.clock.now());
    let reason = match (&verified, own) {
        (Err(error), true) => format!("the login token is refused: {error}"),
        _ if pem.is_some() => "the login token is of another kind of key".to_owned(),
        _ => "no such service account".to_owned(),
    };
    // Signatures are not guessed, so a right one never waits: nobody can lock a service out.
    let mut attempt = Attempt::of_service(uid, call.client);
    let Some(user) = user.clone().filter(|_| own && verified.is_ok()) else {
        turn(iam, call, "login-service", uid, &mut attempt).await?;
        denied(iam, call, "login-service", uid, &reason).await?;
        return Err(ApiError::invalid_credentials());
    };
    iam.throttle().succeeded(&attempt, iam.now());
    granted(iam, call, "login-service", &user, exp).await
}

/// Whether somebody who is logged in knows their password.
pub(super) async fn confirm(
    iam: &Iam,
    call: &Call,
    user: &User,
    password: Option<String>,
) -> Result<(), ApiError> {
    let password = password.unwrap_or_default();
    let mut attempt = Attempt::new(&user.uid, call.client);
    turn(iam, call, "password-confirm", &user.uid, &mut attempt).await?;
    match iam.keys.passwords.verify(stored(user), password, iam.mix()).await {
        Ok(verified) if verified.ok => {
            iam.throttle().succeeded(&attempt, iam.now());
            Ok(())
        }
        Ok(_) => {
            denied(iam, call, "password-confirm", &user.uid, "wrong password").await?;
            let code = Some("ERR_INVALID_CREDENTIALS");
            Err(ApiError { code, ..ApiError::forbidden("`old_password` is not right") })
        }
        Err(error) => {
            iam.throttle().undone(&attempt, iam.now());
            Err(unhashed(error))
        }
    }
}

/// Waits for an attempt's turn, or refuses it.
pub(super) async fn turn(
    iam: &Iam,
    call: &Call,
    name: &'static str,
    uid: &str,
    attempt: &mut Attempt,
) -> Result<(), ApiError> {
    let turn = iam.throttle().begin(attempt, iam.now());
    let wait = match turn {
        Turn::After(wait) if wait.is_zero() => return Ok(()),
        Turn::After(wait) => wait,
        Turn::Refused(wait) => {
            denied(iam, call, name, uid, "too many failed logins").await?;
            return Err(ApiError::too_many_logins(wait));
        }
    };
    let Ok(_held) = iam.held.try_acquire() else {
        iam.throttle().undone(attempt, iam.now());
        denied(iam, call, name, uid, "too many failed logins").await?;
        return Err(ApiError::too_many_logins(wait));
    };
    tokio::time::sleep(wait).await;
    Ok(())
}

/// The token, the cookies, and the line in the audit log.
pub(super) async fn granted(
    iam: &Iam,
    call: &Call,
    name: &'static str,
    user: &User,
    exp: Option<i64>,
) -> Answer {
    let token = token_for(iam, call, name, user, exp).await?;
    let mut response = render::ok(&json!({ "token": token }));
    let cookies = cookies::Login {
        token: &token,
        uid: &user.uid,
        description: &user.description,
        is_remote: user.is_remote(),
        tls: call.tls,
        lifetime: iam.config.token_lifetime,
        info_lifetime: iam.config.info_cookie_lifetime,
    };
    cookies::set(response.headers_mut(), &cookies);
    no_store(&mut response);
    Ok(response)
}

/// The token, and the line in the audit log.
pub(super) async fn token_for(
    iam: &Iam,
    call: &Call,
    name: &'static str,
    user: &User,
    exp: Option<i64>,
) -> Result<String, ApiError> {
    let token = match iam.keys.keyring.issue(&user.uid, user.generation, exp) {
        Ok(token) => token,
        Err(SigningError::Past) => {
            denied(iam, call, name, &user.uid, "the token would have expired already").await?;
            return Err(ApiError::invalid_data("`exp` is not in the future"));
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a token was not signed");
            return Err(ApiError::internal());
        }
    };
    iam.record(Event { result: "allow", ..event(call, name, &user.uid) }).await?;
    Ok(token)
}

pub(super) async fn denied(
    iam: &Iam,
    call: &Call,
    name: &'static str,
    uid: &str,
    reason: &str,
) -> Result<(), ApiError> {
    let reason = reason.to_owned();
    let whose = Whose::Source(network(call.client));
    iam.refuse(Event { result: "deny", reason, ..event(call, name, &shown(uid)) }, whose).await
}

/// What somebody typed as a name may be a password: what cannot be a name is not written down.
fn shown(uid: &str) -> String {
    match crate::model::check_uid(uid) {
        Ok(()) => uid.to_owned(),
        Err(_) => "(not a uid)".to_owned(),
    }
}

fn stored(user: &User) -> Option<Stored> {
    user.password.as_ref().and_then(|hash| Stored::parse(&hash.0).ok())
}

pub(super) fn logout() -> Response {
    let mut response = respond::ok();
    cookies::clear(response.headers_mut());
    no_store(&mut response);
    response
}

pub(super) fn no_store(response: &mut Response) {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}
