//! `POST /api/v1/scheduler`: the calls of schedulers and the stream of events to them.
use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body as AxumBody;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use http_body::{Body as HttpBody, Frame};
use http_kit::{
    Body, Endpoint, Request, Response,
    negotiate::{Media, request_media, require_post, response_media},
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

use super::{ACTOR, HttpState, SCHEDULER};
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
        let handle = state.handle.clone();
        async move { answer(handle, request).await.unwrap_or_else(|refused| refused) }
    })
    .realm(SCHEDULER)
    .help("Endpoint for schedulers to make calls against the master.")
}

async fn answer(handle: MasterHandle, request: Request) -> Result<Response, Response> {
    require_post(request.method())?;
    let content = content_type(request_media(request.headers())?);
    let (parts, body) = request.into_parts();
    let principal = parts.extensions.get::<http_kit::Principal>();
    let principal = Principal(principal.map(|principal| principal.0.to_string()));
    let body = read_body(body, handle.config().max_body_bytes).await?;
    let call: Call =
        content::decode(content, &body).map_err(|error| respond::bad_request(error.to_string()))?;
    drop(body);
    validate::scheduler_call(&call, principal.0.as_deref()).map_err(|reason| {
        respond::bad_request(format!("Failed to validate scheduler::Call: {reason}"))
    })?;
    let call = Box::new(call);
    match call.r#type() {
        call::Type::Subscribe => subscribe(handle, call, principal, &parts.headers).await,
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

async fn subscribe(
    handle: MasterHandle,
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
    let subscribe = SchedulerSubscribe { call, stream_id: id.clone(), principal, events: queue };
    handle.scheduler_subscribe(subscribe).await.map_err(|_| stopped())?;

    let (alive, gone) = oneshot::channel::<Infallible>();
    let watched = (handle, id.clone());
    tokio::spawn(async move {
        // Ends when the body is dropped: its reader left, or the stream is over.
        let _ = gone.await;
        let (handle, id) = watched;
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
