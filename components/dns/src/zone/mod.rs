//! The names that we serve, with their answers built.
//!
//! Records are put into wire form when they change; an answer copies them. Readers take no lock
//! and never wait: names are spread over shards, each of which is replaced as a whole. At some
//! hundred bytes a shard's entry and eight thousand shards, a change of one name copies kilobytes
//! even where there are a million.
//!
//! Additional addresses of an SRV record's target are looked up when the record is asked for, in
//! the same tables: they are built too, and are then never older than the target's own.

pub(crate) mod apex;
mod shard;
pub(crate) mod wire;

use std::hash::Hasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::{ArcSwapOption, Guard};
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};

pub use apex::{Alias, Zone};
pub(crate) use apex::{Apex, Apexes};
pub(crate) use shard::{Entry, Set};

use crate::record::{Change, Data, Name};
use shard::{Shard, Update};

/// A million names make about a hundred a shard; ten thousand, one or two.
const SHARDS: usize = 8192;

/// So many changes are put together at once.
const PIECE: usize = 4096;

/// All names, of all zones.
pub struct Zones {
    apexes: Apexes,
    shards: Box<[ArcSwapOption<Shard>]>,
    seed: usize,
    /// One writer at a time.
    writing: Mutex<()>,
    names: AtomicUsize,
}

/// Where a name would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    shard: usize,
    hash: u32,
}

/// A shard that may hold a name; it stays what it is as long as this is held.
pub(crate) struct Held {
    shard: Guard<Option<Arc<Shard>>>,
    hash: u32,
}

/// What a name becomes, while a batch is put together.
struct Pending {
    children: u32,
    holds_records: bool,
    /// Whether the name above counts it.
    is_counted: bool,
    /// None: those it has.
    sets: Option<Vec<u8>>,
}

// === impl Zones ===

impl Zones {
    /// No names yet, and no zone ready.
    pub fn new(zones: Vec<Zone>, aliases: Vec<Alias>) -> Zones {
        Zones::with_shards(zones, aliases, SHARDS)
    }

    fn with_shards(zones: Vec<Zone>, aliases: Vec<Alias>, shards: usize) -> Zones {
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), SHARDS);
        Zones {
            apexes: Apexes::new(zones, aliases),
            shards: (0..shards).map(|_| ArcSwapOption::empty()).collect(),
            seed: seed as usize,
            writing: Mutex::new(()),
            names: AtomicUsize::new(0),
        }
    }

    /// Takes changes over, visible at once; the last of several of one name counts. Names outside
    /// our zones, and records that cannot be written, are left out.
    pub fn publish(&self, changes: Vec<Change>) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.publish_in_pieces(changes);
    }

    /// Makes `changes` all there is: every other name goes. All zones are ready then.
    pub fn reload(&self, changes: Vec<Change>) {
        self.replace(|_| true, changes);
    }

    /// As [`reload`](Self::reload), for these zones alone; changes in others are taken over too.
    pub fn reload_zones(&self, names: &[Name], changes: Vec<Change>) {
        let names: Vec<Vec<u8>> = names.iter().filter_map(|name| wire::name(name)).collect();
        self.replace(|apex| names.iter().any(|name| **name == *apex.wire), changes);
    }

    /// What is new comes first, then the rest goes: a name above others is never missed. All of it
    /// in pieces, so that a million names do not take their memory twice.
    fn replace(&self, is_replaced: impl Fn(&Apex) -> bool, changes: Vec<Change>) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced: Vec<&Apex> = self.apexes.all().filter(|apex| is_replaced(apex)).collect();
        let is_replaced = |apex: &Apex| replaced.iter().any(|other| std::ptr::eq(*other, apex));
        let names = changes.iter().filter_map(|change| wire::name(&change.name));
        // Of 64 bits, seeded: that one name stays for another's sake will not be seen.
        let stays: FxHashSet<u64> = names.map(|name| self.hash_of(&name)).collect();
        self.publish_in_pieces(changes);
        let mut goes = Vec::new();
        for shard in &self.shards {
            let shard = shard.load_full();
            for entry in shard.iter().flat_map(|shard| shard.entries()) {
                if entry.holds_records()
                    && !stays.contains(&self.hash_of(entry.name))
                    && self.apexes.of(entry.name).is_some_and(is_replaced)
                {
                    goes.push(Box::<[u8]>::from(entry.name));
                }
            }
        }
        for piece in goes.chunks(PIECE) {
            let mut batch = Batch::new(self);
            piece.iter().for_each(|name| batch.set(name, Vec::new()));
            batch.finish();
        }
        replaced.iter().for_each(|apex| apex.set_ready(true));
    }

    fn publish_in_pieces(&self, changes: Vec<Change>) {
        for piece in changes.chunks(PIECE) {
            let mut batch = Batch::new(self);
            piece.iter().for_each(|change| batch.take(change));
            batch.finish();
        }
    }

    /// Before a zone is ready, a name of it that is not known may well exist: the answer is that
    /// we cannot say.
    pub fn set_ready(&self, name: &str, is_ready: bool) {
        if let Some(apex) = wire::name(name).and_then(|wire| self.apexes.at(&wire)) {
            apex.set_ready(is_ready);
        }
    }

    pub fn is_ready(&self, name: &str) -> bool {
        wire::name(name)
            .and_then(|wire| self.apexes.of(&wire).map(Apex::is_ready))
            .unwrap_or_default()
    }

    /// When data of this zone changed last, as its SOA record says it; 0 if never.
    pub fn serial(&self, name: &str) -> u32 {
        let wire = wire::name(name);
        wire.and_then(|wire| self.apexes.of(&wire).map(Apex::serial)).unwrap_or(0)
    }

    /// Whether this name lies in one of our zones, or stands for one that does.
    pub fn is_ours(&self, name: &str) -> bool {
        wire::name(name).is_some_and(|wire| {
            self.apexes.of(&wire).is_some() || self.apexes.unalias(&wire).is_some()
        })
    }

    /// All records of a name, in any case of letters; None where the name is unknown, an empty list
    /// where only names below it are known.
    pub fn get(&self, name: &str) -> Option<Vec<Data>> {
        let wire = wire::name(name)?;
        let held = self.hold(&wire);
        let sets = held.find(&wire)?.sets();
        Some(sets.flat_map(|set| set.records()).filter_map(|record| record.decode()).collect())
    }

    /// Every name that holds records, in no order. What changes meanwhile is seen or not.
    pub fn for_each(&self, mut see: impl FnMut(&str, Vec<Data>)) {
        for shard in &self.shards {
            let shard = shard.load_full();
            for entry in shard.iter().flat_map(|shard| shard.entries()) {
                if entry.holds_records() {
                    let records = entry.sets().flat_map(|set| set.records());
                    see(&wire::text(entry.name), records.filter_map(|r| r.decode()).collect());
                }
            }
        }
    }

    /// How many names are known, those above others included.
    pub fn names(&self) -> usize {
        self.names.load(Ordering::Relaxed)
    }

    /// Bytes on the heap that hold names and records, without what the allocator adds.
    pub fn memory(&self) -> usize {
        let shards = self.shards.iter().filter_map(|shard| shard.load_full());
        // An `Arc` counts twice before what it holds.
        let shards = shards.map(|shard| shard.memory() + size_of::<Shard>() + 16);
        size_of_val(&*self.shards) + shards.sum::<usize>()
    }

    pub(crate) fn apexes(&self) -> &Apexes {
        &self.apexes
    }

    /// Where a name in lower case is, if it is known; what is to be read there is fetched. Several
    /// names in a row are fetched at the same time, if nothing else is done between.
    pub(crate) fn locate(&self, name: &[u8]) -> Place {
        let place = self.place_of(name);
        if let Some(shard) = self.shards.get(place.shard) {
            std::hint::black_box(shard.load().as_ref().map_or(0, |shard| shard.touch(place.hash)));
        }
        place
    }

    /// The shard where a name in lower case is, if it is known.
    pub(crate) fn hold(&self, name: &[u8]) -> Held {
        self.hold_at(self.place_of(name))
    }

    pub(crate) fn hold_at(&self, place: Place) -> Held {
        let Place { shard, hash } = place;
        let shard = match self.shards.get(shard) {
            Some(shard) => shard.load(),
            None => Guard::from_inner(None),
        };
        Held { shard, hash }
    }

    /// The number of a name's shard, and its hash there.
    fn place_of(&self, name: &[u8]) -> Place {
        let hash = self.hash_of(name);
        let shard = (hash as u32 >> 8) as usize % self.shards.len().max(1);
        Place { shard, hash: (hash >> 32) as u32 }
    }

    fn hash_of(&self, name: &[u8]) -> u64 {
        let mut hasher = FxHasher::with_seed(self.seed);
        hasher.write(name);
        // Its bits are not equally good, and parts of them are to be.
        let hash = hasher.finish();
        (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

// === impl Held ===

impl Held {
    pub(crate) fn find(&self, name: &[u8]) -> Option<Entry<'_>> {
        self.shard.as_ref()?.find(self.hash, name)
    }
}

/// Changes put together, each name once, and with what they mean for the names above.
struct Batch<'z> {
    zones: &'z Zones,
    pending: FxHashMap<Box<[u8]>, Pending>,
}

// === impl Batch ===

impl<'z> Batch<'z> {
    fn new(zones: &'z Zones) -> Batch<'z> {
        Batch { zones, pending: FxHashMap::default() }
    }

    fn take(&mut self, change: &Change) {
        let Some(name) = wire::name(&change.name) else { return };
        let Some(apex) = self.zones.apexes.of(&name) else { return };
        apex.advance(unix_now());
        self.set(&name, sets_of(&change.records, apex.zone.ttl));
    }

    fn set(&mut self, name: &[u8], sets: Vec<u8>) {
        let Some(pending) = self.pending(name) else { return };
        pending.holds_records = !sets.is_empty();
        pending.sets = Some(sets);
    }

    /// What is pending of a name, begun from what is known of it.
    fn pending(&mut self, name: &[u8]) -> Option<&mut Pending> {
        if !self.pending.contains_key(name) {
            let held = self.zones.hold(name);
            let known = held.find(name);
            let pending = Pending {
                children: known.map_or(0, |entry| entry.children),
                holds_records: known.is_some_and(|entry| entry.holds_records()),
                is_counted: known.is_some(),
                sets: None,
            };
            self.pending.insert(name.into(), pending);
        }
        self.pending.get_mut(name)
    }

    fn finish(mut self) {
        let names: Vec<Box<[u8]>> = self.pending.keys().cloned().collect();
        names.iter().for_each(|name| self.settle(name));
        self.write();
    }

    /// Tells the names above, up to the zone's, that this one has come or gone, if it has.
    fn settle(&mut self, name: &[u8]) {
        let mut name = name;
        loop {
            let Some(pending) = self.pending(name) else { return };
            let exists = pending.holds_records || pending.children > 0;
            if exists == pending.is_counted {
                return;
            }
            pending.is_counted = exists;
            let Some(parent) = wire::parent(name) else { return };
            if self.zones.apexes.at(name).is_some() {
                return;
            }
            let Some(above) = self.pending(parent) else { return };
            above.children =
                if exists { above.children + 1 } else { above.children.saturating_sub(1) };
            name = parent;
        }
    }

    /// Writes every shard that changes, once.
    fn write(&self) {
        let places = self.pending.iter().map(|(name, pending)| {
            let Place { shard, hash } = self.zones.place_of(name);
            let sets = pending.sets.as_deref();
            (shard, Update { hash, name, children: pending.children, sets })
        });
        let mut updates: Vec<(usize, Update<'_>)> = places.collect();
        updates.sort_unstable_by_key(|(shard, update)| (*shard, update.hash));
        let (mut gone, mut come) = (0, 0);
        let mut rest = updates.into_iter().peekable();
        while let Some((number, first)) = rest.next() {
            let mut of_shard = vec![first];
            while let Some((_, update)) = rest.next_if(|(shard, _)| *shard == number) {
                of_shard.push(update);
            }
            let Some(place) = self.zones.shards.get(number) else { continue };
            let old = place.load_full();
            let new = Shard::merge(old.as_deref(), &of_shard);
            gone += old.as_deref().map_or(0, Shard::len);
            come += new.as_ref().map_or(0, Shard::len);
            place.store(new.map(Arc::new));
        }
        let names = self.zones.names.load(Ordering::Relaxed);
        self.zones.names.store((names + come).saturating_sub(gone), Ordering::Relaxed);
    }
}

/// Records in wire form, one set after the other, none twice.
fn sets_of(records: &[Data], ttl: u32) -> Vec<u8> {
    let mut records: Vec<&Data> = records.iter().collect();
    records.sort_unstable();
    records.dedup();
    let mut sets = Vec::new();
    let mut bytes = Vec::new();
    for same in records.chunk_by(|a, b| wire::kind_of(a) == wire::kind_of(b)) {
        bytes.clear();
        let put = same.iter().filter(|data| wire::put_record(data, ttl, &mut bytes).is_some());
        let count = u16::try_from(put.count()).unwrap_or(u16::MAX);
        if let (Some(first), 1..) = (same.first(), count) {
            shard::put_set(wire::kind_of(first), count, &bytes, &mut sets);
        }
    }
    sets
}

fn unix_now() -> u32 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn zones() -> Zones {
        let zones = vec![Zone::new("mesos", 60), Zone::new("deep.mesos", 5)];
        Zones::with_shards(zones, Vec::new(), 4)
    }

    fn change(name: &str, addresses: &[u8]) -> Change {
        let records = addresses.iter().map(|last| Data::A([10, 0, 0, *last].into()));
        Change { name: name.into(), records: records.collect() }
    }

    #[test]
    fn names_above_live_as_long_as_those_below() {
        let zones = zones();
        zones.publish(vec![change("a.b.mesos", &[1]), change("c.b.mesos", &[2])]);
        assert_eq!(zones.get("b.mesos"), Some(Vec::new()));
        assert_eq!(zones.get("A.b.Mesos"), Some(vec![Data::A([10, 0, 0, 1].into())]));
        zones.publish(vec![change("a.b.mesos", &[]), change("d.b.mesos", &[3])]);
        assert_eq!(zones.get("b.mesos"), Some(Vec::new()));
        assert_eq!(zones.get("a.b.mesos"), None);
        zones.publish(vec![change("d.b.mesos", &[]), change("c.b.mesos", &[])]);
        assert_eq!(zones.get("b.mesos"), None);
        assert_eq!(zones.names(), 0);
        assert_eq!(zones.memory(), size_of_val(&*zones.shards));
    }

    #[test]
    fn a_reload_takes_the_rest_away_and_makes_ready() {
        let zones = zones();
        assert!(!zones.is_ready("x.mesos"));
        zones.publish(vec![change("a.mesos", &[1]), change("x.deep.mesos", &[2])]);
        assert!(!zones.is_ready("x.mesos"));
        zones.reload_zones(&["mesos".into()], vec![change("b.mesos", &[3])]);
        assert!(zones.is_ready("x.mesos") && !zones.is_ready("x.deep.mesos"));
        assert_eq!((zones.get("a.mesos"), zones.get("b.mesos").map(|r| r.len())), (None, Some(1)));
        assert!(zones.get("x.deep.mesos").is_some());
        zones.reload(Vec::new());
        assert!(zones.is_ready("x.deep.mesos"));
        assert_eq!((zones.get("x.deep.mesos"), zones.get("b.mesos")), (None, None));
        assert_eq!(zones.serial("other"), 0);
        assert!(zones.serial("mesos") > 0);
    }

    #[test]
    fn what_is_no_name_or_not_ours_is_left_out() {
        let zones = zones();
        zones.publish(vec![change("a.org", &[1]), change("a..mesos", &[1])]);
        assert_eq!(zones.names(), 0);
        assert!(zones.is_ours("a.mesos.") && !zones.is_ours("a.org"));
    }

    fn name() -> impl Strategy<Value = String> {
        prop::collection::vec("[ab]", 1..4).prop_map(|labels| labels.join(".") + ".mesos")
    }

    proptest! {
        /// Whatever order changes come in: what is known is what was said last, and the names above.
        #[test]
        fn zones_are_a_map(batches in prop::collection::vec(
            (any::<bool>(), prop::collection::vec((name(), prop::collection::vec(0u8..4, 0..3)), 0..8)),
            0..8,
        )) {
            let zones = zones();
            let mut map: BTreeMap<String, Vec<Data>> = BTreeMap::new();
            for (is_reload, batch) in batches {
                let changes: Vec<Change> = batch.iter().map(|(name, last)| change(name, last)).collect();
                if is_reload {
                    map.clear();
                    zones.reload(changes.clone());
                } else {
                    zones.publish(changes.clone());
                }
                for mut change in changes {
                    change.records.sort();
                    change.records.dedup();
                    map.insert(change.name.to_string(), change.records);
                }
                map.retain(|_, records| !records.is_empty());
                let mut known: BTreeMap<String, Vec<Data>> = map.clone();
                for name in map.keys() {
                    let mut above = name.split_once('.');
                    while let Some((_, parent)) = above {
                        known.entry(parent.to_owned()).or_default();
                        above = parent.split_once('.');
                    }
                }
                for (name, records) in &known {
                    let held = zones.get(name);
                    prop_assert_eq!(held.as_ref(), Some(records), "{}", name);
                }
                prop_assert_eq!(zones.names(), known.len());
                let mut seen = BTreeMap::new();
                zones.for_each(|name, records| { seen.insert(name.to_owned(), records); });
                prop_assert_eq!(&seen, &map);
            }
        }
    }
}
