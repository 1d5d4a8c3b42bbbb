//! What lines say and hide, and that the file survives being rotated.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{Method, Version};

use super::{AccessLog, Entry, LARGEST, line};
use crate::RequestHead;

fn head(target: &str) -> RequestHead {
    RequestHead::new(Method::GET, Version::HTTP_11, target.as_bytes(), std::iter::empty()).unwrap()
}

fn entry(request: &RequestHead) -> Entry<'_> {
    Entry {
        request_id: "0123456789abcdef",
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        user: Some("bob\"\n"),
        request: Some(request),
        status: 200,
        received: 1,
        sent: 2,
        route: "mesos",
        upstream: None,
        total: Duration::from_micros(12_034),
        upstream_time: Some(Duration::from_micros(7)),
        tls: Some("TLSv1.3"),
        error: None,
    }
}

fn rendered(target: &str) -> String {
    let mut out = Vec::new();
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(951_782_400_123);
    line::render(&mut out, now, &entry(&head(target)));
    String::from_utf8(out).unwrap()
}

#[test]
fn a_line_is_what_it_is() {
    let expected = concat!(
        r#"{"time":"2000-02-29T00:00:00.123Z","id":"0123456789abcdef","client":"127.0.0.1","#,
        r#""user":"bob\"\u000a","method":"GET","path":"/mesos/state?a=1","protocol":"HTTP/1.1","#,
        r#""tls":"TLSv1.3","status":200,"received":1,"sent":2,"route":"mesos","ms":12.034,"#,
        r#""upstream_ms":0.007}"#,
        "\n"
    );
    assert_eq!(rendered("/mesos/state?a=1"), expected);
}

#[test]
fn values_of_secrets_are_hidden() {
    let cases = [
        ("/a?token=abc&b=2", "/a?token=***&b=2"),
        ("/a?Access_Token=abc", "/a?Access_Token=***"),
        ("/a?%74oken=abc", "/a?%74oken=***"),
        ("/a?code=abc&encoded=1", "/a?code=***&encoded=1"),
        ("/a?x=token", "/a?x=token"),
        ("/a?follow", "/a?follow"),
        ("/a?eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9eyJhbGci", "/a?***"),
    ];
    for (target, shown) in cases {
        let line = rendered(target);
        assert!(line.contains(&format!("\"path\":\"{shown}\"")), "{target}: {line}");
    }
}

#[test]
fn bytes_that_are_no_text_do_not_break_the_line() {
    let mut out = Vec::new();
    let query: &[u8] = b"/a?\xff\x01\"\\";
    let request = RequestHead::new(Method::GET, Version::HTTP_11, query, std::iter::empty());
    line::render(&mut out, SystemTime::UNIX_EPOCH, &entry(&request.unwrap()));
    let line = String::from_utf8(out).unwrap();
    assert!(line.contains("/a?\u{fffd}\\u0001\\\"\\\\\""), "{line}");
}

/// Bounded: looks again for a while until it is so.
fn until(what: impl Fn() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn a_renamed_file_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let log = AccessLog::file(&path).unwrap();
    let writer = log.writer();
    let request = head("/first");
    writer.write(&entry(&request));
    let holds = |path: &std::path::Path, text: &str| {
        std::fs::read_to_string(path).is_ok_and(|found| found.contains(text))
    };
    assert!(until(|| holds(&path, "/first")));
    std::fs::rename(&path, &old).unwrap();
    assert!(until(|| path.exists()));
    let request = head("/second");
    writer.write(&entry(&request));
    log.close();
    assert!(holds(&path, "/second") && !holds(&path, "/first"));
    assert!(holds(&old, "/first") && !holds(&old, "/second"));
}

#[test]
fn what_does_not_fit_is_counted_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = AccessLog::file(&path).unwrap();
    let writer = log.writer();
    // As if the disk stood still: nothing is taken out while the buffer is held full.
    let request = head(&format!("/{}", "x".repeat(LARGEST)));
    let shared = Arc::clone(&writer.shared);
    loop {
        writer.write(&entry(&request));
        if shared.dropped.load(std::sync::atomic::Ordering::Relaxed) > 0 {
            break;
        }
    }
    let dropped = log.dropped();
    log.close();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(&format!("\"dropped\":{dropped}}}")));
    assert!(text.lines().all(|line| line.ends_with('}')));
}
