//! The recordings of a real Mesos: answers, and traffic between processes.

use std::path::PathBuf;

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

/// A recorded answer.
pub(crate) fn answer(path: &str) -> Response {
    let path = folder().expect("the caller checked").join(path);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Response::parse(&bytes)
}

/// A message between processes, as captured.
#[derive(Clone, Debug)]
pub(crate) struct Captured {
    /// The lines of the request's head, without line ends.
    pub(crate) head: Vec<String>,
    /// The protobuf message's full name, if the body is one.
    pub(crate) message: Option<String>,
    /// The message in protobuf's text form.
    pub(crate) text: String,
}

/// The requests of one capture, in order; answers are left out.
pub(crate) fn capture(file: &str) -> Vec<Captured> {
    let path = folder().expect("the caller checked").join("wire").join(file);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let parts = text.split("=== t=").skip(1);
    parts.filter_map(captured).collect()
}

fn captured(part: &str) -> Option<Captured> {
    let (_, rest) = part.split_once('\n')?;
    if !rest.starts_with("POST ") {
        return None;
    }
    let mut lines = rest.lines();
    let head = lines.by_ref().map(|line| line.trim_end_matches("\\r\\n").to_owned());
    let head: Vec<String> = head.take_while(|line| !line.is_empty()).collect();
    let mut message = None;
    let mut text = String::new();
    for line in lines.filter(|line| !line.starts_with("---")) {
        match line.strip_prefix("[protobuf ").and_then(|rest| rest.strip_suffix(']')) {
            Some(name) => message = Some(name.to_owned()),
            None => text.push_str(&format!("{line}\n")),
        }
    }
    Some(Captured { head, message, text })
}

impl Captured {
    /// The last part of the request's path: a message's name.
    pub(crate) fn name(&self) -> &str {
        let target = self.head[0].split(' ').nth(1).unwrap_or_default();
        target.rsplit('/').next().unwrap_or_default()
    }
}
