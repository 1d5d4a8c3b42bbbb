//! Telling frameworks: the same happening as an event of the v1 stream or as a libprocess message.
use std::sync::Arc;

use mesos_messages::{internal, v1};
use v1::scheduler::{Event, event};

use super::{
    Effect, MasterCore, Outgoing, Sender,
    state::{Connection, FrameworkKey},
};
use crate::{
    handle::StreamEvent,
    model::{Framework, Id, OfferParts},
};

const HEARTBEAT_SECONDS: f64 = 15.0;

/// What came along with an update from an agent.
#[derive(Debug)]
pub(super) struct Forwarded {
    pub(super) pid: String,
    /// What has become of the task since, as a number of the protocol.
    pub(super) latest_state: Option<i32>,
}

/// What a framework is told.
#[derive(Debug)]
pub(super) enum News {
    Registered,
    Reregistered,
    Offers(Vec<OfferParts>),
    Rescind(Id),
    Update {
        status: v1::TaskStatus,
        /// The agent that wants the acknowledgement; none for updates of the master.
        agent: Option<Forwarded>,
    },
    Message {
        agent: v1::AgentId,
        executor: v1::ExecutorId,
        data: bytes::Bytes,
    },
    ExecutorExited {
        agent: v1::AgentId,
        executor: v1::ExecutorId,
        status: i32,
    },
    AgentLost(Id),
    OperationStatus(v1::OperationStatus),
    Error(String),
    Heartbeat,
}

impl MasterCore {
    /// Tells a framework, if it is connected.
    pub(super) fn tell(&mut self, key: FrameworkKey, news: News) {
        let Some(framework) = self.frameworks.get_mut(key) else { return };
        count(&mut framework.counters, &news);
        match &framework.connection {
            Connection::None => {}
            Connection::Http { stream } => {
                let stream = stream.clone();
                let record = framework.record.clone();
                let event = match news {
                    // There may be thousands: they are made into a message where they are written.
                    News::Offers(offers) => StreamEvent::Offers { framework: record, offers },
                    news => {
                        StreamEvent::Event(Arc::new(event_of(&record, &self.master.info, news)))
                    }
                };
                self.out.push(Effect::Event { stream, event });
            }
            Connection::Pid(pid) => {
                let pid = pid.clone();
                let record = framework.record.clone();
                if let Some(message) = message_of(&record, &self.master.info, news) {
                    self.out.push(Effect::Send { from: Sender::Master, to: pid, message });
                }
            }
        }
    }

    /// Sends from the master itself.
    pub(super) fn send(&mut self, to: libprocess::Upid, message: Outgoing) {
        self.out.push(Effect::Send { from: Sender::Master, to, message });
    }

    /// Refuses a stream that belongs to no framework.
    pub(super) fn refuse_stream(&mut self, stream: Id, text: String) {
        self.out.push(Effect::Event {
            stream: stream.clone(),
            event: StreamEvent::Event(Arc::new(error_event(text))),
        });
        self.out.push(Effect::CloseStream { stream });
    }
}

fn count(counters: &mut crate::metrics::FrameworkCounters, news: &News) {
    counters.events += 1;
    let counter = match news {
        News::Registered | News::Reregistered => &mut counters.events_subscribed,
        News::Offers(_) => &mut counters.events_offers,
        News::Rescind(_) => &mut counters.events_rescind,
        News::Update { .. } => &mut counters.events_update,
        News::Message { .. } => &mut counters.events_message,
        News::ExecutorExited { .. } | News::AgentLost(_) => &mut counters.events_failure,
        News::OperationStatus(_) => &mut counters.events_update_operation_status,
        News::Error(_) => &mut counters.events_error,
        News::Heartbeat => &mut counters.events_heartbeat,
    };
    *counter += 1;
}

fn typed(kind: event::Type) -> Event {
    Event { r#type: Some(kind as i32), ..Event::default() }
}

fn error_event(message: String) -> Event {
    Event { error: Some(event::Error { message }), ..typed(event::Type::Error) }
}

fn event_of(framework: &Framework, master: &v1::MasterInfo, news: News) -> Event {
    match news {
        News::Registered | News::Reregistered => Event {
            subscribed: Some(event::Subscribed {
                framework_id: framework_id(&framework.id),
                heartbeat_interval_seconds: Some(HEARTBEAT_SECONDS),
                master_info: Some(master.clone()),
            }),
            ..typed(event::Type::Subscribed)
        },
        News::Offers(offers) => {
            let offers = offers.iter().map(|offer| offer.to_proto(framework)).collect();
            Event { offers: Some(event::Offers { offers }), ..typed(event::Type::Offers) }
        }
        News::Rescind(offer) => Event {
            rescind: Some(event::Rescind { offer_id: offer_id(&offer) }),
            ..typed(event::Type::Rescind)
        },
        News::Update { status, .. } => {
            Event { update: Some(event::Update { status }), ..typed(event::Type::Update) }
        }
        News::Message { agent, executor, data } => Event {
            message: Some(event::Message { agent_id: agent, executor_id: executor, data }),
            ..typed(event::Type::Message)
        },
        News::ExecutorExited { agent, executor, status } => Event {
            failure: Some(event::Failure {
                agent_id: Some(agent),
                executor_id: Some(executor),
                status: Some(status),
            }),
            ..typed(event::Type::Failure)
        },
        News::AgentLost(agent) => Event {
            failure: Some(event::Failure {
                agent_id: Some(v1::AgentId { value: agent.to_string() }),
                ..event::Failure::default()
            }),
            ..typed(event::Type::Failure)
        },
        News::OperationStatus(status) => Event {
            update_operation_status: Some(event::UpdateOperationStatus { status }),
            ..typed(event::Type::UpdateOperationStatus)
        },
        News::Error(message) => error_event(message),
        News::Heartbeat => typed(event::Type::Heartbeat),
    }
}

fn message_of(framework: &Framework, master: &v1::MasterInfo, news: News) -> Option<Outgoing> {
    let framework_id = framework_id(&framework.id);
    Some(match news {
        News::Registered => {
            Outgoing::FrameworkRegistered(Box::new(internal::FrameworkRegisteredMessage {
                framework_id,
                master_info: master.clone(),
            }))
        }
        News::Reregistered => {
            Outgoing::FrameworkReregistered(Box::new(internal::FrameworkReregisteredMessage {
                framework_id,
                master_info: master.clone(),
            }))
        }
        News::Offers(offers) => Outgoing::ResourceOffers(internal::ResourceOffersMessage {
            pids: offers.iter().map(|parts| parts.agent.pid.to_string()).collect(),
            offers: offers.iter().map(|parts| parts.to_proto(framework)).collect(),
        }),
        News::Rescind(offer) => Outgoing::RescindOffer(internal::RescindResourceOfferMessage {
            offer_id: offer_id(&offer),
        }),
        News::Update { status, agent } => {
            Outgoing::StatusUpdate(Box::new(status_update(framework_id, status, agent)))
        }
        News::Message { agent, executor, data } => {
            Outgoing::ExecutorMessage(internal::ExecutorToFrameworkMessage {
                slave_id: agent,
                framework_id,
                executor_id: executor,
                data,
            })
        }
        News::ExecutorExited { agent, executor, status } => {
            Outgoing::ExitedExecutor(internal::ExitedExecutorMessage {
                slave_id: agent,
                framework_id,
                executor_id: executor,
                status,
            })
        }
        News::AgentLost(agent) => Outgoing::LostAgent(internal::LostSlaveMessage {
            slave_id: v1::AgentId { value: agent.to_string() },
        }),
        News::Error(message) => {
            Outgoing::FrameworkError(internal::FrameworkErrorMessage { message })
        }
        News::OperationStatus(_) | News::Heartbeat => return None,
    })
}

/// The address that means nobody, as text.
pub(super) const NO_PID: &str = "@0.0.0.0:0";

fn status_update(
    framework_id: v1::FrameworkId,
    status: v1::TaskStatus,
    agent: Option<Forwarded>,
) -> internal::StatusUpdateMessage {
    // What the original prints for nobody.
    let nobody = || Forwarded { pid: NO_PID.to_owned(), latest_state: None };
    let Forwarded { pid, latest_state } = agent.unwrap_or_else(nobody);
    internal::StatusUpdateMessage {
        update: internal::StatusUpdate {
            framework_id,
            executor_id: status.executor_id.clone(),
            slave_id: status.agent_id.clone(),
            timestamp: status.timestamp.unwrap_or_default(),
            uuid: status.uuid.clone(),
            latest_state,
            status,
        },
        pid: Some(pid),
    }
}

pub(super) fn framework_id(id: &Id) -> v1::FrameworkId {
    v1::FrameworkId { value: id.to_string() }
}

pub(super) fn agent_id(id: &Id) -> v1::AgentId {
    v1::AgentId { value: id.to_string() }
}

pub(super) fn task_id(id: &Id) -> v1::TaskId {
    v1::TaskId { value: id.to_string() }
}

fn offer_id(id: &Id) -> v1::OfferId {
    v1::OfferId { value: id.to_string() }
}
