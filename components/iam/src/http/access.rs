//! Who makes a request, and whether they may.

use http_kit::guard::{Token, is_direct_loopback, token};
use identity::Action;

use super::call::Call;
use super::route::{Access, Route};
use crate::ApiError;
use crate::audit::{Event, Whose};
use crate::service::{Caller, Iam, event};

/// Lets a request pass, or says why not.
pub(crate) async fn judge(iam: &Iam, call: &Call, route: &Route) -> Result<Caller, ApiError> {
    let nobody = Caller { uid: String::new(), superuser: false };
    let access = route.access(&call.method);
    if access == Access::Public {
        return Ok(nobody);
    }
    let given = token(&call.headers);
    if let Access::Local(..) = access
        && given == Token::None
        && !call.forwarded
        && is_direct_loopback(&call.headers, call.peer)
    {
        return Ok(nobody);
    }
    let Token::Given(token) = given else {
        return Err(ApiError::unauthorized("A valid authentication token is needed."));
    };
    let snapshot = iam.feed.snapshot();
    let claims = snapshot.authenticate(token, iam.clock.now()).map_err(|error| {
        tracing::debug!(%error, "a token was refused");
        ApiError::unauthorized("The authentication token is not valid.")
    })?;
    let policy = &snapshot.policy;
    let caller = Caller { superuser: policy.is_superuser(&claims.uid), uid: claims.uid };
    let allows = |rid: &str, action: Action| policy.allows(&caller.uid, rid, action);
    let allowed = match &access {
        Access::Public => true,
        Access::Local(rid, action) => allows(rid, *action),
        Access::Permission(any) => any.iter().any(|(rid, action)| allows(rid, *action)),
        Access::User(uid, rid, action) => *uid == caller.uid || allows(rid, *action),
        Access::Superuser => caller.superuser,
    };
    if allowed {
        return Ok(caller);
    }
    let object = format!("{} {}", call.method, route.name());
    let refused = Event { object, result: "deny", ..event(call, "refused", &caller.uid) };
    let reason = "no permission".to_owned();
    iam.refuse(Event { reason, ..refused }, Whose::User(caller.uid)).await?;
    Err(ApiError::forbidden("You have no permission for this."))
}

/// Whether a caller may do more with a user than the user may.
pub(crate) fn manages(iam: &Iam, caller: &Caller, uid: &str) -> bool {
    let rid = format!("dcos:iam:users:{uid}");
    iam.feed.snapshot().policy.allows(&caller.uid, &rid, Action::Update)
}
