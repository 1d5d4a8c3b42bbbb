//! The one form of a path: what is judged, routed and forwarded can never differ.
//!
//! A path is decoded once, checked, and written again in one canonical way. Whoever compares and
//! whoever forwards use that; the bytes that the client sent are gone.
//!
//! * Repeated slashes become one, `.` and `..` are resolved, also where they were encoded, and
//!   `%2F` is a slash: nginx does the same, and clients of the original rely on it (ids of apps
//!   contain slashes).
//! * Unreserved characters are never encoded, other reserved ones stay as they were (RFC 3986
//!   section 6.2.2), hexadecimal digits are upper case. `%25` stays, so nothing is decoded twice.
//! * Refused: what would mean different things to different readers. Control characters,
//!   backslashes, text that is not UTF-8 (overlong forms among it), `..` above the root, and
//!   dots with parameters (`..;x`), which servlet containers resolve after the check.

use std::borrow::Cow;

use bytes::Bytes;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("the path does not begin with a slash")]
    NoSlash,
    #[error("the path contains a character that must be encoded")]
    Character,
    #[error("the path contains a % without two hexadecimal digits")]
    Encoding,
    #[error("the path contains a control character")]
    Control,
    #[error("the path contains a backslash")]
    Backslash,
    #[error("the path is not UTF-8")]
    NotUtf8,
    #[error("the path leads above the root")]
    AboveRoot,
    #[error("the path contains a dot segment with parameters")]
    DotParameters,
}

// === impl PathError ===

impl PathError {
    /// The text, for where only constant ones are possible.
    pub fn text(self) -> &'static str {
        match self {
            PathError::NoSlash => "the path does not begin with a slash",
            PathError::Character => "the path contains a character that must be encoded",
            PathError::Encoding => "the path contains a % without two hexadecimal digits",
            PathError::Control => "the path contains a control character",
            PathError::Backslash => "the path contains a backslash",
            PathError::NotUtf8 => "the path is not UTF-8",
            PathError::AboveRoot => "the path leads above the root",
            PathError::DotParameters => "the path contains a dot segment with parameters",
        }
    }
}

/// A normalised path: ASCII, percent-encoded in the one way, beginning with a slash.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Path(Bytes);

// === impl Path ===

impl Path {
    /// Normalises the path of a target (without its query).
    pub fn parse(raw: &[u8]) -> Result<Path, PathError> {
        if is_canonical(raw) {
            return Ok(Path(Bytes::copy_from_slice(raw)));
        }
        normalise(raw).map(|text| Path(Bytes::from(text)))
    }

    /// As [`Path::parse`], without a copy where the path is canonical already.
    pub fn from_bytes(raw: Bytes) -> Result<Path, PathError> {
        if is_canonical(&raw) {
            return Ok(Path(raw));
        }
        normalise(&raw).map(|text| Path(Bytes::from(text)))
    }

    /// As it is sent on: percent-encoded.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("/")
    }

    /// The bytes of [`Path::as_str`].
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The decoded segments: none of `/`, two of `/a/b` and of `/a/b/`.
    pub fn segments(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.encoded_segments().map(decode)
    }

    /// The segments as they are sent on.
    pub fn encoded_segments(&self) -> impl Iterator<Item = &str> {
        // There are no empty ones but at the ends.
        self.as_str().split('/').filter(|segment| !segment.is_empty())
    }

    /// Whether a slash ends it; so it is for `/`.
    pub fn ends_with_slash(&self) -> bool {
        self.0.ends_with(b"/")
    }

    /// What follows `prefix`, which must not end in a slash: empty, or beginning with a slash.
    pub fn strip_prefix(&self, prefix: &str) -> Option<&str> {
        let rest = self.as_str().strip_prefix(prefix)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// What follows the first `count` segments: empty, or beginning with a slash. None if there
    /// are fewer.
    pub fn after(&self, count: usize) -> Option<&str> {
        let text = self.as_str();
        let mut at = 0;
        for _ in 0..count {
            let segment = text.get(at + 1..)?;
            if segment.is_empty() {
                return None;
            }
            at += 1 + memchr::memchr(b'/', segment.as_bytes()).unwrap_or(segment.len());
        }
        text.get(at..)
    }
}

impl std::fmt::Debug for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

fn decode(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment);
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                bytes.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                rest = after;
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    // Checked when the path was made.
    Cow::Owned(String::from_utf8(bytes).unwrap_or_default())
}

/// What a byte is in a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Never encoded.
    Unreserved,
    /// Means something as it stands, and something else encoded.
    Reserved,
    /// Always encoded.
    Other,
}

const fn class(byte: u8) -> Class {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => Class::Unreserved,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':'
        | b'@' => Class::Reserved,
        _ => Class::Other,
    }
}

/// Bytes that can stand in a canonical path whatever is around them; dots and slashes cannot.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = !matches!(class(byte as u8), Class::Other) && !matches!(byte as u8, b';');
        byte += 1;
    }
    table
};

/// Whether a path is certainly canonical as it stands; most are, and need no work.
fn is_canonical(raw: &[u8]) -> bool {
    let mut after_slash = false;
    for (at, &byte) in raw.iter().enumerate() {
        let fine = match byte {
            b'/' => at == 0 || !after_slash,
            b'.' => !after_slash,
            _ => at > 0 && PLAIN[usize::from(byte)],
        };
        if !fine || (at == 0 && byte != b'/') {
            return false;
        }
        after_slash = byte == b'/';
    }
    !raw.is_empty()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// One decoded byte, whether it was encoded, and what follows.
type Decoded<'a> = (u8, bool, &'a [u8]);

fn next(raw: &[u8]) -> Result<Option<Decoded<'_>>, PathError> {
    match raw {
        [] => Ok(None),
        [b'%', high, low, rest @ ..] => match (hex(*high), hex(*low)) {
            (Some(high), Some(low)) => Ok(Some((high << 4 | low, true, rest))),
            _ => Err(PathError::Encoding),
        },
        [b'%', ..] => Err(PathError::Encoding),
        [b'#' | b'?' | b' ', ..] => Err(PathError::Character),
        [byte, rest @ ..] => Ok(Some((*byte, false, rest))),
    }
}

/// Decodes, checks, resolves and encodes.
fn normalise(raw: &[u8]) -> Result<Vec<u8>, PathError> {
    if raw.first() != Some(&b'/') {
        return Err(PathError::NoSlash);
    }
    let mut path = Builder::default();
    let mut rest = raw;
    while let Some((byte, encoded, after)) = next(rest)? {
        rest = after;
        match byte {
            0..=0x1f | 0x7f => return Err(PathError::Control),
            b'\\' => return Err(PathError::Backslash),
            b'/' => path.slash()?,
            _ => path.push(byte, encoded),
        }
    }
    path.finish()
}

/// A path while it is being written.
#[derive(Default)]
struct Builder {
    /// Complete segments, each behind its slash.
    done: Vec<u8>,
    /// The segment under way, decoded and encoded.
    decoded: Vec<u8>,
    encoded: Vec<u8>,
    /// A slash ends what is done.
    open: bool,
}

// === impl Builder ===

impl Builder {
    fn push(&mut self, byte: u8, was_encoded: bool) {
        self.decoded.push(byte);
        match class(byte) {
            Class::Unreserved => self.encoded.push(byte),
            Class::Reserved if !was_encoded => self.encoded.push(byte),
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
                self.encoded.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }

    fn slash(&mut self) -> Result<(), PathError> {
        self.end_segment()?;
        self.open = true;
        Ok(())
    }

    /// Takes the segment under way in, or resolves it.
    fn end_segment(&mut self) -> Result<(), PathError> {
        let name = self.decoded.split(|byte| *byte == b';').next().unwrap_or_default();
        let has_parameters = name.len() < self.decoded.len();
        match name {
            b"." | b".." if has_parameters => return Err(PathError::DotParameters),
            b"." => self.open = true,
            b".." => {
                let Some(parent) = self.done.iter().rposition(|byte| *byte == b'/') else {
                    return Err(PathError::AboveRoot);
                };
                self.done.truncate(parent);
                self.open = true;
            }
            _ if self.decoded.is_empty() => {}
            _ => {
                if std::str::from_utf8(&self.decoded).is_err() {
                    return Err(PathError::NotUtf8);
                }
                self.done.push(b'/');
                self.done.append(&mut self.encoded);
                self.open = false;
            }
        }
        self.decoded.clear();
        self.encoded.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>, PathError> {
        self.end_segment()?;
        if self.open || self.done.is_empty() {
            self.done.push(b'/');
        }
        Ok(self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(raw: &str) -> Result<String, PathError> {
        Path::parse(raw.as_bytes()).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn many_spellings_are_one_path() {
        for (raw, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/./", "/"),
            ("/.", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("/a//b", "/a/b"),
            ("/a/./b/.", "/a/b/"),
            ("/a/../b", "/b"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/b/../", "/a/"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/service/x/%2e%2e/%2e%2e/mesos/", "/mesos/"),
            ("/v2/apps/%2Fgroup%2fapp", "/v2/apps/group/app"),
            ("/v2/apps//group/app", "/v2/apps/group/app"),
            ("/m%65s%6Fs/", "/mesos/"),
            ("/acls/dcos:x%252Fy", "/acls/dcos:x%252Fy"),
            ("/a%3ab:c", "/a%3Ab:c"),
            ("/a%20b", "/a%20b"),
            ("/slave(1)/state", "/slave(1)/state"),
            ("/a;x=1/b", "/a;x=1/b"),
            ("/...", "/..."),
            ("/.hidden", "/.hidden"),
            ("/a/..b/c", "/a/..b/c"),
            ("/ä", "/%C3%A4"),
            ("/%c3%a4", "/%C3%A4"),
            ("/{x}|\"", "/%7Bx%7D%7C%22"),
        ] {
            assert_eq!(path(raw).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn what_readers_disagree_about_is_refused() {
        use PathError::*;
        for (raw, expected) in [
            ("", NoSlash),
            ("a", NoSlash),
            ("*", NoSlash),
            ("/%", Encoding),
            ("/%4", Encoding),
            ("/%zz", Encoding),
            ("/%u002f", Encoding),
            ("/%00", Control),
            ("/a%0d%0ab", Control),
            ("/\u{7f}", Control),
            ("/\t", Control),
            ("/a b", Character),
            ("/a#b", Character),
            ("/a\\b", Backslash),
            ("/..%5cb", Backslash),
            ("/..", AboveRoot),
            ("/a/../../b", AboveRoot),
            ("/%2e%2e/b", AboveRoot),
            ("/a/..;/b", DotParameters),
            ("/a/.;x/b", DotParameters),
            ("/a/..%3bx/b", DotParameters),
            ("/a/%2e%2e;jsessionid=1/b", DotParameters),
            // Overlong forms of a slash, a dot and NUL.
            ("/%c0%af", NotUtf8),
            ("/%c0%ae%c0%ae/", NotUtf8),
            ("/%e0%80%af", NotUtf8),
            ("/%c0%80", NotUtf8),
            ("/%ff", NotUtf8),
            ("/%ed%a0%80", NotUtf8),
            // A character split by a slash is none.
            ("/%c3/%a4", NotUtf8),
        ] {
            assert_eq!(path(raw), Err(expected), "{raw}");
        }
    }

    #[test]
    fn parts_are_found() {
        let path = Path::parse(b"/service/gr%C3%BCn/b%2Dc/").unwrap();
        let segments: Vec<_> = path.segments().collect();
        assert_eq!(segments, ["service", "grün", "b-c"]);
        assert!(path.ends_with_slash());
        assert_eq!(path.strip_prefix("/service"), Some("/gr%C3%BCn/b-c/"));
        assert_eq!(path.strip_prefix("/serv"), None);
        assert_eq!(path.after(0), Some(path.as_str()));
        assert_eq!(path.after(2), Some("/b-c/"));
        assert_eq!(path.after(3), Some("/"));
        assert_eq!(path.after(4), None);
        let path = Path::parse(b"/a").unwrap();
        assert_eq!((path.after(1), path.after(2)), (Some(""), None));
        assert_eq!(Path::parse(b"/").unwrap().segments().count(), 0);
    }

    /// Pieces that make trouble.
    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("/".to_owned()),
            Just(".".to_owned()),
            Just("..".to_owned()),
            Just("%2f".to_owned()),
            Just("%2e".to_owned()),
            Just("%25".to_owned()),
            Just("%252e".to_owned()),
            Just("%3b".to_owned()),
            Just(";".to_owned()),
            Just("%c3%a4".to_owned()),
            Just("%5c".to_owned()),
            "[a-z:@%]{1,3}",
        ]
    }

    proptest! {
        #[test]
        fn normal_is_normal(pieces in proptest::collection::vec(piece(), 0..12)) {
            let raw = format!("/{}", pieces.concat());
            if let Ok(normal) = Path::parse(raw.as_bytes()) {
                let text = normal.as_str();
                let again = Path::parse(text.as_bytes());
                prop_assert_eq!(again.as_ref(), Ok(&normal));
                let owned = Path::from_bytes(Bytes::from(raw));
                prop_assert_eq!(owned.as_ref(), Ok(&normal));
                prop_assert!(text.starts_with('/') && !text.contains("//"));
                prop_assert!(text.bytes().all(|byte| (0x21..0x7f).contains(&byte)));
                for segment in normal.segments() {
                    prop_assert!(segment != "." && segment != ".." && !segment.contains('/'));
                }
                let count = normal.segments().count();
                let rest = normal.after(count);
                prop_assert!(rest == Some("") || rest == Some("/"));
            }
        }

        #[test]
        fn the_short_way_is_the_long_way(raw in "/[a-z./:;%2e]{0,12}") {
            if is_canonical(raw.as_bytes()) {
                let long = normalise(raw.as_bytes()).unwrap();
                prop_assert_eq!(long, raw.into_bytes());
            }
        }
    }
}
