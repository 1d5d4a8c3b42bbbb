//! What every name holds, and by how many it is held: tasks share names.

use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use super::labels::is_name;
use crate::record::{Change, Data, Name};

/// Names and their records, each with how many hold it.
#[derive(Debug, Default)]
pub(super) struct Book {
    names: FxHashMap<Name, Held>,
    touched: FxHashSet<Name>,
}

/// Most names hold one record, of one task.
#[derive(Debug)]
enum Held {
    One(Data, u32),
    Many(Vec<(Data, u32)>),
}

// === impl Book ===

impl Book {
    /// The same text as a name, which is there once if something holds it.
    pub(super) fn name(&self, text: &str) -> Name {
        self.names.get_key_value(text).map_or_else(|| text.into(), |(name, _)| name.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// One more holds it. Names that cannot be asked for are left out.
    pub(super) fn hold(&mut self, name: &str, data: Data) {
        if let Some(held) = self.names.get_mut(name) {
            if held.hold(data) {
                self.touch(name);
            }
        } else if is_name(name) {
            let name: Name = name.into();
            self.names.insert(name.clone(), Held::One(data, 1));
            self.touched.insert(name);
        }
    }

    /// One less holds it.
    pub(super) fn release(&mut self, name: &str, data: &Data) {
        let Some(held) = self.names.get_mut(name) else { return };
        if !held.release(data) {
            return;
        }
        self.touch(name);
        if self.names.get(name).is_some_and(|held| held.records().next().is_none()) {
            self.names.remove(name);
        }
    }

    fn touch(&mut self, name: &str) {
        if !self.touched.contains(name) {
            let name = self.name(name);
            self.touched.insert(name);
        }
    }

    /// What is different since the last time, of at most so many names.
    pub(super) fn changes(&mut self, most: usize) -> Vec<Change> {
        let touched: Vec<Name> = if self.touched.len() <= most {
            std::mem::take(&mut self.touched).into_iter().collect()
        } else {
            self.touched.iter().take(most).cloned().collect()
        };
        for name in &touched {
            self.touched.remove(name);
        }
        touched.into_iter().map(|name| self.change(name)).collect()
    }

    /// Everything; nothing is different then.
    pub(super) fn all(&mut self) -> Vec<Change> {
        self.touched = FxHashSet::default();
        self.names.keys().cloned().map(|name| self.change(name)).collect()
    }

    fn change(&self, name: Name) -> Change {
        let records = self.names.get(&name);
        let records = records.map(|held| held.records().cloned().collect()).unwrap_or_default();
        Change { name, records }
    }
}

// === impl Held ===

impl Held {
    fn records(&self) -> impl Iterator<Item = &Data> {
        let (one, many): (Option<&Data>, &[(Data, u32)]) = match self {
            Held::One(_, 0) => (None, &[]),
            Held::One(data, _) => (Some(data), &[]),
            Held::Many(all) => (None, all),
        };
        one.into_iter().chain(many.iter().map(|(data, _)| data))
    }

    /// Whether it is a record more.
    fn hold(&mut self, data: Data) -> bool {
        match self {
            Held::One(held, count) if *held == data => {
                *count += 1;
                false
            }
            Held::One(held, count) => {
                *self = Held::Many(vec![(held.clone(), *count), (data, 1)]);
                true
            }
            Held::Many(all) => match all.iter_mut().find(|(held, _)| *held == data) {
                Some((_, count)) => {
                    *count += 1;
                    false
                }
                None => {
                    all.push((data, 1));
                    true
                }
            },
        }
    }

    /// Whether it is a record less.
    fn release(&mut self, data: &Data) -> bool {
        match self {
            Held::One(held, count) => {
                if held == data {
                    *count = count.saturating_sub(1);
                }
                held == data && *count == 0
            }
            Held::Many(all) => {
                let Some(at) = all.iter().position(|(held, _)| held == data) else { return false };
                if let Some((_, count)) = all.get_mut(at)
                    && *count > 1
                {
                    *count -= 1;
                    return false;
                }
                all.swap_remove(at);
                if let [(data, count)] = all.as_slice() {
                    *self = Held::One(data.clone(), *count);
                }
                true
            }
        }
    }
}

/// The record of an address.
pub(super) fn address(ip: IpAddr) -> Data {
    match ip.to_canonical() {
        IpAddr::V4(ip) => Data::A(ip),
        IpAddr::V6(ip) => Data::Aaaa(ip),
    }
}
