//! Label selectors: `a==b, c!=d, e in (f, g), h notin (i), j`.
//!
//! Words are made of letters, digits, `.`, `_` and `-`; a backslash makes any other character
//! part of a word.

use crate::ModelError;
use std::collections::BTreeMap;

/// What labels have to be: all terms hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelectors(Vec<Term>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    In(Vec<String>),
    NotIn(Vec<String>),
}

// === impl LabelSelectors ===

impl LabelSelectors {
    /// Reads a selector. An empty one selects everything.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let mut parser = Parser { rest: text.trim_start() };
        parser.selectors().map_err(|reason| {
            ModelError::Unprocessable(format!(
                "Can not parse label selector {text}. Reason: {reason}"
            ))
        })
    }

    /// Whether labels are as they have to be.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        // A label that is not there matches nothing, not even "is not".
        self.0.iter().all(|term| labels.get(&term.key).is_some_and(|value| term.test.holds(value)))
    }
}

// === impl Test ===

impl Test {
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::Exists => true,
            Self::In(values) => values.iter().any(|other| other == value),
            Self::NotIn(values) => values.iter().all(|other| other != value),
        }
    }
}

struct Parser<'a> {
    /// Begins with no blank.
    rest: &'a str,
}

// === impl Parser ===

impl Parser<'_> {
    fn selectors(&mut self) -> Result<LabelSelectors, String> {
        let mut terms = Vec::new();
        if !self.rest.is_empty() {
            terms.push(self.term()?);
            while self.take(",") {
                terms.push(self.term()?);
            }
        }
        if self.rest.is_empty() { Ok(LabelSelectors(terms)) } else { Err(self.unexpected()) }
    }

    fn term(&mut self) -> Result<Term, String> {
        let key = self.word()?;
        let test = if self.take("==") {
            Test::In(vec![self.word()?])
        } else if self.take("!=") {
            Test::NotIn(vec![self.word()?])
        } else if self.take("in") {
            Test::In(self.set()?)
        } else if self.take("notin") {
            Test::NotIn(self.set()?)
        } else {
            Test::Exists
        };
        Ok(Term { key, test })
    }

    fn set(&mut self) -> Result<Vec<String>, String> {
        let mut words = Vec::new();
        if !self.take("(") {
            return Err(self.expected("("));
        }
        if self.take(")") {
            return Ok(words);
        }
        words.push(self.word()?);
        while self.take(",") {
            words.push(self.word()?);
        }
        if self.take(")") { Ok(words) } else { Err(self.expected(")")) }
    }

    fn word(&mut self) -> Result<String, String> {
        let mut word = String::new();
        let mut chars = self.rest.char_indices();
        let end = loop {
            match chars.next() {
                Some((_, char)) if is_plain(char) => word.push(char),
                Some((at, '\\')) => match chars.next() {
                    Some((_, char)) if char != '\n' => word.push(char),
                    _ => break at,
                },
                Some((at, _)) => break at,
                None => break self.rest.len(),
            }
        };
        if end == 0 {
            return Err(format!(
                "string matching regex '(\\\\.|[-A-Za-z0-9_.])+' expected but {} found",
                self.found()
            ));
        }
        self.advance(end);
        Ok(word)
    }

    fn take(&mut self, token: &str) -> bool {
        let taken = self.rest.starts_with(token);
        if taken {
            self.advance(token.len());
        }
        taken
    }

    fn advance(&mut self, by: usize) {
        self.rest = self.rest.get(by..).unwrap_or_default().trim_start();
    }

    fn found(&self) -> String {
        self.rest
            .chars()
            .next()
            .map_or_else(|| "end of source".to_owned(), |char| format!("'{char}'"))
    }

    fn expected(&self, token: &str) -> String {
        format!("'{token}' expected but {} found", self.found())
    }

    fn unexpected(&self) -> String {
        format!("end of input expected but {} found", self.found())
    }
}

fn is_plain(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        LabelSelectors::parse(selector).unwrap().matches(&labels)
    }

    #[test]
    fn the_grammar() {
        for (selector, labels, expected) in [
            ("", &[][..], true),
            ("a", &[("a", "1")], true),
            ("a", &[("b", "1")], false),
            ("foo==one", &[("foo", "one")], true),
            ("foo == one", &[("foo", "four")], false),
            ("foo!=one", &[("foo", "four")], true),
            ("foo != one", &[("foo", "one")], false),
            // The label must be there.
            ("foo!=one", &[], false),
            ("foo notin (one)", &[], false),
            (r"foo in (one, two, three\ is\ cool)", &[("foo", "three is cool")], true),
            ("foo in (one,two)", &[("foo", "x")], false),
            ("foo notin (one,two)", &[("foo", "x")], true),
            ("foo in ()", &[("foo", "x")], false),
            ("a==1, b!=2, c in (3), d notin (4), e", &[], false),
            (
                "a==1, b!=2, c in (3), d notin (4), e",
                &[("a", "1"), ("b", "1"), ("c", "3"), ("d", "1"), ("e", "")],
                true,
            ),
            (r"\{\{ in (\*\*, \&)", &[("{{", "&")], true),
            // The blank before `in` may be missing only where a word ends.
            ("inner in(x)", &[("inner", "x")], true),
        ] {
            assert_eq!(matches(selector, labels), expected, "{selector} {labels:?}");
        }
    }

    #[test]
    fn what_is_no_selector() {
        for bad in ["foo some (one)", "foo in one", "foo test", "a,", "==b", "a=b", "a in (b", "\\"]
        {
            let error = LabelSelectors::parse(bad).unwrap_err();
            assert_eq!(error.status(), 422);
            let start = format!("Can not parse label selector {bad}. Reason: ");
            assert!(error.to_string().starts_with(&start), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".*") {
            let _ = LabelSelectors::parse(&text);
        }

        #[test]
        fn escaped_labels_are_found(key in "[^\n]{1,8}", value in "[^\n]{1,8}") {
            let escape = |text: &str| text.chars().flat_map(|c| ['\\', c]).collect::<String>();
            let selector = format!("{}=={}", escape(&key), escape(&value));
            prop_assert!(matches(&selector, &[(&key, &value)]), "{}", selector);
        }
    }
}
