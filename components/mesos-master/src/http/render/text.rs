//! Writing JSON quickly: most strings need no escape, most tasks of a service share their text.
use std::sync::Arc;

use base64::Engine;

/// Appends a string with its quotes.
pub(crate) fn quoted(out: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        http_kit::json::string(out, text);
    }
}

/// Whether the bytes stand in a JSON string as they are. No early end: so it vectorises.
fn is_plain(bytes: &[u8]) -> bool {
    let special = |b: u8| b < 0x20 || b == b'"' || b == b'\\' || b == 0x7f;
    !bytes.iter().fold(false, |any, &b| any | special(b))
}

/// Appends a number with a decimal point.
pub(crate) fn double(out: &mut Vec<u8>, value: f64) {
    mesos_messages::json::write_double(out, value);
}

/// Appends 16 bytes in base64, with quotes.
pub(crate) fn uuid(out: &mut Vec<u8>, bytes: &[u8; 16]) {
    let mut text = [0; 24];
    let engine = &base64::engine::general_purpose::STANDARD;
    let length = engine.encode_slice(bytes, &mut text).unwrap_or(0);
    out.push(b'"');
    out.extend_from_slice(text.get(..length).unwrap_or_default());
    out.push(b'"');
}

/// What was made lately for shared values, by their address. Valid while the
/// values are kept alive, as those of a snapshot are.
pub(crate) struct Memo<T> {
    slots: Vec<Option<(usize, T)>>,
}

const MEMO_SLOTS: usize = 64;

impl<T> Default for Memo<T> {
    fn default() -> Memo<T> {
        Memo { slots: (0..MEMO_SLOTS).map(|_| None).collect() }
    }
}

impl<T> Memo<T> {
    /// What `make` makes of `value`, remembered.
    pub(crate) fn get<V: ?Sized>(
        &mut self,
        value: &Arc<V>,
        make: impl FnOnce(&V) -> T,
    ) -> Option<&T> {
        let address = Arc::as_ptr(value).cast::<u8>() as usize;
        // Values are at least eight bytes apart; a multiplication spreads the rest.
        let spread = (address >> 3).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let slot = self.slots.get_mut(spread % MEMO_SLOTS)?;
        if slot.as_ref().is_none_or(|(known, _)| *known != address) {
            *slot = Some((address, make(value)));
        }
        slot.as_ref().map(|(_, made)| made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn strings_read_back_as_themselves(text in ".*") {
            let mut out = Vec::new();
            quoted(&mut out, &text);
            let back: String = serde_json::from_slice(&out).unwrap();
            proptest::prop_assert_eq!(back, text);
        }
    }

    #[test]
    fn a_memo_makes_once_for_each_value() {
        let mut memo = Memo::default();
        let values: Vec<Arc<u64>> = (0..1000).map(Arc::new).collect();
        for value in values.iter().chain(&values) {
            assert_eq!(memo.get(value, |v| *v), Some(&**value));
        }
    }
}
