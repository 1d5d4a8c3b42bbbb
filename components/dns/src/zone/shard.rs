//! A part of the names, flat: an index sorted by hash, and behind it one run of bytes.
//!
//! A shard never changes: a change writes the shard anew, which is a copy of some kilobytes, and
//! puts it in the old one's place. Readers hold whichever they found.

use super::wire;

/// In one piece of memory: what is looked up lies where the processor has it, or is one miss away.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shard {
    count: usize,
    /// So many slots, and behind them the entries in the same order.
    bytes: Box<[u8]>,
}

/// A name's hash, and where its entry begins behind the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    hash: u32,
    at: u32,
}

const SLOT: usize = 8;

/// What is known of a name. It exists as long as it holds records or lies above a name that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a [u8],
    /// How many names lie directly below.
    pub(crate) children: u32,
    sets: &'a [u8],
}

/// All records of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Set<'a> {
    pub(crate) kind: u16,
    pub(crate) count: u16,
    pub(crate) bytes: &'a [u8],
}

/// What a name is from now on; without records and children it is gone.
pub(super) struct Update<'a> {
    pub(super) hash: u32,
    pub(super) name: &'a [u8],
    pub(super) children: u32,
    /// Sets as [`put_set`] makes them; None: those it had.
    pub(super) sets: Option<&'a [u8]>,
}

const SET_HEAD: usize = 8;

/// Appends the records of one type.
pub(super) fn put_set(kind: u16, count: u16, records: &[u8], to: &mut Vec<u8>) {
    to.extend(kind.to_le_bytes());
    to.extend(count.to_le_bytes());
    to.extend(u32::try_from(records.len()).unwrap_or(0).to_le_bytes());
    to.extend(records);
}

// === impl Shard ===

impl Shard {
    fn slot(&self, position: usize) -> Option<Slot> {
        if position >= self.count {
            return None;
        }
        let slot = self.bytes.get(position * SLOT..)?.first_chunk::<SLOT>()?;
        let [h0, h1, h2, h3, at @ ..] = *slot;
        Some(Slot { hash: u32::from_le_bytes([h0, h1, h2, h3]), at: u32::from_le_bytes(at) })
    }

    fn entries_bytes(&self) -> &[u8] {
        self.bytes.get(self.count * SLOT..).unwrap_or_default()
    }

    fn entry(&self, position: usize) -> Option<Entry<'_>> {
        let bytes = self.entries_bytes();
        let begin = self.slot(position)?.at as usize;
        let end = self.slot(position + 1).map_or(bytes.len(), |next| next.at as usize);
        let (length, rest) = bytes.get(begin..end)?.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        let (children, sets) = rest.split_first_chunk()?;
        Some(Entry { name, children: u32::from_le_bytes(*children), sets })
    }

    /// The first slot whose hash is not below this one.
    fn first(&self, hash: u32) -> usize {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            match self.slot(middle) {
                Some(slot) if slot.hash < hash => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    pub(super) fn find(&self, hash: u32, name: &[u8]) -> Option<Entry<'_>> {
        let mut position = self.first(hash);
        while self.slot(position)?.hash == hash {
            let entry = self.entry(position)?;
            if entry.name == name {
                return Some(entry);
            }
            position += 1;
        }
        None
    }

    /// Reads what [`find`](Self::find) will read, so that it is near when it is needed.
    pub(super) fn touch(&self, hash: u32) -> u8 {
        let slot = self.slot(self.first(hash));
        let at = slot.map_or(0, |slot| slot.at as usize);
        self.entries_bytes().get(at).copied().unwrap_or(0)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.count).filter_map(|position| self.entry(position))
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Bytes on the heap.
    pub(super) fn memory(&self) -> usize {
        self.bytes.len()
    }

    /// The shard after `updates`, sorted by hash and name, no name twice; None where nothing stays.
    pub(super) fn merge(old: Option<&Shard>, updates: &[Update<'_>]) -> Option<Shard> {
        let old_length = old.map_or(0, Shard::len);
        let more: usize =
            updates.iter().map(|u| u.name.len() + u.sets.map_or(0, <[u8]>::len) + 5).sum();
        let mut builder = Builder {
            index: Vec::with_capacity(old_length + updates.len()),
            bytes: Vec::with_capacity(old.map_or(0, |old| old.bytes.len()) + more),
        };
        let mut position = 0;
        for update in updates {
            // Everything that sorts before it stays as it is.
            let from = position;
            while let Some(old) = old
                && let Some(slot) = old.slot(position)
                && slot.hash < update.hash
            {
                position += 1;
            }
            builder.copy(old, from..position);
            let known = old.and_then(|old| old.find(update.hash, update.name));
            builder.put(update, known);
            // Others of the same hash are rare: copied one by one, unless they are updated too.
            while let Some(old) = old
                && let Some(slot) = old.slot(position)
                && slot.hash == update.hash
            {
                let is_updated = |entry: Entry<'_>| {
                    updates.iter().any(|u| u.hash == slot.hash && u.name == entry.name)
                };
                if !old.entry(position).is_some_and(is_updated) {
                    builder.copy(Some(old), position..position + 1);
                }
                position += 1;
            }
        }
        builder.copy(old, position..old_length);
        builder.build()
    }
}

struct Builder {
    index: Vec<Slot>,
    bytes: Vec<u8>,
}

// === impl Builder ===

impl Builder {
    /// Takes over a run of entries: one copy of bytes, and offsets moved.
    fn copy(&mut self, old: Option<&Shard>, positions: std::ops::Range<usize>) {
        let Some(old) = old else { return };
        let Some(first) = old.slot(positions.start).filter(|_| !positions.is_empty()) else {
            return;
        };
        let bytes = old.entries_bytes();
        let begin = first.at as usize;
        let end = old.slot(positions.end).map_or(bytes.len(), |slot| slot.at as usize);
        let here = self.bytes.len();
        let moved = |at: u32| u32::try_from(at as usize - begin + here).unwrap_or(u32::MAX);
        let slots = positions.filter_map(|position| old.slot(position));
        self.index.extend(slots.map(|slot| Slot { at: moved(slot.at), ..slot }));
        self.bytes.extend(bytes.get(begin..end).unwrap_or_default());
    }

    fn build(self) -> Option<Shard> {
        if self.index.is_empty() {
            return None;
        }
        let mut bytes = Vec::with_capacity(self.index.len() * SLOT + self.bytes.len());
        for slot in &self.index {
            bytes.extend(slot.hash.to_le_bytes());
            bytes.extend(slot.at.to_le_bytes());
        }
        bytes.extend(&self.bytes);
        Some(Shard { count: self.index.len(), bytes: bytes.into_boxed_slice() })
    }

    fn put(&mut self, update: &Update<'_>, known: Option<Entry<'_>>) {
        let sets = update.sets.or(known.map(|entry| entry.sets)).unwrap_or_default();
        if sets.is_empty() && update.children == 0 {
            return;
        }
        let Ok(length) = u8::try_from(update.name.len()) else { return };
        let at = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.index.push(Slot { hash: update.hash, at });
        self.bytes.push(length);
        self.bytes.extend(update.name);
        self.bytes.extend(update.children.to_le_bytes());
        self.bytes.extend(sets);
    }
}

// === impl Entry ===

impl<'a> Entry<'a> {
    pub(crate) fn holds_records(&self) -> bool {
        !self.sets.is_empty()
    }

    pub(crate) fn sets(&self) -> impl Iterator<Item = Set<'a>> + use<'a> {
        let mut rest = self.sets;
        std::iter::from_fn(move || {
            let (head, behind) = rest.split_first_chunk::<SET_HEAD>()?;
            let [k0, k1, c0, c1, length @ ..] = *head;
            let (bytes, next) = behind.split_at_checked(u32::from_le_bytes(length) as usize)?;
            rest = next;
            let kind = u16::from_le_bytes([k0, k1]);
            Some(Set { kind, count: u16::from_le_bytes([c0, c1]), bytes })
        })
    }

    pub(crate) fn set(&self, kind: u16) -> Option<Set<'a>> {
        self.sets().find(|set| set.kind == kind)
    }
}

// === impl Set ===

impl<'a> Set<'a> {
    pub(crate) fn records(&self) -> impl Iterator<Item = wire::Record<'a>> + use<'a> {
        wire::records(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Merging step by step, with hashes that collide, keeps what a map would.
        #[test]
        fn a_shard_is_a_map(steps in prop::collection::vec(
            prop::collection::btree_map((0u32..4, 0u8..4), (0u32..2, prop::option::of(0u8..4)), 1..6),
            1..12,
        )) {
            let mut shard: Option<Shard> = None;
            let mut map: BTreeMap<(u32, u8), (u32, Vec<u8>)> = BTreeMap::new();
            for step in steps {
                let sets: Vec<Option<Vec<u8>>> = step.values().map(|(_, value)| {
                    value.map(|value| {
                        let mut sets = Vec::new();
                        if value > 0 {
                            put_set(u16::from(value), 1, &vec![value; usize::from(value)], &mut sets);
                        }
                        sets
                    })
                }).collect();
                let names: Vec<[u8; 1]> = step.keys().map(|(_, name)| [*name]).collect();
                let updates: Vec<Update<'_>> = step.iter().zip(&names).zip(&sets)
                    .map(|((((hash, _), (children, _)), name), sets)| Update {
                        hash: *hash, name, children: *children, sets: sets.as_deref(),
                    })
                    .collect();
                for (((hash, name), (children, _)), sets) in step.iter().zip(sets.clone()) {
                    let held = map.remove(&(*hash, *name)).map(|(_, sets)| sets);
                    let sets = sets.or(held).unwrap_or_default();
                    if !sets.is_empty() || *children > 0 {
                        map.insert((*hash, *name), (*children, sets));
                    }
                }
                shard = Shard::merge(shard.as_ref(), &updates);
                prop_assert_eq!(shard.as_ref().map_or(0, Shard::len), map.len());
                for ((hash, name), (children, sets)) in &map {
                    let entry = shard.as_ref().and_then(|shard| shard.find(*hash, &[*name]));
                    prop_assert_eq!(entry.map(|e| (e.children, e.sets)), Some((*children, &sets[..])));
                }
            }
        }
    }
}
