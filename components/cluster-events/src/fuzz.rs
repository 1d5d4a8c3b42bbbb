//! Entry points for fuzzing: the parts of streams and answers that every follower reads.

use std::sync::Arc;

use serde_json::Value;

use crate::marathon::{self, Decode, Reader, sse};

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
