//! The text syntax of flags: `cpus:4;mem:1024;ports(role):[31000-32000]`, or a JSON array.
use std::collections::BTreeMap;

use super::{Item, Range, Ranges, ResourceError, Resources, check};
use crate::json::JsonMessage;
use crate::v1;
use crate::v1::resource::ReservationInfo;
use crate::v1::resource::reservation_info::Type as ReservationType;

/// What a value's text says.
#[derive(Clone, Debug, PartialEq)]
pub enum ParsedValue {
    Scalar(f64),
    Ranges(Vec<Range>),
    Set(Vec<String>),
    Text(String),
}

impl Resources {
    /// Reads a flag; what bears no role is reserved to `default_role` unless that is `*`.
    ///
    /// Volumes, revocable resources and dynamic reservations are refused: a flag cannot make them.
    pub fn parse(text: &str, default_role: &str) -> Result<Resources, ResourceError> {
        let wire = parse_wire(text, default_role)?;
        if wire.len() > check::MAX_RESOURCES {
            return Err(ResourceError::TooMany);
        }
        for resource in &wire {
            check::validate(resource).map_err(ResourceError::Syntax)?;
        }
        let resources: Resources = wire.iter().filter_map(Item::from_valid).collect();
        check_flag(&resources).map_err(ResourceError::Syntax)?;
        Ok(resources)
    }
}

/// Which names a flag mentions, even with a zero that then vanishes.
pub(super) fn parse_wire(
    text: &str,
    default_role: &str,
) -> Result<Vec<v1::Resource>, ResourceError> {
    let parsed = match serde_json::from_str(text) {
        Ok(serde_json::Value::Array(array)) => from_json(&array, default_role),
        _ => from_simple(text, default_role),
    };
    parsed.map_err(ResourceError::Syntax)
}

impl Resources {
    /// The names a flag mentions, also those given as zero: an agent detects only the others.
    pub fn names_in(text: &str) -> Result<Vec<String>, ResourceError> {
        let mut names: Vec<_> =
            parse_wire(text, "*")?.into_iter().map(|resource| resource.name).collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}

#[allow(deprecated)]
fn from_json(array: &[serde_json::Value], default_role: &str) -> Result<Vec<v1::Resource>, String> {
    array
        .iter()
        .map(|value| {
            let mut resource = v1::Resource::from_json(value).map_err(|error| {
                format!("Some JSON resources were not formatted properly: {error}")
            })?;
            if resource.role.is_none() && resource.reservations.is_empty() {
                resource.role = Some(default_role.to_owned());
            }
            Ok(resource)
        })
        .collect()
}

fn from_simple(text: &str, default_role: &str) -> Result<Vec<v1::Resource>, String> {
    text.split(';')
        .filter(|token| !token.is_empty())
        .map(|token| one(token, default_role))
        .collect()
}

fn one(token: &str, default_role: &str) -> Result<v1::Resource, String> {
    let mut parts = token.split(':').filter(|part| !part.is_empty());
    let (Some(key), Some(value), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(format!("Bad value for resources, missing or extra ':' in {token}"));
    };
    let (name, role) = match key.split_once('(') {
        None => (key.trim(), default_role),
        Some((name, rest)) => match rest.split_once(')') {
            Some((role, _)) if !name.contains(')') => (name.trim(), role.trim()),
            _ => return Err(format!("Bad value for resources, mismatched parentheses in {token}")),
        },
    };
    let parsed = parse_value(value)
        .map_err(|error| format!("Failed to parse resource {name} value {value} error {error}"))?;
    wire(name, role, value, parsed)
}

fn wire(name: &str, role: &str, text: &str, value: ParsedValue) -> Result<v1::Resource, String> {
    let mut resource = v1::Resource { name: name.to_owned(), ..v1::Resource::default() };
    match value {
        ParsedValue::Scalar(value) => {
            resource.set_type(v1::value::Type::Scalar);
            resource.scalar = Some(v1::value::Scalar { value });
        }
        ParsedValue::Ranges(ranges) => {
            resource.set_type(v1::value::Type::Ranges);
            let pair = |range: &Range| v1::value::Range { begin: range.begin, end: range.end };
            let range = ranges.iter().map(pair).collect();
            resource.ranges = Some(v1::value::Ranges { range });
        }
        ParsedValue::Set(item) => {
            resource.set_type(v1::value::Type::Set);
            resource.set = Some(v1::value::Set { item });
        }
        ParsedValue::Text(_) => {
            return Err(format!("Bad type for resource {name} value {text} type TEXT"));
        }
    }
    if role != "*" {
        resource.reservations.push(ReservationInfo {
            r#type: Some(ReservationType::Static as i32),
            role: Some(role.to_owned()),
            ..ReservationInfo::default()
        });
    }
    Ok(resource)
}

/// Reads one value, as resources and attributes share it.
pub fn parse_value(text: &str) -> Result<ParsedValue, String> {
    let text = text.replace(' ', "");
    if text.is_empty() {
        return Err("Expecting non-empty string".to_owned());
    }
    if ![('{', '}'), ('[', ']'), ('(', ')')].iter().all(|pair| balanced(&text, *pair)) {
        return Err("Mismatched brackets".to_owned());
    }
    match (text.find('['), text.find('{')) {
        (Some(0), _) => parse_ranges(&text),
        (Some(_), _) => Err("Unexpected '[' found".to_owned()),
        (None, Some(0)) => {
            let words = text.split(['{', '}', ',', '\n']).filter(|word| !word.is_empty());
            Ok(ParsedValue::Set(words.map(str::to_owned).collect()))
        }
        (None, Some(_)) => Err("Unexpected '{' found".to_owned()),
        (None, None) => parse_number(text),
    }
}

fn balanced(text: &str, (open, close): (char, char)) -> bool {
    let mut depth = 0usize;
    for symbol in text.chars() {
        if symbol == open {
            depth += 1;
        } else if symbol == close {
            let Some(less) = depth.checked_sub(1) else { return false };
            depth = less;
        }
    }
    depth == 0
}

fn parse_ranges(text: &str) -> Result<ParsedValue, String> {
    let tokens: Vec<&str> =
        text.split(['[', ']', '-', ',', '\n']).filter(|token| !token.is_empty()).collect();
    if !tokens.len().is_multiple_of(2) {
        return Err("Expecting one or more \"ranges\"".to_owned());
    }
    let mut ranges = Vec::with_capacity(tokens.len() / 2);
    for pair in tokens.chunks_exact(2) {
        let [begin, end] = pair else { continue };
        let (Ok(begin), Ok(end)) = (begin.parse(), end.parse()) else {
            return Err(format!("Expecting non-negative integers in '{begin}'"));
        };
        ranges.push(Range { begin, end });
    }
    if ranges.iter().any(|range| range.begin > range.end) {
        // Left as they are, for the check to refuse.
        return Ok(ParsedValue::Ranges(ranges));
    }
    Ok(ParsedValue::Ranges(Ranges::new(ranges).iter().collect()))
}

/// A number, or else text; so is a negative or infinite number.
fn parse_number(text: String) -> Result<ParsedValue, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_subnormal() => Err("Subnormal values not supported".to_owned()),
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(ParsedValue::Scalar(value)),
        _ => Ok(ParsedValue::Text(text)),
    }
}

fn check_flag(resources: &Resources) -> Result<(), String> {
    let mut kinds = BTreeMap::new();
    for item in resources.slice() {
        if item.is_persistent_volume() {
            return Err("Persistent volumes cannot be specified at the command line".to_owned());
        }
        if item.is_revocable() {
            return Err("Revocable resources cannot be specified at the command line; do not \
                        include a 'revocable' key in the resources JSON"
                .to_owned());
        }
        if item.is_dynamically_reserved() {
            return Err("Dynamic reservations cannot be specified at the command line; do not \
                        include a reservation with DYNAMIC type in the resources JSON"
                .to_owned());
        }
        let kind = std::mem::discriminant(&item.value);
        if *kinds.entry(&item.name).or_insert(kind) != kind {
            return Err(format!(
                "Resources with the same name ('{}') but different types are not allowed",
                item.name
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Resources::parse(text, "*").unwrap_err().to_string()
    }

    #[test]
    fn reads_what_flags_say() {
        let resources =
            Resources::parse("cpus:4; mem:1024;ports(eng):[31000-31005, 31006-32000];r:{a,b}", "*")
                .unwrap();
        assert_eq!(
            resources.to_string(),
            "cpus:4; mem:1024; ports(reservations: [(STATIC,eng)]):[31000-32000]; r:{a, b}"
        );
        assert_eq!(resources.cpus(), Some(super::super::Scalar::from_whole(4)));
        assert!(Resources::parse("", "*").unwrap().is_empty());
        assert!(Resources::parse("cpus:0", "*").unwrap().is_empty());
        assert_eq!(Resources::names_in("cpus:0;mem:3").unwrap(), ["cpus", "mem"]);
    }

    #[test]
    fn reads_json() {
        let text = r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":4}},
            {"name":"disk","type":"SCALAR","scalar":{"value":10},"role":"eng",
             "disk":{"source":{"type":"MOUNT","mount":{"root":"/mnt"}}}}]"#;
        assert_eq!(
            Resources::parse(text, "*").unwrap().to_string(),
            "cpus:4; disk(reservations: [(STATIC,eng)])[MOUNT:/mnt]:10"
        );
        assert_eq!(
            Resources::parse(text, "public").unwrap().reserved_to("public").to_string(),
            "cpus(reservations: [(STATIC,public)]):4"
        );
        assert!(error("[{}]").starts_with("Some JSON resources were not formatted properly: "));
        assert_eq!(
            error(r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":4},"revocable":{}}]"#),
            "Revocable resources cannot be specified at the command line; do not include a \
             'revocable' key in the resources JSON"
        );
    }

    #[test]
    fn a_default_role_reserves() {
        let resources = Resources::parse("cpus:1;mem(*):2", "slave_public").unwrap();
        assert_eq!(resources.to_string(), "cpus(reservations: [(STATIC,slave_public)]):1; mem:2");
    }

    #[test]
    fn refuses_with_the_originals_words() {
        assert_eq!(error("cpus"), "Bad value for resources, missing or extra ':' in cpus");
        assert_eq!(
            error("cpus(a:1"),
            "Bad value for resources, mismatched parentheses in cpus(a:1"
        );
        assert_eq!(
            error("ports:[1-]"),
            "Failed to parse resource ports value [1-] error Expecting one or more \"ranges\""
        );
        assert_eq!(error("cpus:x"), "Bad type for resource cpus value x type TEXT");
        assert_eq!(error("cpus:-1"), "Bad type for resource cpus value -1 type TEXT");
        assert_eq!(error("cpus:1e300"), "Invalid scalar resource: value <= 0");
        assert_eq!(error("cpus:0.0001"), "Invalid scalar resource: value <= 0");
        assert_eq!(error("ports:[5-1]"), "Invalid ranges resource: begin > end");
        assert_eq!(error(":1;"), "Bad value for resources, missing or extra ':' in :1");
        assert_eq!(
            error("cpus:1;cpus:{a}"),
            "Resources with the same name ('cpus') but different types are not allowed"
        );
        assert_eq!(error("cpus(/a):1"), "Role '/a' cannot start with a slash");
    }
}
