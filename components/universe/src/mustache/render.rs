//! Nodes and values to text.

use serde_json::Value;

use super::parse::AS_JSON;
use super::print::print;
use super::{MAX_OUTPUT, MAX_STEPS, Node, RenderError, Section, parse};
use crate::Object;

/// How deep a value may bring in others through `asJson`.
const MAX_FUNCTIONS: usize = 8;

/// Where names are looked up. `in_list` says that the value stands directly in a list.
#[derive(Clone, Copy)]
struct Scope<'a> {
    value: &'a Value,
    in_list: bool,
}

/// What a name stands for.
enum Resolved<'a> {
    Value(Scope<'a>),
    /// The function that takes a value's text as it is.
    AsJson,
    Nothing,
}

struct Renderer<'a> {
    context: &'a Object,
    scopes: Vec<Scope<'a>>,
    out: String,
    steps: usize,
    functions: usize,
}

pub(super) fn render(nodes: &[Node], context: &Object) -> Result<String, RenderError> {
    let mut renderer =
        Renderer { context, scopes: Vec::new(), out: String::new(), steps: 0, functions: 0 };
    renderer.all(nodes)?;
    Ok(renderer.out)
}

// === impl Renderer ===

impl<'a> Renderer<'a> {
    fn all(&mut self, nodes: &[Node]) -> Result<(), RenderError> {
        nodes.iter().try_for_each(|node| self.node(node))
    }

    fn node(&mut self, node: &Node) -> Result<(), RenderError> {
        self.step()?;
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Value(name) => match self.resolve(name) {
                Resolved::Value(scope) if scope.value.is_null() => {}
                Resolved::Value(scope) => print(scope.value, scope.in_list, &mut self.out),
                // The function, given no name.
                Resolved::AsJson => self.out.push_str("null"),
                Resolved::Nothing => {}
            },
            Node::Section(section) => self.section(section)?,
            Node::Inverted(section) => {
                let falsy = match self.resolve(&section.name) {
                    Resolved::Value(scope) => falsy(scope),
                    Resolved::AsJson => false,
                    Resolved::Nothing => true,
                };
                if falsy {
                    self.all(&section.nodes)?;
                }
            }
        }
        if self.out.len() > MAX_OUTPUT { Err(RenderError::TooLarge) } else { Ok(()) }
    }

    fn step(&mut self) -> Result<(), RenderError> {
        self.steps(1)
    }

    fn steps(&mut self, taken: usize) -> Result<(), RenderError> {
        self.steps = self.steps.saturating_add(taken);
        if self.steps > MAX_STEPS { Err(RenderError::TooLong) } else { Ok(()) }
    }

    fn section(&mut self, section: &Section) -> Result<(), RenderError> {
        let scope = match self.resolve(&section.name) {
            Resolved::Value(scope) => scope,
            Resolved::AsJson => return self.as_json(&section.source),
            Resolved::Nothing => return Ok(()),
        };
        if let Value::Array(items) = scope.value {
            for item in items {
                self.step()?;
                self.within(Scope { value: item, in_list: true }, &section.nodes)?;
            }
            return Ok(());
        }
        if falsy(scope) { Ok(()) } else { self.within(scope, &section.nodes) }
    }

    fn within(&mut self, scope: Scope<'a>, nodes: &[Node]) -> Result<(), RenderError> {
        // A null opens no scope of its own.
        let opened = !scope.value.is_null();
        if opened {
            self.scopes.push(scope);
        }
        let done = self.all(nodes);
        if opened {
            self.scopes.pop();
        }
        done
    }

    /// Takes the text of the value named `name` as a template; `null` where it has none.
    fn as_json(&mut self, name: &str) -> Result<(), RenderError> {
        let Some(text) = self.context.get(name).and_then(Value::as_str) else {
            self.out.push_str("null");
            return Ok(());
        };
        if self.functions == MAX_FUNCTIONS {
            return Err(RenderError::Endless);
        }
        // Reading it again costs as much as printing its parts would.
        self.steps(text.len())?;
        let nodes = parse::parse(text)?;
        self.functions += 1;
        let done = self.all(&nodes);
        self.functions -= 1;
        done
    }

    /// Looks a name up, from the innermost scope out. A scope that has all but the last part of
    /// a dotted name decides, though the last part be missing.
    fn resolve(&self, name: &str) -> Resolved<'a> {
        if name == "." {
            return self.innermost();
        }
        for scope in self.scopes.iter().rev() {
            let Value::Object(object) = scope.value else { continue };
            if let Some(found) = look_up(object, name) {
                return found;
            }
        }
        if name == AS_JSON {
            return Resolved::AsJson;
        }
        look_up(self.context, name).unwrap_or(Resolved::Nothing)
    }

    /// `.`: the whole of the innermost scope; the outermost has no use for it.
    fn innermost(&self) -> Resolved<'a> {
        self.scopes.last().map_or(Resolved::Nothing, |scope| Resolved::Value(*scope))
    }
}

/// What `object` has to say on a name; nothing where another scope should be asked.
fn look_up<'a>(object: &'a Object, name: &str) -> Option<Resolved<'a>> {
    let plain = |value| Resolved::Value(Scope { value, in_list: false });
    if let Some(value) = object.get(name) {
        return Some(plain(value));
    }
    let (path, last) = name.rsplit_once('.')?;
    let mut object = object;
    for part in path.split('.') {
        match object.get(part)? {
            Value::Null => return Some(Resolved::Nothing),
            Value::Object(next) => object = next,
            // Neither a list nor a text has named parts.
            _ => return Some(Resolved::Nothing),
        }
    }
    Some(object.get(last).map_or(Resolved::Nothing, plain))
}

/// Null, false, an empty text or list. Zero is not.
fn falsy(scope: Scope<'_>) -> bool {
    match scope.value {
        Value::Null => true,
        Value::Bool(value) => !value,
        // In a list a text has its quotes and so is never empty.
        Value::String(text) => text.is_empty() && !scope.in_list,
        Value::Array(items) => items.is_empty(),
        Value::Number(_) | Value::Object(_) => false,
    }
}
