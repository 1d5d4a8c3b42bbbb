//! A question as it came over the wire.

use crate::zone::wire::{MOST_LABEL, MOST_NAME, kind};

pub(crate) const HEADER: usize = 12;
/// What a requester takes over UDP that says nothing of it.
pub(crate) const PLAIN_SIZE: usize = 512;
const CLASS_IN: u16 = 1;

/// Codes of answers; those from 16 on need EDNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    NoError = 0,
    FormErr = 1,
    ServFail = 2,
    NxDomain = 3,
    NotImp = 4,
    Refused = 5,
    BadVers = 16,
}

/// Bits of the second pair of bytes.
pub(crate) mod flag {
    pub(crate) const RESPONSE: u16 = 0x8000;
    pub(crate) const OPCODE: u16 = 0x7800;
    pub(crate) const AUTHORITATIVE: u16 = 0x0400;
    pub(crate) const TRUNCATED: u16 = 0x0200;
    pub(crate) const RECURSION_DESIRED: u16 = 0x0100;
    pub(crate) const RECURSION_AVAILABLE: u16 = 0x0080;
    pub(crate) const CHECKING_DISABLED: u16 = 0x0010;
}

/// What a requester says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edns {
    pub(crate) size: u16,
    pub(crate) version: u8,
    pub(crate) wants_dnssec: bool,
}

/// A query with one question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Query<'a> {
    pub(crate) id: [u8; 2],
    pub(crate) flags: u16,
    /// Name, type and class, as they came.
    pub(crate) question: &'a [u8],
    pub(crate) kind: u16,
    pub(crate) edns: Option<Edns>,
}

/// The name of a question in lower case, without an allocation.
pub(crate) struct Lower {
    bytes: [u8; MOST_NAME + 1],
    length: usize,
}

/// Why a packet is not a query that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// No query at all: an answer to it could start an echo.
    Drop,
    Refuse {
        id: [u8; 2],
        flags: u16,
        code: Code,
    },
}

// === impl Query ===

impl<'a> Query<'a> {
    pub(crate) fn parse(packet: &'a [u8]) -> Result<Query<'a>, Bad> {
        let (header, rest) = packet.split_first_chunk::<HEADER>().ok_or(Bad::Drop)?;
        let [i0, i1, f0, f1, counts @ ..] = *header;
        let (id, flags) = ([i0, i1], u16::from_be_bytes([f0, f1]));
        if flags & flag::RESPONSE != 0 {
            return Err(Bad::Drop);
        }
        let refuse = |code| Bad::Refuse { id, flags, code };
        if flags & flag::OPCODE != 0 {
            return Err(refuse(Code::NotImp));
        }
        let [q0, q1, a0, a1, n0, n1, r0, r1] = counts;
        if (q0, q1) != (0, 1) {
            return Err(refuse(Code::FormErr));
        }
        let malformed = || refuse(Code::FormErr);
        let length = name_length(rest).ok_or_else(malformed)?;
        let (question, rest) = rest.split_at_checked(length + 4).ok_or_else(malformed)?;
        let [.., k0, k1, c0, c1] = *question else { return Err(malformed()) };
        let kind = u16::from_be_bytes([k0, k1]);
        let before =
            usize::from(u16::from_be_bytes([a0, a1])) + usize::from(u16::from_be_bytes([n0, n1]));
        let edns = additional(rest, before, u16::from_be_bytes([r0, r1])).ok_or_else(malformed)?;
        if u16::from_be_bytes([c0, c1]) != CLASS_IN {
            return Err(refuse(Code::Refused));
        }
        match kind {
            kind::OPT => Err(malformed()),
            kind::AXFR | kind::IXFR => Err(refuse(Code::Refused)),
            _ => Ok(Query { id, flags, question, kind, edns }),
        }
    }

    /// The name as it was asked for.
    pub(crate) fn name(&self) -> &'a [u8] {
        let end = self.question.len().saturating_sub(4);
        self.question.get(..end).unwrap_or_default()
    }

    /// Lengths of labels are no letters: the whole name can be taken at once.
    pub(crate) fn lower(&self) -> Lower {
        let mut lower = Lower { bytes: [0; MOST_NAME + 1], length: self.name().len() };
        if let Some(place) = lower.bytes.get_mut(..lower.length) {
            place.copy_from_slice(self.name());
            place.make_ascii_lowercase();
        }
        lower
    }

    pub(crate) fn wants_recursion(&self) -> bool {
        self.flags & flag::RECURSION_DESIRED != 0
    }

    /// How long an answer over UDP may be: what both sides take, and never less than all do.
    pub(crate) fn size(&self, most: usize) -> usize {
        let wanted = self.edns.map_or(0, |edns| usize::from(edns.size));
        wanted.min(most).max(PLAIN_SIZE)
    }
}

// === impl Lower ===

impl std::ops::Deref for Lower {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// How many bytes the name takes that `bytes` begin with; a pointer is none of a question.
fn name_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let length = usize::from(*bytes.get(at)?);
        if length > MOST_LABEL {
            return None;
        }
        at += length + 1;
        if at > MOST_NAME {
            return None;
        }
        if length == 0 {
            return Some(at);
        }
    }
}

/// Reads what follows the question, of which only EDNS counts. Every byte is to belong to a record.
fn additional(mut bytes: &[u8], before: usize, additional: u16) -> Option<Option<Edns>> {
    let mut edns = None;
    for number in 0..before + usize::from(additional) {
        let owner = owner_length(bytes)?;
        let head = bytes.get(owner..owner + 10)?;
        let [k0, k1, s0, s1, _, version, f0, _, l0, l1] = *head else { return None };
        let data_at = owner + 10;
        let end = data_at + usize::from(u16::from_be_bytes([l0, l1]));
        let data = bytes.get(data_at..end)?;
        if u16::from_be_bytes([k0, k1]) == kind::OPT && number >= before {
            if edns.is_some() || owner != 1 || !are_options(data) {
                return None;
            }
            let size = u16::from_be_bytes([s0, s1]);
            edns = Some(Edns { size, version, wants_dnssec: f0 & 0x80 != 0 });
        }
        bytes = bytes.get(end..)?;
    }
    bytes.is_empty().then_some(edns)
}

/// As [`name_length`], of a record's owner, which may end in a pointer.
fn owner_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let length = usize::from(*bytes.get(at)?);
        match length {
            0 => return Some(at + 1),
            0xc0.. => return Some(at + 2),
            1..=MOST_LABEL => at += length + 1,
            _ => return None,
        }
        if at > MOST_NAME {
            return None;
        }
    }
}

/// Whether the data of an OPT record are options from end to end.
fn are_options(mut data: &[u8]) -> bool {
    while let Some((head, rest)) = data.split_first_chunk::<4>() {
        let [_, _, l0, l1] = *head;
        let Some(next) = rest.get(usize::from(u16::from_be_bytes([l0, l1]))..) else {
            return false;
        };
        data = next;
    }
    data.is_empty()
}
