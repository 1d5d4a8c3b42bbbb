//! Query strings and form bodies: percent-decoded names and values.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// More pairs than any endpoint takes; the rest of the input is not looked at.
const MAX_PAIRS: usize = 256;

/// Decoded pairs of a query or form; the last of several equal names counts, as
/// in the original's map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Parses `a=b&c=d`; a name without `=` has an empty value.
    pub fn parse(text: &str) -> Params {
        let pairs = text
            .split(['&', ';'])
            .filter(|pair| !pair.is_empty())
            .take(MAX_PAIRS)
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(name), decode(value))
            })
            .collect();
        Params(pairs)
    }

    /// The parameters of a request's query.
    pub fn of(uri: &http::Uri) -> Params {
        uri.query().map(Params::parse).unwrap_or_default()
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Percent-decoding with `+` as a space; bytes that are not UTF-8 are replaced.
pub fn decode(text: &str) -> String {
    if !text.contains(['%', '+']) {
        return text.to_owned();
    }
    let spaced: Cow<'_, [u8]> = if text.contains('+') {
        Cow::Owned(text.replace('+', " ").into_bytes())
    } else {
        Cow::Borrowed(text.as_bytes())
    };
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

/// Percent-encodes what a header or path must not hold raw.
pub fn encode(text: &str) -> String {
    const KEEP: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    percent_encoding::utf8_percent_encode(text, KEEP).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_names_and_values() {
        let params = Params::parse("path=%2Fmaster%2Flog&offset=-1&a+b=c+d&flag&path=/x");
        assert_eq!(params.get("path"), Some("/x"));
        assert_eq!(params.get("offset"), Some("-1"));
        assert_eq!(params.get("a b"), Some("c d"));
        assert_eq!(params.get("flag"), Some(""));
        assert_eq!(params.get("none"), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(text in ".*") {
            proptest::prop_assert_eq!(decode(&encode(&text)), text);
        }

        #[test]
        fn any_text_parses(text in ".*") {
            let _ = Params::parse(&text);
        }
    }
}
