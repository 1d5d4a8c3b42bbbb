//! Finding and taking apart the recordings.
use std::{env, fs, path::PathBuf};

/// The directory of the recordings, if it is there.
pub(crate) fn directory() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden");
    let directory = env::var_os("DAIS_GOLDEN").map_or_else(beside, PathBuf::from).join("mesos");
    if directory.is_dir() {
        return Some(directory);
    }
    println!("skipped: no recordings in {}", directory.display());
    None
}

/// A recording's name and its bytes, for each whose path has the prefix and suffix.
pub(crate) fn matching(folder: &str, prefix: &str, suffix: &str) -> Vec<(String, Vec<u8>)> {
    let Some(directory) = directory() else { return Vec::new() };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory.join(folder)).expect("a readable folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(prefix) && name.ends_with(suffix) {
            found.push((name, fs::read(entry.path()).expect("a readable file")));
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{folder}/{prefix}*{suffix} matches nothing");
    found
}

pub(crate) fn read(path: &str) -> Option<Vec<u8>> {
    Some(fs::read(directory()?.join(path)).expect("a readable file"))
}

/// A recorded exchange.
pub(crate) struct Exchange {
    pub(crate) request_head: String,
    pub(crate) request: Vec<u8>,
    pub(crate) response_head: String,
    pub(crate) response: Vec<u8>,
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    text.windows(pattern.len()).position(|window| window == pattern)
}

fn split<'a>(text: &'a [u8], pattern: &[u8]) -> (&'a [u8], &'a [u8]) {
    find(text, pattern).map_or((text, b""), |at| (&text[..at], &text[at + pattern.len()..]))
}

impl Exchange {
    /// Takes a `.http` file apart.
    pub(crate) fn new(text: &[u8]) -> Self {
        let text = text.strip_prefix(b">>> REQUEST\n").unwrap_or(text);
        let (request, response) = split(text, b"\n<<< RESPONSE");
        let (_, response) = split(response, b"\n");
        let unix = |text: &[u8]| String::from_utf8_lossy(text).replace("\r\n", "\n");
        let (request, response) = (unix(request), unix(response));
        let halves = |text: String| {
            let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
            (head.to_owned(), body.to_owned())
        };
        let (request_head, request) = halves(request);
        let (response_head, response) = halves(response);
        // Some files announce the body on a line of its own.
        let response = match response.strip_prefix("<<< BODY") {
            Some(rest) => rest.split_once('\n').map_or(String::new(), |(_, body)| body.to_owned()),
            None => response,
        };
        Self { request_head, request: request.into(), response_head, response: response.into() }
    }
}

/// Undoes chunked transfer coding, behind a head if there is one. A stream that was cut off ends where it was cut.
pub(crate) fn dechunk(raw: &[u8]) -> Vec<u8> {
    let mut rest = if raw.starts_with(b"HTTP/") { split(raw, b"\r\n\r\n").1 } else { raw };
    let mut out = Vec::new();
    while let Some(end) = find(rest, b"\r\n") {
        let Some(size) = std::str::from_utf8(&rest[..end])
            .ok()
            .and_then(|size| usize::from_str_radix(size, 16).ok())
        else {
            break;
        };
        let (_, chunk) = rest.split_at(end + 2);
        if size == 0 || chunk.len() < size + 2 {
            break;
        }
        out.extend_from_slice(&chunk[..size]);
        rest = &chunk[size + 2..];
    }
    out
}
