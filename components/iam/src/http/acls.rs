//! `/acls`.

use http::Method;
use http_kit::Response;
use identity::Action;
use serde_json::{Value, json};

use super::call::Call;
use super::schema::DESCRIPTION;
use super::{Answer, render};
use crate::ApiError;
use crate::model::{Command, Subject};
use crate::service::{Caller, Iam};

pub(super) fn list(iam: &Iam) -> Response {
    render::array(iam.state().acls().map(|acl| render::acl(acl)))
}

pub(super) async fn item(
    iam: &Iam,
    call: &Call,
    caller: &Caller,
    rid: String,
    body: Option<Value>,
) -> Answer {
    match call.method {
        Method::PUT => {
            let description = DESCRIPTION.read(body)?.take("description").unwrap_or_default();
            iam.change(call, caller, &Command::CreateAcl { rid, description }).await?;
            Ok(render::created())
        }
        Method::PATCH => {
            let description = DESCRIPTION.read(body)?.take("description").unwrap_or_default();
            iam.change(call, caller, &Command::UpdateAcl { rid, description }).await?;
            Ok(render::no_content())
        }
        Method::DELETE => {
            iam.change(call, caller, &Command::DeleteAcl { rid }).await?;
            Ok(render::no_content())
        }
        _ => Ok(render::ok(&render::acl(iam.state().acl(&rid)?))),
    }
}

/// Who may do what with a resource.
pub(super) fn permissions(iam: &Iam, rid: &str) -> Answer {
    let state = iam.state();
    let acl = state.acl(rid)?;
    let users = acl.users.iter().map(|(uid, actions)| {
        json!({
            "uid": uid,
            "userurl": render::user_url(uid),
            "actions": render::actions(rid, &Subject::User(uid.clone()), *actions),
        })
    });
    let groups = acl.groups.iter().map(|(gid, actions)| {
        json!({
            "gid": gid,
            "groupurl": render::group_url(gid),
            "actions": render::actions(rid, &Subject::Group(gid.clone()), *actions),
        })
    });
    let (users, groups): (Vec<Value>, Vec<Value>) = (users.collect(), groups.collect());
    Ok(render::ok(&json!({ "users": users, "groups": groups })))
}

/// What a user or group may do with a resource.
pub(super) async fn subject(
    iam: &Iam,
    call: &Call,
    caller: &Caller,
    rid: String,
    subject: Subject,
) -> Answer {
    if call.method == Method::DELETE {
        iam.change(call, caller, &Command::ForbidAll { rid, subject }).await?;
        return Ok(render::no_content());
    }
    let state = iam.state();
    let acl = state.acl(&rid)?;
    subject.check(&state)?;
    let actions = subject.actions(acl).copied().unwrap_or_default();
    Ok(render::array(render::actions(&rid, &subject, actions)))
}

/// Whether a user or group was granted an action.
pub(super) async fn action(
    iam: &Iam,
    call: &Call,
    caller: &Caller,
    rid: String,
    subject: Subject,
    action: &str,
) -> Answer {
    let action = Action::from_name(action).ok_or_else(|| {
        let text = "Invalid action: expecting create, read, update, delete or full";
        ApiError::bad("ERR_INVALID_ACTION", text)
    })?;
    let command = match call.method {
        Method::PUT => Command::Allow { rid, subject, action },
        Method::DELETE => Command::Forbid { rid, subject, action },
        _ => {
            let state = iam.state();
            let acl = state.acl(&rid)?;
            subject.check(&state)?;
            let allowed = subject.actions(acl).is_some_and(|actions| actions.contains(action));
            return Ok(render::ok(&json!({ "allowed": allowed })));
        }
    };
    iam.change(call, caller, &command).await?;
    Ok(render::no_content())
}
