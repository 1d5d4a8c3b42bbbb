//! Writes the table by which a protobuf body is checked for required fields that are missing.
use crate::names::{Message, Schema};
use prost_types::{
    FieldDescriptorProto, field_descriptor_proto::Label, field_descriptor_proto::Type,
};
use std::fmt::Write;

pub(crate) fn generate(schema: &Schema) -> Result<String, Box<dyn std::error::Error>> {
    let mut out = String::from("[\n");
    for message in &schema.messages {
        let mut fields: Vec<_> = message.descriptor.field.iter().collect();
        fields.sort_by_key(|field| field.number());
        let names: Vec<_> = required(message).map(|(_, field)| field.name()).collect();
        write!(
            out,
            "    Message {{ size: size_of::<{}>(), required: &{names:?}, fields: &[",
            message.path
        )?;
        for field in fields {
            if let Some(entry) = entry(schema, message, field)? {
                write!(out, "{entry}, ")?;
            }
        }
        writeln!(out, "] }},")?;
    }
    out.push_str("]\n");
    Ok(out)
}

fn required(message: &Message) -> impl Iterator<Item = (usize, &FieldDescriptorProto)> {
    message.descriptor.field.iter().filter(|field| field.label() == Label::Required).enumerate()
}

/// Only required fields and messages are of interest.
fn entry(
    schema: &Schema,
    message: &Message,
    field: &FieldDescriptorProto,
) -> Result<Option<String>, String> {
    let bit = required(message)
        .find_map(|(bit, other)| (other.number() == field.number()).then_some(bit));
    let shape = match (schema.map_value(field), field.r#type()) {
        (Some(value), _) => match schema.index(value) {
            Some(index) => format!("Shape::Map({index})"),
            None => return Ok(None),
        },
        (None, Type::Message) => {
            let index =
                schema.index(field).ok_or_else(|| format!("no message {}", field.type_name()))?;
            let shape = if field.label() == Label::Repeated { "Repeated" } else { "Single" };
            format!("Shape::{shape}({index})")
        }
        (None, Type::Enum) if bit.is_some() => {
            format!("Shape::Enum({}::is_valid)", schema.enum_path(field)?)
        }
        _ if bit.is_some() => "Shape::Other".to_owned(),
        _ => return Ok(None),
    };
    Ok(Some(format!(
        "Field {{ number: {}, name: {:?}, bit: {bit:?}, shape: {shape} }}",
        field.number(),
        field.name()
    )))
}
