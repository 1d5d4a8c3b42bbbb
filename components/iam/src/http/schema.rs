//! Whether a body has the form that an endpoint takes, told in the words of the validator that
//! the original uses.

use serde_json::{Map, Value};

use crate::ApiError;

/// What a field may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Truth,
    Whole,
}

/// The fields of an object.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) required: &'static [&'static str],
    pub(crate) fields: &'static [(&'static str, Kind)],
    /// Whether other fields are refused.
    pub(crate) closed: bool,
}

pub(crate) const LOGIN: Schema = Schema {
    required: &[],
    fields: &[
        ("uid", Kind::Text),
        ("password", Kind::Text),
        ("token", Kind::Text),
        ("exp", Kind::Whole),
    ],
    closed: false,
};
pub(crate) const USER_CREATE: Schema = Schema {
    required: &[],
    fields: &[
        ("description", Kind::Text),
        ("password", Kind::Text),
        ("public_key", Kind::Text),
        ("provider_type", Kind::Text),
        ("provider_id", Kind::Text),
        ("cluster_url", Kind::Text),
        ("creator_uid", Kind::Text),
        ("password_hash", Kind::Text),
    ],
    closed: true,
};
pub(crate) const USER_UPDATE: Schema = Schema {
    required: &[],
    fields: &[
        ("description", Kind::Text),
        ("password", Kind::Text),
        ("old_password", Kind::Text),
        ("public_key", Kind::Text),
        ("active", Kind::Truth),
    ],
    closed: true,
};
pub(crate) const GROUP_CREATE: Schema = Schema {
    required: &["description"],
    fields: &[("description", Kind::Text), ("provider_type", Kind::Text)],
    closed: true,
};
/// Of groups, when they are changed, and of permissions.
pub(crate) const DESCRIPTION: Schema =
    Schema { required: &["description"], fields: &[("description", Kind::Text)], closed: true };

/// A body that fits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Map<String, Value>);

// === impl Schema ===

impl Schema {
    /// The fields of a body.
    pub(crate) fn read(&self, body: Option<Value>) -> Result<Fields, ApiError> {
        let Some(body) = body else {
            return Err(ApiError::malformed("Request has bad Content-Type or lacks JSON data"));
        };
        match self.fault(&body) {
            None => match body {
                Value::Object(fields) => Ok(Fields(fields)),
                _ => Err(ApiError::malformed("Unexpected JSON input.")),
            },
            Some(hint) => Err(ApiError::malformed(format!("Unexpected JSON input. Hint: {hint}"))),
        }
    }

    fn fault(&self, body: &Value) -> Option<String> {
        let Value::Object(fields) = body else {
            return Some(format!("{} is not of type 'object'", shown(body)));
        };
        if let Some(name) = self.required.iter().find(|name| !fields.contains_key(**name)) {
            return Some(format!("'{name}' is a required property"));
        }
        for (name, kind) in self.fields {
            let wrong = fields.get(*name).filter(|value| !kind.fits(value));
            if let Some(value) = wrong {
                return Some(format!("{} is not of type '{}'", shown(value), kind.name()));
            }
        }
        let known = |name: &str| self.fields.iter().any(|(field, _)| *field == name);
        let extra: Vec<String> =
            fields.keys().filter(|name| !known(name)).map(|name| quoted(name)).collect();
        if !self.closed || extra.is_empty() {
            return None;
        }
        let verb = if extra.len() == 1 { "was" } else { "were" };
        let extra = cut(&extra.join(", "));
        Some(format!("Additional properties are not allowed ({extra} {verb} unexpected)"))
    }
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Kind::Text => value.is_string(),
            Kind::Truth => value.is_boolean(),
            Kind::Whole => value.is_i64(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Text => "string",
            Kind::Truth => "boolean",
            Kind::Whole => "integer",
        }
    }
}

// === impl Fields ===

impl Fields {
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        match self.0.get_mut(name) {
            Some(Value::String(text)) => Some(std::mem::take(text)),
            _ => None,
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn truth(&self, name: &str) -> Option<bool> {
        self.0.get(name).and_then(Value::as_bool)
    }

    pub(crate) fn whole(&self, name: &str) -> Option<i64> {
        self.0.get(name).and_then(Value::as_i64)
    }
}

/// A value as Python shows it. Texts are left out: they may be secrets in the wrong field.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "'…'".to_owned(),
        Value::Array(items) if items.is_empty() => "[]".to_owned(),
        Value::Array(_) => "[…]".to_owned(),
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(_) => "{…}".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

fn cut(text: &str) -> String {
    text.chars().take(512).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hint(schema: &Schema, body: Value) -> String {
        let error = schema.read(Some(body)).unwrap_err();
        assert_eq!(error.title, "Bad Request");
        error.description.strip_prefix("Unexpected JSON input. Hint: ").unwrap().to_owned()
    }

    #[test]
    fn hints_are_the_validators() {
        let additional = "Additional properties are not allowed";
        assert_eq!(
            hint(&USER_CREATE, json!({ "password": "secret", "someprop": 1 })),
            format!("{additional} ('someprop' was unexpected)")
        );
        assert_eq!(
            hint(&USER_UPDATE, json!({ "b": 1, "it's": 2 })),
            format!("{additional} ('b', \"it's\" were unexpected)")
        );
        assert_eq!(hint(&USER_CREATE, json!({ "password": 5 })), "5 is not of type 'string'");
        assert_eq!(hint(&USER_CREATE, json!({ "password": null })), "None is not of type 'string'");
        assert_eq!(hint(&LOGIN, json!([])), "[] is not of type 'object'");
        assert_eq!(hint(&DESCRIPTION, json!({})), "'description' is a required property");
        assert!(LOGIN.read(Some(json!({ "other": 1 }))).is_ok());
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        assert!(!hint(&LOGIN, json!("hunter2")).contains("hunter2"));
        assert!(!hint(&LOGIN, json!({ "password": ["hunter2"] })).contains("hunter2"));
    }

    #[test]
    fn no_body_is_said_as_the_original_says_it() {
        let error = LOGIN.read(None).unwrap_err();
        assert_eq!(error.description, "Request has bad Content-Type or lacks JSON data");
    }
}
