//! Reading answers leniently: what is absent is empty, not an error.

use serde_json::Value;

/// A text below a value, by pointer; empty when there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A text below a value, if it is there and not empty.
pub(crate) fn some_text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    Some(text(value, pointer)).filter(|text| !text.is_empty())
}

/// An array below a value; empty when there is none.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A number below a value.
pub(crate) fn number(value: &Value, pointer: &str) -> Option<f64> {
    value.pointer(pointer).and_then(Value::as_f64)
}

/// A count below a value; nothing counts as none.
pub(crate) fn count(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// Whether something below a value is true.
pub(crate) fn flag(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

/// A value for a person: texts without quotes, lists and objects as short JSON.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), plain),
        other => other.to_string(),
    }
}

/// A number without needless digits: 128, 0.1.
pub(crate) fn plain(number: f64) -> String {
    format!("{number}")
}

/// At most `width` characters, the last three of which say that there were more.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= width && line.len() == text.trim_end().len() {
        return line.to_owned();
    }
    let kept: String = line.chars().take(width.saturating_sub(3)).collect();
    format!("{}...", kept.trim_end())
}

/// An id of Marathon as its API wants it: with a slash in front and none at the end.
pub(crate) fn marathon_id(id: &str) -> String {
    format!("/{}", id.trim_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_absent_is_empty() {
        let value = json!({"a": {"b": "x", "n": 1.5, "l": [1], "t": true}});
        assert_eq!(text(&value, "/a/b"), "x");
        assert_eq!(text(&value, "/a/n"), "");
        assert_eq!(list(&value, "/a/l").len(), 1);
        assert!(list(&value, "/a/b/c").is_empty());
        assert_eq!(number(&value, "/a/n"), Some(1.5));
        assert!(flag(&value, "/a/t") && !flag(&value, "/a/b"));
    }

    #[test]
    fn numbers_are_plain() {
        assert_eq!(shown(&json!(128.0)), "128");
        assert_eq!(shown(&json!(0.1)), "0.1");
        assert_eq!(shown(&json!(["a"])), "[\"a\"]");
    }

    #[test]
    fn long_texts_are_shortened_and_so_are_those_of_many_lines() {
        assert_eq!(shorten("short", 10), "short");
        assert_eq!(shorten("0123456789", 10), "0123456789");
        assert_eq!(shorten("01234567890", 10), "0123456...");
        assert_eq!(shorten("first\nsecond", 20), "first...");
        assert_eq!(shorten("", 20), "");
    }

    #[test]
    fn ids_have_one_slash_in_front() {
        for id in ["a/b", "/a/b", "//a/b/"] {
            assert_eq!(marathon_id(id), "/a/b");
        }
        assert_eq!(marathon_id("/"), "/");
    }
}
