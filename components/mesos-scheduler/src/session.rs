//! The stream of events: opened, read, watched, and opened again.

use crate::{
    ClientError, Config, Notice,
    client::{Identity, Subscription},
    connection::{Connection, ConnectionError, STREAM_ID, text},
    retry::{Backoff, Verdict, verdict},
};
use http::{Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use mesos_messages::{
    content::{ContentType, DecodeError, decode},
    recordio::{Decoder, RecordError},
    time::from_seconds,
    v1::{
        FrameworkId,
        scheduler::{Call, Event, call, event},
    },
};
use std::{sync::Arc, time::Duration};
use thiserror::Error;
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

/// Redirects followed in a row; more is a circle.
const MAX_REDIRECTS: usize = 5;
/// Until the master says how often its heartbeats come.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(15);

/// Why a stream ended.
#[derive(Debug, Error)]
enum End {
    #[error("{0}")]
    Connection(#[from] ConnectionError),
    #[error("the master is not ready: status {0}")]
    NotReady(u16),
    #[error("the masters redirect in a circle")]
    Circle,
    #[error("the master closed the stream")]
    Closed,
    #[error("the stream broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    #[error("the stream is malformed: {0}")]
    Record(#[from] RecordError),
    #[error("an event is malformed: {0}")]
    Event(#[from] DecodeError),
    #[error("{0}")]
    Fatal(ClientError),
    /// Nobody reads the notices any more.
    #[error("the reader is gone")]
    Unread,
}

struct Session {
    config: Arc<Config>,
    identity: Arc<Identity>,
    notices: mpsc::Sender<Notice>,
    current: watch::Sender<Option<Subscription>>,
    backoff: Backoff,
}

/// Keeps the framework subscribed until it is refused or nobody reads any more.
pub(crate) async fn run(
    config: Arc<Config>,
    identity: Arc<Identity>,
    notices: mpsc::Sender<Notice>,
    current: watch::Sender<Option<Subscription>>,
) {
    let backoff = Backoff::new(config.backoff);
    let mut session = Session { config, identity, notices, current, backoff };
    let unread = session.notices.clone();
    tokio::select! {
        () = session.run() => {}
        () = unread.closed() => {}
    }
}

// === impl Session ===

impl Session {
    async fn run(&mut self) {
        let mut turn = 0;
        loop {
            let count = self.config.masters.len().max(1);
            let Some(master) = self.config.masters.get(turn % count).cloned() else {
                return self.fail(ClientError::NoMaster).await;
            };
            let (was_subscribed, end) = self.attempt(master).await;
            self.current.send_replace(None);
            match end {
                End::Fatal(error) => return self.fail(error).await,
                End::Unread => return,
                end if was_subscribed => {
                    let notice = Notice::Disconnected { reason: end.to_string() };
                    if self.notices.send(notice).await.is_err() {
                        return;
                    }
                }
                end => tracing::debug!(reason = %end, "not subscribed yet"),
            }
            turn += 1;
            sleep(self.backoff.pause(rand::random())).await;
        }
    }

    async fn fail(&self, error: ClientError) {
        let _ = self.notices.send(Notice::Failed(error)).await;
    }

    /// Subscribes and reads to the end; whether it got as far as being subscribed, and the end.
    async fn attempt(&mut self, mut host: String) -> (bool, End) {
        for _ in 0..=MAX_REDIRECTS {
            let answer = match self.ask(&host).await {
                Ok(answer) => answer,
                Err(error) => return (false, error.into()),
            };
            let status = answer.status().as_u16();
            let location = answer.headers().get(header::LOCATION);
            match verdict(status, location.and_then(|value| value.to_str().ok())) {
                Verdict::Subscribed => return self.read(&host, answer).await,
                Verdict::Redirected(leader) => host = leader,
                Verdict::Later => return (false, End::NotReady(status)),
                Verdict::Refused if self.is_token_refused(status) => {
                    return (false, End::NotReady(status));
                }
                Verdict::Refused => {
                    let message = text(answer).await;
                    return (false, End::Fatal(ClientError::Refused { status, message }));
                }
            }
        }
        (false, End::Circle)
    }

    /// A token may be old, or the master may not know of it or its permissions yet.
    fn is_token_refused(&self, status: u16) -> bool {
        let refused = self.config.authorization.is_some() && matches!(status, 401 | 403);
        if refused {
            tracing::warn!(status, "the master refuses our token");
        }
        refused
    }

    async fn ask(&self, host: &str) -> Result<Response<Incoming>, ConnectionError> {
        let config = &self.config;
        let (framework_info, suppressed_roles, offer_constraints) = self.identity.borrow().clone();
        let call = Call {
            framework_id: framework_info.id.clone(),
            r#type: Some(call::Type::Subscribe.into()),
            subscribe: Some(call::Subscribe {
                framework_info,
                suppressed_roles,
                offer_constraints,
            }),
            ..Default::default()
        };
        Connection::open(host, config).await?.send(&call, None).await
    }

    async fn read(&mut self, host: &str, answer: Response<Incoming>) -> (bool, End) {
        let stream_id = answer.headers().get(STREAM_ID).and_then(|value| value.to_str().ok());
        let stream_id = stream_id.unwrap_or_default().to_owned();
        let mut subscribed = false;
        let end = self.read_events(host, stream_id, answer, &mut subscribed).await;
        (subscribed, end.err().unwrap_or(End::Closed))
    }

    async fn read_events(
        &mut self,
        host: &str,
        stream_id: String,
        answer: Response<Incoming>,
        subscribed: &mut bool,
    ) -> Result<(), End> {
        let mut decoder = Decoder::new(self.config.max_event_bytes);
        let mut patience = DEFAULT_HEARTBEAT * self.config.missed_heartbeats;
        let content = self.content(&answer);
        let mut body = answer.into_body();
        loop {
            let frame = timeout(patience, body.frame()).await;
            let Some(frame) = frame.map_err(|_| End::Silent(patience))? else { return Ok(()) };
            let Ok(data) = frame?.into_data() else { continue };
            decoder.push(&data);
            while let Some(record) = decoder.next_record()? {
                let event: Event = decode(content, &record)?;
                if let Some(id) = self.subscription(&event, &mut patience) {
                    *subscribed = true;
                    let (host, stream_id) = (host.to_owned(), stream_id.clone());
                    let subscription = Subscription { host, stream_id, framework_id: id };
                    self.current.send_replace(Some(subscription));
                }
                self.tell(event).await?;
            }
        }
    }

    /// Events come in the form the answer names, which is the one asked for.
    fn content(&self, answer: &Response<Incoming>) -> ContentType {
        let named = answer.headers().get(header::CONTENT_TYPE);
        let named = named.and_then(|value| ContentType::from_header(value.to_str().ok()?));
        named.unwrap_or(self.config.content)
    }

    /// Notes what a SUBSCRIBED event says, and gives the framework's id.
    fn subscription(&mut self, event: &Event, patience: &mut Duration) -> Option<FrameworkId> {
        let subscribed = event.subscribed.as_ref()?;
        let heartbeat = subscribed.heartbeat_interval_seconds.and_then(from_seconds);
        *patience = heartbeat
            .filter(|interval| !interval.is_zero())
            .unwrap_or(DEFAULT_HEARTBEAT)
            .saturating_mul(self.config.missed_heartbeats);
        self.backoff.reset();
        let id = subscribed.framework_id.clone();
        self.identity.send_modify(|(framework, ..)| framework.id = Some(id));
        Some(subscribed.framework_id.clone())
    }

    async fn tell(&self, event: Event) -> Result<(), End> {
        let error = (event.r#type() == event::Type::Error)
            .then(|| event.error.clone().map(|error| error.message).unwrap_or_default());
        let notice = Notice::Event(Box::new(event));
        self.notices.send(notice).await.map_err(|_| End::Unread)?;
        match error {
            Some(message) => Err(End::Fatal(ClientError::Ended(message))),
            None => Ok(()),
        }
    }
}
