//! The `resources{}` object of the classic endpoints.
use std::{fmt::Display, io::Write};

use super::{Item, Name, Ranges, ResourceError, Resources, Scalar, Set, Value};
use crate::v1;

/// What the original always shows, in the order it shows it.
const ALWAYS: [Name; 4] = [Name::DISK, Name::MEM, Name::GPUS, Name::CPUS];

type Key<'a> = (&'a Name, bool);

#[derive(Default)]
struct Totals<'a> {
    scalars: Vec<(Key<'a>, Scalar)>,
    ranges: Vec<(Key<'a>, Ranges)>,
    sets: Vec<(Key<'a>, Set)>,
}

impl<'a> Totals<'a> {
    fn add(&mut self, item: &'a Item) {
        let key = (&item.name, item.is_revocable());
        match &item.value {
            Value::Scalar(amount) => {
                merge(&mut self.scalars, key, *amount, |sum, amount| *sum += amount);
            }
            Value::Ranges(ranges) => {
                merge(&mut self.ranges, key, ranges.clone(), |sum, more| *sum = sum.union(&more));
            }
            Value::Set(set) => {
                merge(&mut self.sets, key, set.clone(), |sum, more| *sum = sum.union(&more));
            }
        }
    }
}

fn merge<'a, T>(list: &mut Vec<(Key<'a>, T)>, key: Key<'a>, value: T, add: impl Fn(&mut T, T)) {
    match list.iter_mut().find(|(mine, _)| *mine == key) {
        Some((_, sum)) => add(sum, value),
        None => list.push((key, value)),
    }
}

impl Resources {
    /// Appends `{"disk":0.0,"mem":32.0,"gpus":0.0,"cpus":0.1,"ports":"[31000-32000]"}`.
    pub fn write_summary(&self, out: &mut Vec<u8>) {
        let mut totals = Totals::default();
        totals.scalars.extend(ALWAYS.iter().map(|name| ((name, false), Scalar::ZERO)));
        self.slice().iter().for_each(|item| totals.add(item));
        out.push(b'{');
        for (at, (key, amount)) in totals.scalars.iter().enumerate() {
            write_key(*key, at == 0, out);
            amount.write_json(out);
        }
        for (key, ranges) in &totals.ranges {
            write_key(*key, false, out);
            write_text(ranges, out);
        }
        for (key, set) in &totals.sets {
            write_key(*key, false, out);
            write_text(set, out);
        }
        out.push(b'}');
    }

    pub fn summary(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        self.write_summary(&mut out);
        out
    }
}

/// [`Resources::write_summary`] for resources as they came in a message.
pub fn write_summary_of_proto(
    resources: &[v1::Resource],
    out: &mut Vec<u8>,
) -> Result<(), ResourceError> {
    Resources::from_proto(resources)?.write_summary(out);
    Ok(())
}

fn write_key((name, revocable): Key<'_>, first: bool, out: &mut Vec<u8>) {
    if !first {
        out.push(b',');
    }
    if revocable {
        write_text(&format_args!("{name}_revocable"), out);
    } else {
        write_text(name, out);
    }
    out.push(b':');
}

fn write_text(text: &impl Display, out: &mut Vec<u8>) {
    let begin = out.len();
    out.push(b'"');
    // Writing to memory does not fail.
    let _ = write!(out, "{text}");
    let plain = |byte: &u8| *byte >= 0x20 && !matches!(byte, b'"' | b'\\' | 0x7f);
    if !out.get(begin + 1..).unwrap_or_default().iter().all(plain) {
        out.truncate(begin);
        let text = serde_json::Value::String(text.to_string()).to_string();
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_usual_four_even_if_absent() {
        let text = |resources: &Resources| String::from_utf8(resources.summary()).unwrap();
        assert_eq!(text(&Resources::new()), r#"{"disk":0.0,"mem":0.0,"gpus":0.0,"cpus":0.0}"#);
        let some = Resources::parse("cpus:1.5;cpus(eng):1;ports:[31000-32000];rack:{b,a}", "*");
        assert_eq!(
            text(&some.unwrap()),
            r#"{"disk":0.0,"mem":0.0,"gpus":0.0,"cpus":2.5,"ports":"[31000-32000]","rack":"{a, b}"}"#
        );
    }

    #[test]
    fn revocable_parts_stand_apart() {
        let mut wire = Resources::parse("cpus:2", "*").unwrap().to_proto();
        wire[0].revocable = Some(v1::resource::RevocableInfo {});
        let mut out = Vec::new();
        write_summary_of_proto(&wire, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"disk":0.0,"mem":0.0,"gpus":0.0,"cpus":0.0,"cpus_revocable":2.0}"#
        );
    }
}
