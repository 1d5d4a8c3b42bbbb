//! `POST /api/v1/scheduler`: the calls of schedulers and the stream of events to them.
use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::body::Body as AxumBody;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use http_body::{Body as HttpBody, Frame};
use http_kit::{
    Body, Endpoint, Request, Response,
    guard::Refusal,
    negotiate::{Media, request_media, require_post, response_media},
    permissions::Caller,
    read_body, respond,
};
use itoa::Buffer;
use mesos_messages::{
    content::{self, ContentType},
    json::JsonMessage,
    v1,
};
use prost::Message;
use tokio::sync::oneshot;
use v1::scheduler::{Call, Event, call};

use super::{ACTOR, HttpState, PERMISSIONS, SCHEDULER, permissions::SCHEDULER as SCHEDULER_API};
use crate::{
    core::validate,
    handle::{
        EventStream, MasterHandle, Principal, SchedulerReply, SchedulerRequest, SchedulerSubscribe,
        StreamEvent, event_stream,
    },
};

const STREAM_ID: HeaderName = HeaderName::from_static("mesos-stream-id");

/// The scheduler API.
pub fn endpoint(state: Arc<HttpState>) -> Endpoint {
    Endpoint::new(ACTOR, "/api/v1/scheduler", move |request| {
        let (handle, roles) = (state.handle.clone(), Arc::clone(&state.schedulers));
        async move { answer(handle, roles, request).await.unwrap_or_else(|refused| refused) }
    })
    .realm(SCHEDULER)
    .help("Endpoint for schedulers to make calls against the master.")
}

async fn answer(
    handle: MasterHandle,
    roles: Arc<Roles>,
    request: Request,
) -> Result<Response, Response> {
    require_post(request.method())?;
    let content = content_type(request_media(request.headers())?);
    let (parts, body) = request.into_parts();
    let caller = Caller::of(&parts.extensions);
    let principal = Principal(caller.principal().map(|principal| principal.0.to_string()));
    let body = read_body(body, handle.config().max_body_bytes).await?;
    let call: Call =
        content::decode(content, &body).map_err(|error| respond::bad_request(error.to_string()))?;
    drop(body);
    judge(&call, stream_id(&parts.headers), &roles, &caller)?;
    validate::scheduler_call(&call, principal.0.as_deref()).map_err(|reason| {
        respond::bad_request(format!("Failed to validate scheduler::Call: {reason}"))
    })?;
    let call = Box::new(call);
    match call.r#type() {
        call::Type::Subscribe => subscribe(handle, roles, call, principal, &parts.headers).await,
        kind => {
            if kind == call::Type::ReconcileOperations {
                response_media(&parts.headers)?;
            }
            let stream_id = stream_id(&parts.headers).map(str::to_owned);
            let request = SchedulerRequest { call, stream_id, principal };
            let reply = handle.scheduler_call(request).await.map_err(|_| stopped())?;
            Ok(reply_to(reply))
        }
    }
}

fn reply_to(reply: SchedulerReply) -> Response {
    match reply {
        SchedulerReply::Accepted => respond::accepted(),
        SchedulerReply::Done => respond::ok(),
        SchedulerReply::Refused(code, text) => {
            let code = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST);
            if text.is_empty() { respond::status(code) } else { respond::text(code, text) }
        }
        SchedulerReply::Response(response) => respond::json(response.to_json()),
    }
}

/// The roles that each stream was subscribed with: later calls need the permission of them too,
/// and who loses it loses it at once.
#[derive(Debug, Default)]
pub struct Roles(Mutex<HashMap<String, Arc<[String]>>>);

// === impl Roles ===

impl Roles {
    fn of(&self, stream: &str) -> Option<Arc<[String]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(stream).cloned()
    }

    fn set(&self, stream: &str, roles: Arc<[String]>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(stream.to_owned(), roles);
    }

    /// As [`Roles::set`], unless the stream is over.
    fn change(&self, stream: &str, roles: Arc<[String]>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(stream) {
            *known = roles;
        }
    }

    fn forget(&self, stream: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(stream);
    }
}

/// The roles that a call names itself.
fn named_roles(call: &Call) -> Option<Arc<[String]>> {
    let info = match (&call.subscribe, &call.update_framework) {
        (Some(subscribe), _) => &subscribe.framework_info,
        (None, Some(update)) => &update.framework_info,
        (None, None) => return None,
    };
    Some(validate::roles(info).into_iter().map(str::to_owned).collect())
}

/// Whether the caller may make this call: be a framework of each of its roles.
fn judge(
    call: &Call,
    stream: Option<&str>,
    roles: &Roles,
    caller: &Caller,
) -> Result<(), Response> {
    if caller.is_free() {
        return Ok(());
    }
    let kind = call.r#type().as_str_name();
    let ask = |role: &str| {
        PERMISSIONS
            .judge_call(&Method::POST, SCHEDULER_API, kind, caller, role)
            .map_err(Refusal::response)
    };
    let ask_all = |roles: &[String]| match roles {
        // Of no role in particular.
        [] => ask(""),
        roles => roles.iter().try_for_each(|role| ask(role)),
    };
    if call.r#type() == call::Type::Subscribe {
        return ask_all(named_roles(call).as_deref().unwrap_or_default());
    }
    ask_all(stream.and_then(|stream| roles.of(stream)).as_deref().unwrap_or_default())?;
    if let (call::Type::UpdateFramework, Some(named)) = (call.r#type(), named_roles(call)) {
        ask_all(&named)?;
        roles.change(stream.unwrap_or_default(), named);
    }
    Ok(())
}

async fn subscribe(
    handle: MasterHandle,
    roles: Arc<Roles>,
    call: Box<Call>,
    principal: Principal,
    headers: &HeaderMap,
) -> Result<Response, Response> {
    let content = content_type(response_media(headers)?);
    if stream_id(headers).is_some() {
        return Err(respond::bad_request(
            "Subscribe calls should not include the 'Mesos-Stream-Id' header",
        ));
    }
    let id = uuid::Uuid::new_v4().to_string();
    let (queue, events) = event_stream(handle.config().max_queued_events);
    if let Some(named) = named_roles(&call) {
        roles.set(&id, named);
    }
    let subscribe = SchedulerSubscribe { call, stream_id: id.clone(), principal, events: queue };
    if handle.scheduler_subscribe(subscribe).await.is_err() {
        roles.forget(&id);
        return Err(stopped());
    }

    let (alive, gone) = oneshot::channel::<Infallible>();
    let watched = (handle, id.clone());
    tokio::spawn(async move {
        // Ends when the body is dropped: its reader left, or the stream is over.
        let _ = gone.await;
        let (handle, id) = watched;
        roles.forget(&id);
        let _ = handle.stream_closed(id).await;
    });
    let body = EventBody { events, content, ready: VecDeque::new(), _alive: alive };
    let mut response = Response::new(Body::Boxed(AxumBody::new(body)));
    let id = HeaderValue::from_str(&id).map_err(|_| stopped())?;
    response.headers_mut().insert(STREAM_ID, id);
    let kind = HeaderValue::from_static(content.as_str());
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

fn stream_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(STREAM_ID).map(|value| value.to_str().unwrap_or(""))
}

fn content_type(media: Media) -> ContentType {
    match media {
        Media::Json => ContentType::Json,
        Media::Protobuf => ContentType::Protobuf,
    }
}

fn stopped() -> Response {
    respond::text(StatusCode::SERVICE_UNAVAILABLE, "The master is stopping")
}

/// A scheduler's stream as a body: one record, one frame, one chunk.
struct EventBody {
    events: EventStream,
    content: ContentType,
    ready: VecDeque<StreamEvent>,
    /// Dropped with the body.
    _alive: oneshot::Sender<Infallible>,
}

impl HttpBody for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                let record = frame(self.content, &next.event());
                return Poll::Ready(Some(Ok(Frame::data(record))));
            }
            match self.events.poll_next(cx) {
                Poll::Ready(Some(events)) => self.ready.extend(events),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// The event in a RecordIO frame.
fn frame(content: ContentType, event: &Event) -> Bytes {
    // The length comes first but is known last: room is left for it.
    const ROOM: usize = 21;
    let mut out = Vec::with_capacity(1024);
    out.resize(ROOM, 0);
    match content {
        ContentType::Json => event.write_json(&mut out),
        ContentType::Protobuf => event.encode_raw(&mut out),
    }
    let mut digits = Buffer::new();
    let length = digits.format(out.len() - ROOM);
    let start = ROOM - length.len() - 1;
    if let Some(place) = out.get_mut(start..ROOM - 1) {
        place.copy_from_slice(length.as_bytes());
    }
    if let Some(place) = out.get_mut(ROOM - 1) {
        *place = b'\n';
    }
    Bytes::from(out).slice(start..)
}
