//! The tokens of JSON text, and what is said about a place that is none.
//!
//! The grammar is that of the original's parser: a little wider than the standard in numbers (`01`, `1.`).
use super::JsonError;
use std::borrow::Cow;

/// How deeply arrays and objects may be nested.
const MAX_DEPTH: u32 = 200;
/// An error shows the rest of its line up to here: bodies of megabytes stand on one line.
const MAX_SHOWN: usize = 4096;

/// A cursor over the text.
pub(super) struct Lexer<'a> {
    text: &'a str,
    position: usize,
    depth: u32,
}

/// A number as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Signed(i64),
    /// Over the largest `i64`.
    Unsigned(u64),
    Double(f64),
}

/// What a value is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
    Nothing,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8]) -> Result<Self, JsonError> {
        match std::str::from_utf8(text) {
            Ok(text) => Ok(Self { text, position: 0, depth: 0 }),
            Err(error) => Err(syntax(text, error.valid_up_to())),
        }
    }

    /// Back to the beginning.
    pub(super) fn rewind(&mut self) {
        (self.position, self.depth) = (0, 0);
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    fn fail<T>(&self) -> Result<T, JsonError> {
        Err(syntax(self.text.as_bytes(), self.position))
    }

    /// Consumes `expected` behind any space, or leaves it.
    fn accept(&mut self, expected: u8) -> bool {
        self.skip_space();
        let found = self.byte() == Some(expected);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, expected: u8) -> Result<(), JsonError> {
        if self.accept(expected) { Ok(()) } else { self.fail() }
    }

    /// What comes next.
    pub(super) fn kind(&mut self) -> Kind {
        self.skip_space();
        match self.byte() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'n') => Kind::Null,
            _ => Kind::Nothing,
        }
    }

    fn open(&mut self) -> Result<(), JsonError> {
        self.position += 1;
        if self.depth >= MAX_DEPTH {
            return self.fail();
        }
        self.depth += 1;
        Ok(())
    }

    /// Enters an object whose brace comes next; false when it is empty and so already left.
    pub(super) fn open_object(&mut self) -> Result<bool, JsonError> {
        self.open()?;
        let empty = self.accept(b'}');
        self.depth -= u32::from(empty);
        Ok(!empty)
    }

    /// Enters an array whose bracket comes next; false when it is empty and so already left.
    pub(super) fn open_array(&mut self) -> Result<bool, JsonError> {
        self.open()?;
        let empty = self.accept(b']');
        self.depth -= u32::from(empty);
        Ok(!empty)
    }

    /// A key and its colon.
    pub(super) fn key(&mut self) -> Result<Cow<'a, str>, JsonError> {
        if !matches!(self.kind(), Kind::String) {
            return self.fail();
        }
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    /// Whether the object goes on; leaves it when not.
    pub(super) fn more_fields(&mut self) -> Result<bool, JsonError> {
        self.more(b'}')
    }

    /// Whether the array goes on; leaves it when not.
    pub(super) fn more_elements(&mut self) -> Result<bool, JsonError> {
        self.more(b']')
    }

    fn more(&mut self, end: u8) -> Result<bool, JsonError> {
        if self.accept(b',') {
            return Ok(true);
        }
        self.expect(end)?;
        self.depth = self.depth.saturating_sub(1);
        Ok(false)
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        for letter in word {
            if self.byte() != Some(*letter) {
                return self.fail();
            }
            self.position += 1;
        }
        Ok(())
    }

    pub(super) fn null(&mut self) -> Result<(), JsonError> {
        self.word(b"null")
    }

    pub(super) fn boolean(&mut self) -> Result<bool, JsonError> {
        let value = self.byte() == Some(b't');
        self.word(if value { b"true" } else { b"false" })?;
        Ok(value)
    }

    pub(super) fn number(&mut self) -> Result<Number, JsonError> {
        let start = self.position;
        while matches!(self.byte(), Some(b'0'..=b'9' | b'+' | b'-' | b'e' | b'E' | b'.')) {
            self.position += 1;
        }
        let text = self.text.get(start..self.position).unwrap_or_default();
        if let Ok(value) = text.parse() {
            return Ok(Number::Signed(value));
        }
        if let Ok(value) = text.parse() {
            return Ok(Number::Unsigned(value));
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Number::Double(value)),
            Ok(_) => Err(JsonError::Syntax("Value out of range".to_owned())),
            Err(_) => self.fail(),
        }
    }

    /// A string whose quote comes next; borrowed unless it holds escapes.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.position += 1;
        let start = self.position;
        self.plain()?;
        let plain = self.text.get(start..self.position).unwrap_or_default();
        if self.byte() == Some(b'"') {
            self.position += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut owned = plain.to_owned();
        loop {
            self.position += 1;
            if self.text.as_bytes().get(self.position - 1) == Some(&b'"') {
                return Ok(Cow::Owned(owned));
            }
            let escaped = self.escape()?;
            owned.push(escaped);
            let start = self.position;
            self.plain()?;
            owned.push_str(self.text.get(start..self.position).unwrap_or_default());
        }
    }

    /// Moves to the next quote or backslash.
    fn plain(&mut self) -> Result<(), JsonError> {
        let rest = self.text.as_bytes().get(self.position..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte < b' ' || *byte == b'"' || *byte == b'\\');
        self.position += length.unwrap_or(rest.len());
        match self.byte() {
            Some(b'"' | b'\\') => Ok(()),
            _ => self.fail(),
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Result<char, JsonError> {
        let Some(byte) = self.byte() else { return self.fail() };
        if !byte.is_ascii() {
            return self.fail();
        }
        self.position += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.code_point(),
            _ => return self.fail(),
        })
    }

    fn code_point(&mut self) -> Result<char, JsonError> {
        let mut code = self.four_digits()?;
        if (0xd800..0xdc00).contains(&code) {
            self.word(b"\\u")?;
            let second = self.four_digits()?;
            if !(0xdc00..0xe000).contains(&second) {
                return self.fail();
            }
            code = 0x10000 + ((code - 0xd800) << 10) + (second - 0xdc00);
        }
        char::from_u32(code).map_or_else(|| self.fail(), Ok)
    }

    fn four_digits(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.byte().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else { return self.fail() };
            code = code * 16 + digit;
            self.position += 1;
        }
        Ok(code)
    }

    /// Passes over any value.
    pub(super) fn skip(&mut self) -> Result<(), JsonError> {
        match self.kind() {
            Kind::Object => {
                let mut more = self.open_object()?;
                while more {
                    self.key()?;
                    self.skip()?;
                    more = self.more_fields()?;
                }
                Ok(())
            }
            Kind::Array => {
                let mut more = self.open_array()?;
                while more {
                    self.skip()?;
                    more = self.more_elements()?;
                }
                Ok(())
            }
            Kind::String => self.string().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::Boolean => self.boolean().map(drop),
            Kind::Null => self.null(),
            Kind::Nothing => self.fail(),
        }
    }

    /// Makes sure that nothing but space follows.
    pub(super) fn end(&mut self) -> Result<(), JsonError> {
        let rest = self.text.get(self.position..).unwrap_or_default();
        let rest = rest.trim_end_matches([' ', '\t', '\n', '\r']);
        // The original calls leading space trailing characters only if something follows it.
        match rest.is_empty() {
            true => Ok(()),
            false => Err(JsonError::Syntax(format!(
                "Parsed JSON included non-whitespace trailing characters: {}",
                shown(rest.as_bytes())
            ))),
        }
    }
}

fn syntax(text: &[u8], position: usize) -> JsonError {
    let before = text.get(..position).unwrap_or(text);
    // A line feed that ends the text starts no line.
    let before =
        if position < text.len() { before } else { before.strip_suffix(b"\n").unwrap_or(before) };
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let rest = text.get(position..).unwrap_or_default();
    let rest = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    JsonError::Syntax(format!("syntax error at line {line} near: {}", shown(rest)))
}

fn shown(text: &[u8]) -> String {
    let text: Vec<u8> = text.iter().copied().take(MAX_SHOWN).filter(|byte| *byte >= b' ').collect();
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Option<String> {
        let mut lexer = match Lexer::new(text.as_bytes()) {
            Ok(lexer) => lexer,
            Err(error) => return Some(error.to_string()),
        };
        lexer.skip().and_then(|()| lexer.end()).err().map(|error| error.to_string())
    }

    fn near(text: &str, line: usize, rest: &str) {
        assert_eq!(
            check(text),
            Some(format!("syntax error at line {line} near: {rest}")),
            "{text:?}"
        );
    }

    #[test]
    fn says_where_it_stopped() {
        near("{not json", 1, "not json");
        near("{nope", 1, "nope");
        near("nope", 1, "ope");
        near("", 1, "");
        near("{\"a\":1,}", 1, "}");
        near("{\"a\" 1}", 1, "1}");
        near("{\"a\":\n tru }", 2, " }");
        near("[1,2", 1, "");
        near("[1 2]", 1, "2]");
        near("\"a\u{1}b\"", 1, "b\"");
        near("\"\\x\"", 1, "\"");
        near("\"\\ud800x\"", 1, "x\"");
        near("\"\\udc00\"", 1, "\"");
        near("-", 1, "");
        near("1-2", 1, "");
        assert_eq!(check("1e999"), Some("Value out of range".to_owned()));
        assert_eq!(
            check("{} x "),
            Some("Parsed JSON included non-whitespace trailing characters:  x".to_owned())
        );
    }

    #[test]
    fn takes_what_the_original_takes() {
        for text in [
            "{}",
            " [ ] \n",
            "01",
            "1.",
            "-1.5E+3",
            "\"\\u00e9\\ud83d\\ude00\\/\"",
            "{\"a\":[{}, null]}",
        ] {
            assert_eq!(check(text), None, "{text}");
        }
        let mut lexer = Lexer { text: "\"a\\u00e9\\ud83d\\ude00\\n\"", position: 0, depth: 0 };
        assert_eq!(lexer.string(), Ok(Cow::Owned("aé😀\n".to_owned())));
    }

    #[test]
    fn nesting_has_a_bottom() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(check(&nested(200)), None);
        assert!(check(&nested(201)).is_some());
        assert!(check(&"[".repeat(1_000_000)).is_some());
        assert!(check(&"{\"a\":".repeat(100_000)).is_some());
    }

    #[test]
    fn text_that_is_no_unicode() {
        assert!(Lexer::new(b"{\"a\":\"\xff\"}").is_err());
    }
}
