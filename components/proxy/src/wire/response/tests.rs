//! What upstreams may answer, and what they may not.

use proptest::prelude::*;

use super::*;

fn read(text: &str, method: &Method) -> Result<Option<Answer>, &'static str> {
    parse(text.as_bytes(), &HeadLimits::default(), method)
}

fn good(text: &str) -> Answer {
    match read(text, &Method::GET) {
        Ok(Some(answer)) => answer,
        other => panic!("{text:?}: {other:?}"),
    }
}

fn body(lines: &str) -> AnswerBody {
    good(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n")).body
}

#[test]
fn bodies_end_where_the_head_says() {
    assert_eq!(body("Content-Length: 3\r\n"), AnswerBody::Exact(3));
    assert_eq!(body("Transfer-Encoding: chunked\r\n"), AnswerBody::Chunked);
    assert_eq!(body(""), AnswerBody::Close);
    assert_eq!(good("HTTP/1.1 204 No\r\n\r\n").body, AnswerBody::None);
    let unchanged = good("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n");
    assert_eq!((unchanged.body, unchanged.content_length), (AnswerBody::None, Some(7)));
    let head = read("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", &Method::HEAD);
    assert_eq!(head.unwrap().unwrap().body, AnswerBody::None);
}

#[test]
fn connections_are_kept_only_where_that_is_certain() {
    assert!(good("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").keep_alive);
    assert!(!good("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").keep_alive);
    assert!(!good("HTTP/1.1 200 OK\r\n\r\n").keep_alive);
    assert!(!good("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").keep_alive);
}

#[test]
fn nonsense_is_not_passed_on() {
    for wrong in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\nA: b\n\n",
        "HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "hello\r\n\r\n",
    ] {
        assert!(read(wrong, &Method::GET).is_err(), "{wrong:?}");
    }
    let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(40_000));
    assert!(read(&long, &Method::GET).is_err());
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(200));
    assert!(read(&many, &Method::GET).is_err());
}

#[test]
fn words_and_fields_are_found_again() {
    let text = "HTTP/1.1 404 Gone fishing\r\nConnection: X-A\r\nX-a: 1\r\n\r\nbody";
    let answer = good(text);
    assert_eq!(answer.reason(text.as_bytes()), b"Gone fishing");
    assert_eq!(answer.field(text.as_bytes(), Kind::Connection), Some(&b"X-A"[..]));
    assert!(answer.options.names);
    assert_eq!(answer.consumed, text.len() - 4);
    assert_eq!(good("HTTP/1.1 200\r\n\r\n").reason(b"HTTP/1.1 200\r\n\r\n"), b"");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzz::response_head(&bytes);
        let mut text = b"HTTP/1.1 200 OK\r\n".to_vec();
        text.extend_from_slice(&bytes);
        crate::fuzz::response_head(&text);
    }
}
