//! Entry points for fuzzing: the parts of streams and answers that every follower reads.

use std::sync::Arc;

use serde_json::Value;

use crate::marathon::{self, Decode, Reader, sse};
use crate::picture::{Changed, Input, Picture, decode};

/// Longer events are refused.
const MOST: usize = 4096;

/// Everything matters.
struct Any;

// === impl Any ===

impl Decode for Any {
    type App = Value;
    type Task = Value;

    fn app(&self, app: Value) -> Option<Value> {
        Some(app)
    }

    fn task(&self, data: &[u8]) -> Result<Option<Value>, serde_json::Error> {
        serde_json::from_slice(data)
    }
}

/// Events and answers of Marathon. A stream that is cut anywhere tells the same.
pub fn marathon_stream(data: &[u8]) {
    let whole = events(&[data]);
    let cut = data.first().map_or(0, |byte| usize::from(*byte) % data.len());
    let (left, right) = data.split_at(cut);
    assert_eq!(events(&[left, right]), whole);
    let _ = marathon::apps(&Any, data);
    let _ = marathon::app(&Any, data);
    let _ = marathon::framework(data);
    let _ = marathon::leader(data);
}

fn events(pieces: &[&[u8]]) -> Option<Vec<sse::Event>> {
    let mut decoder = sse::Decoder::new(MOST);
    let mut reader = Reader::new(Arc::new(Any));
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        while let Some(event) = decoder.next_event().ok()? {
            assert!(event.data.len() <= MOST);
            let _ = reader.event(&event);
            events.push(event);
        }
    }
    Some(events)
}

/// Events of a master, each behind its length: what a picture says of tasks, agents and frameworks
/// fits together whatever comes, and a picture that is told all of it at once is the same.
pub fn picture(mut data: &[u8]) {
    let mut picture = Picture::default();
    while let Some((length, rest)) = data.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (record, rest) = rest.split_at(length);
        data = rest;
        if let Ok(Some(input)) = decode(record) {
            enter(&mut picture, input);
        }
    }
    let mut anew = Picture::default();
    enter(&mut anew, Input::State(Box::new(picture.state())));
    assert_eq!(anew.len(), picture.len());
    assert!(picture.tasks().all(|task| anew.task(&task.framework, &task.id) == Some(task)));
}

fn enter(picture: &mut Picture, input: Input) {
    let changed = picture.apply(input);
    for change in changed {
        if let Changed::Task { old, new } = change {
            assert!(old != new && (old.is_some() || new.is_some()));
        }
    }
    let mut count = 0;
    for task in picture.tasks() {
        count += 1;
        let is_it = |other: &Arc<_>| Arc::ptr_eq(other, task);
        assert!(picture.tasks_on(&task.agent).any(is_it));
        assert!(picture.tasks_of(&task.framework).any(is_it));
        // A port of the host is one that exists.
        assert!(task.host_ports().count() <= task.host_ports.len() * 65536);
    }
    assert_eq!(count, picture.len());
    assert!(picture.kept() <= count);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEEDS: [&[u8]; 2] = [
        include_bytes!("../../../fuzz/seeds/marathon_answers/apps"),
        include_bytes!("../../../fuzz/seeds/marathon_answers/events"),
    ];

    proptest! {
        #[test]
        fn changed_bytes_are_survived(
            seed in 0..SEEDS.len(),
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
            long in 0..3usize,
        ) {
            let mut data = SEEDS[seed].to_vec();
            for (at, byte) in changes {
                let at = at.index(data.len() + 1);
                match byte % 4 {
                    0 => data.truncate(at),
                    1 => data.insert(at, byte),
                    _ => data.iter_mut().skip(at).take(1).for_each(|one| *one = byte),
                }
            }
            marathon_stream(&data.repeat(1 + long * 9));
        }
    }
}
