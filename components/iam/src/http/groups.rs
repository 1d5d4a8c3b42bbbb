//! `/groups`.

use http::Method;
use http_kit::Response;
use serde_json::{Value, json};

use super::call::Call;
use super::schema::{DESCRIPTION, GROUP_CREATE};
use super::{Answer, render};
use crate::ApiError;
use crate::model::{Command, ProviderType, Subject};
use crate::service::{Caller, Iam};

pub(super) fn list(iam: &Iam) -> Response {
    render::array(iam.state().groups().map(|group| render::group(group)))
}

pub(super) async fn item(
    iam: &Iam,
    call: &Call,
    caller: &Caller,
    gid: String,
    body: Option<Value>,
) -> Answer {
    match call.method {
        Method::PUT => {
            let mut fields = GROUP_CREATE.read(body)?;
            let description = fields.take("description").unwrap_or_default();
            let provider_type = match fields.take("provider_type") {
                None => ProviderType::Internal,
                Some(name) => ProviderType::parse(&name).ok_or_else(|| {
                    ApiError::invalid_data(format!("Invalid provider_type: {name}"))
                })?,
            };
            let command = Command::CreateGroup { gid, description, provider_type };
            iam.change(call, caller, &command).await?;
            Ok(render::created())
        }
        Method::PATCH => {
            let description = DESCRIPTION.read(body)?.take("description").unwrap_or_default();
            iam.change(call, caller, &Command::UpdateGroup { gid, description }).await?;
            Ok(render::no_content())
        }
        Method::DELETE => {
            iam.change(call, caller, &Command::DeleteGroup { gid }).await?;
            Ok(render::no_content())
        }
        _ => Ok(render::ok(&render::group(iam.state().group(&gid)?))),
    }
}

/// Members who are people, or with `type=service` service accounts.
pub(super) fn users(iam: &Iam, call: &Call, gid: &str) -> Answer {
    let services = call.params.get("type") == Some("service");
    let state = iam.state();
    let members = state.group(gid)?.members.iter();
    let users = members.filter_map(|uid| state.user(uid).ok());
    let items = users.filter(|user| user.is_service() == services).map(|user| {
        json!({
            "membershipurl": render::membership_url(gid, &user.uid),
            "user": render::user(user),
        })
    });
    Ok(render::array(items))
}

pub(super) async fn member(
    iam: &Iam,
    call: &Call,
    caller: &Caller,
    gid: String,
    uid: String,
) -> Answer {
    let command = match call.method {
        Method::PUT => Command::AddMember { gid, uid },
        _ => Command::RemoveMember { gid, uid },
    };
    iam.change(call, caller, &command).await?;
    Ok(render::no_content())
}

pub(super) fn permissions(iam: &Iam, gid: &str) -> Answer {
    let state = iam.state();
    state.group(gid)?;
    let subject = Subject::Group(gid.to_owned());
    let items = state.acls().filter_map(|acl| {
        let actions = subject.actions(acl)?;
        Some(Value::Object(render::permission(acl, &subject, *actions)))
    });
    Ok(render::array(items))
}
