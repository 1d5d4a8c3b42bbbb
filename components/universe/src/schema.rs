//! Checking options against a package's schema (JSON Schema, draft 4); every violation is
//! reported, in the form of the validator that the original uses.

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{PatternOptions, ValidationError};
use serde_json::{Value, json};

use crate::Object;

/// Options that may not be used.
#[derive(Clone, Debug, PartialEq)]
pub enum SchemaError {
    /// What is wrong, one object each: `instance.pointer` says where, `message` what.
    Violations(Vec<Value>),
    /// The schema itself is none.
    Unusable(String),
}

/// Steps a pattern may take on one string before it counts as not matching.
const BACKTRACKING: usize = 100_000;

/// Checks `options` against `schema`. A reference to anything outside of it makes it unusable.
pub fn validate(schema: &Object, options: &Object) -> Result<(), SchemaError> {
    let schema = Value::Object(schema.clone());
    let patterns = PatternOptions::fancy_regex().backtrack_limit(BACKTRACKING);
    let validator = jsonschema::draft4::options()
        .with_pattern_options(patterns)
        .build(&schema)
        .map_err(|error| SchemaError::Unusable(error.to_string()))?;
    let options = Value::Object(options.clone());
    let violations = shown(validator.iter_errors(&options));
    if violations.is_empty() { Ok(()) } else { Err(SchemaError::Violations(violations)) }
}

fn shown<'a>(errors: impl Iterator<Item = ValidationError<'a>>) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for error in errors {
        let violation = violation(&error);
        // The original names all that is missing from one object at once.
        let missing = violation.get("missing").and_then(Value::as_array).cloned();
        let same = |known: &&mut Value| {
            ["keyword", "schema", "instance"].iter().all(|key| known.get(key) == violation.get(key))
        };
        match (missing, all.iter_mut().find(same)) {
            (Some(more), Some(known)) => extend_missing(known, more),
            _ => all.push(violation),
        }
    }
    all
}

fn extend_missing(violation: &mut Value, more: Vec<Value>) {
    let Some(missing) = violation.get_mut("missing").and_then(Value::as_array_mut) else { return };
    missing.extend(more);
    let message = missing_message(missing);
    if let Some(known) = violation.get_mut("message") {
        *known = message;
    }
}

fn missing_message(missing: &[Value]) -> Value {
    json!(format!("object has missing required properties ({})", Value::from(missing)))
}

fn violation(error: &ValidationError<'_>) -> Value {
    let path = error.schema_path().to_string();
    let keyword = error.kind().keyword();
    let pointer = path.strip_suffix(&format!("/{keyword}")).unwrap_or(&path);
    let mut violation = json!({
        "level": "error",
        "schema": {"loadingURI": "#", "pointer": pointer},
        "instance": {"pointer": error.instance_path().to_string()},
        "domain": "validation",
        "keyword": keyword,
    });
    let (message, more) = wording(error);
    if let Some(object) = violation.as_object_mut() {
        object.insert("message".to_owned(), Value::String(message));
        object.extend(more);
    }
    violation
}

/// The message, and the fields that go with it.
fn wording(error: &ValidationError<'_>) -> (String, Object) {
    let found = error.instance().as_ref();
    let list = |value: &Value| Value::from(vec![value.clone()]);
    let (message, more) = match error.kind() {
        Kind::Type { kind } => {
            let (name, allowed) = (type_name(found), allowed(kind));
            let text = "does not match any allowed primitive type";
            let message = format!("instance type ({name}) {text} (allowed: {allowed})");
            (message, json!({"found": name, "expected": allowed}))
        }
        Kind::Required { property } => {
            let missing = list(property);
            let message = missing_message(std::slice::from_ref(property));
            (message.as_str().unwrap_or_default().to_owned(), json!({"missing": missing}))
        }
        Kind::AdditionalProperties { unexpected } => {
            let text = "object instance has properties which are not allowed by the schema";
            (format!("{text}: {}", json!(unexpected)), json!({"unwanted": unexpected}))
        }
        Kind::Enum { options } => {
            let message =
                format!("instance value ({found}) not found in enum (possible values: {options})");
            (message, json!({"value": found, "enum": **options}))
        }
        Kind::Minimum { limit } => {
            let text = "numeric instance is lower than the required minimum";
            let message = format!("{text} (minimum: {limit}, found: {found})");
            (message, json!({"minimum": limit, "found": found}))
        }
        Kind::Maximum { limit } => {
            let text = "numeric instance is greater than the required maximum";
            let message = format!("{text} (maximum: {limit}, found: {found})");
            (message, json!({"maximum": limit, "found": found}))
        }
        Kind::Pattern { pattern } => {
            let message =
                format!("ECMA 262 regex \"{pattern}\" does not match input string {found}");
            (message, json!({"regex": pattern, "string": found}))
        }
        Kind::MinLength { limit } => {
            let length = found.as_str().map_or(0, |text| text.chars().count());
            let message = format!(
                "string {found} is too short (length: {length}, required minimum: {limit})"
            );
            (message, json!({"value": found, "found": length, "minLength": limit}))
        }
        Kind::MaxLength { limit } => {
            let length = found.as_str().map_or(0, |text| text.chars().count());
            let message =
                format!("string {found} is too long (length: {length}, maximum allowed: {limit})");
            (message, json!({"value": found, "found": length, "maxLength": limit}))
        }
        Kind::UniqueItems => ("array must not contain duplicate elements".to_owned(), json!({})),
        _ => (error.to_string(), json!({})),
    };
    let Value::Object(more) = more else { return (message, Object::new()) };
    (message, more)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn allowed(kind: &TypeKind) -> Value {
    match kind {
        TypeKind::Single(one) => json!([one.to_string()]),
        TypeKind::Multiple(several) => several.iter().map(|one| one.to_string()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: Value, options: Value) -> Result<(), SchemaError> {
        validate(schema.as_object().unwrap(), options.as_object().unwrap())
    }

    fn violations(schema: Value, options: Value) -> Vec<Value> {
        match check(schema, options) {
            Err(SchemaError::Violations(violations)) => violations,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_violation_is_named_with_its_place() {
        let schema = json!({
            "type": "object",
            "properties": {
                "service": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["name", "user"],
                    "properties": {
                        "port": {"type": "integer", "minimum": 1},
                        "mode": {"enum": ["a", "b"]},
                        "name": {"type": "string", "pattern": "^[a-z]+$"},
                    }
                }
            }
        });
        let found = violations(
            schema.clone(),
            json!({"service": {"port": "9", "mode": "c", "x": 1, "y": 2}}),
        );
        let by = |keyword: &str| found.iter().find(|v| v["keyword"] == keyword).unwrap();
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(by("type")["instance"]["pointer"], "/service/port");
        assert_eq!(by("type")["schema"]["pointer"], "/properties/service/properties/port");
        assert_eq!(
            by("type")["message"],
            r#"instance type (string) does not match any allowed primitive type (allowed: ["integer"])"#
        );
        assert_eq!(
            by("required")["message"],
            r#"object has missing required properties (["name","user"])"#
        );
        assert_eq!(by("required")["missing"], json!(["name", "user"]));
        assert_eq!(by("additionalProperties")["unwanted"], json!(["x", "y"]));
        assert_eq!(
            by("enum")["message"],
            r#"instance value ("c") not found in enum (possible values: ["a","b"])"#
        );
        let options = json!({"service": {"port": 0, "name": "N", "user": ""}});
        let found = violations(schema, options);
        assert_eq!(
            found[0]["message"],
            "numeric instance is lower than the required minimum (minimum: 1, found: 0)"
        );
        assert_eq!(
            found[1]["message"],
            r#"ECMA 262 regex "^[a-z]+$" does not match input string "N""#
        );
    }

    #[test]
    fn what_fits_passes() {
        let schema = json!({"properties": {"a": {"type": "number"}, "b": {"$ref": "#/definitions/b"}},
            "definitions": {"b": {"type": "string"}}});
        assert_eq!(check(schema.clone(), json!({"a": 1, "b": "x", "c": null})), Ok(()));
        assert!(check(schema, json!({"b": 1})).is_err());
    }

    #[test]
    fn references_to_elsewhere_are_not_followed() {
        let schema = json!({"properties": {"a": {"$ref": "http://127.0.0.1:1/schema.json"}}});
        assert!(matches!(check(schema, json!({"a": 1})), Err(SchemaError::Unusable(_))));
    }

    #[test]
    fn schemas_that_lead_to_themselves_end() {
        for schema in [
            json!({"$ref": "#"}),
            json!({"allOf": [{"$ref": "#"}]}),
            json!({"not": {"$ref": "#"}}),
            json!({"anyOf": [{"$ref": "#/definitions/a"}], "definitions": {
                "a": {"oneOf": [{"$ref": "#/definitions/b"}]}, "b": {"allOf": [{"$ref": "#/definitions/a"}]}}}),
            json!({"dependencies": {"a": {"$ref": "#"}}}),
        ] {
            let _ = check(schema, json!({"a": {"a": {}}}));
        }
    }

    #[test]
    fn hostile_patterns_end() {
        let schema = json!({"properties": {"a": {"pattern": "^(a+)+\\1$"}}});
        assert!(check(schema, json!({"a": "a".repeat(40) + "b"})).is_err());
    }
}
