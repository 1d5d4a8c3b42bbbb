//! How a definition differs from what is there, field by field.

use serde_json::Value;

/// A line of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Added(String),
    Removed(String),
}

/// The fields that `after` names and `before` has otherwise; those it does not name stay.
pub(super) fn diff(before: &Value, after: &Value) -> Vec<Line> {
    let mut lines = Vec::new();
    fields("", before, after, &mut lines);
    lines
}

fn fields(prefix: &str, before: &Value, after: &Value, lines: &mut Vec<Line>) {
    let Value::Object(after) = after else { return };
    for (key, new) in after {
        // An id may be written without its slash; what Marathon adds is none of the file's.
        if prefix.is_empty() && matches!(key.as_str(), "id" | "version") {
            continue;
        }
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match (before.get(key), new) {
            (Some(old), new) if same(old, new) => {}
            (Some(old @ Value::Object(old_fields)), Value::Object(new_fields)) => {
                fields(&name, old, new, lines);
                // An object is replaced as a whole: what it no longer has is gone.
                for (key, gone) in
                    old_fields.iter().filter(|(key, _)| !new_fields.contains_key(*key))
                {
                    lines.push(Line::Removed(format!("{name}.{key}: {gone}")));
                }
            }
            (Some(old), new) => {
                if !old.is_null() {
                    lines.push(Line::Removed(format!("{name}: {old}")));
                }
                if !new.is_null() {
                    lines.push(Line::Added(format!("{name}: {new}")));
                }
            }
            (None, Value::Null) => {}
            (None, new) => lines.push(Line::Added(format!("{name}: {new}"))),
        }
    }
}

/// Equal, numbers by what they are worth.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn objects_are_compared_field_by_field() {
        let before = json!({"env": {"A": "1", "B": "2"}, "cpus": 1.0, "mem": 32});
        let after = json!({"env": {"A": "9"}, "cpus": 1, "disk": 5});
        let expected = [
            Line::Removed("env.A: \"1\"".into()),
            Line::Added("env.A: \"9\"".into()),
            Line::Removed("env.B: \"2\"".into()),
            Line::Added("disk: 5".into()),
        ];
        assert_eq!(diff(&before, &after), expected);
    }

    proptest! {
        #[test]
        fn nothing_differs_from_itself(keys in proptest::collection::btree_map("[a-z]{1,4}", 0u32..9, 0..8)) {
            let value = json!({"labels": keys});
            prop_assert!(diff(&value, &value).is_empty());
        }
    }
}
