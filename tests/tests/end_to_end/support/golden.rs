//! The recordings of a real Mesos: answers, and traffic between processes.

use std::path::{Path, PathBuf};

use super::http::Response;

/// The folder with the recordings; `None`, and a line that says so, without them.
pub(crate) fn folder() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/golden");
    let chosen = std::env::var_os("DAIS_GOLDEN").unwrap_or_else(|| beside.into());
    let folder = PathBuf::from(chosen).join("mesos");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no recordings of a real Mesos at {}", folder.display());
    None
}

// === requests with their answers ===

/// A recorded request with its answer.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// The file's name, without its ending.
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) target: String,
    /// Without those that the client adds itself.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) answer: Response,
    /// To an agent rather than to the master.
    pub(crate) to_agent: bool,
}

/// The recorded exchanges of one folder, by name.
pub(crate) fn exchanges(folder: &Path) -> Vec<Exchange> {
    let entries = std::fs::read_dir(folder).expect("a folder of recordings");
    let mut paths: Vec<PathBuf> = entries.map(|item| item.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "http"));
    paths.sort();
    paths.iter().map(|path| exchange(path)).collect()
}

pub(crate) fn exchange(path: &Path) -> Exchange {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
    let start = b">>> REQUEST\n".len();
    let middle = find(&bytes, b"<<< RESPONSE").unwrap_or_else(|| panic!("{name}: no answer"));
    let (request, answer) = (&bytes[start..middle], &bytes[middle..]);
    let answer = &answer[find(answer, b"\n").expect("a line") + 1..];
    let end = find(request, b"\r\n\r\n").unwrap_or_else(|| panic!("{name}: no head"));
    let head = String::from_utf8_lossy(&request[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut words = lines.next().expect("a request line").split(' ');
    let headers: Vec<(String, String)> = lines.filter_map(header).collect();
    let length = headers.iter().find(|(name, _)| name == "Content-Length");
    let length = length.map_or(0, |(_, value)| value.parse().expect("a length"));
    let to_agent = name.starts_with("agent_") || name.contains("_agent_");
    Exchange {
        method: words.next().expect("a method").to_owned(),
        target: words.next().expect("a target").to_owned(),
        headers: headers
            .into_iter()
            .filter(|(n, _)| n != "Host" && n != "Content-Length")
            .collect(),
        body: request[end + 4..][..length].to_vec(),
        answer: Response::parse(&without_marker(answer)),
        to_agent,
        name,
    }
}

/// Some recordings set the body apart by a line of their own.
fn without_marker(answer: &[u8]) -> Vec<u8> {
    let marker = b"<<< BODY (";
    let Some(at) = find(answer, marker) else { return answer.to_vec() };
    let body = at + find(&answer[at..], b"\n").expect("a line") + 1;
    [&answer[..at], &answer[body..]].concat()
}

fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_owned(), value.trim().to_owned()))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

// === traffic ===

/// A message between processes, as captured.
#[derive(Clone, Debug)]
pub(crate) struct Captured {
    /// The lines of the request's head, without line ends.
    pub(crate) head: Vec<String>,
    /// The message in protobuf's text form.
    pub(crate) text: String,
}

/// The requests of one capture, in order; answers are left out.
pub(crate) fn capture(file: &str) -> Vec<Captured> {
    let path = folder().expect("the caller checked").join("wire").join(file);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.split("=== t=").skip(1).filter_map(captured).collect()
}

fn captured(part: &str) -> Option<Captured> {
    let (_, rest) = part.split_once('\n')?;
    if !rest.starts_with("POST ") {
        return None;
    }
    let mut lines = rest.lines();
    let head = lines.by_ref().map(|line| line.trim_end_matches("\\r\\n").to_owned());
    let head: Vec<String> = head.take_while(|line| !line.is_empty()).collect();
    let body = lines.filter(|line| !line.starts_with("---") && !line.starts_with("[protobuf "));
    Some(Captured { head, text: body.collect::<Vec<_>>().join("\n") })
}

impl Captured {
    /// The last part of the request's path: a message's name.
    pub(crate) fn name(&self) -> &str {
        let target = self.head[0].split(' ').nth(1).unwrap_or_default();
        target.rsplit('/').next().unwrap_or_default()
    }
}
