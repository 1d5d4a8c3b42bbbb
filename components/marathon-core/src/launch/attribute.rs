//! Attributes of agents in the text form that constraints compare.

use mesos_messages::v1::{self, value::Type};
use serde::{Deserialize, Serialize};

/// One attribute of an agent. Stored with the instances that run there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// Its name.
    pub name: Box<str>,
    /// What it was before it was text.
    pub kind: AttributeKind,
    /// What constraints see.
    pub text: Box<str>,
}

/// The type an attribute was declared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttributeKind {
    Scalar,
    Ranges,
    Set,
    Text,
}

// === impl Attribute ===

impl Attribute {
    /// The text form: scalars with at most three decimals, ranges and sets sorted.
    pub fn from_proto(attribute: &v1::Attribute) -> Self {
        let (kind, text) = match attribute.r#type() {
            Type::Scalar => {
                let value = attribute.scalar.as_ref().map_or(0.0, |scalar| scalar.value);
                (AttributeKind::Scalar, scalar_text(value))
            }
            Type::Ranges => (AttributeKind::Ranges, ranges_text(attribute.ranges.as_ref())),
            Type::Set => {
                let mut items = attribute.set.clone().unwrap_or_default().item;
                items.sort_unstable();
                (AttributeKind::Set, format!("{{{}}}", items.join(",")))
            }
            Type::Text => {
                let text = attribute.text.as_ref().map(|text| text.value.clone());
                (AttributeKind::Text, text.unwrap_or_default())
            }
        };
        Self { name: attribute.name.as_str().into(), kind, text: text.into() }
    }
}

fn ranges_text(ranges: Option<&v1::value::Ranges>) -> String {
    let mut pairs: Vec<(u64, u64)> =
        ranges.iter().flat_map(|all| &all.range).map(|one| (one.begin, one.end)).collect();
    pairs.sort_unstable();
    let parts: Vec<String> = pairs.iter().map(|(begin, end)| format!("{begin}-{end}")).collect();
    format!("[{}]", parts.join(","))
}

/// At most three decimals, none that say nothing, halves to the even neighbour.
pub(crate) fn scalar_text(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    // The formatter of the language rounds the exact binary value, halves to even.
    let text = format!("{value:.3}");
    let trimmed = text.trim_end_matches('0').trim_end_matches('.');
    if trimmed == "-0" { "0".to_owned() } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_have_three_decimals() {
        for (value, text) in [
            (1.0, "1"),
            (100.0, "100"),
            (1.5, "1.5"),
            (1.0005, "1"),
            (1.00051, "1.001"),
            (0.1, "0.1"),
            (-0.0001, "0"),
            (12345.6789, "12345.679"),
        ] {
            assert_eq!(scalar_text(value), text, "{value}");
        }
    }

    #[test]
    fn ranges_and_sets_are_sorted() {
        let attributes = mesos_messages::attributes::parse("level:[7-9,1-3];rack:r1").unwrap();
        let texts: Vec<String> =
            attributes.iter().map(|one| Attribute::from_proto(one).text.into()).collect();
        assert_eq!(texts, ["[1-3,7-9]", "r1"]);
        let mut set = v1::Attribute { name: "s".into(), ..Default::default() };
        set.set_type(Type::Set);
        set.set = Some(v1::value::Set { item: vec!["b".into(), "a".into()] });
        assert_eq!(&*Attribute::from_proto(&set).text, "{a,b}");
    }
}
