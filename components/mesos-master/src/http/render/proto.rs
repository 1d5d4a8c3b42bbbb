//! Writing protobuf by hand, field by field.

/// Appends a varint.
pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn key(out: &mut Vec<u8>, tag: u32, wire: u32) {
    varint(out, u64::from(tag << 3 | wire));
}

/// Key and length of a field whose content follows.
pub(crate) fn head(out: &mut Vec<u8>, tag: u32, length: usize) {
    key(out, tag, 2);
    varint(out, length as u64);
}

/// A string or bytes field.
pub(crate) fn bytes(out: &mut Vec<u8>, tag: u32, value: &[u8]) {
    head(out, tag, value.len());
    out.extend_from_slice(value);
}

/// An enum, bool or unsigned field.
pub(crate) fn number(out: &mut Vec<u8>, tag: u32, value: u64) {
    key(out, tag, 0);
    varint(out, value);
}

/// An enum or signed field.
pub(crate) fn signed(out: &mut Vec<u8>, tag: u32, value: i64) {
    number(out, tag, value as u64);
}

/// A double field.
pub(crate) fn double(out: &mut Vec<u8>, tag: u32, value: f64) {
    key(out, tag, 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A message of one string field numbered 1, as all ids are.
pub(crate) fn id(out: &mut Vec<u8>, tag: u32, value: &str) {
    message(out, tag, |out| bytes(out, 1, value.as_bytes()));
}

/// A message that is encoded elsewhere.
pub(crate) fn embed(out: &mut Vec<u8>, tag: u32, value: &impl prost::Message) {
    head(out, tag, value.encoded_len());
    value.encode_raw(out);
}

/// A message field; the length is put in front once it is known.
pub(crate) fn message(out: &mut Vec<u8>, tag: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    key(out, tag, 2);
    let at = out.len();
    out.push(0);
    fill(out);
    let length = out.len() - at - 1;
    if length < 0x80 {
        if let Some(byte) = out.get_mut(at) {
            *byte = length as u8;
        }
        return;
    }
    let more = varint_len(length) - 1;
    out.resize(out.len() + more, 0);
    out.copy_within(at + 1..at + 1 + length, at + 1 + more);
    let mut rest = length as u64;
    for byte in out.iter_mut().skip(at).take(more) {
        *byte = (rest as u8) | 0x80;
        rest >>= 7;
    }
    if let Some(byte) = out.get_mut(at + more) {
        *byte = rest as u8;
    }
}

fn varint_len(value: usize) -> usize {
    let bits = (usize::BITS - value.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use mesos_messages::v1;
    use prost::Message;

    use super::*;

    #[test]
    fn what_is_written_decodes() {
        for length in [0, 1, 100, 126, 127, 128, 300, 20_000] {
            let value = "v".repeat(length);
            let mut framework = Vec::new();
            bytes(&mut framework, 1, b"user");
            bytes(&mut framework, 2, value.as_bytes());
            id(&mut framework, 3, &value);
            double(&mut framework, 4, 2.5);
            number(&mut framework, 5, 1);
            let decoded = v1::FrameworkInfo::decode(&framework[..]).unwrap();
            assert_eq!(decoded.name, value);
            assert_eq!(decoded.id.unwrap().value, value);
            assert_eq!((decoded.failover_timeout, decoded.checkpoint), (Some(2.5), Some(true)));
        }
    }
}
