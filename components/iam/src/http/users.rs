//! `/users`.

use http::Method;
use http_kit::Response;
use serde_json::{Value, json};

use super::access::manages;
use super::call::Call;
use super::schema::{Fields, USER_CREATE, USER_UPDATE};
use super::{Answer, login, render};
use crate::ApiError;
use crate::model::{Command, Credential, Means, NewUser, PasswordHash, Subject, UserPatch, Wish};
use crate::password::{self, PasswordError, Stored};
use crate::service::{Caller, Iam};

/// People, or with `type=service` service accounts.
pub(super) fn list(iam: &Iam, call: &Call) -> Response {
    let services = call.params.get("type") == Some("service");
    let state = iam.state();
    let users = state.users().filter(|user| user.is_service() == services);
    render::array(users.map(|user| render::user(user)))
}

pub(super) async fn item(
    iam: &Iam,
    call: &Call,
    caller: &Caller,
    uid: String,
    body: Option<Value>,
) -> Answer {
    match call.method {
        Method::PUT => create(iam, call, caller, uid, body).await,
        Method::PATCH => update(iam, call, caller, uid, body).await,
        Method::DELETE => {
            iam.change(call, caller, &Command::DeleteUser { uid }).await?;
            Ok(render::no_content())
        }
        _ => Ok(render::ok(&render::user(iam.state().user(&uid)?))),
    }
}

async fn create(
    iam: &Iam,
    call: &Call,
    caller: &Caller,
    uid: String,
    body: Option<Value>,
) -> Answer {
    let mut fields = USER_CREATE.read(body)?;
    let description = fields.take("description").unwrap_or_default();
    let credential = match fields.take("password_hash") {
        Some(hash) => imported(caller, &uid, hash, &fields)?,
        None => {
            let wish = Wish {
                password: fields.take("password"),
                public_key: fields.take("public_key"),
                description: None,
                provider_type: fields.take("provider_type"),
                provider_id: fields.take("provider_id"),
            };
            match wish.means(&uid)? {
                Means::Password(password) => Credential::Password(hash(iam, password).await?),
                Means::PublicKey(pem) => Credential::PublicKey(checked_key(pem)?),
                Means::Remote { provider_type, provider_id } => {
                    Credential::Remote { provider_type, provider_id }
                }
            }
        }
    };
    let new = NewUser { uid, description, credential };
    iam.change(call, caller, &Command::CreateUser(new)).await?;
    Ok(render::created())
}

/// A user of the original, with the hash it kept.
fn imported(
    caller: &Caller,
    uid: &str,
    hash: String,
    others: &Fields,
) -> Result<Credential, ApiError> {
    if ["password", "public_key", "provider_type", "provider_id"].iter().any(|f| others.has(f)) {
        let text = "With `password_hash` there is no other way to log in";
        return Err(ApiError::invalid_data(text));
    }
    if !caller.superuser {
        return Err(ApiError::forbidden("Only superusers may import hashes of passwords."));
    }
    crate::model::check_uid(uid)?;
    let hash = Stored::parse(&hash).map_err(|error| ApiError::invalid_data(error.to_string()))?;
    Ok(Credential::Password(PasswordHash(hash.as_str().to_owned())))
}

async fn update(
    iam: &Iam,
    call: &Call,
    caller: &Caller,
    uid: String,
    body: Option<Value>,
) -> Answer {
    let mut fields = USER_UPDATE.read(body)?;
    let password = fields.take("password");
    let old_password = fields.take("old_password");
    let mut patch = UserPatch {
        description: fields.take("description"),
        password: None,
        public_key: fields.take("public_key"),
        active: fields.truth("active"),
    };
    if password.is_none() && patch == UserPatch::default() {
        let text = "One of `description` and `password` must be provided.";
        return Err(ApiError::invalid_data(text));
    }
    let user = iam.state().user(&uid)?.clone();
    let mut caller = caller.clone();
    let alone = patch == UserPatch::default();
    if caller.uid == uid && alone && user.password.is_some() && old_password.is_some() {
        login::confirm(iam, call, &user, old_password).await?;
        // Whoever knows it may change it, also who is worth protecting.
        caller.superuser = true;
    } else if !manages(iam, &caller, &uid) {
        return Err(not_oneself(alone));
    }
    if password.is_some() && (user.is_service() || user.is_remote()) {
        // Refused by the model, without the work of hashing.
        patch.password = Some(PasswordHash(String::new()));
    } else if let Some(password) = password {
        patch.password = Some(hash(iam, password).await?);
    }
    if let Some(pem) = patch.public_key.take() {
        patch.public_key = Some(checked_key(pem)?);
    }
    iam.change(call, &caller, &Command::UpdateUser { uid, patch }).await?;
    Ok(render::no_content())
}

/// Why users may not change something about themselves.
fn not_oneself(password_alone: bool) -> ApiError {
    if password_alone {
        let text = "`old_password` must be provided to change one's own password";
        return ApiError::invalid_data(text);
    }
    ApiError::forbidden("Users may change their own password, and nothing else.")
}

pub(super) fn groups(iam: &Iam, uid: &str) -> Answer {
    let state = iam.state();
    state.user(uid)?;
    let item = |group: &std::sync::Arc<crate::model::Group>| {
        json!({
            "membershipurl": render::membership_url(&group.gid, uid),
            "group": render::group(group),
        })
    };
    Ok(render::array(state.groups_of(uid).map(item)))
}

pub(super) fn permissions(iam: &Iam, uid: &str) -> Answer {
    let state = iam.state();
    state.user(uid)?;
    let groups: Vec<_> = state.groups_of(uid).collect();
    let user = Subject::User(uid.to_owned());
    let mut direct = Vec::new();
    let mut by_group = Vec::new();
    for acl in state.acls() {
        if let Some(actions) = user.actions(acl) {
            direct.push(Value::Object(render::permission(acl, &user, *actions)));
        }
        for group in &groups {
            let subject = Subject::Group(group.gid.clone());
            let Some(actions) = subject.actions(acl) else { continue };
            let mut item = render::permission(acl, &subject, *actions);
            item.insert("gid".to_owned(), group.gid.as_str().into());
            let url = render::membership_url(&group.gid, uid);
            item.insert("membershipurl".to_owned(), url.into());
            by_group.push(Value::Object(item));
        }
    }
    Ok(render::ok(&json!({ "direct": direct, "groups": by_group })))
}

/// All tokens of a user become void.
pub(super) async fn revoke(iam: &Iam, call: &Call, caller: &Caller, uid: String) -> Answer {
    let command = Command::RevokeTokens { uid };
    let own = matches!(&command, Command::RevokeTokens { uid } if *uid == caller.uid);
    // Everybody may end their own sessions, also who is worth protecting.
    let caller = Caller { superuser: caller.superuser || own, ..caller.clone() };
    iam.change(call, &caller, &command).await?;
    Ok(render::no_content())
}

async fn hash(iam: &Iam, password: String) -> Result<PasswordHash, ApiError> {
    password::check(&password).map_err(|error| {
        ApiError::invalid_data(format!("Password does not match rules: {error}"))
    })?;
    match iam.keys.passwords.hash(password).await {
        Ok(hash) => Ok(PasswordHash(hash.as_str().to_owned())),
        Err(error) => Err(unhashed(error)),
    }
}

pub(super) fn unhashed(error: PasswordError) -> ApiError {
    match error {
        PasswordError::Busy => ApiError::unavailable(error.to_string()),
        error => {
            tracing::error!(%error, "a password was not hashed");
            ApiError::internal()
        }
    }
}

/// The key stays as it was written; whether it can be used is said at once.
fn checked_key(pem: String) -> Result<String, ApiError> {
    identity::PublicKey::from_pem(&pem).map_err(ApiError::invalid_public_key)?;
    Ok(pem)
}
