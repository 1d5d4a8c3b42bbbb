//! Entry points for fuzzing: what is read from the network about the cluster.

use cluster_events::marathon::{self, Decode};

use super::marathon::Services;
use super::{labels, mesos, task_id};

/// Events of a master.
pub fn mesos_events(data: &[u8]) {
    let _ = mesos::event(data);
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(app) = task_id::app(text)
    {
        assert!(app.starts_with('/') && !app.contains('_'), "{app}");
    }
}

/// Answers of Marathon, and what its events say of tasks.
pub fn marathon_answers(data: &[u8]) {
    let _ = marathon::apps(&Services, data);
    let _ = marathon::app(&Services, data);
    let _ = Services.task(data);
    if let Ok(app) = serde_json::from_slice(data)
        && let Some(Ok(labelled)) = labels::read(&app)
    {
        assert!(!labelled.path.is_empty() && !labelled.path.contains("//"), "{labelled:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEEDS: [&[u8]; 4] = [
        include_bytes!("../../../fuzz/seeds/marathon_answers/apps"),
        include_bytes!("../../../fuzz/seeds/marathon_answers/events"),
        b"prod_web.instance-00000000-0000-0000-0000-000000000007._app.1",
        b"\x08\x02\x22\x08\x0a\x06\x0a\x01a\x12\x01b",
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
            let data = data.repeat(1 + long * 9);
            mesos_events(&data);
            marathon_answers(&data);
        }
    }
}
