//! Taking values out of JSON: each wrong type is noted with its path, and reading goes on.
//!
//! The texts are those of the original's JSON library, which its clients show to people.

use crate::{Timestamp, Violation, app::Limit};
use serde_json::{Map, Value};
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashSet},
    fmt,
    hash::Hash,
};

/// What was found wrong so far. Readers share it: they hold each other's objects meanwhile.
#[derive(Default)]
pub(super) struct Findings {
    /// Wrong types: the request is refused as "Invalid JSON".
    shape: RefCell<Vec<Violation>>,
    /// Right types, impossible meaning: refused as "Object is not valid".
    meaning: RefCell<Vec<Violation>>,
}

/// A place in a document.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    parent: Option<&'a At<'a>>,
    part: Part<'a>,
    findings: &'a Findings,
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Root,
    Field(&'a str),
    Index(usize),
}

/// An object that is being read.
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    pub(super) at: At<'a>,
}

// === impl Findings ===

impl Findings {
    pub(super) fn into_parts(self) -> (Vec<Violation>, Vec<Violation>) {
        (self.shape.into_inner(), self.meaning.into_inner())
    }
}

// === impl At ===

impl<'a> At<'a> {
    pub(super) fn root(findings: &'a Findings) -> Self {
        Self { parent: None, part: Part::Root, findings }
    }

    pub(super) fn field<'b>(&'b self, name: &'b str) -> At<'b> {
        At { parent: Some(self), part: Part::Field(name), findings: self.findings }
    }

    pub(super) fn index(&self, index: usize) -> At<'_> {
        At { parent: Some(self), part: Part::Index(index), findings: self.findings }
    }

    /// Notes a wrong type.
    pub(super) fn wrong<T>(self, error: impl Into<String>) -> Option<T> {
        // The whole document has an empty path here, unlike in violations of meaning.
        self.findings.shape.borrow_mut().push(Violation::new(self.to_string(), error));
        None
    }

    /// Notes something that no app may be.
    pub(super) fn problem(self, error: impl Into<String>) {
        let path = self.to_string();
        let path = if path.is_empty() { "/".to_owned() } else { path };
        self.findings.meaning.borrow_mut().push(Violation::new(path, error));
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(out)?;
        }
        match self.part {
            Part::Root => Ok(()),
            Part::Field(name) => write!(out, "/{name}"),
            Part::Index(index) => write!(out, "({index})"),
        }
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// The fields of an object.
    pub(super) fn of(value: &'a Value, at: At<'a>) -> Option<Self> {
        match value {
            Value::Object(map) => Some(Self { map, at }),
            _ => at.wrong("error.expected.jsobject"),
        }
    }

    /// The value of a field; none if it is absent or null.
    pub(super) fn raw(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A field that may be absent.
    pub(super) fn get<T>(
        &self,
        name: &str,
        read: impl FnOnce(&Value, At<'_>) -> Option<T>,
    ) -> Option<T> {
        self.raw(name).and_then(|value| read(value, self.at.field(name)))
    }

    /// A field that must be there.
    pub(super) fn need<T>(
        &self,
        name: &str,
        read: impl FnOnce(&Value, At<'_>) -> Option<T>,
    ) -> Option<T> {
        match self.map.get(name) {
            Some(value) => read(value, self.at.field(name)),
            None => self.missing(name),
        }
    }

    /// Notes that a field is not there.
    pub(super) fn missing<T>(&self, name: &str) -> Option<T> {
        let object = serde_json::to_string(self.map).unwrap_or_default();
        self.at.field(name).wrong(format!("'{name}' is undefined on object: {object}"))
    }
}

// === readers ===

pub(super) fn boolean(value: &Value, at: At<'_>) -> Option<bool> {
    value.as_bool().or_else(|| at.wrong("error.expected.jsboolean"))
}

pub(super) fn string(value: &Value, at: At<'_>) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| at.wrong("error.expected.jsstring"))
}

/// A text that is not empty.
pub(super) fn name(value: &Value, at: At<'_>) -> Option<String> {
    string(value, at).filter(|text| !text.is_empty() || at.wrong::<()>("error.minLength").is_some())
}

/// A text of 1 to 1024 characters: a path or a URI.
pub(super) fn line(value: &Value, at: At<'_>) -> Option<String> {
    let text = name(value, at)?;
    // The original counts UTF-16 units.
    if text.len() > 1024 && text.encode_utf16().count() > 1024 {
        return at.wrong("error.maxLength");
    }
    Some(text)
}

/// A text that `valid` accepts.
pub(super) fn matching(
    value: &Value,
    at: At<'_>,
    valid: impl FnOnce(&str) -> bool,
) -> Option<String> {
    let text = value.as_str().map_or_else(|| at.wrong("error.expected.jsstring"), Some)?;
    if valid(text) { Some(text.to_owned()) } else { at.wrong("error.pattern") }
}

fn whole(value: &Value, at: At<'_>, error: &str) -> Option<i64> {
    let Value::Number(number) = value else { return at.wrong("error.expected.jsnumber") };
    // `1.0` is a whole number too.
    let whole = number.as_i64().or_else(|| {
        let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15)?;
        Some(float as i64)
    });
    whole.or_else(|| at.wrong(error))
}

/// A whole number of 32 bits within a range.
pub(super) fn int_in(value: &Value, at: At<'_>, min: i32, max: i32) -> Option<i32> {
    let whole = whole(value, at, "error.expected.int")?;
    let Ok(int) = i32::try_from(whole) else { return at.wrong("error.expected.int") };
    if int < min {
        return at.wrong("error.min");
    }
    if int > max { at.wrong("error.max") } else { Some(int) }
}

/// A whole number of 32 bits, not negative.
pub(super) fn natural(value: &Value, at: At<'_>) -> Option<u32> {
    int_in(value, at, 0, i32::MAX).and_then(|int| u32::try_from(int).ok())
}

/// A whole number of 64 bits, not negative.
pub(super) fn long(value: &Value, at: At<'_>) -> Option<u64> {
    let long = whole(value, at, "error.expected.long")?;
    u64::try_from(long).ok().or_else(|| at.wrong("error.min"))
}

/// 0 to 65535.
pub(super) fn port(value: &Value, at: At<'_>) -> Option<u16> {
    int_in(value, at, 0, 65_535).and_then(|int| u16::try_from(int).ok())
}

/// A number within a range.
pub(super) fn double_in(value: &Value, at: At<'_>, min: f64, max: f64) -> Option<f64> {
    let Some(double) = value.as_f64() else { return at.wrong("error.expected.jsnumber") };
    if double < min {
        return at.wrong("error.min");
    }
    if double > max { at.wrong("error.max") } else { Some(settled(double)) }
}

/// A number that is not below `min`, and not more than there is of anything.
pub(super) fn double(min: f64) -> impl Fn(&Value, At<'_>) -> Option<f64> {
    move |value, at| double_in(value, at, min, 1e15)
}

/// The number cut to digits that survive being printed and read any number of times. Mesos
/// itself counts thousandths.
fn settled(double: f64) -> f64 {
    if double.abs() < 1e6 { (double * 1e9).round() / 1e9 } else { (double * 1e3).round() / 1e3 }
}

/// One of a few words, whatever their case.
pub(super) fn word<T: Copy>(
    value: &Value,
    at: At<'_>,
    words: &'static [(&'static str, T)],
) -> Option<T> {
    let known = |text: &str| words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    let found = value.as_str().and_then(known);
    found.map(|(_, meaning)| *meaning).or_else(|| at.wrong("error.unknown.enum.literal"))
}

/// A list. All of its items are read, even after a wrong one.
pub(super) fn list<T>(
    value: &Value,
    at: At<'_>,
    read: impl Fn(&Value, At<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let Value::Array(items) = value else { return at.wrong("error.expected.jsarray") };
    let mut all = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        all.extend(read(item, at.index(index)));
    }
    Some(all)
}

/// A list of which equal items count once.
pub(super) fn set<T: Clone + Eq + Hash>(
    value: &Value,
    at: At<'_>,
    read: impl Fn(&Value, At<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let mut items = list(value, at, read)?;
    if items.len() > 1 {
        let mut seen = HashSet::with_capacity(items.len());
        items.retain(|item| seen.insert(item.clone()));
    }
    Some(items)
}

/// The same of at most `most` items, each of which costs more than its length.
pub(super) fn few<T: Clone + Eq + Hash>(
    value: &Value,
    at: At<'_>,
    most: usize,
    read: impl Fn(&Value, At<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    if value.as_array().is_some_and(|items| items.len() > most) {
        return at.wrong("error.maxLength");
    }
    set(value, at, read)
}

/// A list of texts.
pub(super) fn strings(value: &Value, at: At<'_>) -> Option<Vec<String>> {
    list(value, at, string)
}

/// An object with any keys.
pub(super) fn map<T>(
    value: &Value,
    at: At<'_>,
    read: impl Fn(&Value, At<'_>) -> Option<T>,
) -> Option<BTreeMap<String, T>> {
    let Value::Object(entries) = value else { return at.wrong("error.expected.jsobject") };
    let mut all = BTreeMap::new();
    for (key, value) in entries {
        if let Some(value) = read(value, at.field(key)) {
            all.insert(key.clone(), value);
        }
    }
    Some(all)
}

/// An object of texts.
pub(super) fn labels(value: &Value, at: At<'_>) -> Option<BTreeMap<String, String>> {
    map(value, at, string)
}

/// A moment.
pub(super) fn timestamp(value: &Value, at: At<'_>) -> Option<Timestamp> {
    let read = value.as_str().and_then(|text| text.parse().ok());
    read.or_else(|| at.wrong("error.expected.date.isoformat"))
}

/// A number, or "unlimited".
pub(super) fn limit(value: &Value, at: At<'_>) -> Option<Limit> {
    match value {
        Value::String(text) if text == "unlimited" => Some(Limit::Unlimited),
        Value::String(text) => {
            at.problem(format!(
                "'{text}' is an invalid resource limit. It must be 'unlimited' or a number"
            ));
            None
        }
        other => double_in(other, at, -1e15, 1e15).map(Limit::Value),
    }
}
