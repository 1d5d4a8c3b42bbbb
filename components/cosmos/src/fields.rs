//! Reading the fields of a request's body, with the messages of the original's decoder.

use serde_json::Value;
use universe::Object;

/// Fields of an object. The error of each getter is the decoder's message.
#[derive(Clone, Debug)]
pub(crate) struct Fields(Object);

/// What a decoder says.
pub(crate) type Decoded<T> = Result<T, String>;

// === impl Fields ===

impl Fields {
    /// A body. What is no object has no fields.
    pub(crate) fn new(value: Value) -> Fields {
        match value {
            Value::Object(object) => Fields(object),
            _ => Fields(Object::new()),
        }
    }

    fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn typed<T>(
        &self,
        field: &str,
        kind: &str,
        take: impl FnOnce(&Value) -> Option<T>,
    ) -> Decoded<Option<T>> {
        let wrong = || format!("{kind}: DownField({field})");
        self.get(field).map(|value| take(value).ok_or_else(wrong)).transpose()
    }

    fn required<T>(field: &str, value: Option<T>) -> Decoded<T> {
        let missing = "Attempt to decode value on failed cursor";
        value.ok_or_else(|| format!("{missing}: DownField({field})"))
    }

    pub(crate) fn text(&self, field: &str) -> Decoded<Option<String>> {
        self.typed(field, "String", |value| value.as_str().map(str::to_owned))
    }

    pub(crate) fn required_text(&self, field: &str) -> Decoded<String> {
        Fields::required(field, self.text(field)?)
    }

    pub(crate) fn flag(&self, field: &str) -> Decoded<Option<bool>> {
        self.typed(field, "Boolean", Value::as_bool)
    }

    pub(crate) fn required_flag(&self, field: &str) -> Decoded<bool> {
        Fields::required(field, self.flag(field)?)
    }

    pub(crate) fn integer(&self, field: &str) -> Decoded<Option<i64>> {
        let int = |value: &Value| value.as_i64().filter(|number| i32::try_from(*number).is_ok());
        self.typed(field, "Int", int)
    }

    pub(crate) fn object(&self, field: &str) -> Decoded<Option<Object>> {
        self.typed(field, "JsonObject", |value| value.as_object().cloned())
    }

    /// An app's id, which begins with a slash whether or not the client wrote it.
    pub(crate) fn app_id(&self, field: &str) -> Decoded<Option<String>> {
        Ok(self.text(field)?.map(|id| absolute(&id)))
    }

    pub(crate) fn required_app_id(&self, field: &str) -> Decoded<String> {
        Fields::required(field, self.app_id(field)?)
    }
}

/// An app's id with the slash at its beginning.
pub(crate) fn absolute(id: &str) -> String {
    if id.starts_with('/') { id.to_owned() } else { format!("/{id}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn messages_are_the_decoders() {
        let fields = Fields::new(json!({"a": 1, "n": null, "i": 3_000_000_000_u64, "id": "x/y"}));
        assert_eq!(
            fields.required_text("b").unwrap_err(),
            "Attempt to decode value on failed cursor: DownField(b)"
        );
        assert_eq!(fields.text("a").unwrap_err(), "String: DownField(a)");
        assert_eq!(fields.integer("i").unwrap_err(), "Int: DownField(i)");
        assert_eq!(fields.flag("n"), Ok(None));
        assert_eq!(fields.required_app_id("id").unwrap(), "/x/y");
        assert!(Fields::new(json!([])).required_flag("x").is_err());
    }
}
