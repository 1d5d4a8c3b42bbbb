//! Which names are ours: the zones, what is said at the top of each, and names that stand for
//! others.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustc_hash::FxHashMap;

use super::wire::{self, kind};
use crate::record::Name;

/// A zone: everything below its name, but for what a longer zone has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    pub name: Name,
    /// Seconds, of every record, and of answers that say "nothing".
    pub ttl: u32,
    /// The name server that is said to be the first.
    pub primary: Name,
    /// Whom to write to, as a name.
    pub mailbox: Name,
    pub refresh: u32,
    pub retry: u32,
    pub expire: u32,
}

/// Names below `name` are those below `target`, under another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    pub name: Name,
    pub target: Name,
}

/// A zone as it is served.
#[derive(Debug)]
pub(crate) struct Apex {
    pub(crate) zone: Zone,
    pub(crate) wire: Box<[u8]>,
    primary_name: Box<[u8]>,
    primary: Within,
    mailbox: Within,
    serial: AtomicU32,
    is_ready: AtomicBool,
}

/// A name in the SOA record: what stands before the zone's own, if it lies in it.
#[derive(Debug)]
struct Within {
    labels: Box<[u8]>,
    is_inside: bool,
}

/// Name and target.
type AliasWire = (Box<[u8]>, Box<[u8]>);

#[derive(Debug)]
pub(crate) struct Apexes {
    by_name: FxHashMap<Box<[u8]>, Apex>,
    aliases: Vec<AliasWire>,
}

// === impl Zone ===

impl Zone {
    /// A zone with the values that Mesos-DNS has where nothing is configured.
    pub fn new(name: &str, ttl: u32) -> Zone {
        let name = name.trim_end_matches('.');
        Zone {
            name: name.into(),
            ttl,
            primary: format!("ns1.{name}").into(),
            mailbox: format!("root.ns1.{name}").into(),
            refresh: 60,
            retry: 600,
            expire: 86_400,
        }
    }
}

// === impl Within ===

impl Within {
    fn new(name: &str, apex: &[u8]) -> Option<Within> {
        let wire = wire::name(name)?;
        let labels = wire.strip_suffix(apex);
        let is_inside = labels.is_some();
        Some(Within { labels: labels.unwrap_or(&wire).into(), is_inside })
    }

    fn put(&self, apex: [u8; 2], to: &mut Vec<u8>) {
        to.extend(&*self.labels);
        if self.is_inside {
            to.extend(apex);
        }
    }
}

// === impl Apex ===

impl Apex {
    fn new(zone: Zone) -> Option<Apex> {
        let wire = wire::name(&zone.name)?.into_boxed_slice();
        let (primary, mailbox) =
            (Within::new(&zone.primary, &wire)?, Within::new(&zone.mailbox, &wire)?);
        let primary_name = wire::name(&zone.primary)?.into();
        let (serial, is_ready) = (AtomicU32::new(0), AtomicBool::new(false));
        Some(Apex { zone, wire, primary_name, primary, mailbox, serial, is_ready })
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    pub(super) fn set_ready(&self, is_ready: bool) {
        self.is_ready.store(is_ready, Ordering::Release);
    }

    pub(crate) fn serial(&self) -> u32 {
        self.serial.load(Ordering::Relaxed)
    }

    /// The first name server's name, in wire form.
    pub(crate) fn primary(&self) -> &[u8] {
        &self.primary_name
    }

    /// A serial never goes back, whatever the clock does.
    pub(super) fn advance(&self, now: u32) {
        self.serial.fetch_max(now, Ordering::Relaxed);
    }

    /// Appends the SOA record; `at` is where the zone's name stands in the message.
    pub(crate) fn put_soa(&self, at: u16, to: &mut Vec<u8>) {
        let pointer = pointer(at);
        wire::put_head(&pointer, kind::SOA, self.zone.ttl, to);
        let length_at = to.len();
        to.extend([0, 0]);
        self.primary.put(pointer, to);
        self.mailbox.put(pointer, to);
        let zone = &self.zone;
        for number in [self.serial(), zone.refresh, zone.retry, zone.expire, zone.ttl] {
            to.extend(number.to_be_bytes());
        }
        let length = u16::try_from(to.len() - length_at - 2).unwrap_or(0);
        if let Some(place) = to.get_mut(length_at..length_at + 2) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }

    /// Appends the NS record that a zone has of itself; `at` as above.
    pub(crate) fn put_ns(&self, at: u16, to: &mut Vec<u8>) {
        let pointer = pointer(at);
        wire::put_head(&pointer, kind::NS, self.zone.ttl, to);
        let labels = self.primary.labels.len() + if self.primary.is_inside { 2 } else { 0 };
        to.extend(u16::try_from(labels).unwrap_or(0).to_be_bytes());
        self.primary.put(pointer, to);
    }
}

/// A pointer to a place in the message.
pub(crate) fn pointer(at: u16) -> [u8; 2] {
    (0xc000 | at).to_be_bytes()
}

// === impl Apexes ===

impl Apexes {
    /// Zones and aliases whose names are none are left out.
    pub(super) fn new(zones: Vec<Zone>, aliases: Vec<Alias>) -> Apexes {
        let apexes = zones.into_iter().filter_map(Apex::new);
        let by_name = apexes.map(|apex| (apex.wire.clone(), apex)).collect();
        let mut aliases: Vec<AliasWire> = aliases
            .iter()
            .filter_map(|alias| {
                Some((wire::name(&alias.name)?.into(), wire::name(&alias.target)?.into()))
            })
            .collect();
        // The longest first: it is the one that counts.
        aliases.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Apexes { by_name, aliases }
    }

    /// The zone that has this name, which is in lower case: the longest.
    pub(crate) fn of(&self, name: &[u8]) -> Option<&Apex> {
        wire::suffixes(name).find_map(|suffix| self.by_name.get(suffix))
    }

    pub(crate) fn at(&self, name: &[u8]) -> Option<&Apex> {
        self.by_name.get(name)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Apex> {
        self.by_name.values()
    }

    /// What this name stands for, if it does, and where in it the replaced end begins.
    pub(crate) fn unalias(&self, name: &[u8]) -> Option<(Vec<u8>, usize)> {
        if self.aliases.is_empty() {
            return None;
        }
        wire::suffixes(name).find_map(|suffix| {
            let (_, target) = self.aliases.iter().find(|(alias, _)| **alias == *suffix)?;
            let at = name.len() - suffix.len();
            let real = [name.get(..at)?, target].concat();
            (real.len() <= wire::MOST_NAME).then_some((real, at))
        })
    }
}
