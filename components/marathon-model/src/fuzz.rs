//! Entry points for fuzzing: one function for each kind of foreign bytes this crate reads.

use crate::{App, AppUpdate, GroupUpdate, ModelError, PathId, Settings, selector::LabelSelectors};
use std::collections::BTreeMap;

/// Apps: what becomes one prints, reads back the same, and an empty update leaves it so.
pub fn app(data: &[u8]) {
    let Ok(update) = AppUpdate::parse_bytes(data) else { return };
    let settings = Settings {
        default_network_name: Some("dcos".to_owned()),
        features: ["external_volumes", "gpu_resources"].map(str::to_owned).into(),
        ..Settings::default()
    };
    let id = PathId::root().child("a");
    let app = match update.create(Some(&id), &settings) {
        Ok(app) => app,
        // Whatever was wrong, there is something to tell.
        Err(ModelError::Invalid(violations)) => return assert!(!violations.is_empty()),
        Err(_) => return,
    };
    let mut printed = Vec::new();
    app.write_json(&mut printed);
    let text = String::from_utf8_lossy(&printed);
    assert_eq!(App::from_stored(&printed).as_ref(), Ok(&app), "{text}");
    assert_eq!(AppUpdate::default().merge(&app, &settings), Ok(app));
}

/// Groups, and lists of updates.
pub fn group(data: &[u8]) {
    let _ = AppUpdate::parse_list_bytes(data);
    let _ = GroupUpdate::parse_bytes(data);
}

/// Label selectors, ids and moments.
pub fn texts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(selectors) = LabelSelectors::parse(text) {
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        assert_eq!(selectors.matches(&labels), selectors.matches(&labels.clone()));
    }
    if let Ok(id) = PathId::parse(text) {
        assert_eq!(PathId::parse(id.as_str()), Ok(id));
    }
    if let Ok(moment) = text.parse::<crate::Timestamp>() {
        assert_eq!(moment.to_string().parse(), Ok(moment));
    }
    if let Some(task) = crate::TaskId::parse(text) {
        assert_eq!(crate::TaskId::parse(&task.to_string()).as_ref(), Some(&task));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    const SEEDS: [&[u8]; 4] = [
        include_bytes!("../../../fuzz/seeds/marathon_app/legacy.json"),
        include_bytes!("../../../fuzz/seeds/marathon_app/modern.json"),
        include_bytes!("../../../fuzz/seeds/marathon_group/nested.json"),
        include_bytes!("../../../fuzz/seeds/marathon_texts/selector"),
    ];

    #[test]
    fn the_seeds_are_apps() {
        for seed in &SEEDS[..2] {
            let update = crate::AppUpdate::parse_bytes(seed).unwrap();
            update.create(None, &crate::Settings::default()).unwrap();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// A few bytes of a good input are others.
        #[test]
        fn spoiled_inputs(
            seed in proptest::sample::select(&SEEDS[..]),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), 0x20u8..0x7f), 0..4),
        ) {
            let mut data = seed.to_vec();
            for (at, byte) in changes {
                let at = at.index(data.len());
                data[at] = byte;
            }
            super::app(&data);
            super::group(&data);
            super::texts(&data);
        }
    }
}
