//! The API's outside: paths, who may use them, bodies, answers.

pub(crate) mod access;
mod acls;
mod authority;
pub(crate) mod call;
mod cookies;
mod gateway;
mod groups;
mod login;
mod metrics;
pub(crate) mod render;
pub(crate) mod route;
pub(crate) mod schema;
mod sso;
mod system;
mod users;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{Method, StatusCode};
use http_kit::{Reply, Request, Response, Service};
use serde_json::Value;

use self::call::Call;
use self::metrics::Counters;
use self::route::Route;
use crate::ApiError;
use crate::service::{Caller, Iam};

/// Answers requests.
pub(crate) struct Api {
    iam: Arc<Iam>,
    counters: Arc<Counters>,
}

/// What endpoints answer.
pub(crate) type Answer = Result<Response, ApiError>;

// === impl Api ===

impl Api {
    pub(crate) fn new(iam: Arc<Iam>) -> Api {
        Api { iam, counters: Arc::new(Counters::new()) }
    }
}

impl Service for Api {
    fn call(&self, request: Request, peer: SocketAddr) -> Reply {
        let Some(route) = Route::find(request.uri().path()) else {
            return Reply::Now(render::error(&ApiError::not_found()));
        };
        let (iam, counters) = (Arc::clone(&self.iam), Arc::clone(&self.counters));
        // What was asked for is done even when the client leaves: a change is made and told, or
        // not made.
        Reply::detached(async move {
            let (started, name) = (Instant::now(), route.name());
            let response = answer(&iam, &counters, route, request, peer).await;
            counters.count(name, response.status(), started.elapsed());
            response
        })
    }
}

async fn answer(
    iam: &Arc<Iam>,
    counters: &Counters,
    route: Route,
    request: Request,
    peer: SocketAddr,
) -> Response {
    let (mut head, body) = request.into_parts();
    let methods = route.methods();
    if head.method == Method::OPTIONS {
        return render::methods(StatusCode::OK, methods);
    }
    // The server leaves the body out.
    if head.method == Method::HEAD && route != Route::Policy {
        head.method = Method::GET;
    }
    if !methods.contains(&head.method) {
        return render::methods(StatusCode::METHOD_NOT_ALLOWED, methods);
    }
    let proven = gateway::is_proven(iam, &mut head.headers);
    let call = Call::new(head, peer, proven, &iam.config.trusted_proxies);
    let caller = match access::judge(iam, &call, &route).await {
        Ok(caller) => caller,
        Err(refusal) => return render::error(&refusal),
    };
    if let Route::CaInfo | Route::CaSign = route {
        return match call::read(body, crate::ca::api::BODY_LIMIT).await {
            Ok(body) => authority::answer(iam, &call, &caller, &route, &body).await,
            Err(refused) => refused,
        };
    }
    let begins_flow = route == Route::Login && call.method == Method::GET;
    if !begins_flow && !speaks_otherwise(&route) && !call.accepts_json() {
        return render::error(&ApiError::not_acceptable());
    }
    let takes_body = matches!(call.method, Method::PUT | Method::POST | Method::PATCH);
    let body = if takes_body {
        match call::read(body, call::MAX_BODY).await {
            Ok(body) => call::parse(&call.headers, &body),
            Err(refused) => return refused,
        }
    } else {
        Ok(None)
    };
    let answered = match body {
        Ok(body) => dispatch(iam, counters, route, &call, &caller, body).await,
        Err(refusal) => Err(refusal),
    };
    answered.unwrap_or_else(|refusal| {
        tracing::debug!(status = %refusal.status, code = ?refusal.code, "refused");
        render::error(&refusal)
    })
}

/// Whether an endpoint answers something else than JSON.
fn speaks_otherwise(route: &Route) -> bool {
    matches!(
        route,
        Route::OpenApi
            | Route::Policy
            | Route::CaCertificate
            | Route::Metrics
            | Route::Health
            | Route::OidcCallback
    )
}

async fn dispatch(
    iam: &Arc<Iam>,
    counters: &Counters,
    route: Route,
    call: &Call,
    caller: &Caller,
    body: Option<Value>,
) -> Answer {
    match route {
        Route::Users => Ok(users::list(iam, call)),
        Route::User(uid) => users::item(iam, call, caller, uid, body).await,
        Route::UserGroups(uid) => users::groups(iam, &uid),
        Route::UserPermissions(uid) => users::permissions(iam, &uid),
        Route::UserTokens(uid) => users::revoke(iam, call, caller, uid).await,
        Route::Groups => Ok(groups::list(iam)),
        Route::Group(gid) => groups::item(iam, call, caller, gid, body).await,
        Route::GroupUsers(gid) => groups::users(iam, call, &gid),
        Route::GroupUser(gid, uid) => groups::member(iam, call, caller, gid, uid).await,
        Route::GroupPermissions(gid) => groups::permissions(iam, &gid),
        Route::Acls => Ok(acls::list(iam)),
        Route::Acl(rid) => acls::item(iam, call, caller, rid, body).await,
        Route::AclPermissions(rid) => acls::permissions(iam, &rid),
        Route::AclSubject(rid, subject) => acls::subject(iam, call, caller, rid, subject).await,
        Route::AclAction(rid, subject, action) => {
            acls::action(iam, call, caller, rid, subject, &action).await
        }
        Route::Login if call.method == Method::POST => login::post(iam, call, body).await,
        Route::Login => sso::start(iam, call).await,
        Route::Logout => Ok(login::logout()),
        Route::Jwks => Ok(render::ok(&iam.keys.keyring.ring().key_set().to_json())),
        Route::Providers => Ok(render::ok(&iam.keys.sso.providers.ways_to_log_in())),
        Route::OidcCallback => sso::callback(iam, call).await,
        Route::OidcProviders => Ok(render::ok(&iam.keys.sso.providers.descriptions())),
        Route::OidcProvider(id) => sso::provider(iam, call, caller, &id, body).await,
        Route::UiConfig => Ok(system::ui_config(iam)),
        Route::OpenApi => Ok(system::openapi()),
        Route::Policy => system::policy(iam, call),
        Route::PolicyQuery => system::policy_query(iam, call),
        Route::SigningKeys => authority::rotate(iam, call, caller).await,
        Route::SigningKey(kid) => authority::revoke(iam, call, caller, &kid).await,
        Route::CaCertificate => Ok(authority::certificate(iam)),
        Route::CaInfo | Route::CaSign => Err(ApiError::not_found()),
        Route::Health => Ok(http_kit::respond::json("{\"healthy\":true}")),
        Route::Metrics => Ok(counters.answer(iam)),
    }
}
