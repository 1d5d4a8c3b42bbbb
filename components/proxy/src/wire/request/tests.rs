//! What is read, and what is refused.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Option<Parsed>, Refusal> {
    parse(text.as_bytes(), &HeadLimits::default())
}

fn good(text: &str) -> Parsed {
    match read(text) {
        Ok(Some(parsed)) => parsed,
        other => panic!("{text:?}: {other:?}"),
    }
}

fn status(text: &str) -> u16 {
    match read(text) {
        Err(refusal) => refusal.status().as_u16(),
        other => panic!("{text:?}: {other:?}"),
    }
}

fn with(lines: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
}

#[test]
fn a_plain_request_is_read() {
    let parsed = good("GET /a//b?c=d HTTP/1.1\r\nHost: h:80\r\nX-A:  1 \r\nx-a: 2\r\n\r\nrest");
    assert_eq!(parsed.head.method(), Method::GET);
    assert_eq!(parsed.head.path().as_str(), "/a/b");
    assert_eq!(parsed.head.query().map(|query| &query[..]), Some(&b"c=d"[..]));
    assert_eq!(parsed.head.header("x-A"), Some(&b"1"[..]));
    assert_eq!(parsed.head.all("x-a").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(parsed.head.field(Kind::Host), Some(&b"h:80"[..]));
    assert_eq!(parsed.length, Length::None);
    assert!(parsed.keep_alive && !parsed.expects);
    assert_eq!(parsed.consumed, 56);
}

#[test]
fn bodies_have_one_length() {
    assert_eq!(good(&with("Content-Length: 5\r\n")).length, Length::Exact(5));
    assert_eq!(good(&with("Content-Length: 0\r\n")).length, Length::Exact(0));
    assert_eq!(good(&with("Transfer-Encoding: Chunked\r\n")).length, Length::Unknown);
    for wrong in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: \r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert_eq!(status(&with(wrong)), 400, "{wrong}");
    }
    for unknown in ["gzip, chunked", "xchunked", "chunked, identity", "identity", "\"chunked\""] {
        assert_eq!(status(&with(&format!("Transfer-Encoding: {unknown}\r\n"))), 501, "{unknown}");
    }
}

#[test]
fn lines_are_what_they_seem() {
    for wrong in [
        "GET / HTTP/1.1\nHost: h\n\n",
        "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: y\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n X: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX\t: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\x01\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\x7f\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX(: y\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.1 x\r\nHost: h\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "G\tT / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTQ/1.1\r\nHost: h\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03",
    ] {
        assert_eq!(status(wrong), 400, "{wrong:?}");
    }
}

#[test]
fn there_is_one_host() {
    for fine in ["h", "h:1", "a-b_c.d~", "127.0.0.1:8080", "[::1]", "[fe80::1]:443"] {
        let text = format!("GET / HTTP/1.1\r\nHost: {fine}\r\n\r\n");
        assert_eq!(good(&text).head.field(Kind::Host), Some(fine.as_bytes()));
    }
    for wrong in [
        "", "a b", "a/b", "a@b", "a?b", "a#b", "a\\b", "a:b", "a:", "a:1:2", "a:99999", "a,b",
        "[::1", "::1", "[x]", "[::1]x", "\u{e9}", "a:-1", "[]",
    ] {
        let text = format!("GET / HTTP/1.1\r\nHost: {wrong}\r\n\r\n");
        assert_eq!(status(&text), 400, "{wrong}");
    }
    assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 400);
    assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
    assert_eq!(status("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
    assert!(!good("GET / HTTP/1.0\r\n\r\n").keep_alive);
}

#[test]
fn targets_come_to_one_form() {
    let path = |target: &str| {
        let text = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        good(&text).head.path().as_str().to_string()
    };
    assert_eq!(path("/a"), "/a");
    assert_eq!(path("http://h/a"), "/a");
    assert_eq!(path("HTTPS://H/a?b"), "/a");
    assert_eq!(path("http://h"), "/");
    for wrong in [
        "http://g/a",
        "http://h@g/",
        "http://g@h/",
        "http://h:80/",
        "ftp://h/a",
        "//h",
        "*",
        "a",
        "/a#b",
        "h:80",
        "http:///a",
        "http://h?a",
        "/\u{e9}",
    ] {
        // Two slashes at the beginning are a path: no host stands there.
        let text = format!("GET {wrong} HTTP/1.1\r\nHost: h\r\n\r\n");
        match wrong {
            "//h" => assert_eq!(good(&text).head.path().as_str(), "/h"),
            _ => assert_eq!(status(&text), 400, "{wrong}"),
        }
    }
    assert_eq!(status("CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n"), 501);
    assert_eq!(status("TRACE / HTTP/1.1\r\nHost: h\r\n\r\n"), 405);
}

#[test]
fn versions_are_told_apart() {
    assert_eq!(status("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), 505);
    assert_eq!(status("GET / HTTP/1.2\r\nHost: h\r\n\r\n"), 505);
    assert_eq!(status("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    assert_eq!(status("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(status(old), 400);
    assert!(good("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
    assert!(!good("GET / HTTP/1.1\r\nHost: h\r\nConnection: x, close\r\n\r\n").keep_alive);
    assert!(!good("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n").expects);
    assert!(good(&with("Content-Length: 1\r\nExpect: 100-Continue\r\n")).expects);
    assert_eq!(status(&with("Content-Length: 1\r\nExpect: more\r\n")), 417);
}

#[test]
fn names_that_pass_for_others_are_left_out() {
    let parsed = good(&with("X_Forwarded_For: 1.2.3.4\r\nContent_Length: 7\r\nA: b\r\n"));
    let names: Vec<_> = parsed.head.headers().map(|(name, _)| name.to_vec()).collect();
    assert_eq!(names, [b"Host".to_vec(), b"A".to_vec()]);
    assert_eq!(parsed.length, Length::None);
}

#[test]
fn everything_has_a_limit() {
    let limits = HeadLimits { bytes: 300, headers: 4, target: 50 };
    let status = |text: &str| match parse(text.as_bytes(), &limits) {
        Err(refusal) => refusal.status().as_u16(),
        Ok(found) => found.is_some().into(),
    };
    let target = |length| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(length));
    assert_eq!(status(&target(49)), 1);
    assert_eq!(status(&target(50)), 414);
    assert_eq!(status(&target(150)), 414);
    assert_eq!(status(&format!("GET /{}", "a".repeat(150))), 414);
    let headers = |count| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert_eq!(status(&headers(3)), 1);
    assert_eq!(status(&headers(4)), 431);
    let value = |length| format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}", "a".repeat(length));
    assert_eq!(status(&value(100)), 0);
    assert_eq!(status(&value(300)), 431);
    assert_eq!(status(&format!("{}\r\n\r\n", value(300))), 431);
}

proptest! {
    /// However a head is cut, it is the same head.
    #[test]
    fn nothing_depends_on_how_it_arrives(
        path in "/[a-z]{0,20}",
        headers in proptest::collection::vec(("[A-Za-z-]{1,12}", "[ -~]{0,20}"), 0..6),
    ) {
        let mut text = format!("GET {path} HTTP/1.1\r\nHost: h\r\n");
        for (name, value) in &headers {
            text.push_str(&format!("x{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let limits = HeadLimits::default();
        let whole = parse(text.as_bytes(), &limits).unwrap().unwrap();
        prop_assert_eq!(whole.consumed, text.len());
        for cut in 0..text.len() {
            prop_assert!(parse(&text.as_bytes()[..cut], &limits).unwrap().is_none());
        }
        prop_assert_eq!(whole.head.headers().count(), headers.len() + 1);
        for ((name, value), (found, has)) in headers.iter().zip(whole.head.headers().skip(1)) {
            let name = format!("x{name}");
            prop_assert_eq!(name.as_bytes(), found);
            prop_assert_eq!(value.trim_matches(' ').as_bytes(), has);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzz::request_head(&bytes);
        let mut text = b"POST /a HTTP/1.1\r\nHost: h\r\n".to_vec();
        text.extend_from_slice(&bytes);
        crate::fuzz::request_head(&text);
    }
}
