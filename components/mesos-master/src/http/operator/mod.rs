//! `POST /api/v1`: the operator API.
mod checks;
mod events;
mod files;
mod reads;

use std::sync::Arc;

use http::{HeaderMap, Method};
use http_kit::{
    Endpoint, Reply, Request, Response,
    guard::Refusal,
    negotiate::{self, Media},
    permissions::Caller,
    read_body, respond,
};
use mesos_messages::{
    content::{self, ContentType},
    json::JsonMessage,
    v1::{self, master::call::Type},
};

use super::{ACTOR, HttpState, PERMISSIONS, READWRITE, pages, permissions::OPERATOR, plans::Shown};

/// The operator API.
pub(super) fn endpoint(state: &Arc<HttpState>) -> Endpoint {
    let state = Arc::clone(state);
    let handler = move |request| Reply::detached(answer(Arc::clone(&state), request));
    Endpoint::reply(ACTOR, "/api/v1", handler).realm(READWRITE).help("The v1 operator API")
}

async fn answer(state: Arc<HttpState>, request: Request) -> Response {
    match handle(&state, request).await {
        Ok(response) | Err(response) => response,
    }
}

/// A call with how to answer it.
struct Asked {
    call: v1::master::Call,
    media: Media,
    caller: Caller,
}

impl Asked {
    fn protobuf(&self) -> bool {
        self.media == Media::Protobuf
    }

    /// A message as the whole answer.
    fn respond<M: JsonMessage>(&self, message: &M) -> Response {
        respond::bytes(self.media.name(), content::encode(content_type(self.media), message).into())
    }

    /// A `Response` with its type and one field.
    fn reply(&self, response: v1::master::Response) -> Response {
        self.respond(&response)
    }
}

fn content_type(media: Media) -> ContentType {
    match media {
        Media::Json => ContentType::Json,
        Media::Protobuf => ContentType::Protobuf,
    }
}

async fn handle(state: &Arc<HttpState>, request: Request) -> Result<Response, Response> {
    negotiate::require_post(request.method())?;
    let encoding = negotiate::request_media(request.headers())?;
    let (head, body) = request.into_parts();
    let body = read_body(body, state.handle.config().max_body_bytes).await?;
    let call: v1::master::Call = content::decode(content_type(encoding), &body)
        .map_err(|error| respond::bad_request(error.to_string()))?;
    let caller = Caller::of(&head.extensions);
    judge(state, &call, &caller).await?;
    let kind = checks::check(&call)
        .map_err(|text| respond::bad_request(format!("Failed to validate master::Call: {text}")))?;
    let media = accepted(&head.headers)?;
    Ok(dispatch(state, kind, Asked { call, media, caller }).await)
}

/// Whether the caller may make this call. Comes before everything that tells of the state.
async fn judge(
    state: &HttpState,
    call: &v1::master::Call,
    caller: &Caller,
) -> Result<(), Response> {
    let principal = match &call.teardown {
        Some(teardown) => state.principal_of(&teardown.framework_id.value, caller).await?,
        None => String::new(),
    };
    let kind = call.r#type().as_str_name();
    PERMISSIONS
        .judge_call(&Method::POST, OPERATOR, kind, caller, &principal)
        .map_err(Refusal::response)
}

fn accepted(headers: &HeaderMap) -> Result<Media, Response> {
    negotiate::response_media(headers)
}

async fn dispatch(state: &Arc<HttpState>, kind: Type, asked: Asked) -> Response {
    match kind {
        Type::GetHealth => reads::health(&asked),
        Type::GetFlags => reads::flags(state, &asked),
        Type::GetVersion => reads::version(state, &asked),
        Type::GetMetrics => reads::metrics(state, &asked).await,
        Type::GetLoggingLevel => reads::logging_level(state, &asked),
        Type::SetLoggingLevel => reads::set_logging_level(state, &asked),
        Type::ListFiles => files::list(state, &asked).await,
        Type::ReadFile => files::read(state, &asked).await,
        Type::GetState => reads::shown(state, &asked, Shown::State).await,
        Type::GetAgents => reads::shown(state, &asked, Shown::Agents).await,
        Type::GetFrameworks => reads::shown(state, &asked, Shown::Frameworks).await,
        Type::GetExecutors => reads::shown(state, &asked, Shown::Executors).await,
        Type::GetTasks => reads::shown(state, &asked, Shown::Tasks).await,
        Type::GetOperations => reads::operations(&asked),
        Type::GetRoles => reads::roles(state, &asked).await,
        Type::GetWeights => reads::weights(state, &asked).await,
        Type::GetMaster => reads::master(state, &asked).await,
        Type::GetMaintenanceStatus => reads::maintenance_status(&asked),
        Type::GetMaintenanceSchedule => reads::maintenance_schedule(&asked),
        Type::GetQuota => reads::quota(&asked),
        Type::Subscribe => events::subscribe(state, asked.media).await,
        Type::Teardown => {
            let framework = asked.call.teardown.map(|teardown| teardown.framework_id.value);
            let result = state.handle.teardown(&framework.unwrap_or_default()).await;
            pages::teardown_answer(result)
        }
        Type::Unknown => respond::not_implemented("501 Not Implemented."),
        Type::UpdateWeights => super::unsupported("weights"),
        Type::ReserveResources | Type::UnreserveResources => super::unsupported("reservations"),
        Type::CreateVolumes | Type::DestroyVolumes | Type::GrowVolume | Type::ShrinkVolume => {
            super::unsupported("persistent volumes")
        }
        Type::UpdateMaintenanceSchedule | Type::StartMaintenance | Type::StopMaintenance => {
            super::unsupported("maintenance")
        }
        Type::DrainAgent => super::unsupported("draining agents"),
        Type::DeactivateAgent | Type::ReactivateAgent => super::unsupported("deactivating agents"),
        Type::UpdateQuota | Type::SetQuota | Type::RemoveQuota => super::unsupported("quota"),
        Type::MarkAgentGone => super::unsupported("marking agents gone"),
    }
}
