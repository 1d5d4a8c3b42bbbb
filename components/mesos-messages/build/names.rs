//! The messages of the schema in a flat list, with the names that the generated types have in Rust.
use heck::{ToSnakeCase, ToUpperCamelCase};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use std::collections::{BTreeMap, HashMap};

/// One message type.
pub(crate) struct Message {
    /// `mesos.v1.TaskInfo`
    pub(crate) name: String,
    /// `crate::generated::mesos::v1::TaskInfo`
    pub(crate) path: String,
    /// The module of the types nested in it.
    pub(crate) module: String,
    /// Fields without a presence of their own, as proto3 has them.
    pub(crate) implicit_presence: bool,
    pub(crate) descriptor: DescriptorProto,
}

/// Every message that has a type in Rust (the entries of maps have none), sorted by name.
pub(crate) struct Schema {
    pub(crate) messages: Vec<Message>,
    /// Rust paths of enums by protobuf name.
    pub(crate) enums: BTreeMap<String, String>,
    entries: HashMap<String, DescriptorProto>,
    index: HashMap<String, usize>,
}

impl Schema {
    pub(crate) fn new(files: &FileDescriptorSet) -> Self {
        let mut schema = Self {
            messages: Vec::new(),
            enums: BTreeMap::new(),
            entries: HashMap::new(),
            index: HashMap::new(),
        };
        for file in &files.file {
            let package = file.package();
            let module = package.split('.').fold("crate::generated".to_owned(), |path, part| {
                format!("{path}::{}", ident(part))
            });
            let proto3 = file.syntax() == "proto3";
            schema.add_enums(package, &module, &file.enum_type);
            for message in &file.message_type {
                schema.add(package, &module, proto3, message);
            }
        }
        schema.messages.sort_by(|a, b| a.name.cmp(&b.name));
        schema.index = schema
            .messages
            .iter()
            .enumerate()
            .map(|(at, message)| (message.name.clone(), at))
            .collect();
        schema
    }

    fn add(&mut self, scope: &str, module: &str, proto3: bool, message: &DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        if message.options.as_ref().is_some_and(|options| options.map_entry()) {
            self.entries.insert(name, message.clone());
            return;
        }
        let inner = format!("{module}::{}", ident(message.name()));
        self.add_enums(&name, &inner, &message.enum_type);
        for nested in &message.nested_type {
            self.add(&name, &inner, proto3, nested);
        }
        self.messages.push(Message {
            path: format!("{module}::{}", message.name().to_upper_camel_case()),
            module: inner,
            name,
            implicit_presence: proto3,
            descriptor: message.clone(),
        });
    }

    fn add_enums(&mut self, scope: &str, module: &str, enums: &[EnumDescriptorProto]) {
        for descriptor in enums {
            self.enums.insert(
                format!("{scope}.{}", descriptor.name()),
                format!("{module}::{}", descriptor.name().to_upper_camel_case()),
            );
        }
    }

    /// Where the type of a message field stands in `messages`.
    pub(crate) fn index(&self, field: &FieldDescriptorProto) -> Option<usize> {
        self.index.get(field.type_name().trim_start_matches('.')).copied()
    }

    /// The Rust path of an enum field's type.
    pub(crate) fn enum_path(&self, field: &FieldDescriptorProto) -> Result<&str, String> {
        let name = field.type_name().trim_start_matches('.');
        self.enums.get(name).map(String::as_str).ok_or_else(|| format!("no enum {name}"))
    }

    /// The value field of a map field's entry; `None` for other fields.
    pub(crate) fn map_value(&self, field: &FieldDescriptorProto) -> Option<&FieldDescriptorProto> {
        self.entries.get(field.type_name().trim_start_matches('.'))?.field.get(1)
    }
}

/// A module or field name as prost writes it.
pub(crate) fn ident(name: &str) -> String {
    const KEYWORDS: &[&str] = &[
        "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do",
        "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in",
        "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
        "return", "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe",
        "unsized", "use", "virtual", "where", "while", "yield",
    ];
    let name = name.to_snake_case();
    if KEYWORDS.contains(&name.as_str()) { format!("r#{name}") } else { name }
}

/// A variant of a oneof as prost writes it.
pub(crate) fn variant(name: &str) -> String {
    name.to_upper_camel_case()
}
