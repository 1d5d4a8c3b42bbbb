//! Status update streams: one per task, one update in flight, resent until acknowledged.

use crate::checkpoint::Run;
use bytes::Bytes;
use mesos_messages::{internal::StatusUpdate, v1::TaskState};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// The first wait for an acknowledgement.
pub(crate) const RETRY_MIN: Duration = Duration::from_secs(10);
/// The longest.
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(600);
/// How many update ids a stream remembers to recognise repetitions. An executor repeats only
/// what was not acknowledged to it, which is far less.
const REMEMBERED: usize = 1024;

/// (framework id, task id)
pub(crate) type StreamKey = (String, String);

/// The updates of one task that are still of interest.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) path: Option<Arc<Run>>,
    pub(crate) pending: VecDeque<Arc<StatusUpdate>>,
    seen: VecDeque<Bytes>,
    terminated: bool,
    retry: Option<(Duration, Duration)>,
}

/// All streams of an agent.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    streams: BTreeMap<StreamKey, Stream>,
}

/// What an acknowledgement did.
#[derive(Debug, PartialEq)]
pub(crate) enum Acked {
    /// No such stream, or not the update in flight.
    Unexpected,
    /// The next update, if any, is in flight now.
    More { path: Option<Arc<Run>>, next: bool },
    /// The terminal update was acknowledged: the stream is gone.
    Closed { path: Option<Arc<Run>> },
}

pub(crate) fn is_terminal(state: i32) -> bool {
    use TaskState::*;
    matches!(
        TaskState::try_from(state),
        Ok(TaskFinished
            | TaskFailed
            | TaskKilled
            | TaskError
            | TaskLost
            | TaskDropped
            | TaskGone
            | TaskGoneByOperator)
    )
}

impl Stream {
    fn remember(&mut self, uuid: Bytes) {
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(uuid);
    }

    fn sent(&mut self, now: Duration, interval: Duration) {
        self.retry = Some((now + interval, interval));
    }
}

impl Streams {
    /// Whether the stream of this task got this update before.
    pub(crate) fn seen(&self, key: &StreamKey, uuid: &[u8]) -> bool {
        self.streams.get(key).is_some_and(|stream| stream.seen.iter().any(|seen| seen == uuid))
    }

    /// Adds an update. Returns whether it is now the one in flight.
    pub(crate) fn push(
        &mut self,
        key: StreamKey,
        path: Option<Arc<Run>>,
        update: Arc<StatusUpdate>,
    ) -> bool {
        let stream = self.streams.entry(key).or_default();
        if stream.path.is_none() {
            stream.path = path;
        }
        stream.remember(update.uuid.clone().unwrap_or_default());
        stream.terminated |= is_terminal(update.status.state);
        stream.pending.push_back(update);
        stream.pending.len() == 1
    }

    /// Puts a stream back as it was written.
    pub(crate) fn restore(
        &mut self,
        key: StreamKey,
        path: Arc<Run>,
        seen: impl IntoIterator<Item = Bytes>,
        pending: impl IntoIterator<Item = Arc<StatusUpdate>>,
    ) {
        let stream = self.streams.entry(key).or_default();
        stream.path = Some(path);
        for uuid in seen {
            stream.remember(uuid);
        }
        stream.pending = pending.into_iter().collect();
        stream.terminated = stream.pending.iter().any(|update| is_terminal(update.status.state));
    }

    /// The update in flight.
    pub(crate) fn front(&self, key: &StreamKey) -> Option<&Arc<StatusUpdate>> {
        self.streams.get(key)?.pending.front()
    }

    /// Notes that the front was sent for the first time since it became the front.
    pub(crate) fn mark_sent(&mut self, now: Duration, key: &StreamKey) -> Option<Duration> {
        let stream = self.streams.get_mut(key)?;
        stream.sent(now, RETRY_MIN);
        stream.retry.map(|(at, _)| at)
    }

    /// Takes an acknowledgement.
    pub(crate) fn acknowledge(&mut self, key: &StreamKey, uuid: &[u8]) -> Acked {
        let Some(stream) = self.streams.get_mut(key) else { return Acked::Unexpected };
        let expected = stream.pending.front().and_then(|update| update.uuid.as_deref());
        if expected != Some(uuid) {
            return Acked::Unexpected;
        }
        let terminal =
            stream.pending.pop_front().is_some_and(|update| is_terminal(update.status.state));
        stream.retry = None;
        let path = stream.path.clone();
        if terminal {
            self.streams.remove(key);
            return Acked::Closed { path };
        }
        Acked::More { path, next: !stream.pending.is_empty() }
    }

    /// The streams whose front waited too long; each waits twice as long next time.
    pub(crate) fn expired(&mut self, now: Duration) -> Vec<StreamKey> {
        let mut keys = Vec::new();
        for (key, stream) in &mut self.streams {
            if let Some((at, interval)) = stream.retry
                && at <= now
            {
                stream.sent(now, (interval * 2).min(RETRY_MAX));
                keys.push(key.clone());
            }
        }
        keys
    }

    /// When the next front has waited too long.
    pub(crate) fn next_retry(&self) -> Option<Duration> {
        self.streams.values().filter_map(|stream| Some(stream.retry?.0)).min()
    }

    /// Every stream with something in flight, of one framework or of all.
    pub(crate) fn keys(&self, framework_id: Option<&str>) -> Vec<StreamKey> {
        self.streams
            .iter()
            .filter(|(key, stream)| {
                framework_id.is_none_or(|id| id == key.0) && !stream.pending.is_empty()
            })
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Whether nothing of this framework waits for an acknowledgement.
    pub(crate) fn is_idle(&self, framework_id: &str) -> bool {
        let from = (framework_id.to_owned(), String::new());
        self.streams.range(from..).next().is_none_or(|(key, _)| key.0 != framework_id)
    }

    /// Forgets everything about a framework.
    pub(crate) fn cleanup(&mut self, framework_id: &str) {
        self.streams.retain(|key, _| key.0 != framework_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos_messages::v1;

    fn update(uuid: u8, state: TaskState) -> Arc<StatusUpdate> {
        let status = v1::TaskStatus { state: state as i32, ..Default::default() };
        Arc::new(StatusUpdate {
            status,
            uuid: Some(Bytes::from(vec![uuid; 16])),
            ..Default::default()
        })
    }

    fn key() -> StreamKey {
        ("f".into(), "t".into())
    }

    #[test]
    fn one_update_is_in_flight_and_order_is_kept() {
        let mut streams = Streams::default();
        assert!(streams.push(key(), None, update(1, TaskState::TaskStarting)));
        assert!(!streams.push(key(), None, update(2, TaskState::TaskFinished)));
        assert_eq!(streams.acknowledge(&key(), &[2; 16]), Acked::Unexpected);
        assert_eq!(streams.acknowledge(&key(), &[1; 16]), Acked::More { path: None, next: true });
        assert_eq!(streams.acknowledge(&key(), &[1; 16]), Acked::Unexpected);
        assert!(streams.seen(&key(), &[1; 16]));
        assert_eq!(streams.acknowledge(&key(), &[2; 16]), Acked::Closed { path: None });
        assert!(streams.is_idle("f"));
    }

    #[test]
    fn waits_double_up_to_ten_minutes() {
        let mut streams = Streams::default();
        streams.push(key(), None, update(1, TaskState::TaskRunning));
        streams.mark_sent(Duration::ZERO, &key());
        let mut now = Duration::ZERO;
        let mut waits = Vec::new();
        for _ in 0..8 {
            let next = streams.next_retry().unwrap();
            waits.push((next - now).as_secs());
            now = next;
            assert_eq!(streams.expired(now), vec![key()]);
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 600, 600]);
    }

    #[test]
    fn a_framework_with_waiting_updates_is_not_idle() {
        let mut streams = Streams::default();
        streams.push(("f".into(), "t".into()), None, update(1, TaskState::TaskRunning));
        assert!(!streams.is_idle("f"));
        assert!(streams.is_idle("e"));
        assert!(streams.is_idle("ff"));
        streams.cleanup("f");
        assert!(streams.is_idle("f"));
    }
}
