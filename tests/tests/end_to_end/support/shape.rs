//! Comparing JSON by shape: names, types, null or absent; not the values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What is found at each path; list indexes are left out, so that lists compare
/// by what any of their items has.
type Shape = BTreeMap<String, BTreeSet<&'static str>>;

/// The shape of a value. `lists` tells whether a single item and a list of one
/// are the same, as in protobuf's text form.
fn shape(value: &Value, lists: bool) -> Shape {
    let mut found = Shape::new();
    collect(value, "", lists, &mut found);
    found
}

fn collect(value: &Value, path: &str, lists: bool, found: &mut Shape) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(items) => {
            let inner = if lists { path.to_owned() } else { format!("{path}[]") };
            for item in items {
                collect(item, &inner, lists, found);
            }
            if lists {
                return;
            }
            "list"
        }
        Value::Object(fields) => {
            for (name, inner) in fields {
                collect(inner, &format!("{path}.{name}"), lists, found);
            }
            "object"
        }
    };
    found.entry(path.to_owned()).or_default().insert(kind);
}

/// A difference that is meant, with its reason.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    /// A path and everything below it, such as `.flags` or `.frameworks[].tasks[].labels`.
    pub(crate) path: &'static str,
    #[expect(dead_code, reason = "for the reader")]
    pub(crate) why: &'static str,
}

/// Every difference of `ours` from `theirs` that is not allowed.
pub(crate) fn differences(theirs: &Value, ours: &Value, allowed: &[Allowed]) -> Vec<String> {
    compare(&shape(theirs, false), &shape(ours, false), allowed)
}

/// The same for messages, where text forms do not tell a list from an item.
pub(crate) fn message_differences(
    theirs: &Value,
    ours: &Value,
    allowed: &[Allowed],
) -> Vec<String> {
    compare(&shape(theirs, true), &shape(ours, true), allowed)
}

fn compare(theirs: &Shape, ours: &Shape, allowed: &[Allowed]) -> Vec<String> {
    let paths: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let paths = paths.into_iter().filter(|path| !allowed.iter().any(|a| covers(a.path, path)));
    let mut found = Vec::new();
    for path in paths {
        // An item missing with its parent is told once, at the parent.
        if parent_differs(path, theirs, ours) || below_an_empty_list(path, theirs) {
            continue;
        }
        match (theirs.get(path), ours.get(path)) {
            (Some(_), None) => found.push(format!("{path} is missing")),
            (None, Some(_)) => found.push(format!("{path} is too much")),
            (Some(one), Some(other)) if one != other => {
                found.push(format!("{path} is {other:?}, should be {one:?}"));
            }
            _ => {}
        }
    }
    found
}

fn covers(allowed: &str, path: &str) -> bool {
    path.strip_prefix(allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn parent_differs(path: &str, theirs: &Shape, ours: &Shape) -> bool {
    let parent = path.strip_suffix("[]").or_else(|| path.rsplit_once('.').map(|(head, _)| head));
    parent.is_some_and(|parent| {
        !parent.is_empty() && theirs.contains_key(parent) != ours.contains_key(parent)
    })
}

/// The recording's list is empty, so that it does not tell what items look like.
fn below_an_empty_list(path: &str, theirs: &Shape) -> bool {
    let ends = path.match_indices("[]").map(|(at, _)| at + 2);
    ends.filter_map(|end| path.get(..end)).any(|list| !theirs.contains_key(list))
}

#[test]
fn shapes_tell_what_differs() {
    let theirs = serde_json::json!({"a": 1, "b": [{"c": null}], "d": {"e": "x"}, "f": []});
    let ours = serde_json::json!({"a": "1", "b": [{"c": null}, {"g": true}], "f": []});
    let found = differences(&theirs, &ours, &[Allowed { path: ".b[].g", why: "a test" }]);
    assert_eq!(found, [r#".a is {"string"}, should be {"number"}"#, ".d is missing"]);
}
