//! Writes, for each message, the code that prints it as JSON and the code that takes one JSON field into it.
//!
//! All that is common stands in `src/json/`; a message costs two calls a field.
use crate::names::{Message, Schema, ident, variant};
use prost_types::{
    FieldDescriptorProto, field_descriptor_proto::Label, field_descriptor_proto::Type,
};
use std::fmt::{self, Write};

/// Lists that the original's own serializers print even when they are empty.
const ALWAYS_PRINTED: &[&str] = &[
    "mesos.v1.agent.Response.GetExecutors.completed_executors",
    "mesos.v1.agent.Response.GetExecutors.executors",
    "mesos.v1.agent.Response.GetFrameworks.completed_frameworks",
    "mesos.v1.agent.Response.GetFrameworks.frameworks",
    "mesos.v1.agent.Response.GetTasks.completed_tasks",
    "mesos.v1.agent.Response.GetTasks.launched_tasks",
    "mesos.v1.agent.Response.GetTasks.pending_tasks",
    "mesos.v1.agent.Response.GetTasks.queued_tasks",
    "mesos.v1.agent.Response.GetTasks.terminated_tasks",
    "mesos.v1.master.Response.GetAgents.agents",
    "mesos.v1.master.Response.GetAgents.recovered_agents",
    "mesos.v1.master.Response.GetExecutors.executors",
    "mesos.v1.master.Response.GetFrameworks.completed_frameworks",
    "mesos.v1.master.Response.GetFrameworks.frameworks",
    "mesos.v1.master.Response.GetTasks.completed_tasks",
    "mesos.v1.master.Response.GetTasks.tasks",
    "mesos.v1.master.Response.GetTasks.unreachable_tasks",
];

/// Fields that only v0 has: in the v1 type for the sake of v0 bytes, and not in its JSON.
const V0_ONLY: &[&str] = &["mesos.v1.AgentInfo.checkpoint"];
/// The one answer in which the original lets that field through.
const WITH_CHECKPOINT: &str = "mesos.v1.master.Response.GetAgents.Agent.agent_info";

pub(crate) fn generate(schema: &Schema) -> Result<String, Box<dyn std::error::Error>> {
    let mut out = String::new();
    for (at, message) in schema.messages.iter().enumerate() {
        let printing = printing(schema, message)?;
        let reading = reading(schema, message)?;
        let required: Vec<_> = required_names(message).collect();
        write!(
            out,
            "impl w::Put for {path} {{\n    fn put(&self, out: &mut Vec<u8>) {{\n        let start = out.len();\n\
             {printing}        w::close(out, start);\n    }}\n}}\n\
             impl r::Fields for {path} {{\n    fn required(&self) -> &'static [&'static str] {{ &{required:?} }}\n    \
             fn field(&mut self, name: &str, r: &mut r::Reader<'_>) -> r::Outcome {{\n        match name {{\n\
             {reading}            _ => r.skip(),\n        }}\n    }}\n}}\n\
             impl JsonMessage for {path} {{\n    const NAME: &'static str = {name:?};\n    \
             const DESCRIPTOR: usize = {at};\n}}\n\n",
            path = message.path,
            name = message.name,
        )?;
    }
    for path in schema.enums.values() {
        writeln!(
            out,
            "impl JsonEnum for {path} {{\n    \
             fn number_of(name: &str) -> Option<i32> {{ Self::from_str_name(name).map(|value| value as i32) }}\n    \
             fn name_of(number: i32) -> Option<&'static str> {{ Self::try_from(number).ok().map(|value| value.as_str_name()) }}\n}}"
        )?;
    }
    Ok(out)
}

fn required_names(message: &Message) -> impl Iterator<Item = &str> {
    message
        .descriptor
        .field
        .iter()
        .filter(|field| field.label() == Label::Required)
        .map(|field| field.name())
}

fn printing(schema: &Schema, message: &Message) -> Result<String, Box<dyn std::error::Error>> {
    let mut out = String::new();
    let mut oneof = None;
    for field in &message.descriptor.field {
        match field.oneof_index {
            // The members of a oneof stand together: one match prints whichever is set.
            Some(index) if oneof == Some(index) => {}
            Some(index) => {
                oneof = Some(index);
                print_oneof(schema, message, index, &mut out)?;
            }
            None => print_field(schema, message, field, &mut out)?,
        }
    }
    Ok(out)
}

fn key(field: &FieldDescriptorProto) -> String {
    format!("b\",\\\"{}\\\":\"", field.name())
}

fn print_field(
    schema: &Schema,
    message: &Message,
    field: &FieldDescriptorProto,
    out: &mut String,
) -> Result<(), Box<dyn std::error::Error>> {
    let (key, name) = (key(field), ident(field.name()));
    let full = format!("{}.{}", message.name, field.name());
    let is_enum = field.r#type() == Type::Enum;
    let shown_by_default = field.default_value.is_some()
        && field.label() == Label::Optional
        && !field.options.as_ref().is_some_and(|options| options.deprecated());
    if V0_ONLY.contains(&full.as_str()) {
        return Ok(());
    }
    out.push_str("        ");
    if full == WITH_CHECKPOINT {
        writeln!(out, "w::agent_info(out, {key}, &self.{name});")?;
    } else if schema.map_value(field).is_some() {
        writeln!(out, "w::map(out, {key}, &self.{name});")?;
    } else if message.implicit_presence && field.label() == Label::Optional {
        writeln!(out, "w::nonzero(out, {key}, &self.{name});")?;
    } else if shown_by_default && is_enum {
        writeln!(out, "w::required(out, {key}, self.{name}().as_str_name());")?;
    } else if shown_by_default && field.r#type() == Type::String {
        writeln!(out, "w::required(out, {key}, self.{name}());")?;
    } else if shown_by_default {
        writeln!(out, "w::required(out, {key}, &self.{name}());")?;
    } else {
        let call = match field.label() {
            Label::Required => "required",
            Label::Optional => "optional",
            Label::Repeated if ALWAYS_PRINTED.contains(&full.as_str()) => "list",
            Label::Repeated => "repeated",
        };
        match is_enum {
            true => writeln!(
                out,
                "w::{call}_enum::<{}>(out, {key}, &self.{name});",
                schema.enum_path(field)?
            )?,
            false => writeln!(out, "w::{call}(out, {key}, &self.{name});")?,
        }
    }
    Ok(())
}

/// The members of a oneof with the path of their variant.
fn members(message: &Message, index: i32) -> Vec<(&FieldDescriptorProto, String)> {
    let name =
        usize::try_from(index).ok().and_then(|index| message.descriptor.oneof_decl.get(index));
    let path = format!("{}::{}", message.module, variant(name.map_or("", |oneof| oneof.name())));
    let fields = message.descriptor.field.iter().filter(|field| field.oneof_index == Some(index));
    fields.map(|field| (field, format!("{path}::{}", variant(field.name())))).collect()
}

fn oneof_ident(message: &Message, index: i32) -> String {
    let name =
        usize::try_from(index).ok().and_then(|index| message.descriptor.oneof_decl.get(index));
    ident(name.map_or("", |oneof| oneof.name()))
}

fn print_oneof(
    schema: &Schema,
    message: &Message,
    index: i32,
    out: &mut String,
) -> Result<(), Box<dyn std::error::Error>> {
    writeln!(out, "        match &self.{} {{", oneof_ident(message, index))?;
    for (field, path) in members(message, index) {
        let key = key(field);
        let call = match field.r#type() {
            Type::Enum => format!("w::required_enum::<{}>", schema.enum_path(field)?),
            _ => "w::required".to_owned(),
        };
        writeln!(out, "            Some({path}(value)) => {call}(out, {key}, value),")?;
    }
    writeln!(out, "            None => {{}}\n        }}")?;
    Ok(())
}

fn reading(schema: &Schema, message: &Message) -> Result<String, Box<dyn std::error::Error>> {
    let mut out = String::new();
    let mut bit = 0;
    for field in &message.descriptor.field {
        let name = field.name();
        let (kind, turbofish, number) = kind(schema, field)?;
        write!(out, "            {name:?} => ")?;
        match (field.oneof_index, field.label()) {
            (Some(index), _) => {
                oneof_arm(message, field, index, kind, &turbofish, &number, &mut out)?
            }
            (None, Label::Required) => {
                writeln!(
                    out,
                    "r.required_{kind}{turbofish}({bit}, {name:?}, {number}&mut self.{}),",
                    ident(name)
                )?;
                bit += 1;
            }
            (None, Label::Optional) if message.implicit_presence => {
                writeln!(out, "r.implicit_{kind}({name:?}, &mut self.{}),", ident(name))?;
            }
            (None, label) => {
                let label = if label == Label::Repeated { "repeated" } else { "optional" };
                let call = if kind == "map" { kind.to_owned() } else { format!("{label}_{kind}") };
                writeln!(out, "r.{call}{turbofish}({name:?}, {number}&mut self.{}),", ident(name))?;
            }
        }
    }
    Ok(out)
}

fn kind(
    schema: &Schema,
    field: &FieldDescriptorProto,
) -> Result<(&'static str, String, String), Box<dyn std::error::Error>> {
    let number = format!("{}, ", field.number());
    Ok(match field.r#type() {
        Type::Message if schema.map_value(field).is_some() => ("map", String::new(), number),
        Type::Message => ("message", String::new(), number),
        Type::Enum => ("enum", format!("::<{}>", schema.enum_path(field)?), String::new()),
        Type::Group | Type::Float => {
            return Err(format!("{} has a type that JSON code lacks", field.name()).into());
        }
        _ => ("scalar", String::new(), String::new()),
    })
}

fn oneof_arm(
    message: &Message,
    field: &FieldDescriptorProto,
    index: i32,
    kind: &str,
    turbofish: &str,
    number: &str,
    out: &mut String,
) -> fmt::Result {
    let oneof = oneof_ident(message, index);
    let path = members(message, index)
        .into_iter()
        .find_map(|(member, path)| (member.number() == field.number()).then_some(path))
        .unwrap_or_default();
    writeln!(
        out,
        "{{\n                let mut value = None;\n                \
         r.optional_{kind}{turbofish}({:?}, {number}&mut value)?;\n                \
         if let Some(value) = value {{ self.{oneof} = Some({path}(value)); }}\n                Ok(())\n            }}",
        field.name()
    )
}
