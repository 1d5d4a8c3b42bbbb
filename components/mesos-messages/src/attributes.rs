//! Attributes of agents: `rack:r1;level:10;ports:[1-3]`, compared and shown as the original does.
use std::fmt;

use crate::resources::{ParsedValue, Range, Ranges, Scalar, parse_value};
use crate::v1;
use crate::v1::value::Type;

/// Why attribute text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    #[error("Invalid attribute key:value pair '{0}'")]
    Pair(String),
    #[error("Failed to parse attribute {name} text {text} error {reason}")]
    Value { name: String, text: String, reason: String },
    #[error("Bad type for attribute {name} text {text} type SET")]
    Set { name: String, text: String },
}

/// Reads the agent's flag.
pub fn parse(text: &str) -> Result<Vec<v1::Attribute>, AttributeError> {
    text.split([';', '\n']).filter(|token| !token.is_empty()).map(parse_one).collect()
}

fn parse_one(token: &str) -> Result<v1::Attribute, AttributeError> {
    let pair = token.split_once(':').filter(|(name, text)| !name.is_empty() && !text.is_empty());
    let Some((name, text)) = pair else { return Err(AttributeError::Pair(token.to_owned())) };
    let (name, text) = (name.to_owned(), text.to_owned());
    let mut attribute = v1::Attribute { name: name.clone(), ..v1::Attribute::default() };
    match parse_value(&text) {
        Ok(ParsedValue::Scalar(value)) => {
            attribute.set_type(Type::Scalar);
            attribute.scalar = Some(v1::value::Scalar { value });
        }
        Ok(ParsedValue::Ranges(ranges)) => {
            attribute.set_type(Type::Ranges);
            let pair = |range: Range| v1::value::Range { begin: range.begin, end: range.end };
            let range = ranges.into_iter().map(pair).collect();
            attribute.ranges = Some(v1::value::Ranges { range });
        }
        Ok(ParsedValue::Text(value)) => {
            attribute.set_type(Type::Text);
            attribute.text = Some(v1::value::Text { value });
        }
        Ok(ParsedValue::Set(_)) => return Err(AttributeError::Set { name, text }),
        Err(reason) => return Err(AttributeError::Value { name, text, reason }),
    }
    Ok(attribute)
}

/// Whether the attribute has a name and the value its type promises; sets are not allowed.
pub fn is_valid(attribute: &v1::Attribute) -> bool {
    !attribute.name.is_empty()
        && match Type::try_from(attribute.r#type) {
            Ok(Type::Scalar) => attribute.scalar.is_some(),
            Ok(Type::Ranges) => attribute.ranges.is_some(),
            Ok(Type::Text) => attribute.text.is_some(),
            Ok(Type::Set) | Err(_) => false,
        }
}

/// Whether two lists say the same, whatever their order.
pub fn same(left: &[v1::Attribute], right: &[v1::Attribute]) -> bool {
    left.len() == right.len() && contains_all(left, right) && contains_all(right, left)
}

fn contains_all(all: &[v1::Attribute], some: &[v1::Attribute]) -> bool {
    some.iter().all(|one| all.iter().any(|other| same_one(one, other)))
}

fn same_one(left: &v1::Attribute, right: &v1::Attribute) -> bool {
    left.name == right.name
        && left.r#type == right.r#type
        && match left.r#type() {
            Type::Scalar => scalar(left) == scalar(right),
            Type::Ranges => ranges(left) == ranges(right),
            Type::Text => left.text == right.text,
            Type::Set => left.set == right.set,
        }
}

fn scalar(attribute: &v1::Attribute) -> Option<Scalar> {
    attribute.scalar.and_then(|scalar| Scalar::from_f64(scalar.value))
}

fn ranges(attribute: &v1::Attribute) -> Ranges {
    let ranges = attribute.ranges.iter().flat_map(|ranges| &ranges.range);
    Ranges::new(ranges.map(|range| Range { begin: range.begin, end: range.end }).collect())
}

/// Prints `rack=r1`.
pub struct AttributeText<'a>(pub &'a v1::Attribute);

impl fmt::Display for AttributeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attribute = self.0;
        write!(f, "{}=", attribute.name)?;
        match attribute.r#type() {
            Type::Scalar => match scalar(attribute) {
                Some(scalar) => scalar.fmt(f),
                None => Ok(()),
            },
            Type::Ranges => ranges(attribute).fmt(f),
            Type::Set => {
                let items = attribute.set.as_ref().map(|set| set.item.join(", "));
                write!(f, "{{{}}}", items.unwrap_or_default())
            }
            Type::Text => {
                f.write_str(attribute.text.as_ref().map_or("", |text| text.value.as_str()))
            }
        }
    }
}

/// Appends the `attributes{}` object of the classic endpoints: numbers, or text.
pub fn write_summary(attributes: &[v1::Attribute], out: &mut Vec<u8>) {
    out.push(b'{');
    for (at, attribute) in attributes.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_text(attribute.name.clone(), out);
        out.push(b':');
        match (attribute.r#type(), scalar(attribute)) {
            (Type::Scalar, Some(scalar)) => scalar.write_json(out),
            _ => {
                let text = AttributeText(attribute).to_string();
                let value = text.get(attribute.name.len() + 1..).unwrap_or_default();
                push_text(value.to_owned(), out);
            }
        }
    }
    out.push(b'}');
}

fn push_text(text: String, out: &mut Vec<u8>) {
    out.extend_from_slice(serde_json::Value::String(text).to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_prints_and_shows() {
        let list = parse("rack:r-1/a.b;level:10.5;ports:[1-3,4-5];public_ip:true;a:b:c").unwrap();
        let text: Vec<String> = list.iter().map(|one| AttributeText(one).to_string()).collect();
        assert_eq!(text, ["rack=r-1/a.b", "level=10.5", "ports=[1-5]", "public_ip=true", "a=b:c"]);
        let mut out = Vec::new();
        write_summary(&list, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"rack":"r-1/a.b","level":10.5,"ports":"[1-5]","public_ip":"true","a":"b:c"}"#
        );
        assert!(list.iter().all(is_valid));
    }

    #[test]
    fn refuses_what_the_original_refuses() {
        assert_eq!(
            parse("rack").unwrap_err().to_string(),
            "Invalid attribute key:value pair 'rack'"
        );
        assert!(parse("a:").is_err());
        assert!(parse(":a").is_err());
        assert!(parse("a:{x}").is_err());
        assert!(parse("a:[1").is_err());
    }

    #[test]
    fn order_does_not_matter() {
        let (left, right) = (parse("a:1;b:x").unwrap(), parse("b:x;a:1.0").unwrap());
        assert!(same(&left, &right));
        assert!(!same(&left, &parse("a:1;b:y").unwrap()));
        assert!(!same(&left, &parse("a:1;a:1").unwrap()));
    }
}
