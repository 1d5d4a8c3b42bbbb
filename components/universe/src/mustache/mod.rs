//! Mustache templates in the dialect that the original's packages are written for: nothing is
//! escaped, values print as they do there, blank lines around sections go where they go there.
//!
//! Not supported, and refused: partials, inheritance, pragmas. No package uses them.

mod parse;
mod print;
mod render;

use crate::Object;

/// The deepest nesting of sections.
pub const MAX_DEPTH: usize = 100;
/// The most bytes a rendered text may have.
pub const MAX_OUTPUT: usize = 16 * 1024 * 1024;
/// The most parts a rendering may print, and bytes it may read as templates on the way; a template of some bytes could name lists within
/// lists and go on for ever.
pub const MAX_STEPS: usize = 2_000_000;

/// A text that is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} in line {line} of the template")]
pub struct TemplateError {
    pub line: usize,
    pub reason: String,
}

/// Why a template could not be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    #[error("the rendered text is larger than {MAX_OUTPUT} bytes")]
    TooLarge,
    #[error("the rendering takes more than {MAX_STEPS} steps")]
    TooLong,
    /// A text that `asJson` brought in is a template of its own.
    #[error("a value taken as JSON is no template: {0}")]
    Value(#[from] TemplateError),
    #[error("values taken as JSON lead to each other without end")]
    Endless,
}

/// A template, ready to be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Text(String),
    Value(String),
    Section(Section),
    /// Printed where the value is false, empty or missing.
    Inverted(Section),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Section {
    name: String,
    nodes: Vec<Node>,
    /// What stands within it, as written: functions get it.
    source: String,
}

// === impl Template ===

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        parse::parse(text).map(|nodes| Template { nodes })
    }

    /// Renders it with the values of `context`.
    pub fn render(&self, context: &Object) -> Result<String, RenderError> {
        render::render(&self.nodes, context)
    }
}

#[cfg(test)]
mod tests;
