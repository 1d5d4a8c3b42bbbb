//! A scheduler on the v1 API, by hand: JSON on plain sockets.

use std::collections::VecDeque;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use serde_json::{Value, json};

use super::http::{self, Connection, Response, Streaming};
use super::{PATIENCE, unique};

/// A subscribed framework. Status updates are acknowledged as they are waited for.
pub(crate) struct Scheduler {
    pub(crate) master: String,
    pub(crate) framework_id: Value,
    pub(crate) stream_id: String,
    pub(crate) acknowledges: bool,
    /// The answer to SUBSCRIBE, without its body.
    pub(crate) head: Response,
    events: Receiver<Value>,
    /// Passed over by an earlier wait.
    waiting: VecDeque<Value>,
    socket: TcpStream,
}

/// A framework that nothing is special about.
pub(crate) fn framework() -> Value {
    json!({"user": user(), "name": unique("framework"), "roles": ["*"],
           "failover_timeout": 3600.0, "checkpoint": true,
           "capabilities": [{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}]})
}

/// Tasks run as who runs the test.
pub(crate) fn user() -> String {
    let id = nix::unistd::getuid();
    nix::unistd::User::from_uid(id).ok().flatten().map_or_else(|| "root".to_owned(), |u| u.name)
}

pub(crate) fn subscribe_request(master: &str, framework: &Value) -> Vec<u8> {
    let mut call = json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": framework}});
    if !framework["id"].is_null() {
        call["framework_id"] = framework["id"].clone();
    }
    http::request(master, "POST", "/api/v1/scheduler", &http::JSON, call.to_string().as_bytes())
}

// === impl Scheduler ===

impl Scheduler {
    pub(crate) fn subscribe(master: &str, framework: &Value) -> Scheduler {
        let stream = Connection::open(master).stream(&subscribe_request(master, framework));
        if stream.head.status != 200 {
            let answer = stream.rest();
            panic!("SUBSCRIBE: {} {}", answer.status, answer.text());
        }
        let head = stream.head.clone();
        let stream_id = head.header("Mesos-Stream-Id").expect("a stream id").to_owned();
        stream.wait_forever();
        let socket = stream.socket();
        let (sender, events) = sync_channel(10_000);
        std::thread::spawn(move || {
            for_each_record(stream, |event| sender.send(event).is_ok());
        });
        let mut scheduler = Scheduler {
            master: master.to_owned(),
            framework_id: Value::Null,
            stream_id,
            acknowledges: true,
            head,
            events,
            waiting: VecDeque::new(),
            socket,
        };
        let subscribed = scheduler.wait("SUBSCRIBED", |event| event["type"] == "SUBSCRIBED");
        scheduler.framework_id = subscribed["subscribed"]["framework_id"].clone();
        scheduler
    }

    /// Sends a call; its framework id and stream id are added.
    pub(crate) fn call(&self, mut call: Value) -> Response {
        call["framework_id"] = self.framework_id.clone();
        let headers = [
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
            ("Mesos-Stream-Id", self.stream_id.as_str()),
        ];
        let body = call.to_string();
        http::send(&self.master, "POST", "/api/v1/scheduler", &headers, body.as_bytes())
    }

    pub(crate) fn accepted(&self, call: Value) {
        let kind = call["type"].clone();
        let answer = self.call(call);
        assert_eq!(answer.status, 202, "{kind}: {}", answer.text());
    }

    /// The next event that `wanted` accepts; others are kept for later waits.
    pub(crate) fn wait(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        if let Some(at) = self.waiting.iter().position(&wanted) {
            return self.waiting.remove(at).expect("the event just found");
        }
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let Ok(event) = self.events.recv_timeout(left) else {
                panic!("waited in vain for {what}; events passed over: {:#?}", self.waiting);
            };
            self.acknowledge(&event);
            if wanted(&event) {
                return event;
            }
            self.waiting.push_back(event);
        }
    }

    /// Whether an event that `wanted` accepts comes within `patience`.
    pub(crate) fn comes(
        &mut self,
        patience: std::time::Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Option<Value> {
        let begun = Instant::now();
        if let Some(at) = self.waiting.iter().position(&wanted) {
            return self.waiting.remove(at);
        }
        while let Some(left) = patience.checked_sub(begun.elapsed()) {
            let Ok(event) = self.events.recv_timeout(left) else { return None };
            self.acknowledge(&event);
            if wanted(&event) {
                return Some(event);
            }
            self.waiting.push_back(event);
        }
        None
    }

    fn acknowledge(&self, event: &Value) {
        let status = &event["update"]["status"];
        if !self.acknowledges || status["uuid"].is_null() {
            return;
        }
        self.accepted(json!({"type": "ACKNOWLEDGE", "acknowledge": {
            "agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": status["uuid"]}}));
    }

    /// The next offer that is still good; every other one in its event is declined.
    pub(crate) fn offer(&mut self) -> Value {
        loop {
            let event = self.wait("an offer", |event| event["type"] == "OFFERS");
            let mut offers = event["offers"]["offers"].as_array().cloned().expect("offers");
            while let Ok(later) = self.events.try_recv() {
                self.acknowledge(&later);
                self.waiting.push_back(later);
            }
            offers.retain(|offer| {
                !self.waiting.iter().any(|e| e["rescind"]["offer_id"] == offer["id"])
            });
            if offers.is_empty() {
                continue;
            }
            let offer = offers.remove(0);
            for other in offers {
                self.decline(&other["id"]);
            }
            return offer;
        }
    }

    pub(crate) fn decline(&self, offer_id: &Value) {
        self.accepted(json!({"type": "DECLINE", "decline": {
            "offer_ids": [offer_id], "filters": {"refuse_seconds": 0.1}}}));
    }

    pub(crate) fn launch(&self, offer: &Value, tasks: &[Value]) {
        self.accepted(json!({"type": "ACCEPT", "accept": {
            "offer_ids": [offer["id"]],
            "operations": [{"type": "LAUNCH", "launch": {"task_infos": tasks}}],
            "filters": {"refuse_seconds": 0.1}}}));
    }

    /// Launches one command task on the next offer, and names it.
    pub(crate) fn run(&mut self, command: &str) -> Value {
        let offer = self.offer();
        let task = command_task(&offer, command);
        self.launch(&offer, std::slice::from_ref(&task));
        task
    }

    /// Waits for the task's status update with that state; answers the status.
    pub(crate) fn status(&mut self, task: &Value, state: &str) -> Value {
        let id = task["task_id"].clone();
        let event = self.wait(&format!("{state} of {id}"), |event| {
            let status = &event["update"]["status"];
            let ended = [
                "TASK_FAILED",
                "TASK_KILLED",
                "TASK_LOST",
                "TASK_ERROR",
                "TASK_FINISHED",
                "TASK_DROPPED",
                "TASK_GONE",
            ];
            let known = status["state"].as_str().unwrap_or_default();
            assert!(
                status["task_id"] != id || known == state || !ended.contains(&known),
                "the task ended instead of becoming {state}: {status:#}"
            );
            status["task_id"] == id && known == state
        });
        event["update"]["status"].clone()
    }

    pub(crate) fn kill(&self, task: &Value) {
        let (task_id, agent_id) = (&task["task_id"], &task["agent_id"]);
        self.accepted(json!({"type": "KILL", "kill": {"task_id": task_id, "agent_id": agent_id}}));
    }

    pub(crate) fn teardown(&self) {
        self.accepted(json!({"type": "TEARDOWN"}));
    }

    /// Cuts the stream, as a network does.
    pub(crate) fn disconnect(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// A command task with a share of the offer.
pub(crate) fn command_task(offer: &Value, command: &str) -> Value {
    let mut task = bare_task(offer);
    task["command"] = json!({"value": command, "shell": true});
    task
}

/// A task without anything to run yet.
pub(crate) fn bare_task(offer: &Value) -> Value {
    let name = unique("task");
    json!({"name": name, "task_id": {"value": name}, "agent_id": offer["agent_id"],
           "resources": [scalar(offer, "cpus", 0.1), scalar(offer, "mem", 32.0)]})
}

/// Part of an offered resource.
pub(crate) fn scalar(offer: &Value, name: &str, value: f64) -> Value {
    let resources = offer["resources"].as_array().expect("resources");
    let found = resources.iter().find(|r| r["name"] == name);
    let mut part = found.unwrap_or_else(|| panic!("no {name} in {offer}")).clone();
    part["scalar"]["value"] = json!(value);
    part
}

/// Cuts RecordIO, knowing nothing of chunks, and hands over each record.
pub(crate) fn for_each_record(mut stream: Streaming, mut take: impl FnMut(Value) -> bool) {
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.chunk() {
        bytes.extend(chunk);
        while let Some((record, rest)) = record(&bytes) {
            let event = serde_json::from_slice(record).expect("JSON in a record");
            let consumed = bytes.len() - rest;
            bytes.drain(..consumed);
            if !take(event) {
                return;
            }
        }
    }
}

/// The first record, and how many bytes follow it.
fn record(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let length: usize = std::str::from_utf8(&bytes[..end]).ok()?.parse().expect("a length");
    let rest = &bytes[end + 1..];
    (rest.len() >= length).then(|| (&rest[..length], rest.len() - length))
}
