//! Constraints: `[field, operator, value?]`.

use crate::app::{Constraint, Operator};
use regex::{Regex, RegexBuilder};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Operators as they are written.
pub(crate) const OPERATORS: [(&str, Operator); 7] = [
    ("UNIQUE", Operator::Unique),
    ("CLUSTER", Operator::Cluster),
    ("GROUP_BY", Operator::GroupBy),
    ("LIKE", Operator::Like),
    ("UNLIKE", Operator::Unlike),
    ("MAX_PER", Operator::MaxPer),
    ("IS", Operator::Is),
];

// === impl Operator ===

impl Operator {
    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        OPERATORS.iter().find(|(_, operator)| *operator == self).map_or("", |(name, _)| name)
    }

    /// Reads an operator in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let named = OPERATORS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        named.map(|(_, operator)| *operator)
    }
}

// === impl Constraint ===

impl Constraint {
    /// Reads the list form; the error is the original's text.
    pub fn parse(parts: &[String]) -> Result<Self, &'static str> {
        let (field, operator, value) = match parts {
            [field, operator] => (field, operator, None),
            [field, operator, value] => (field, operator, Some(value)),
            _ => return Err("Each constraint must have either 2 or 3 fields"),
        };
        if field.is_empty() {
            return Err("illegal constraint specification");
        }
        let operator = Operator::parse(operator).ok_or(
            "operator must be one of the following UNIQUE, CLUSTER, GROUP_BY, LIKE, MAX_PER, \
             UNLIKE or IS",
        )?;
        let value = value.map(String::as_str);
        check_value(operator, value)?;
        Ok(Self { field: field.clone(), operator, value: value.map(str::to_owned) })
    }

    /// Reads a constraint of a persistent volume.
    pub(crate) fn parse_for_volume(parts: &[String]) -> Result<Self, String> {
        let (operator, value) = match parts {
            [] => return Err("Missing field and operator".to_owned()),
            [path, operator, value, ..] if path == "path" => (operator, value),
            parts => return Err(format!("Unsupported constraint {}", parts.join(","))),
        };
        // Unlike those of apps these operators are written in capitals.
        let known = Operator::parse(operator).filter(|known| known.as_str() == operator);
        let known = known.ok_or_else(|| format!("unknown constraint operator {operator}"))?;
        if !matches!(known, Operator::Like | Operator::Unlike) {
            return Err("Operator must be one of LIKE, UNLIKE".to_owned());
        }
        if !is_regex(value) {
            return Err("Invalid regular expression".to_owned());
        }
        Ok(Self { field: "path".to_owned(), operator: known, value: Some(value.clone()) })
    }

    /// The list form.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        [Some(self.field.as_str()), Some(self.operator.as_str()), self.value.as_deref()]
            .into_iter()
            .flatten()
    }
}

fn check_value(operator: Operator, value: Option<&str>) -> Result<(), &'static str> {
    let is_int = |text: &str| text.parse::<i32>().is_ok();
    match operator {
        Operator::Unique if value.is_some() => Err("UNIQUE does not accept a value"),
        Operator::Unique | Operator::Cluster => Ok(()),
        Operator::GroupBy if value.is_none_or(|text| is_int(text) || text == "inf") => Ok(()),
        Operator::GroupBy => Err("GROUP BY must define an integer value or else no value at all"),
        Operator::MaxPer if value.is_some_and(is_int) => Ok(()),
        Operator::MaxPer => Err("MAX_PER requires an integer value"),
        Operator::Like | Operator::Unlike => match value {
            None => Err("LIKE and UNLIKE require a non-empty, regular expression value"),
            Some(text) if is_regex(text) => Ok(()),
            Some(_) => Err("is not a valid regular expression"),
        },
        Operator::Is => {
            let literal = |byte: u8| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/' | b'.' | b'-')
            };
            if value.unwrap_or_default().bytes().all(literal) {
                Ok(())
            } else {
                Err("IS only supports Mesos text and float values (see \
                     http://mesos.apache.org/documentation/latest/attributes-resources/)")
            }
        }
    }
}

/// How many compiled expressions are kept; apps of a cluster share few of them.
const KEPT: usize = 1024;

/// Bytes of a compiled expression.
const LARGEST: usize = 1 << 20;

static COMPILED: Mutex<Option<HashMap<String, Option<Arc<Regex>>>>> = Mutex::new(None);

fn is_regex(text: &str) -> bool {
    full_match(text).is_some()
}

/// The expression that matches whole texts as `pattern` does; none if it is no expression.
/// Compiled once, as the same few are asked for again and again.
pub fn full_match(pattern: &str) -> Option<Arc<Regex>> {
    if let Some(known) = compiled().get_or_insert_default().get(pattern) {
        return known.clone();
    }
    // Others need not wait for it.
    let regex = compile(pattern).map(Arc::new);
    let mut compiled = compiled();
    let compiled = compiled.get_or_insert_default();
    if compiled.len() >= KEPT {
        compiled.clear();
    }
    compiled.insert(pattern.to_owned(), regex.clone());
    regex
}

fn compiled() -> MutexGuard<'static, Option<HashMap<String, Option<Arc<Regex>>>>> {
    COMPILED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn compile(pattern: &str) -> Option<Regex> {
    let build = |text: &str| RegexBuilder::new(text).size_limit(LARGEST).build().ok();
    // The pattern alone must be one: `a)(b` is none, though it is between brackets.
    build(pattern).and_then(|_| build(&format!("^(?:{pattern})$")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(parts: &[&str]) -> Result<Constraint, &'static str> {
        Constraint::parse(&parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_written_is_read() {
        for parts in [
            &["hostname", "UNIQUE"][..],
            &["@zone", "GROUP_BY", "3"],
            &["@zone", "GROUP_BY"],
            &["rack", "CLUSTER", "rack-1"],
            &["rack", "MAX_PER", "2"],
            &["rack", "LIKE", "rack-[1-3]"],
            &["rack", "IS", "a/b.c-1"],
        ] {
            let constraint = parse(parts).unwrap();
            assert_eq!(constraint.parts().collect::<Vec<_>>(), parts);
        }
        assert_eq!(parse(&["hostname", "group_by"]).unwrap().operator, Operator::GroupBy);
    }

    #[test]
    fn what_is_wrong_says_so() {
        for (parts, error) in [
            (&["hostname"][..], "Each constraint must have either 2 or 3 fields"),
            (&["a", "LIKE", "b", "c"], "Each constraint must have either 2 or 3 fields"),
            (&["", "UNIQUE"], "illegal constraint specification"),
            (&["hostname", "UNIQUE", "x"], "UNIQUE does not accept a value"),
            (&["a", "MAX_PER"], "MAX_PER requires an integer value"),
            (&["a", "MAX_PER", "x"], "MAX_PER requires an integer value"),
            (
                &["a", "GROUP_BY", "x"],
                "GROUP BY must define an integer value or else no value at all",
            ),
            (&["a", "LIKE"], "LIKE and UNLIKE require a non-empty, regular expression value"),
            (&["a", "UNLIKE", "*"], "is not a valid regular expression"),
        ] {
            assert_eq!(parse(parts), Err(error), "{parts:?}");
        }
        assert!(parse(&["a", "b", "c"]).unwrap_err().starts_with("operator must be one of"));
        assert!(parse(&["a", "IS", "{1,2}"]).unwrap_err().starts_with("IS only supports"));
    }

    #[test]
    fn expressions_match_whole_texts() {
        let regex = full_match("a|bc").unwrap();
        assert!(regex.is_match("a") && regex.is_match("bc") && !regex.is_match("abc"));
        assert!(full_match("a)(b").is_none() && full_match("(").is_none());
    }
}
