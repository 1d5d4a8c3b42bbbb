//! Which fields of an app are other than they were.

use crate::App;
use serde_json::{Map, Value};

/// Output only; they say nothing about what the app is.
const NOT_COMPARED: [&str; 2] = ["version", "versionInfo"];

/// A field that is new, gone or other than it was.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// `/container/docker/image`, `/portDefinitions(0)/port`.
    pub path: String,
    pub old: Option<Value>,
    pub new: Option<Value>,
}

/// Of a new app every field is new; of one that is gone nothing is said.
pub(super) fn apps(before: Option<&App>, after: Option<&App>) -> Vec<FieldChange> {
    let json = |app: Option<&App>| {
        let mut fields = match app.map(serde_json::to_value) {
            Some(Ok(Value::Object(fields))) => fields,
            _ => Map::new(),
        };
        fields.retain(|name, _| !NOT_COMPARED.contains(&name.as_str()));
        fields
    };
    let mut changes = Vec::new();
    if after.is_some() {
        fields(&json(before), &json(after), "", &mut changes);
    }
    changes
}

fn fields(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    path: &str,
    changes: &mut Vec<FieldChange>,
) {
    for (name, new) in new {
        values(old.get(name), Some(new), format!("{path}/{name}"), changes);
    }
    for (name, old) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
        values(Some(old), None, format!("{path}/{name}"), changes);
    }
}

fn values(old: Option<&Value>, new: Option<&Value>, path: String, changes: &mut Vec<FieldChange>) {
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => fields(old, new, &path, changes),
        // Lists of one length are compared place by place; else they stand side by side whole.
        (Some(Value::Array(old)), Some(Value::Array(new))) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                values(Some(old), Some(new), format!("{path}({index})"), changes);
            }
        }
        (old, new) => changes.push(FieldChange { path, old: old.cloned(), new: new.cloned() }),
    }
}

// === impl FieldChange ===

impl FieldChange {
    /// `{"path", "old", "new"}`; what is not there is left out.
    pub fn json(&self) -> Value {
        let mut json = Map::new();
        json.insert("path".to_owned(), self.path.as_str().into());
        json.extend(self.old.clone().map(|old| ("old".to_owned(), old)));
        json.extend(self.new.clone().map(|new| ("new".to_owned(), new)));
        Value::Object(json)
    }
}
