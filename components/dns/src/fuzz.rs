//! Entry points for fuzzing: one function for each kind of foreign bytes that this crate reads.

use crate::names::labels::{Rule, is_name};
use crate::record::Change;

/// Names of tasks and frameworks, whatever they are: what is made of them can be asked for.
pub fn labels(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for rule in [Rule::Rfc1123, Rule::Rfc952] {
        let label = rule.label(&text);
        assert!(label.is_empty() || is_name(&label), "{label:?}");
        assert_eq!(rule.label(label.trim_end_matches('-')), label.trim_end_matches('-'));
        let labels = rule.labels(&text);
        assert!(labels.is_empty() || !labels.split('.').any(|label| !is_name(label)), "{labels:?}");
    }
    let changes = crate::names::fuzz(&text);
    assert!(changes.iter().all(|Change { name, .. }| is_name(name)));
}

/// The stream of virtual addresses.
pub fn vips(data: &[u8]) {
    crate::feed::fuzz_vips(data);
}

/// A packet, and what comes over a connection.
pub fn packets(data: &[u8]) {
    crate::serve::fuzz::packet(data);
    crate::serve::fuzz::stream(data);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_label(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            super::labels(&data);
        }

        #[test]
        fn any_vips(lines in proptest::collection::vec(prop_oneof![
            Just(r#"{"vips":[{"name":"a.b","ip":"11.0.0.1"},{"name":"C","ip":"11.0.0.2"}]}"#),
            Just(r#"{"put":{"name":"a.b","ip":"fd01:c::1"}}"#),
            Just(r#"{"put":{"name":"..","ip":"11.0.0.1"}}"#),
            Just(r#"{"gone":"a.b"}"#),
            Just(r#"{"vips":[]}"#),
            Just("{}"),
            Just("{\"put\""),
        ], 0..12)) {
            super::vips(lines.join("\n").as_bytes());
        }
    }
}
