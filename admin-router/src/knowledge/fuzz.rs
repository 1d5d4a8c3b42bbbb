//! Entry points for fuzzing: what is read from the network about the cluster.

use super::marathon::{decode, sse};
use super::{labels, mesos, task_id};

/// Events of a master.
pub fn mesos_events(data: &[u8]) {
    let _ = mesos::decode::event(data);
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(app) = task_id::app(text)
    {
        assert!(app.starts_with('/') && !app.contains('_'), "{app}");
    }
}

/// Events and answers of Marathon. A stream that is cut anywhere tells the same.
pub fn marathon_answers(data: &[u8]) {
    let whole = events(&[data]);
    let cut = data.first().map_or(0, |byte| usize::from(*byte) % data.len());
    let (left, right) = data.split_at(cut);
    assert_eq!(events(&[left, right]), whole);
    let _ = decode::apps(data);
    let _ = decode::app(data);
    let _ = decode::framework(data);
    let _ = decode::leader(data);
    if let Ok(app) = serde_json::from_slice(data)
        && let Some(Ok(labelled)) = labels::read(&app)
    {
        assert!(!labelled.path.is_empty() && !labelled.path.contains("//"), "{labelled:?}");
    }
}

const MOST: usize = 4096;

fn events(pieces: &[&[u8]]) -> Option<Vec<sse::Event>> {
    let mut decoder = sse::Decoder::new(MOST);
    let mut reader = decode::Reader::default();
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        while let Some(event) = decoder.next_event().ok()? {
            let _ = reader.event(&event);
            events.push(event);
        }
    }
    Some(events)
}
