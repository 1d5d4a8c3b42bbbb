//! Text to nodes. Follows mustache.java closely in what happens to blank lines: a template that
//! opens a section within a string may depend on it.

use super::{MAX_DEPTH, Node, Section, TemplateError};

/// Function whose sections need their text as written.
pub(super) const AS_JSON: &str = "asJson";

/// What opens and closes a tag: one or two bytes each.
#[derive(Clone)]
struct Delimiters {
    open: Vec<u8>,
    close: Vec<u8>,
}

/// The template itself, or a section that is still open.
struct Frame {
    tag: Option<Tag>,
    nodes: Vec<Node>,
    /// Text that is not yet a node.
    text: Vec<u8>,
    /// Only white space so far in this line; tags do not count.
    blank: bool,
    /// No tag so far in this line.
    fresh: bool,
    /// A blank rest of this line is passed over: it stands behind a section's tag.
    swallow: bool,
    delimiters: Delimiters,
}

struct Tag {
    name: String,
    inverted: bool,
    line: usize,
    start: usize,
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    frames: Vec<Frame>,
}

pub(super) fn parse(text: &str) -> Result<Vec<Node>, TemplateError> {
    let delimiters = Delimiters { open: b"{{".to_vec(), close: b"}}".to_vec() };
    let frame = Frame {
        tag: None,
        nodes: Vec::new(),
        text: Vec::new(),
        blank: true,
        fresh: true,
        swallow: false,
        delimiters,
    };
    Parser { bytes: text.as_bytes(), at: 0, line: 1, frames: vec![frame] }.run()
}

// === impl Frame ===

impl Frame {
    fn flush(&mut self) {
        if self.text.is_empty() {
            return;
        }
        // Cut only at ASCII bytes, it is whole.
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.text)).into_owned();
        match self.nodes.last_mut() {
            Some(Node::Text(known)) => known.push_str(&text),
            _ => self.nodes.push(Node::Text(text)),
        }
    }
}

// === impl Parser ===

impl Parser<'_> {
    fn run(mut self) -> Result<Vec<Node>, TemplateError> {
        let mut carriage_return = false;
        while let Some(byte) = self.bytes.get(self.at).copied() {
            if self.opens() {
                carriage_return = false;
                self.tag()?;
                continue;
            }
            self.at += 1;
            match byte {
                b'\r' => carriage_return = true,
                b'\n' => self.end_of_line(carriage_return),
                _ => {
                    carriage_return = false;
                    self.plain(byte);
                }
            }
        }
        let line = self.line;
        let Some(mut last) = self.frames.pop() else { return Ok(Vec::new()) };
        match last.tag {
            Some(tag) => Err(error(tag.line, format!("Failed to close '{}' tag", tag.name))),
            None if self.frames.is_empty() => {
                last.flush();
                Ok(last.nodes)
            }
            None => Err(error(line, "a section is not closed")),
        }
    }

    fn frame(&mut self) -> Result<&mut Frame, TemplateError> {
        let line = self.line;
        self.frames.last_mut().ok_or_else(|| error(line, "no section is open"))
    }

    fn end_of_line(&mut self, carriage_return: bool) {
        self.line += 1;
        let Some(frame) = self.frames.last_mut() else { return };
        if !(frame.swallow && frame.blank) {
            if carriage_return {
                frame.text.push(b'\r');
            }
            frame.text.push(b'\n');
        }
        frame.flush();
        (frame.swallow, frame.blank, frame.fresh) = (false, true, true);
    }

    fn plain(&mut self, byte: u8) {
        if let Some(frame) = self.frames.last_mut() {
            frame.blank = frame.blank && matches!(byte, b' ' | b'\t');
            frame.text.push(byte);
        }
    }

    fn opens(&self) -> bool {
        let open = self.frames.last().map(|frame| frame.delimiters.open.as_slice());
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        open.is_some_and(|open| rest.starts_with(open))
    }

    /// A tag, from its opening on.
    fn tag(&mut self) -> Result<(), TemplateError> {
        let Delimiters { open, close } = self.frame()?.delimiters.clone();
        self.at += open.len();
        let (command, closed) = self.command(&close);
        let kind = command.chars().next().ok_or_else(|| error(self.line, "Empty mustache"))?;
        let name = trim(command.get(kind.len_utf8()..).unwrap_or_default());
        match kind {
            '#' | '^' => return self.open_section(name, kind == '^'),
            '/' => return self.close_section(name),
            '{' => {
                let name = self.triple(name, &close)?;
                self.value(name)?;
            }
            '&' => self.value(name.to_owned())?,
            '!' => self.frame()?.flush(),
            '=' => self.change_delimiters(name)?,
            '>' => return Err(error(self.line, format!("Partials are not supported: {name}"))),
            '<' | '$' | '?' => {
                return Err(error(self.line, format!("Inheritance is not supported: {name}")));
            }
            '%' => return Err(error(self.line, format!("Unimplemented pragma: {name}"))),
            _ if !closed => return Err(error(self.line, "Improperly closed variable")),
            _ => self.value(trim(&command).to_owned())?,
        }
        self.frame()?.fresh = false;
        Ok(())
    }

    /// What stands between the delimiters, and whether the tag is closed. Within `{{=...=}}`
    /// the closing delimiter may stand.
    fn command(&mut self, close: &[u8]) -> (String, bool) {
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let mut skip = 0;
        let mut command = Vec::new();
        if rest.first() == Some(&b'=') {
            let end = rest.iter().skip(1).position(|b| *b == b'=').map_or(rest.len(), |at| at + 1);
            command.extend_from_slice(rest.get(..end).unwrap_or_default());
            skip = (end + 1).min(rest.len());
        }
        let inner = rest.get(skip..).unwrap_or_default();
        let found = inner.windows(close.len().max(1)).position(|window| window == close);
        command.extend_from_slice(inner.get(..found.unwrap_or(inner.len())).unwrap_or_default());
        self.at = start + skip + found.map_or(inner.len(), |at| at + close.len());
        (String::from_utf8_lossy(&command).into_owned(), found.is_some())
    }

    /// The name of `{{{name}}}`, whose third closing brace is still to come.
    fn triple(&mut self, name: &str, close: &[u8]) -> Result<String, TemplateError> {
        if close.get(1) != Some(&b'}') {
            let name = name.strip_suffix(|_: char| true).unwrap_or_default();
            return Ok(name.to_owned());
        }
        if self.bytes.get(self.at) != Some(&b'}') {
            return Err(error(self.line, format!("Improperly closed variable: {name}")));
        }
        self.at += 1;
        Ok(name.to_owned())
    }

    fn value(&mut self, name: String) -> Result<(), TemplateError> {
        let frame = self.frame()?;
        frame.flush();
        frame.nodes.push(Node::Value(name));
        Ok(())
    }

    fn change_delimiters(&mut self, text: &str) -> Result<(), TemplateError> {
        let line = self.line;
        let frame = self.frame()?;
        frame.flush();
        let parts: Vec<&str> = text.split_ascii_whitespace().collect();
        let good = |part: &str| part.is_ascii() && part.len() <= 2;
        match parts.as_slice() {
            [open, close] if good(open) && good(close) => {
                let (open, close) = (open.as_bytes().to_vec(), close.as_bytes().to_vec());
                frame.delimiters = Delimiters { open, close };
                Ok(())
            }
            _ => Err(error(line, format!("Invalid delimiter string: {text}"))),
        }
    }

    fn open_section(&mut self, name: &str, inverted: bool) -> Result<(), TemplateError> {
        if self.frames.len() > MAX_DEPTH {
            return Err(error(self.line, format!("Sections are nested deeper than {MAX_DEPTH}")));
        }
        let (line, start) = (self.line, self.at);
        let parent = self.frame()?;
        let frame = Frame {
            tag: Some(Tag { name: name.to_owned(), inverted, line, start }),
            nodes: Vec::new(),
            text: Vec::new(),
            blank: true,
            fresh: parent.fresh && parent.blank,
            swallow: true,
            delimiters: parent.delimiters.clone(),
        };
        self.frames.push(frame);
        Ok(())
    }

    fn close_section(&mut self, name: &str) -> Result<(), TemplateError> {
        let line = self.line;
        let mismatch =
            |open: &str| error(line, format!("Mismatched start/end tags: {open} != {name}"));
        let Some(mut frame) = self.frames.pop() else { return Err(mismatch("null")) };
        let Some(tag) = frame.tag.take() else { return Err(mismatch("null")) };
        if tag.name != name {
            return Err(mismatch(&tag.name));
        }
        // White space before a closing tag that has its line for itself goes.
        if !(frame.fresh && frame.blank) {
            frame.flush();
        }
        let several_lines = line != tag.line;
        let source = self.source(&tag);
        let section = Section { name: tag.name, nodes: frame.nodes, source };
        let parent = self.frame()?;
        // And before an opening one likewise.
        if parent.blank && several_lines {
            parent.text.clear();
        }
        parent.flush();
        let node = if tag.inverted { Node::Inverted(section) } else { Node::Section(section) };
        parent.nodes.push(node);
        (parent.swallow, parent.fresh) = (several_lines, false);
        Ok(())
    }

    /// The text of a section, where somebody may want it.
    fn source(&self, tag: &Tag) -> String {
        if tag.name != AS_JSON {
            return String::new();
        }
        let text = self.bytes.get(tag.start..self.at).unwrap_or_default();
        let text = String::from_utf8_lossy(text);
        let end = text.rfind(['{', '/']).unwrap_or(text.len());
        let text = text.get(..end).unwrap_or_default();
        text.trim_end_matches('{').to_owned()
    }
}

/// As Java trims: everything up to the space.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

fn error(line: usize, reason: impl Into<String>) -> TemplateError {
    TemplateError { line, reason: reason.into() }
}
