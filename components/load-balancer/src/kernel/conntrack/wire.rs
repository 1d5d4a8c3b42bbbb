//! What the kernel says about connections, byte by byte: netlink, in the machine's own order but
//! for addresses and ports.

use std::net::{Ipv4Addr, SocketAddrV4};

/// `nfnetlink`'s part about connections.
const SUBSYSTEM: u16 = 1 << 8;
const NEW: u16 = SUBSYSTEM;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;
const GET_STATS: u16 = SUBSYSTEM | 5;
const ERROR: u16 = 2;
const DONE: u16 = 3;

const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const DUMP: u16 = 0x300;

const HEADER: usize = 16;
/// Family, version, resource.
const EXTRA: usize = 4;
const IPV4: u8 = 2;
const UDP: u8 = 17;

const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const ID: u16 = 12;
const ADDRESSES: u16 = 1;
const PROTOCOL: u16 = 2;
const NESTED: u16 = 0x8000;
const KIND: u16 = 0x3FFF;

/// What a client sends, and who answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kernel) struct Flow {
    /// Where the client sends to.
    pub(in crate::kernel) to: SocketAddrV4,
    /// Where it is sent to instead.
    pub(in crate::kernel) answered_by: SocketAddrV4,
    /// How the kernel names it.
    tuple: Vec<u8>,
    id: Vec<u8>,
}

/// One message of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Flow(Flow),
    /// All that there is was told; or what was asked is done.
    End,
    Error(i32),
    Other,
}

pub(super) fn dump(sequence: u32) -> Vec<u8> {
    message(GET, REQUEST | DUMP, sequence, &[])
}

pub(super) fn count(sequence: u32) -> Vec<u8> {
    message(GET_STATS, REQUEST | ACKNOWLEDGE, sequence, &[])
}

pub(super) fn delete(sequence: u32, flow: &Flow) -> Vec<u8> {
    let mut attributes = attribute(ORIGINAL | NESTED, &flow.tuple);
    if !flow.id.is_empty() {
        attributes.extend(attribute(ID, &flow.id));
    }
    message(DELETE, REQUEST | ACKNOWLEDGE, sequence, &attributes)
}

fn message(kind: u16, flags: u16, sequence: u32, attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + EXTRA + attributes.len()).unwrap_or(u32::MAX);
    let mut out = Vec::with_capacity(HEADER + EXTRA + attributes.len());
    out.extend(length.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    out.extend(0u32.to_ne_bytes());
    out.extend([IPV4, 0, 0, 0]);
    out.extend(attributes);
    out
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut out = Vec::with_capacity(4 + value.len() + 3);
    out.extend(length.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(aligned(out.len()), 0);
    out
}

fn aligned(length: usize) -> usize {
    length.div_ceil(4) * 4
}

/// The messages in a piece that answer the request of this number.
pub(super) fn messages(mut piece: &[u8], sequence: u32) -> Vec<Told> {
    let mut all = Vec::new();
    while let Some(length) = number(piece, 0).and_then(|length| usize::try_from(length).ok()) {
        let Some(one) = piece.get(..length).filter(|one| one.len() >= HEADER) else { break };
        if number(one, 8) == Some(sequence) {
            all.push(told(one));
        }
        piece = piece.get(aligned(length)..).unwrap_or_default();
    }
    all
}

fn told(message: &[u8]) -> Told {
    match short(message, 4) {
        Some(DONE) => Told::End,
        Some(ERROR) => match number(message, HEADER).map(u32::cast_signed) {
            Some(0) => Told::End,
            Some(code) => Told::Error(code.wrapping_neg()),
            None => Told::Other,
        },
        Some(NEW) => {
            let attributes = message.get(HEADER + EXTRA..).unwrap_or_default();
            flow(attributes).map_or(Told::Other, Told::Flow)
        }
        _ => Told::Other,
    }
}

/// Of UDP over IPv4.
fn flow(attributes: &[u8]) -> Option<Flow> {
    let original = find(attributes, ORIGINAL)?;
    let (_, to) = ends(original)?;
    let (answered_by, _) = ends(find(attributes, REPLY)?)?;
    let id = find(attributes, ID).unwrap_or_default().to_vec();
    Some(Flow { to, answered_by, tuple: original.to_vec(), id })
}

/// Source and destination.
fn ends(tuple: &[u8]) -> Option<(SocketAddrV4, SocketAddrV4)> {
    let (addresses, protocol) = (find(tuple, ADDRESSES)?, find(tuple, PROTOCOL)?);
    if find(protocol, 1)? != [UDP] {
        return None;
    }
    let address = |kind| Some(Ipv4Addr::from(<[u8; 4]>::try_from(find(addresses, kind)?).ok()?));
    let port = |kind| Some(u16::from_be_bytes(find(protocol, kind)?.try_into().ok()?));
    Some((SocketAddrV4::new(address(1)?, port(2)?), SocketAddrV4::new(address(2)?, port(3)?)))
}

fn find(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(short(attributes, 0)?);
        let value = attributes.get(4..length)?;
        if short(attributes, 2)? & KIND == wanted {
            return Some(value);
        }
        attributes = attributes.get(aligned(length)..)?;
    }
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(protocol: u8, from: (u8, u16), to: (u8, u16)) -> Vec<u8> {
        let address = |kind, last| attribute(kind, &[10, 0, 0, last]);
        let port = |kind, port: u16| attribute(kind, &port.to_be_bytes());
        let addresses = [address(1, from.0), address(2, to.0)].concat();
        let ports = [attribute(1, &[protocol]), port(2, from.1), port(3, to.1)].concat();
        [attribute(ADDRESSES | NESTED, &addresses), attribute(PROTOCOL | NESTED, &ports)].concat()
    }

    fn entry(protocol: u8) -> Vec<u8> {
        let attributes = [
            attribute(ORIGINAL | NESTED, &tuple(protocol, (1, 4000), (2, 53))),
            attribute(REPLY | NESTED, &tuple(protocol, (3, 5353), (1, 4000))),
            attribute(ID, &[1, 2, 3, 4]),
        ];
        message(NEW, 2, 7, &attributes.concat())
    }

    #[test]
    fn flows_are_read_and_named_again() {
        let piece = [entry(UDP), entry(6), message(DONE, 2, 7, &[]), entry(UDP)].concat();
        let told = messages(&piece, 7);
        let Told::Flow(flow) = &told[0] else { panic!("{told:?}") };
        assert_eq!(flow.to, "10.0.0.2:53".parse().unwrap());
        assert_eq!(flow.answered_by, "10.0.0.3:5353".parse().unwrap());
        assert_eq!(told[1..3], [Told::Other, Told::End]);
        assert_eq!(messages(&piece, 8), [], "of another request");
        let delete = delete(9, flow);
        assert_eq!(find(&delete[HEADER + EXTRA..], ORIGINAL), Some(flow.tuple.as_slice()));
        assert_eq!(find(&delete[HEADER + EXTRA..], ID), Some([1, 2, 3, 4].as_slice()));
    }

    #[test]
    fn errors_are_told_by_their_code() {
        let error = |code: i32| {
            let mut one = message(ERROR, 0, 1, &[]);
            one[HEADER..HEADER + 4].copy_from_slice(&code.to_ne_bytes());
            messages(&one, 1)
        };
        assert_eq!(error(-2), [Told::Error(2)]);
        assert_eq!(error(0), [Told::End]);
    }

    proptest::proptest! {
        #[test]
        fn broken_messages_are_nothing(at in 0usize..200, by in 1u8.., length in 0usize..220) {
            let mut piece = [entry(UDP), message(DONE, 2, 7, &[])].concat();
            piece.truncate(length);
            if let Some(byte) = piece.get_mut(at) {
                *byte ^= by;
            }
            // Whatever it is, it is read to its end.
            assert!(messages(&piece, 7).len() <= 2 + piece.len() / HEADER);
        }
    }
}
