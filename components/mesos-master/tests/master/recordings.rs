//! The reads and refusals recorded of an empty master, asked of a running one of ours.
use std::path::PathBuf;

use mesos_master::config::MasterConfig;
use serde_json::Value;

use crate::support::*;

/// Answers that are ours by intent: what they say is another program's.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("__processes__", "the actors of libprocess"),
    ("_GET_help", "the text of the original's help"),
    ("_ROOT", "the original's web pages"),
    ("_HEAD_", "no body to wait for"),
    ("_gzip", "packed"),
    ("agent_", "asks an agent"),
];

/// Members that are facts of a build or a configuration.
const OWN_FACTS: [&str; 5] = ["flags", "git_sha", "git_branch", "log_dir", "build_user"];

struct Recorded {
    name: String,
    request: Vec<u8>,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

fn folder(name: &str) -> Option<PathBuf> {
    let golden = std::env::var_os("DAIS_GOLDEN").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden")
    });
    let folder = golden.join("mesos").join(name);
    if !folder.is_dir() {
        println!("skipped: {} is absent", folder.display());
        return None;
    }
    Some(folder)
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|part| part == what).expect("a part of a recording")
}

/// Bytes before and after a mark.
fn cut<'a>(bytes: &'a [u8], mark: &[u8]) -> (&'a [u8], &'a [u8]) {
    let at = find(bytes, mark);
    (&bytes[..at], &bytes[at + mark.len()..])
}

fn read(path: &PathBuf) -> Recorded {
    let bytes = std::fs::read(path).unwrap();
    let (request, rest) = cut(&bytes, b"\n<<< RESPONSE HEAD");
    let (_, request) = cut(request, b">>> REQUEST\n");
    let (head, rest) = cut(rest, b"<<< BODY");
    let (_, body) = cut(rest, b"\n");
    let head = String::from_utf8_lossy(head).into_owned();
    let mut lines = head.trim().lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .filter_map(|line| line.trim().split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    Recorded { name, request: request.to_vec(), status, headers, body: body.to_vec() }
}

fn recordings(folder_name: &str, begins: &str) -> Vec<Recorded> {
    let Some(folder) = folder(folder_name) else { return Vec::new() };
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let wanted = |path: &&PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(begins)
            && name.ends_with(".http")
            && !OTHER_WORDS.iter().any(|(word, _)| name.contains(word))
    };
    paths.iter().filter(wanted).map(read).collect()
}

/// Names and types; numbers with and without a point are different types.
fn differences(path: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().filter(|name| !b.contains_key(*name)) {
                found.push(format!("{path}.{name} is too much"));
            }
            for (name, theirs) in b {
                match a.get(name) {
                    Some(ours) => differences(&format!("{path}.{name}"), ours, theirs, found),
                    None => found.push(format!("{path}.{name} is missing")),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            if let (Some(a), Some(b)) = (a.first(), b.first()) {
                differences(&format!("{path}[]"), a, b, found);
            }
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() == b.is_f64() => {}
        (Value::String(_), Value::String(_))
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Null, Value::Null) => {}
        _ => found.push(format!("{path} is {ours}, should be like {theirs}")),
    }
}

/// Whether a difference is one of facts; `[]` and names of outer members come before them.
fn is_own_fact(difference: &str) -> bool {
    let path = difference.split(' ').next().unwrap_or_default();
    let mut names = path.split('.');
    names.any(|name| OWN_FACTS.contains(&name))
}

fn compare(recorded: &Recorded, ours: &Answer, found: &mut Vec<String>) {
    let name = &recorded.name;
    if ours.status != recorded.status {
        found.push(format!("{name}: {}, should be {}", ours.status, recorded.status));
        return;
    }
    for (key, value) in &recorded.headers {
        let varies = ["date", "content-length", "location"].contains(&key.to_lowercase().as_str());
        let own = ours.header(key);
        if own != Some(value) && !(varies && own.is_some()) {
            found.push(format!("{name}: {key} is {own:?}, should be {value:?}"));
        }
    }
    let kind = ours.header("content-type").unwrap_or_default();
    if kind == "application/json" {
        let parse = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).unwrap() };
        let mut different = Vec::new();
        differences("", &parse(&ours.body), &parse(&recorded.body), &mut different);
        let kept = different.iter().filter(|difference| !is_own_fact(difference));
        found.extend(kept.map(|difference| format!("{name}: {difference}")));
    } else if kind.starts_with("text/plain") && ours.body != recorded.body.trim_ascii_end() {
        let theirs = String::from_utf8_lossy(&recorded.body);
        // The recordings end with a line of their own.
        if ours.text().trim_end() != theirs.trim_end() {
            found.push(format!("{name}: says {:?}, should be {theirs:?}", ours.text()));
        }
    }
}

async fn ask(recorded: &[Recorded]) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    std::fs::write(&log, "Log file created at: now\n".repeat(10)).unwrap();
    let config = MasterConfig { log_file: Some(log), ..config() };
    let master = Master::start_with(config).await;
    let mut found = Vec::new();
    for recording in recorded {
        let ours = exchange(master.address(), &recording.request).await;
        // How many metrics there are depends on what has happened yet.
        if recording.name.contains("metrics") || recording.name.contains("METRICS") {
            assert_eq!(ours.status, 200);
        } else {
            compare(recording, &ours, &mut found);
        }
    }
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

#[tokio::test]
async fn an_empty_master_answers_as_recorded() {
    let recorded = recordings("http_empty_master", "master_");
    assert!(recorded.is_empty() || recorded.len() > 40, "only {}", recorded.len());
    ask(&recorded).await;
}

#[tokio::test]
async fn refused_operator_calls_are_answered_as_recorded() {
    let wanted = |recording: &Recorded| !recording.name.ends_with("bad_enum_in_list");
    let recorded: Vec<Recorded> =
        recordings("http_running", "err_op_").into_iter().filter(wanted).collect();
    assert!(recorded.is_empty() || recorded.len() > 14, "only {}", recorded.len());
    ask(&recorded).await;
}

#[tokio::test]
async fn every_recorded_metric_exists() {
    let Some(folder) = folder("http_empty_master") else { return };
    let recorded = std::fs::read(folder.join("master_GET_metrics_snapshot.json")).unwrap();
    let recorded: Value = serde_json::from_slice(&recorded).unwrap();
    let master = Master::start().await;
    let request = b"GET /metrics/snapshot HTTP/1.1\r\nHost: x\r\n\r\n";
    let ours = exchange(master.address(), request).await;
    let ours: Value = serde_json::from_slice(&ours.body).unwrap();
    let missing: Vec<&String> = recorded
        .as_object()
        .unwrap()
        .keys()
        .filter(|name| !ours.as_object().unwrap().contains_key(*name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
