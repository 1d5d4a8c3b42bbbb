//! A parsed request body about a group.

use crate::{ModelError, PathId, Timestamp, Violation, update::AppUpdate};
use serde_json::{Map, Value};

/// Groups in groups in a request; a body nested deeper is refused.
const DEEPEST: usize = 64;

/// What a request says about a group; absent parts stay as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupUpdate {
    /// As written: absolute, or relative to the request's path or the group it stands in.
    pub id: Option<String>,
    pub apps: Option<Vec<AppUpdate>>,
    pub groups: Option<Vec<GroupUpdate>>,
    /// As written.
    pub dependencies: Option<Vec<String>>,
    pub enforce_role: Option<bool>,
    /// Alone: go back to that version.
    pub version: Option<Timestamp>,
    /// Alone: scale every app.
    pub scale_by: Option<f64>,
}

/// Where in a request something stands, and what was found wrong so far.
struct Reader {
    violations: Vec<Violation>,
}

// === impl GroupUpdate ===

impl GroupUpdate {
    /// Reads a request's bytes.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| ModelError::broken_json(error.to_string()))?;
        Self::parse(&value)
    }

    /// Reads a request's JSON; every error of its shape is collected. Unknown fields mean nothing.
    pub fn parse(value: &Value) -> Result<Self, ModelError> {
        let mut reader = Reader { violations: Vec::new() };
        let update = reader.group(value, "", 0);
        if reader.violations.is_empty() {
            Ok(update)
        } else {
            Err(ModelError::wrong_shape(&reader.violations))
        }
    }

    /// Whether apps come, go or change with it.
    pub(crate) fn modifies_services(&self) -> bool {
        self.version.is_some()
            || self.scale_by.is_some()
            || self.apps.is_some()
            || self.groups.iter().flatten().any(Self::modifies_services)
    }

    /// How many fields are there.
    pub(crate) fn parts(&self) -> usize {
        [
            self.id.is_some(),
            self.apps.is_some(),
            self.groups.is_some(),
            self.dependencies.is_some(),
            self.enforce_role.is_some(),
            self.version.is_some(),
            self.scale_by.is_some(),
        ]
        .into_iter()
        .filter(|part| *part)
        .count()
    }
}

// === impl Reader ===

impl Reader {
    fn group(&mut self, value: &Value, path: &str, depth: usize) -> GroupUpdate {
        let Some(fields) = value.as_object() else {
            self.wrong(path, "error.expected.jsobject");
            return GroupUpdate::default();
        };
        if depth > DEEPEST {
            self.wrong(path, "groups are nested too deep");
            return GroupUpdate::default();
        }
        GroupUpdate {
            id: self.id(fields, path),
            apps: self.list(fields, path, "apps", |reader, value, path| reader.app(value, path)),
            groups: self.list(fields, path, "groups", |reader, value, path| {
                let group = reader.group(value, path, depth + 1);
                reader.needs_id(group.id.is_some(), value, path);
                group
            }),
            dependencies: self.list(fields, path, "dependencies", Self::path_id),
            enforce_role: self.typed(
                fields,
                path,
                "enforceRole",
                "error.expected.jsboolean",
                Value::as_bool,
            ),
            version: self.typed(
                fields,
                path,
                "version",
                "error.expected.date.isoformat",
                |value| value.as_str()?.parse().ok(),
            ),
            scale_by: self.scale_by(fields, path),
        }
    }

    fn app(&mut self, value: &Value, path: &str) -> AppUpdate {
        match AppUpdate::parse(value) {
            Ok(update) => {
                self.needs_id(update.id.is_some(), value, path);
                update
            }
            Err(error) => {
                self.violations.extend(error.violations().into_iter().map(|v| v.below(path)));
                AppUpdate::default()
            }
        }
    }

    /// Only the outermost object may do without: the request's path is its id.
    fn needs_id(&mut self, has_one: bool, value: &Value, path: &str) {
        if !has_one && value.is_object() {
            self.wrong(&format!("{path}/id"), &format!("'id' is undefined on object: {value}"));
        }
    }

    fn id(&mut self, fields: &Map<String, Value>, path: &str) -> Option<String> {
        let value = present(fields, "id")?;
        Some(self.path_id(value, &format!("{path}/id")))
    }

    fn path_id(&mut self, value: &Value, path: &str) -> String {
        let Some(text) = value.as_str() else {
            self.wrong(path, "error.expected.jsstring");
            return String::new();
        };
        if text.is_empty() {
            self.wrong(path, "error.minLength");
        } else if PathId::parse(text).is_err() {
            self.wrong(path, "error.pattern");
        }
        text.to_owned()
    }

    fn scale_by(&mut self, fields: &Map<String, Value>, path: &str) -> Option<f64> {
        let factor =
            self.typed(fields, path, "scaleBy", "error.expected.jsnumber", Value::as_f64)?;
        if factor < 0.0 {
            self.wrong(&format!("{path}/scaleBy"), "error.min");
        }
        Some(factor)
    }

    fn list<T>(
        &mut self,
        fields: &Map<String, Value>,
        path: &str,
        name: &str,
        mut read: impl FnMut(&mut Self, &Value, &str) -> T,
    ) -> Option<Vec<T>> {
        let value = present(fields, name)?;
        let Some(values) = value.as_array() else {
            self.wrong(&format!("{path}/{name}"), "error.expected.jsarray");
            return None;
        };
        let items = values.iter().enumerate();
        Some(items.map(|(i, value)| read(self, value, &format!("{path}/{name}({i})"))).collect())
    }

    fn typed<T>(
        &mut self,
        fields: &Map<String, Value>,
        path: &str,
        name: &str,
        error: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let read = read(present(fields, name)?);
        if read.is_none() {
            self.wrong(&format!("{path}/{name}"), error);
        }
        read
    }

    fn wrong(&mut self, path: &str, error: &str) {
        let path = if path.is_empty() { "/" } else { path };
        self.violations.push(Violation::new(path, error));
    }
}

/// `null` is as good as absent.
fn present<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}
