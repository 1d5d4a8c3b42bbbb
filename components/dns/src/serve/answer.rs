//! From a question to its answer: pure, without a socket or a clock.
//!
//! What is ours is copied from what [`Zones`] has built. What is not is for somebody else.

use std::borrow::Cow;

use super::query::{Bad, Code, HEADER, Lower, Query, flag};
use crate::zone::apex::{Apex, pointer};
use crate::zone::wire::{self, DATA_AT, TARGET_AT, kind};
use crate::zone::{Entry, Place, Set, Zones};

/// The longest message there is; over TCP it can be sent.
pub(crate) const LONGEST: usize = u16::MAX as usize;
const OPT_LENGTH: usize = 11;
/// So many targets of one answer have their addresses added.
const MOST_TARGETS: usize = 32;
/// Pointers reach so far.
const REACH: usize = 0x4000;

/// How a question came, and from whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Via {
    pub(crate) is_tcp: bool,
    /// Those may ask for foreign names.
    pub(crate) is_trusted: bool,
}

/// What the answers depend on beside the names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The longest answer over UDP, whatever the requester takes.
    pub(crate) udp_size: usize,
    /// Whether there is somebody to ask about foreign names.
    pub(crate) forwards: bool,
    /// Whether an answer that is cut says so.
    pub(crate) truncates: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The answer is in the buffer.
    Answered(Code),
    /// There is none.
    Dropped,
    /// The name is not ours, and the requester may ask: to be forwarded.
    Foreign,
}

/// A packet that was read: a question and where its name would be, or why it is none.
pub(crate) type Read<'a> = Result<Asked<'a>, Bad>;

pub(crate) struct Asked<'a> {
    query: Query<'a>,
    name: Lower,
    place: Place,
}

/// The first half of an answer. Who has several packets reads them all before it answers any: what
/// the answers need of memory is then fetched at the same time.
pub(crate) fn read<'a>(zones: &Zones, packet: &'a [u8]) -> Read<'a> {
    let query = Query::parse(packet)?;
    let name = query.lower();
    let place = zones.locate(&name);
    Ok(Asked { query, name, place })
}

/// The other half: the answer into `to`, whose content is replaced. `turn` is any number: it says
/// which of several records comes first.
pub(crate) fn answer(
    zones: &Zones,
    rules: &Rules,
    read: Read<'_>,
    via: Via,
    turn: u32,
    to: &mut Vec<u8>,
) -> Outcome {
    to.clear();
    let Asked { query, name, place } = match read {
        Ok(asked) => asked,
        Err(Bad::Drop) => return Outcome::Dropped,
        Err(Bad::Refuse { id, flags, code }) => {
            let flags = flag::RESPONSE | flags & (flag::OPCODE | flag::RECURSION_DESIRED);
            to.extend(id);
            to.extend((flags | u16::from(code as u8)).to_be_bytes());
            to.extend([0; 8]);
            return Outcome::Answered(code);
        }
    };
    let mut message = Message::new(&query, rules, via, to);
    if query.edns.is_some_and(|edns| edns.version != 0) {
        return message.finish(Code::BadVers);
    }
    let code = {
        let held = zones.hold_at(place);
        match held.find(&name) {
            Some(entry) => message.put_known(zones, &entry, &name, None, turn),
            None => message.put_other(zones, &name, turn),
        }
    };
    match code {
        Some(code) => {
            message.flags |= flag::AUTHORITATIVE;
            message.finish(code)
        }
        None if via.is_trusted && rules.forwards && query.wants_recursion() => {
            to.clear();
            Outcome::Foreign
        }
        None => message.finish(Code::Refused),
    }
}

/// Answers a query with a code alone: when a foreign name cannot be asked about, or with a cut
/// answer that says "ask over TCP". Nothing where the packet is no query.
pub(crate) fn bare(packet: &[u8], rules: &Rules, via: Via, say: Bare, to: &mut Vec<u8>) -> bool {
    to.clear();
    let Ok(query) = Query::parse(packet) else { return false };
    let mut message = Message::new(&query, rules, via, to);
    let code = match say {
        Bare::Truncated => {
            message.flags |= flag::TRUNCATED;
            Code::NoError
        }
        Bare::Code(code) => code,
    };
    message.finish(code);
    true
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Bare {
    Code(Code),
    Truncated,
}

/// An answer while it is written.
struct Message<'a, 'q> {
    to: &'a mut Vec<u8>,
    query: &'a Query<'q>,
    via: Via,
    /// Where records must end, so that EDNS still finds room.
    end: usize,
    truncates: bool,
    /// Whether something that belongs into the answer found no room.
    is_cut: bool,
    size: usize,
    flags: u16,
    answers: u16,
    authorities: u16,
    extras: u16,
}

// === impl Message ===

impl<'a, 'q> Message<'a, 'q> {
    fn new(query: &'a Query<'q>, rules: &Rules, via: Via, to: &'a mut Vec<u8>) -> Self {
        to.extend([0; HEADER]);
        to.extend(query.question);
        let size = if via.is_tcp { LONGEST } else { query.size(rules.udp_size) };
        let available =
            if via.is_trusted && rules.forwards { flag::RECURSION_AVAILABLE } else { 0 };
        let kept = flag::RECURSION_DESIRED | flag::CHECKING_DISABLED;
        Message {
            to,
            query,
            via,
            end: size - if query.edns.is_some() { OPT_LENGTH } else { 0 },
            truncates: rules.truncates,
            is_cut: false,
            size: rules.udp_size,
            flags: flag::RESPONSE | query.flags & kept | available,
            answers: 0,
            authorities: 0,
            extras: 0,
        }
    }

    /// Writes header and EDNS around what was put.
    fn finish(self, code: Code) -> Outcome {
        let mut extras = self.extras;
        if let Some(edns) = self.query.edns {
            extras = extras.saturating_add(1);
            let size = u16::try_from(self.size).unwrap_or(u16::MAX).to_be_bytes();
            let [k0, k1] = kind::OPT.to_be_bytes();
            let dnssec = if edns.wants_dnssec { 0x80 } else { 0 };
            let high = code as u8 >> 4;
            self.to.extend([0, k0, k1, size[0], size[1], high, 0, dnssec, 0, 0, 0]);
        }
        let flags = self.flags | u16::from(code as u8 & 15);
        let mut header = [0; HEADER];
        let words = [flags, 1, self.answers, self.authorities, extras];
        for (place, word) in header.chunks_exact_mut(2).skip(1).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        header[..2].copy_from_slice(&self.query.id);
        if let Some(place) = self.to.get_mut(..HEADER) {
            place.copy_from_slice(&header);
        }
        Outcome::Answered(code)
    }

    /// A name that is known, maybe by another than the one asked for; then `soa` says which zone
    /// has it, and where that stands in the question.
    fn put_known(
        &mut self,
        zones: &Zones,
        entry: &Entry<'_>,
        name: &[u8],
        soa: Option<(&Apex, usize)>,
        turn: u32,
    ) -> Option<Code> {
        match self.query.kind {
            kind::ANY => self.put_all(zones, entry, name, turn),
            asked => match entry.set(asked) {
                Some(set) => {
                    let begin = self.to.len();
                    if self.put_set(&set, turn) && matches!(asked, kind::SRV | kind::NS) {
                        self.put_targets(zones, begin);
                    }
                }
                None => self.put_of_apex(zones, name),
            },
        }
        if self.answers == 0 && !self.is_cut {
            let (apex, at) = match soa {
                Some(soa) => soa,
                None => {
                    let apex = zones.apexes().of(name)?;
                    (apex, name.len().saturating_sub(apex.wire.len()))
                }
            };
            self.put_denial(apex, at);
        }
        Some(Code::NoError)
    }

    /// A name that is not known as it stands: another one's alias, one with wild cards in it, the
    /// zone itself, or none; None of a foreign one.
    fn put_other(&mut self, zones: &Zones, name: &[u8], turn: u32) -> Option<Code> {
        let (real, shared) = match zones.apexes().unalias(name) {
            Some((real, shared)) => (Cow::Owned(real), shared),
            None => (Cow::Borrowed(name), name.len()),
        };
        let apex = zones.apexes().of(&real)?;
        // Where the zone's name begins in the question; of an alias, at the latest where that does.
        let at = real.len().saturating_sub(apex.wire.len()).min(shared);
        let cleaned = without_wildcards(&real);
        let known = cleaned.as_deref().unwrap_or(&real);
        let held = zones.hold(known);
        if let Some(entry) = held.find(known) {
            return self.put_known(zones, &entry, known, Some((apex, at)), turn);
        }
        let is_apex = *real == *apex.wire;
        if is_apex {
            self.put_of_apex(zones, &real);
        } else if !apex.is_ready() {
            return Some(Code::ServFail);
        }
        if self.answers == 0 {
            self.put_denial(apex, at);
        }
        Some(if is_apex { Code::NoError } else { Code::NxDomain })
    }

    /// Everything of a name; over UDP to a stranger one set stands for all.
    fn put_all(&mut self, zones: &Zones, entry: &Entry<'_>, name: &[u8], turn: u32) {
        for set in entry.sets() {
            let fits = self.put_set(&set, turn);
            if !fits || (!self.via.is_tcp && !self.via.is_trusted) {
                return;
            }
        }
        self.put_of_apex(zones, name);
    }

    /// What a zone says of itself, if `name` is one and that is asked.
    fn put_of_apex(&mut self, zones: &Zones, name: &[u8]) {
        let asks = |kind| self.query.kind == kind || self.query.kind == kind::ANY;
        let (asks_soa, asks_ns) = (asks(kind::SOA), asks(kind::NS));
        if !asks_soa && !asks_ns {
            return;
        }
        let Some(apex) = zones.apexes().at(name) else { return };
        let at = HEADER as u16;
        if asks_soa {
            let begin = self.to.len();
            apex.put_soa(at, self.to);
            self.answers += u16::from(self.keep(begin));
        }
        if asks_ns {
            let begin = self.to.len();
            apex.put_ns(at, self.to);
            let is_kept = self.keep(begin);
            self.answers += u16::from(is_kept);
            if is_kept && !asks_soa {
                self.put_addresses(zones, apex.primary(), begin + DATA_AT);
            }
        }
    }

    /// Takes back what was put from `begin` on where it finds no room; says whether it stays.
    fn keep(&mut self, begin: usize) -> bool {
        let fits = self.to.len() <= self.end;
        if !fits {
            self.to.truncate(begin);
            self.cut();
        }
        fits
    }

    fn cut(&mut self) {
        self.is_cut = true;
        if self.truncates {
            self.flags |= flag::TRUNCATED;
        }
    }

    /// The SOA record that says for how long there is nothing; `at` is where the zone's name stands
    /// in the question.
    fn put_denial(&mut self, apex: &Apex, at: usize) {
        let begin = self.to.len();
        apex.put_soa(u16::try_from(HEADER + at).unwrap_or(HEADER as u16), self.to);
        if self.to.len() > self.end {
            self.to.truncate(begin);
        } else {
            self.authorities = 1;
        }
    }

    /// Puts the records of a set, another one first each time; false where not all found room.
    fn put_set(&mut self, set: &Set<'_>, turn: u32) -> bool {
        let first = if set.count > 1 { turn % u32::from(set.count) } else { 0 };
        let split = match set.kind {
            kind::A => first as usize * (DATA_AT + 4),
            kind::AAAA => first as usize * (DATA_AT + 16),
            _ if first == 0 => 0,
            _ => set.records().take(first as usize).map(|record| record.whole.len()).sum(),
        };
        let (late, early) = set.bytes.split_at_checked(split).unwrap_or((&[], set.bytes));
        if self.to.len() + set.bytes.len() <= self.end {
            self.to.extend_from_slice(early);
            self.to.extend_from_slice(late);
            self.answers = self.answers.saturating_add(set.count);
            return true;
        }
        for record in wire::records(early).chain(wire::records(late)) {
            if self.to.len() + record.whole.len() > self.end {
                break;
            }
            self.to.extend_from_slice(record.whole);
            self.answers += 1;
        }
        self.cut();
        false
    }

    /// Adds the addresses of the targets of the records from `begin` on, as many as find room.
    fn put_targets(&mut self, zones: &Zones, begin: usize) {
        let end = self.to.len();
        let skip = if self.query.kind == kind::SRV { TARGET_AT } else { 0 };
        let mut targets: [(usize, usize); MOST_TARGETS] = [(0, 0); MOST_TARGETS];
        let mut count = 0;
        let mut at = begin;
        while let Some(record) = self.to.get(at..end).and_then(|rest| wire::records(rest).next()) {
            let span = (at + DATA_AT + skip, at + record.whole.len());
            let name = |(from, to): (usize, usize)| self.to.get(from..to);
            let known = targets.iter().take(count).any(|other| name(*other) == name(span));
            if !known {
                let Some(place) = targets.get_mut(count) else { break };
                *place = span;
                count += 1;
            }
            at += record.whole.len();
        }
        for (from, to) in targets.into_iter().take(count) {
            let mut name = [0; wire::MOST_NAME];
            let Some(target) = self.to.get(from..to) else { return };
            let Some(name) = name.get_mut(..target.len()) else { return };
            name.copy_from_slice(target);
            if !self.put_addresses(zones, name, from) {
                return;
            }
        }
    }

    /// Adds the addresses of `name`, which stands at `at`; false where there is no room for them.
    fn put_addresses(&mut self, zones: &Zones, name: &[u8], at: usize) -> bool {
        let Some(at) = u16::try_from(at).ok().filter(|at| usize::from(*at) < REACH) else {
            return false;
        };
        let owner = pointer(at);
        let held = zones.hold(name);
        let Some(entry) = held.find(name) else { return true };
        for set in [kind::A, kind::AAAA].into_iter().filter_map(|kind| entry.set(kind)) {
            for record in set.records() {
                let Some(rest) = record.whole.get(owner.len()..) else { return false };
                if self.to.len() + record.whole.len() > self.end {
                    return false;
                }
                self.to.extend_from_slice(&owner);
                self.to.extend_from_slice(rest);
                self.extras += 1;
            }
        }
        true
    }
}

/// The name without labels `*` behind the first: Mesos-DNS takes `web.*.mesos` for `web.mesos`.
fn without_wildcards(name: &[u8]) -> Option<Vec<u8>> {
    let is_wild = |label: &[u8]| *label == *b"*";
    if !wire::labels(name).skip(1).any(is_wild) {
        return None;
    }
    let mut clean = Vec::with_capacity(name.len());
    for (number, label) in wire::labels(name).enumerate() {
        if number == 0 || !is_wild(label) {
            clean.push(u8::try_from(label.len()).ok()?);
            clean.extend(label);
        }
    }
    clean.push(0);
    Some(clean)
}
