//! SUBSCRIBE: the state, then everything that happens, as records of a stream.
use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use http_kit::{Body, Response, negotiate::Media, respond};
use mesos_messages::{
    content, recordio,
    v1::{
        self,
        master::{
            Event,
            event::{self, Type},
        },
    },
};
use tokio::{sync::mpsc, time::MissedTickBehavior};

use super::{
    super::{
        HttpState, plans,
        render::{STALLED, render_now},
        view,
    },
    content_type,
};
use crate::{
    handle::EventSubscription,
    model::{Framework, OperatorEvent},
};

/// How often a stream shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Records that may wait for the socket; the master's own queue bounds the rest.
const WAITING: usize = 16;
/// Events joined into one write while they come faster than the reader takes them.
const BATCH: usize = 64 * 1024;

pub(super) async fn subscribe(state: &Arc<HttpState>, media: Media) -> Response {
    let Ok(subscription) = state.handle.subscribe_events().await else {
        return super::super::stopped();
    };
    let (records, body) = Body::channel(WAITING);
    tokio::spawn(follow(subscription, media, records));
    let kind = http::HeaderValue::from_static(media.name());
    respond::with_body(StatusCode::OK, kind, body)
}

async fn follow(subscription: EventSubscription, media: Media, to: mpsc::Sender<Bytes>) {
    let EventSubscription { snapshot, mut events } = subscription;
    let first = tokio::task::spawn_blocking(move || {
        let protobuf = media == Media::Protobuf;
        let plan = plans::subscribed(&snapshot, HEARTBEAT.as_secs_f64(), protobuf);
        recordio::encode(&render_now(plan, &snapshot))
    });
    let Ok(first) = first.await else { return };
    if to.send_timeout(first.into(), STALLED).await.is_err() {
        return;
    }
    let mut heartbeats = tokio::time::interval(HEARTBEAT);
    heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeats.reset();
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            () = to.closed() => return,
            event = events.recv() => match event {
                Some(event) => append(&mut batch, media, &message(event)),
                None => return,
            },
            _ = heartbeats.tick() => append(&mut batch, media, &heartbeat()),
        }
        while batch.len() < BATCH {
            let Ok(event) = events.try_recv() else { break };
            append(&mut batch, media, &message(event));
        }
        if to.send_timeout(batch.into(), STALLED).await.is_err() {
            return;
        }
    }
}

fn append(batch: &mut Vec<u8>, media: Media, event: &Event) {
    recordio::encode_into(batch, &content::encode(content_type(media), event));
}

fn of_type(kind: Type) -> Event {
    Event { r#type: Some(kind as i32), ..Event::default() }
}

fn heartbeat() -> Event {
    of_type(Type::Heartbeat)
}

fn message(event: OperatorEvent) -> Event {
    match event {
        OperatorEvent::TaskAdded(task) => Event {
            task_added: Some(event::TaskAdded { task: task.to_proto() }),
            ..of_type(Type::TaskAdded)
        },
        OperatorEvent::TaskUpdated { framework_id, status, state } => Event {
            task_updated: Some(event::TaskUpdated {
                framework_id: v1::FrameworkId { value: framework_id.to_string() },
                status: (*status).clone(),
                state: state as i32,
            }),
            ..of_type(Type::TaskUpdated)
        },
        OperatorEvent::AgentAdded(agent) => Event {
            agent_added: Some(event::AgentAdded { agent: view::agent::to_v1(&agent) }),
            ..of_type(Type::AgentAdded)
        },
        OperatorEvent::AgentRemoved(id) => Event {
            agent_removed: Some(event::AgentRemoved {
                agent_id: v1::AgentId { value: id.to_string() },
            }),
            ..of_type(Type::AgentRemoved)
        },
        OperatorEvent::FrameworkAdded(framework) => Event {
            framework_added: Some(event::FrameworkAdded { framework: in_event(&framework) }),
            ..of_type(Type::FrameworkAdded)
        },
        OperatorEvent::FrameworkUpdated(framework) => Event {
            framework_updated: Some(event::FrameworkUpdated { framework: in_event(&framework) }),
            ..of_type(Type::FrameworkUpdated)
        },
        OperatorEvent::FrameworkRemoved(framework) => Event {
            framework_removed: Some(event::FrameworkRemoved {
                framework_info: v1::FrameworkInfo::clone(&framework.info),
            }),
            ..of_type(Type::FrameworkRemoved)
        },
    }
}

/// In events the time of the end is told even while there is none, and the constraints only
/// where there are any.
fn in_event(framework: &Framework) -> v1::master::response::get_frameworks::Framework {
    v1::master::response::get_frameworks::Framework {
        unregistered_time: Some(view::time_info(framework.unregistered_time)),
        offer_constraints: framework.offer_constraints.as_deref().cloned(),
        ..view::framework::to_v1(framework)
    }
}
