//! `/api/v1/executor`: calls of executors and the streams of their events.

use super::{ACTOR, Answered, MAX_BODY, State, content_type, flatten, recovering, stopping};
use crate::{
    core::{Answer, RequestId},
    shell::streams::{MAX_WAITING, Stream},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use http_kit::{
    Body, Endpoint, Request, Response, Routes,
    negotiate::{request_media, require_post, response_media},
    read_body, respond,
};
use mesos_messages::{
    content::{self, ContentType},
    recordio,
    v1::{
        self,
        executor::{Call, Event, call, event},
        task_status::Source,
    },
};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Keeps middle boxes from forgetting idle streams.
const HEARTBEAT: Duration = Duration::from_secs(30 * 60);

pub(super) fn add(routes: &mut Routes, state: &Arc<State>) {
    let state = Arc::clone(state);
    routes.add(
        Endpoint::new(ACTOR, "/api/v1/executor", move |request| {
            let state = Arc::clone(&state);
            async move { flatten(handle(&state, request).await) }
        })
        .help("The executor API"),
    );
}

async fn handle(state: &Arc<State>, request: Request) -> Answered {
    let (parts, body) = request.into_parts();
    require_post(&parts.method)?;
    let media = request_media(&parts.headers)?;
    let body = read_body(body, MAX_BODY).await?;
    let call: Call = content::decode(content_type(media), &body)
        .map_err(|error| respond::bad_request(error.to_string()))?;
    validate(&call).map_err(|text| {
        respond::bad_request(format!("Failed to validate Executor::Call: {text}"))
    })?;
    if call.r#type() == call::Type::Unknown {
        return Err(respond::not_implemented(Body::Empty));
    }
    if call.r#type() != call::Type::Subscribe {
        let answer = state.handle.call(state.request_id(), call).await.ok_or_else(stopping)?;
        return Ok(plain(answer));
    }
    let content = content_type(response_media(&parts.headers)?);
    subscribe(state, call, content).await
}

fn plain(answer: Answer) -> Response {
    match answer {
        Answer::Accepted => respond::accepted(),
        Answer::Stream => respond::ok(),
        Answer::Refused(503, _) => recovering(),
        Answer::Refused(status, text) => {
            respond::text(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), text)
        }
    }
}

async fn subscribe(state: &Arc<State>, call: Call, content: ContentType) -> Answered {
    let request = state.request_id();
    let (records, body) = Body::channel(MAX_WAITING);
    let end = CancellationToken::new();
    let stream = Stream { records: records.clone(), content, end: end.clone() };
    state.streams.add(request, stream);
    // From now on: a client may leave before it is answered.
    tokio::spawn(attend(Arc::clone(state), request, records, content, end));
    let answer = state.handle.call(request, call).await;
    if answer != Some(Answer::Stream) {
        state.streams.close(request);
        return Err(answer.map_or_else(stopping, plain));
    }
    let kind = HeaderValue::from_static(content.as_str());
    Ok(respond::with_body(StatusCode::OK, kind, body))
}

/// Sends heartbeats, and tells the core when the executor is gone.
async fn attend(
    state: Arc<State>,
    request: RequestId,
    records: mpsc::Sender<Bytes>,
    content: ContentType,
    end: CancellationToken,
) {
    let event = Event { r#type: Some(event::Type::Heartbeat as i32), ..Event::default() };
    let heartbeat = Bytes::from(recordio::encode(&content::encode(content, &event)));
    loop {
        tokio::select! {
            () = end.cancelled() => break,
            () = records.closed() => break,
            () = tokio::time::sleep(HEARTBEAT) => {
                if records.try_send(heartbeat.clone()).is_err() {
                    break;
                }
            }
        }
    }
    state.streams.close(request);
    state.handle.stream_closed(request).await;
}

/// What the original demands of a call, in its words.
fn validate(call: &Call) -> Result<(), String> {
    let present = |present: bool, name: &str| {
        if present { Ok(()) } else { Err(format!("Expecting '{name}' to be present")) }
    };
    present(call.r#type.is_some(), "type")?;
    match call.r#type() {
        call::Type::Subscribe => present(call.subscribe.is_some(), "subscribe"),
        call::Type::Message => present(call.message.is_some(), "message"),
        call::Type::Update => {
            present(call.update.is_some(), "update")?;
            call.update.as_ref().map_or(Ok(()), |update| validate_status(call, &update.status))
        }
        call::Type::Unknown | call::Type::Heartbeat => Ok(()),
    }
}

fn validate_status(call: &Call, status: &v1::TaskStatus) -> Result<(), String> {
    let (executor, framework) = (&call.executor_id.value, &call.framework_id.value);
    let Some(uuid) = &status.uuid else {
        return Err("Expecting 'uuid' to be present".to_owned());
    };
    if uuid.len() != 16 {
        return Err("Not a valid UUID".to_owned());
    }
    if let Some(named) = &status.executor_id
        && named != &call.executor_id
    {
        return Err(format!(
            "ExecutorID in Call: {executor} does not match ExecutorID in TaskStatus: {}",
            named.value
        ));
    }
    if status.source != Some(Source::Executor as i32) {
        return Err(format!(
            "Received Call from executor {executor} of framework {framework} with invalid source, \
             expecting 'SOURCE_EXECUTOR'"
        ));
    }
    if status.state() == v1::TaskState::TaskStaging {
        return Err(format!(
            "Received TASK_STAGING from executor {executor} of framework {framework} which is not \
             allowed"
        ));
    }
    match &status.check_status {
        Some(check) => validate_check(check),
        None => Ok(()),
    }
}

fn validate_check(check: &v1::CheckStatusInfo) -> Result<(), String> {
    use v1::check_info::Type;
    let (name, fits) = match check.r#type() {
        Type::Command => ("command", check.command.is_some()),
        Type::Http => ("http", check.http.is_some()),
        Type::Tcp => ("tcp", check.tcp.is_some()),
        Type::Unknown => return Err("CheckStatusInfo must specify 'type'".to_owned()),
    };
    if fits {
        return Ok(());
    }
    let kind = name.to_ascii_uppercase();
    Err(format!("Expecting '{name}' to be set for {kind} check's status"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(change: impl FnOnce(&mut v1::TaskStatus)) -> Result<(), String> {
        let mut status = v1::TaskStatus {
            uuid: Some(Bytes::from_static(&[1; 16])),
            source: Some(Source::Executor as i32),
            state: v1::TaskState::TaskRunning as i32,
            ..Default::default()
        };
        change(&mut status);
        validate(&Call {
            r#type: Some(call::Type::Update as i32),
            update: Some(call::Update { status }),
            executor_id: v1::ExecutorId { value: "e".into() },
            ..Default::default()
        })
    }

    #[test]
    fn updates_must_be_complete() {
        assert_eq!(update(|_| {}), Ok(()));
        assert_eq!(update(|s| s.uuid = None).unwrap_err(), "Expecting 'uuid' to be present");
        assert_eq!(
            update(|s| s.uuid = Some(Bytes::from_static(b"x"))).unwrap_err(),
            "Not a valid UUID"
        );
        assert!(update(|s| s.source = None).unwrap_err().contains("invalid source"));
        assert!(update(|s| s.state = 6).unwrap_err().contains("TASK_STAGING"));
        let other = v1::ExecutorId { value: "x".into() };
        assert!(update(|s| s.executor_id = Some(other)).unwrap_err().contains("does not match"));
        let check = v1::CheckStatusInfo { r#type: Some(2), ..Default::default() };
        assert!(update(|s| s.check_status = Some(Box::new(check))).unwrap_err().contains("http"));
        let none = Call::default();
        assert_eq!(validate(&none).unwrap_err(), "Expecting 'type' to be present");
    }
}
