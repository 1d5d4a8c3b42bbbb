//! Protobuf's text form, as far as captures use it, into JSON values.
//!
//! Enums become strings, as they are in JSON. A field that appears twice becomes
//! a list; one that appears once may still be a repeated field.

use serde_json::{Map, Value};

pub(crate) fn parse(text: &str) -> Value {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Value::Object(message(&mut lines))
}

fn message<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Map<String, Value> {
    let mut fields = Map::new();
    while let Some(line) = lines.next() {
        if line == "}" {
            break;
        }
        if let Some(name) = line.strip_suffix(" {") {
            let inner = message(lines);
            add(&mut fields, name, Value::Object(inner));
        } else if let Some((name, value)) = line.split_once(": ") {
            add(&mut fields, name, scalar(value));
        }
    }
    fields
}

fn add(fields: &mut Map<String, Value>, name: &str, value: Value) {
    match fields.get_mut(name) {
        None => {
            fields.insert(name.to_owned(), value);
        }
        Some(Value::Array(items)) => items.push(value),
        Some(single) => *single = Value::Array(vec![single.take(), value]),
    }
}

fn scalar(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(inner) => Value::String(inner.to_owned()),
            None => text.parse::<f64>().map_or_else(|_| Value::from(text), Value::from),
        },
    }
}
