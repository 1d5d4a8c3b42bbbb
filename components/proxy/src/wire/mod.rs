//! The wire form of HTTP/1.1, read strictly. Pure: bytes in, values or a refusal out.
//!
//! Whatever two readers could understand differently is refused: the gateway must never see one
//! request where an upstream sees another, or two.

pub(crate) mod body;
pub(crate) mod chunked;
pub(crate) mod field;
pub(crate) mod request;
pub(crate) mod response;

/// No head has more header lines, whatever the configuration says.
pub(crate) const MOST_HEADERS: usize = 256;

/// Whether each line of a head ends in CR LF: a lone LF is a line's end to some readers only.
/// (A lone CR is refused by the parser of lines.)
fn lines_end_well(head: &[u8]) -> bool {
    let pairs = head.iter().zip(head.get(1..).unwrap_or_default());
    // No early end: so many bytes are compared at once.
    let alone =
        pairs.fold(false, |alone, (one, next)| alone | ((*next == b'\n') & (*one != b'\r')));
    !alone && head.first() != Some(&b'\n')
}

/// Whether the head's end may be among the bytes after the first `seen`.
pub(crate) fn may_end(bytes: &[u8], seen: usize) -> bool {
    let tail = bytes.get(seen.saturating_sub(3)..).unwrap_or_default();
    memchr::memmem::find(tail, b"\n\r\n").is_some() || memchr::memmem::find(tail, b"\n\n").is_some()
}

/// A decimal length: digits only, no sign, no spaces.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// Splits a list's elements at commas, without the white space around them. Quoted strings are
/// not understood: to be used for lists of tokens only.
pub(crate) fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"0042"), Some(42));
        assert_eq!(decimal(b"999999999999999999"), Some(999_999_999_999_999_999));
        for wrong in ["", "+1", "-1", "1 ", " 1", "1,1", "0x1", "1_0", "9999999999999999999"] {
            assert_eq!(decimal(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_lone_line_feed_is_no_end_of_a_line() {
        for well in ["", "a", "\r\n", "a\r\n\r\n", "a\r\nb\r\n", "\r", "a\rb"] {
            assert!(lines_end_well(well.as_bytes()), "{well:?}");
        }
        for wrong in ["\n", "a\n", "a\r\nb\n\r\n", "a\r\n\n", "\n\r\n"] {
            assert!(!lines_end_well(wrong.as_bytes()), "{wrong:?}");
        }
    }

    #[test]
    fn the_end_is_looked_for_across_reads() {
        assert!(may_end(b"a\r\n\r\n", 4));
        assert!(may_end(b"a\r\n\r\n", 0));
        assert!(!may_end(b"a\r\nb\r\n", 0));
        assert!(may_end(b"a\n\n", 2));
    }
}
