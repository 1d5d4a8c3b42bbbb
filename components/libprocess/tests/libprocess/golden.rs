//! Every recorded message head: read as the server reads it, written as the client writes it.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use libprocess::{Upid, encode, server};
use std::{env, fs, path::PathBuf};

fn wire_folder() -> Option<PathBuf> {
    let golden = env::var_os("DAIS_GOLDEN").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/golden")),
        PathBuf::from,
    );
    let folder = golden.join("mesos/wire");
    folder.is_dir().then_some(folder)
}

/// The heads of requests in a decoded capture, as the bytes that were on the wire.
fn heads(capture: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut lines = capture.lines();
    while let Some(line) = lines.next() {
        if !line.starts_with("POST /") || !line.ends_with("\\r\\n") {
            continue;
        }
        let mut head = line.replace("\\r\\n", "\r\n");
        for line in lines.by_ref().take_while(|line| *line != "\\r\\n") {
            head.push_str(&line.replace("\\r\\n", "\r\n"));
        }
        head.push_str("\r\n");
        heads.push(head);
    }
    heads
}

fn check(head: &str) -> bool {
    let mut slots = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut slots);
    assert!(request.parse(head.as_bytes()).unwrap().is_complete(), "{head}");
    let mut headers = HeaderMap::new();
    for header in request.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(header.value).unwrap());
    }
    if !server::is_message(&Method::POST, &headers) {
        return false;
    }
    let parsed = server::head(request.path.unwrap(), &headers).unwrap();
    let from: Upid = parsed.from.parse().unwrap();
    let host = headers["host"].to_str().unwrap().parse().unwrap();
    let to = Upid::new(parsed.to.as_str(), host);
    let body: &[u8] = if headers.contains_key("transfer-encoding") { b"x" } else { b"" };
    let mut out = Vec::new();
    encode(&mut out, &from, &to, parsed.name, body).unwrap();
    let tail: &[u8] = if body.is_empty() { b"" } else { b"1\r\nx\r\n0\r\n\r\n" };
    assert_eq!(out, [head.as_bytes(), tail].concat(), "{head}");
    true
}

#[test]
fn recorded_messages_are_written_byte_for_byte() {
    let Some(folder) = wire_folder() else {
        println!("skipped: no recordings; set DAIS_GOLDEN");
        return;
    };
    let mut messages = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let capture = fs::read(entry.unwrap().path()).unwrap();
        let heads = heads(&String::from_utf8_lossy(&capture));
        messages += heads.iter().filter(|head| check(head)).count();
    }
    assert!(messages > 50, "only {messages} recorded messages found");
}
