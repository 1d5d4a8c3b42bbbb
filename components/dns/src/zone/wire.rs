//! Names and records in wire form.
//!
//! A record's owner is always written as a pointer to the question's name: what is built holds for
//! the asked name in any case of letters, and for any alias of it.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::record::Data;

/// A name is at most so long, its last zero byte counted.
pub(crate) const MOST_NAME: usize = 255;
pub(crate) const MOST_LABEL: usize = 63;
/// A pointer to the name in the question, which stands behind the header.
pub(crate) const QUESTION: [u8; 2] = [0xc0, 0x0c];
const CLASS_IN: [u8; 2] = [0, 1];

/// The types that are served from data; everything else of a name is empty.
pub(crate) mod kind {
    pub(crate) const A: u16 = 1;
    pub(crate) const NS: u16 = 2;
    pub(crate) const SOA: u16 = 6;
    pub(crate) const TXT: u16 = 16;
    pub(crate) const AAAA: u16 = 28;
    pub(crate) const SRV: u16 = 33;
    pub(crate) const OPT: u16 = 41;
    pub(crate) const IXFR: u16 = 251;
    pub(crate) const AXFR: u16 = 252;
    pub(crate) const ANY: u16 = 255;
}

/// Appends `name`, in lower case, and the root; None, and nothing appended, where it is none: an
/// empty label, one too long, or too long as a whole.
pub(crate) fn put_name(name: &str, to: &mut Vec<u8>) -> Option<()> {
    let begin = to.len();
    for label in name.trim_end_matches('.').split('.').filter(|_| !name.is_empty()) {
        let length = u8::try_from(label.len()).unwrap_or(u8::MAX);
        if length == 0 || usize::from(length) > MOST_LABEL {
            to.truncate(begin);
            return None;
        }
        to.push(length);
        to.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
    }
    to.push(0);
    if to.len() - begin > MOST_NAME {
        to.truncate(begin);
        return None;
    }
    Some(())
}

pub(crate) fn name(name: &str) -> Option<Vec<u8>> {
    let mut wire = Vec::with_capacity(name.len() + 2);
    put_name(name, &mut wire)?;
    Some(wire)
}

/// The text of a name in wire form: dots between labels, none at the end.
pub(crate) fn text(wire: &[u8]) -> String {
    let mut text = String::with_capacity(wire.len());
    for label in labels(wire) {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(&String::from_utf8_lossy(label));
    }
    text
}

/// The labels of a name in wire form, without the root.
pub(crate) fn labels(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    suffixes(wire).filter_map(|suffix| {
        let (length, rest) = suffix.split_first()?;
        rest.get(..usize::from(*length))
    })
}

/// The name itself, its parent, and so on; the root is not among them.
pub(crate) fn suffixes(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = wire;
    std::iter::from_fn(move || {
        let here = rest;
        let length = usize::from(*here.first()?);
        if length == 0 {
            return None;
        }
        rest = here.get(length + 1..)?;
        Some(here)
    })
}

/// The name without its first label; None of the root.
pub(crate) fn parent(wire: &[u8]) -> Option<&[u8]> {
    match usize::from(*wire.first()?) {
        0 => None,
        length => wire.get(length + 1..),
    }
}

pub(crate) fn kind_of(data: &Data) -> u16 {
    match data {
        Data::A(_) => kind::A,
        Data::Aaaa(_) => kind::AAAA,
        Data::Srv { .. } => kind::SRV,
        Data::Ns(_) => kind::NS,
        Data::Txt(_) => kind::TXT,
    }
}

/// Appends a record; None, and nothing appended, where its target is no name.
pub(crate) fn put_record(data: &Data, ttl: u32, to: &mut Vec<u8>) -> Option<()> {
    let begin = to.len();
    put_head(&QUESTION, kind_of(data), ttl, to);
    let at = to.len();
    to.extend([0, 0]);
    let put = match data {
        Data::A(address) => {
            to.extend(address.octets());
            Some(())
        }
        Data::Aaaa(address) => {
            to.extend(address.octets());
            Some(())
        }
        Data::Srv { priority, weight, port, target } => {
            for number in [priority, weight, port] {
                to.extend(number.to_be_bytes());
            }
            put_name(target, to)
        }
        Data::Ns(target) => put_name(target, to),
        Data::Txt(text) => {
            put_text(text.as_bytes(), to);
            Some(())
        }
    };
    let length = u16::try_from(to.len() - at - 2).ok();
    match (put, length, to.get_mut(at..at + 2)) {
        (Some(()), Some(length), Some(place)) => {
            place.copy_from_slice(&length.to_be_bytes());
            Some(())
        }
        _ => {
            to.truncate(begin);
            None
        }
    }
}

/// Owner, type, class and time to live.
pub(crate) fn put_head(owner: &[u8], kind: u16, ttl: u32, to: &mut Vec<u8>) {
    to.extend(owner);
    to.extend(kind.to_be_bytes());
    to.extend(CLASS_IN);
    to.extend(ttl.to_be_bytes());
}

/// Character strings, each at most 255 bytes; an empty text is one empty string.
fn put_text(text: &[u8], to: &mut Vec<u8>) {
    if text.is_empty() {
        to.push(0);
    }
    for piece in text.chunks(255) {
        to.push(u8::try_from(piece.len()).unwrap_or(u8::MAX));
        to.extend(piece);
    }
}

/// One built record: the bytes from its owner on, and its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) whole: &'a [u8],
    pub(crate) kind: u16,
    pub(crate) data: &'a [u8],
}

/// Where the data of a built record begin: behind owner, type, class, time to live and length.
pub(crate) const DATA_AT: usize = 12;
/// Where the target's name begins in the data of an SRV record.
pub(crate) const TARGET_AT: usize = 6;

/// The records in bytes that [`put_record`] made.
pub(crate) fn records(mut bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    std::iter::from_fn(move || {
        let kind = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
        let length = u16::from_be_bytes(bytes.get(10..DATA_AT)?.try_into().ok()?);
        let (whole, rest) = bytes.split_at_checked(DATA_AT + usize::from(length))?;
        bytes = rest;
        Some(Record { whole, kind, data: whole.get(DATA_AT..)? })
    })
}

// === impl Record ===

impl<'a> Record<'a> {
    /// The name that an SRV or NS record points to.
    pub(crate) fn target(&self) -> Option<&'a [u8]> {
        match self.kind {
            kind::SRV => self.data.get(TARGET_AT..),
            kind::NS => Some(self.data),
            _ => None,
        }
    }

    /// What it was made of.
    pub(crate) fn decode(&self) -> Option<Data> {
        let number =
            |at: usize| Some(u16::from_be_bytes(self.data.get(at..at + 2)?.try_into().ok()?));
        Some(match self.kind {
            kind::A => Data::A(Ipv4Addr::from(<[u8; 4]>::try_from(self.data).ok()?)),
            kind::AAAA => Data::Aaaa(Ipv6Addr::from(<[u8; 16]>::try_from(self.data).ok()?)),
            kind::SRV => Data::Srv {
                priority: number(0)?,
                weight: number(2)?,
                port: number(4)?,
                target: text(self.target()?).into(),
            },
            kind::NS => Data::Ns(text(self.target()?).into()),
            kind::TXT => Data::Txt(self.strings().into()),
            _ => return None,
        })
    }

    fn strings(&self) -> String {
        let mut text = Vec::new();
        let mut rest = self.data;
        while let Some((length, behind)) = rest.split_first() {
            let Some((piece, next)) = behind.split_at_checked(usize::from(*length)) else { break };
            text.extend(piece);
            rest = next;
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_bounds() {
        assert_eq!(name("Web.Mesos").unwrap(), b"\x03web\x05mesos\0");
        assert_eq!(name("web.mesos.").unwrap(), b"\x03web\x05mesos\0");
        assert_eq!(name("").unwrap(), b"\0");
        assert!(name(&"x".repeat(63)).is_some());
        for bad in ["a..b".to_owned(), ".a".to_owned(), "x".repeat(64), "abc.".repeat(64)] {
            assert!(name(&bad).is_none(), "{bad}");
        }
        let longest = ["x".repeat(63), "y".repeat(63), "z".repeat(63), "w".repeat(61)].join(".");
        assert_eq!(name(&longest).unwrap().len(), MOST_NAME);
        assert_eq!(text(&name(&longest).unwrap()), longest);
    }

    #[test]
    fn what_is_put_is_read_back() {
        let all = [
            Data::A([10, 0, 0, 1].into()),
            Data::Aaaa("fd01::1".parse().unwrap()),
            Data::Srv { priority: 0, weight: 1, port: 31000, target: "web.slave.mesos".into() },
            Data::Ns("ns1.mesos".into()),
            Data::Txt("x".repeat(300).into()),
            Data::Txt("".into()),
        ];
        let mut bytes = Vec::new();
        for data in &all {
            put_record(data, 60, &mut bytes).unwrap();
        }
        let read: Vec<Data> = records(&bytes).map(|record| record.decode().unwrap()).collect();
        assert_eq!(read, all);
        let begin = bytes.len();
        assert!(put_record(&Data::Ns("a..b".into()), 60, &mut bytes).is_none());
        assert_eq!(bytes.len(), begin);
    }
}
