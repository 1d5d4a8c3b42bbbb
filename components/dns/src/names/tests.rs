//! Names of whole clusters.

mod build;
mod properties;
mod tables;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::record::Change;

/// What names hold, as text.
pub(super) type Held = BTreeMap<String, BTreeSet<String>>;

pub(super) fn text(data: &Data) -> String {
    match data {
        Data::A(ip) => ip.to_string(),
        Data::Aaaa(ip) => ip.to_string(),
        Data::Srv { port, target, .. } => format!("{target}:{port}"),
        Data::Ns(name) => name.to_string(),
        Data::Txt(text) => text.to_string(),
    }
}

pub(super) fn enter(held: &mut Held, changes: Vec<Change>) {
    for change in changes {
        let records: BTreeSet<String> = change.records.iter().map(text).collect();
        assert_eq!(records.len(), change.records.len(), "a record is there twice: {change:?}");
        match records.is_empty() {
            true => drop(held.remove(&*change.name)),
            false => drop(held.insert(change.name.to_string(), records)),
        }
    }
}
