//! Writing JSON by hand, in the original's forms: strings, numbers, lists.

use std::io::Write;

/// Appends a JSON string. Bytes above 0x7e go out as they are, as the original
/// does with text it got from files.
pub fn string(out: &mut Vec<u8>, text: &str) {
    raw_string(out, text.as_bytes());
}

/// As [`string`], for bytes that may not be UTF-8.
pub fn raw_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut plain = 0;
    for (at, byte) in text.iter().enumerate() {
        let short: Option<&[u8]> = match byte {
            b'"' => Some(b"\\\""),
            b'\\' => Some(b"\\\\"),
            0x08 => Some(b"\\b"),
            0x0c => Some(b"\\f"),
            b'\n' => Some(b"\\n"),
            b'\r' => Some(b"\\r"),
            b'\t' => Some(b"\\t"),
            0..=0x1f | 0x7f => Some(b""),
            _ => continue,
        };
        out.extend_from_slice(text.get(plain..at).unwrap_or_default());
        match short {
            Some([]) | None => {
                let _ = write!(out, "\\u{byte:04x}");
            }
            Some(escape) => out.extend_from_slice(escape),
        }
        plain = at + 1;
    }
    out.extend_from_slice(text.get(plain..).unwrap_or_default());
    out.push(b'"');
}

/// Appends a number with a decimal point: `4.0`, `0.1`.
pub fn double(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        let _ = write!(out, "{value:?}");
    } else {
        out.extend_from_slice(b"0.0");
    }
}

/// Appends a whole number.
pub fn integer(out: &mut Vec<u8>, value: i64) {
    let _ = write!(out, "{value}");
}

/// Writes the members of one object, with the commas between them.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    /// Opens an object.
    pub fn new(out: &'a mut Vec<u8>) -> Object<'a> {
        out.push(b'{');
        Object { out, first: true }
    }

    /// Writes a member's name; the caller appends the value to what is returned.
    pub fn key(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        string(self.out, name);
        self.out.push(b':');
        self.out
    }

    /// A member that is a string.
    pub fn string(&mut self, name: &str, value: &str) {
        string(self.key(name), value);
    }

    /// A member that is a number with a decimal point.
    pub fn double(&mut self, name: &str, value: f64) {
        double(self.key(name), value);
    }

    /// A member that is a whole number.
    pub fn integer(&mut self, name: &str, value: i64) {
        integer(self.key(name), value);
    }

    /// A member that is a truth value.
    pub fn boolean(&mut self, name: &str, value: bool) {
        let text: &[u8] = if value { b"true" } else { b"false" };
        self.key(name).extend_from_slice(text);
    }

    /// Closes the object.
    pub fn end(self) {
        self.out.push(b'}');
    }
}

/// Appends a list, each element by `write`.
pub fn list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    let mut first = true;
    for item in items {
        if !first {
            out.push(b',');
        }
        first = false;
        write(out, item);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn strings_read_back_as_themselves(text in ".*") {
            let mut out = Vec::new();
            string(&mut out, &text);
            let back: String = serde_json::from_slice(&out).unwrap();
            proptest::prop_assert_eq!(back, text);
        }

        #[test]
        fn doubles_read_back_as_themselves(value in proptest::num::f64::NORMAL) {
            let mut out = Vec::new();
            double(&mut out, value);
            let text = String::from_utf8(out).unwrap();
            proptest::prop_assert_eq!(text.parse::<f64>().unwrap(), value);
        }
    }

    #[test]
    fn numbers_have_the_originals_forms() {
        let mut out = Vec::new();
        let mut object = Object::new(&mut out);
        object.double("a", 4.0);
        object.double("b", 0.1);
        object.integer("c", 3);
        object.boolean("d", true);
        object.string("e", "x\u{1}/");
        object.end();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"a":4.0,"b":0.1,"c":3,"d":true,"e":"x\u0001/"}"#
        );
    }
}
