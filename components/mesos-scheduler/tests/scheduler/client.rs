//! Subscribing, calling, losing the master and finding it again.

use super::master::{Master, PATIENCE, subscribed};
use bytes::Bytes;
use http::HeaderValue;
use mesos_messages::{
    content::ContentType,
    v1::{
        AgentId, FrameworkInfo, OfferId, TaskId, TaskStatus,
        scheduler::{Event, call, event},
    },
};
use mesos_scheduler::{Authorize, CallError, ClientError, Config, Credential, Notice, start};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc::Receiver, time::timeout};

fn config(host: String) -> Config {
    let framework =
        FrameworkInfo { user: "root".into(), name: "test".into(), ..Default::default() };
    let mut config = Config::new(host, framework);
    config.backoff = (Duration::from_millis(1), Duration::from_millis(20));
    config
}

async fn next(notices: &mut Receiver<Notice>) -> Notice {
    timeout(PATIENCE, notices.recv()).await.expect("no notice came").expect("the client stopped")
}

async fn next_event(notices: &mut Receiver<Notice>) -> Event {
    match next(notices).await {
        Notice::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

fn simple(kind: event::Type) -> Event {
    Event { r#type: Some(kind.into()), ..Default::default() }
}

#[tokio::test]
async fn events_come_and_calls_go() {
    let master = Master::start().await;
    let (client, mut notices) = start(config(master.host()));
    let (mut stream, request) = master.subscribe(15.0).await;
    assert_eq!(request.headers["accept"], "application/x-protobuf");
    assert!(!request.headers.contains_key("mesos-stream-id"));
    assert_eq!(request.call.framework_id, None);
    assert_eq!(request.call.subscribe.unwrap().framework_info.name, "test");
    assert_eq!(next_event(&mut notices).await, subscribed(15.0));
    stream.event(&simple(event::Type::Heartbeat)).await;
    assert_eq!(next_event(&mut notices).await.r#type(), event::Type::Heartbeat);
    assert_eq!(client.framework_id().unwrap().value, "framework-1");

    let serve = async {
        let mut calls = master.accept().await;
        let request = calls.request().await;
        assert_eq!(request.headers["mesos-stream-id"], "stream-1");
        assert_eq!(request.call.framework_id.unwrap().value, "framework-1");
        assert_eq!(request.call.decline.unwrap().offer_ids[0].value, "o");
        calls.answer("202 Accepted", "", "").await;
        // The same connection serves the next call.
        assert_eq!(calls.request().await.call.r#type(), call::Type::Kill);
        calls.answer("400 Bad Request", "", "no such task").await;
    };
    let call = async {
        client.decline(vec![OfferId { value: "o".into() }], None).await.unwrap();
        let kill = client.kill(TaskId { value: "t".into() }, None, None).await;
        let Err(CallError::Refused { status, message }) = kill else { panic!("{kill:?}") };
        assert_eq!((status, message.as_str()), (400, "no such task"));
    };
    tokio::join!(serve, call);
}

#[tokio::test]
async fn json_and_credentials_are_spoken_when_asked() {
    let master = Master::start().await;
    let mut config = config(master.host());
    config.content = ContentType::Json;
    config.credential = Some(Credential { principal: "me".into(), secret: "pw".into() });
    let (_client, _notices) = start(config);
    let request = master.accept().await.request().await;
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["authorization"], "Basic bWU6cHc=");
}

#[derive(Debug, Default)]
struct Numbered {
    given: AtomicU32,
    refused: AtomicU32,
}

impl Authorize for Numbered {
    fn header(&self) -> Option<HeaderValue> {
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        HeaderValue::from_str(&format!("token={number}")).ok()
    }

    fn refused(&self, header: &HeaderValue) {
        assert_eq!(header, "token=0");
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn each_attempt_has_a_fresh_token_until_one_is_taken() {
    let master = Master::start().await;
    let mut config = config(master.host());
    let tokens = Arc::new(Numbered::default());
    config.authorization = Some(tokens.clone());
    let (_client, mut notices) = start(config);
    for (number, status) in ["401 Unauthorized", "403 Forbidden"].into_iter().enumerate() {
        let mut connection = master.accept().await;
        let request = connection.request().await;
        assert_eq!(request.headers["authorization"], format!("token={number}"));
        connection.answer(status, "", "").await;
    }
    let (_stream, request) = master.subscribe(15.0).await;
    assert_eq!(request.headers["authorization"], "token=2");
    next_event(&mut notices).await;
    // Only the first was no token to the master; the second may do too little.
    assert_eq!(tokens.refused.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn only_updates_that_want_it_are_acknowledged() {
    let master = Master::start().await;
    let (client, mut notices) = start(config(master.host()));
    let (_stream, _) = master.subscribe(15.0).await;
    next_event(&mut notices).await;
    let mut status = TaskStatus {
        task_id: TaskId { value: "t".into() },
        agent_id: Some(AgentId { value: "a".into() }),
        ..Default::default()
    };
    client.acknowledge(&status).await.unwrap();
    status.uuid = Some(Bytes::from_static(b"0123456789abcdef"));
    let serve = async {
        let mut calls = master.accept().await;
        let request = calls.request().await;
        assert_eq!(&request.call.acknowledge.unwrap().uuid[..], b"0123456789abcdef");
        calls.answer("202 Accepted", "", "").await;
    };
    let (result, ()) = tokio::join!(client.acknowledge(&status), serve);
    result.unwrap();
}

#[tokio::test]
async fn a_redirect_is_followed_and_calls_go_to_the_leader() {
    let (follower, leader) = (Master::start().await, Master::start().await);
    let (client, mut notices) = start(config(follower.host()));
    let mut peer = follower.accept().await;
    peer.request().await;
    let location = format!("Location: //{}/api/v1/scheduler\r\n", leader.host());
    peer.answer("307 Temporary Redirect", &location, "").await;
    let (_stream, _) = leader.subscribe(15.0).await;
    next_event(&mut notices).await;
    let serve = async {
        let mut calls = leader.accept().await;
        calls.request().await;
        calls.answer("202 Accepted", "", "").await;
    };
    let (result, ()) = tokio::join!(client.revive(vec![]), serve);
    result.unwrap();
}

#[tokio::test]
async fn a_master_that_is_not_ready_is_asked_again() {
    let master = Master::start().await;
    let (_client, mut notices) = start(config(master.host()));
    for _ in 0..3 {
        let mut peer = master.accept().await;
        peer.request().await;
        peer.answer("503 Service Unavailable", "", "No leader elected").await;
    }
    let (_stream, _) = master.subscribe(15.0).await;
    assert_eq!(next_event(&mut notices).await, subscribed(15.0));
}

#[tokio::test]
async fn after_a_lost_stream_the_framework_keeps_its_id() {
    let master = Master::start().await;
    let (client, mut notices) = start(config(master.host()));
    let (stream, _) = master.subscribe(15.0).await;
    next_event(&mut notices).await;
    drop(stream);
    assert!(matches!(next(&mut notices).await, Notice::Disconnected { .. }));
    assert!(matches!(client.revive(vec![]).await, Err(CallError::NotSubscribed)));
    let (_stream, request) = master.subscribe(15.0).await;
    assert_eq!(request.call.framework_id.unwrap().value, "framework-1");
    let info = request.call.subscribe.unwrap().framework_info;
    assert_eq!(info.id.unwrap().value, "framework-1");
    assert_eq!(next_event(&mut notices).await, subscribed(15.0));
}

#[tokio::test]
async fn a_silent_stream_is_given_up() {
    let master = Master::start().await;
    let (_client, mut notices) = start(config(master.host()));
    let (_stream, _) = master.subscribe(0.01).await;
    next_event(&mut notices).await;
    let Notice::Disconnected { reason } = next(&mut notices).await else { panic!() };
    assert_eq!(reason, "nothing came for 50ms");
    master.subscribe(15.0).await;
}

#[tokio::test]
async fn a_refused_subscription_is_final() {
    let master = Master::start().await;
    let (_client, mut notices) = start(config(master.host()));
    let mut peer = master.accept().await;
    peer.request().await;
    peer.answer("400 Bad Request", "", "no name").await;
    let error = ClientError::Refused { status: 400, message: "no name".into() };
    assert_eq!(next(&mut notices).await, Notice::Failed(error));
    assert_eq!(notices.recv().await, None);
}

#[tokio::test]
async fn an_error_event_is_final() {
    let master = Master::start().await;
    let (_client, mut notices) = start(config(master.host()));
    let (mut stream, _) = master.subscribe(15.0).await;
    next_event(&mut notices).await;
    let error = event::Error { message: "Framework has been removed".into() };
    stream.event(&Event { error: Some(error), ..simple(event::Type::Error) }).await;
    next_event(&mut notices).await;
    let error = ClientError::Ended("Framework has been removed".into());
    assert_eq!(next(&mut notices).await, Notice::Failed(error));
}

#[tokio::test]
async fn a_malformed_stream_is_opened_again() {
    let master = Master::start().await;
    let mut config = config(master.host());
    config.max_event_bytes = 1000;
    let (_client, mut notices) = start(config);
    for garbage in ["6\r\nhello\n\r\n", "5\r\n9999\n\r\n", "4\r\n2\n\n\u{7f}\r\n", "zz\r\n"] {
        let (mut stream, _) = master.subscribe(15.0).await;
        next_event(&mut notices).await;
        stream.write(garbage).await;
        assert!(matches!(next(&mut notices).await, Notice::Disconnected { .. }), "{garbage:?}");
    }
}

#[tokio::test]
async fn dropping_the_notices_ends_the_subscription() {
    let master = Master::start().await;
    let (_client, mut notices) = start(config(master.host()));
    let (mut stream, _) = master.subscribe(15.0).await;
    next_event(&mut notices).await;
    drop(notices);
    let end = timeout(PATIENCE, stream.closed()).await;
    end.expect("the stream is still open");
}
