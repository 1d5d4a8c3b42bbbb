//! The event streams of v1 executors, and calls that wait for their answer.

use crate::core::{Answer, RequestId};
use bytes::Bytes;
use mesos_messages::{
    content::{self, ContentType},
    recordio,
    v1::executor::Event,
};
use rustc_hash::FxHashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How many events may wait for an executor that reads slowly before it is cut off.
pub(crate) const MAX_WAITING: usize = 4096;

/// Where one stream's records go.
pub(crate) struct Stream {
    pub(crate) records: mpsc::Sender<Bytes>,
    pub(crate) content: ContentType,
    /// Cancelled when the stream shall end.
    pub(crate) end: CancellationToken,
}

/// What the core's answers and events are matched with.
#[derive(Default)]
pub(crate) struct Streams {
    streams: Mutex<FxHashMap<RequestId, Stream>>,
    answers: Mutex<FxHashMap<RequestId, oneshot::Sender<Answer>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Streams {
    pub(crate) fn expect(&self, request: RequestId, answer: oneshot::Sender<Answer>) {
        lock(&self.answers).insert(request, answer);
    }

    pub(crate) fn add(&self, request: RequestId, stream: Stream) {
        lock(&self.streams).insert(request, stream);
    }

    pub(crate) fn answer(&self, request: RequestId, answer: Answer) {
        if let Some(waiting) = lock(&self.answers).remove(&request) {
            // A client that left does not want to know.
            let _ = waiting.send(answer);
        }
    }

    pub(crate) fn event(&self, request: RequestId, event: &Event) {
        let mut streams = lock(&self.streams);
        let Some(stream) = streams.get(&request) else { return };
        let record = Bytes::from(recordio::encode(&content::encode(stream.content, event)));
        if stream.records.try_send(record).is_err() {
            tracing::warn!("closing the stream of an executor that does not read it");
            if let Some(stream) = streams.remove(&request) {
                stream.end.cancel();
            }
        }
    }

    pub(crate) fn close(&self, request: RequestId) {
        if let Some(stream) = lock(&self.streams).remove(&request) {
            stream.end.cancel();
        }
    }
}
