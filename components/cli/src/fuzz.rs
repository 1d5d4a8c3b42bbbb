//! Entry points for the fuzzer: foreign bytes in, no panic out.

use crate::terminal::{Style, printable};
use crate::{commands, follow, server};
use serde_json::Value;

/// Reads `data` as an answer of any of the servers, and shows it as the commands do.
pub fn answer(data: &[u8]) {
    let refused = server::refusal("Marathon", 400, data, || "no".to_owned()).to_string();
    assert_eq!(printable(&refused), refused, "a refusal steers the terminal");
    commands::task::read_piece(data);
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    follow::read(&value);
    for shown in commands::show(&value, Style::of(false)) {
        assert_eq!(printable(&shown), shown, "{shown:?} steers the terminal");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Words that the commands look for, so that something is found.
    const KEYS: [&str; 24] = [
        "apps",
        "id",
        "instances",
        "tasksStats",
        "details",
        "path",
        "errors",
        "message",
        "data",
        "steps",
        "actions",
        "action",
        "app",
        "changes",
        "old",
        "new",
        "queue",
        "pendingReasons",
        "agents",
        "frameworks",
        "tasks",
        "slaves",
        "pid",
        "packages",
    ];

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 48, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(proptest::sample::select(&KEYS[..]), inner, 0..6)
                    .prop_map(|fields| fields
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_answer_harms(value in value()) {
            answer(value.to_string().as_bytes());
        }
    }
}
