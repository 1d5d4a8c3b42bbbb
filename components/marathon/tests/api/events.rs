//! `/v2/events`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::service::Api;

struct Stream(BufReader<TcpStream>);

impl Stream {
    async fn open(api: &Api, query: &str) -> Self {
        let mut connection = TcpStream::connect(api.address).await.unwrap();
        let head = format!(
            "GET /v2/events{query} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut stream = Self(BufReader::new(connection));
        let status = stream.line().await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        stream
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = timeout(Duration::from_secs(30), self.0.read_line(&mut line)).await;
        assert_ne!(read.unwrap().unwrap(), 0, "the stream ended");
        line.trim_end().to_owned()
    }

    /// The next event of a type.
    async fn event(&mut self, kind: &str) -> Value {
        loop {
            if self.line().await == format!("event: {kind}") {
                let data = self.line().await;
                return serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn what_happens_is_told() {
    let api = Api::start().await;
    let mut all = Stream::open(&api, "").await;
    let attached = all.event("event_stream_attached").await;
    assert_eq!(
        (&attached["remoteAddress"], &attached["eventType"]),
        (&json!("127.0.0.1"), &json!("event_stream_attached"))
    );
    let mut some =
        Stream::open(&api, "?event_type=api_post_event&event_type=deployment_success").await;
    // Asked for over a connection: it is subscribed when the other one is told.
    all.event("event_stream_attached").await;
    api.post("/v2/apps", &json!({"id": "a", "cmd": "sleep 100"})).await.expect(201);
    let posted = some.event("api_post_event").await;
    assert_eq!((&posted["clientIp"], &posted["uri"]), (&json!("127.0.0.1"), &json!("/v2/apps")));
    assert_eq!(posted["appDefinition"]["id"], "/a");
    let success = some.event("deployment_success").await;
    assert_eq!(success["plan"]["id"], success["id"]);
    let status = all.event("status_update_event").await;
    assert_eq!(
        (&status["taskStatus"], &status["appId"], &status["host"]),
        (&json!("TASK_RUNNING"), &json!("/a"), &json!("host-1"))
    );
    drop(some);
    all.event("event_stream_detached").await;
}

#[tokio::test]
async fn only_streams_are_served() {
    let api = Api::start().await;
    api.get("/v2/events").await.expect(405);
}

#[tokio::test]
async fn our_own_events_come_only_when_named() {
    use marathon_core::{Event, EventKind};
    use marathon_model::{PathId, Timestamp};
    let api = Api::start().await;
    let mut named = Stream::open(&api, "?event_type=instance_pending_event").await;
    let mut all = Stream::open(&api, "").await;
    all.event("event_stream_attached").await;
    let app = PathId::parse("/a").unwrap();
    let reasons = vec!["no offers".to_owned()];
    let kind = EventKind::InstancePending {
        app: app.clone(),
        version: Timestamp(0),
        instances: 1,
        reasons,
    };
    api.handle.publish(Event { at: Timestamp(0), kind });
    api.handle.publish(Event { at: Timestamp(0), kind: EventKind::AppTerminated { app } });
    assert_eq!(named.event("instance_pending_event").await["reasons"], json!(["no offers"]));
    loop {
        let line = all.line().await;
        assert_ne!(line, "event: instance_pending_event");
        if line == "event: app_terminated_event" {
            return;
        }
    }
}

#[tokio::test]
async fn who_does_not_read_is_cut_off() {
    use marathon_core::{Event, EventKind};
    use marathon_model::Timestamp;
    let api = Api::start().await;
    let mut slow = Stream::open(&api, "").await;
    slow.event("event_stream_attached").await;
    let mut watcher = Stream::open(&api, "?event_type=event_stream_detached").await;
    let message = "x".repeat(10_000);
    // Much more than buffers hold.
    for _ in 0..20_000 {
        let kind = EventKind::FrameworkMessage {
            executor: String::new(),
            agent: String::new(),
            message: message.clone(),
        };
        api.handle.publish(Event { at: Timestamp(0), kind });
        tokio::task::yield_now().await;
    }
    drop(slow);
    watcher.event("event_stream_detached").await;
}
