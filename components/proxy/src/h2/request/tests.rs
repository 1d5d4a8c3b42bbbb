//! What is refused, and what a head looks like that is not.

use http::Request;
use http::request::Parts;
use proptest::prelude::*;

use super::*;

fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut builder = Request::builder().method(method).uri(uri).version(Version::HTTP_2);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn get(headers: &[(&str, &str)]) -> Result<Incoming, Refusal> {
    read(parts("GET", "https://a.test/x?y=1", headers), true, &HeadLimits::default())
}

fn post(headers: &[(&str, &str)], over: bool) -> Result<Length, Refusal> {
    let parts = parts("POST", "https://a.test/x", headers);
    read(parts, over, &HeadLimits::default()).map(|incoming| incoming.length)
}

#[test]
fn a_head_is_like_any_other() {
    let incoming = get(&[("accept", "*/*"), ("cookie", "a=1"), ("x-one", "1"), ("cookie", "b=2")]);
    let head = incoming.unwrap().head;
    assert_eq!(head.path().as_str(), "/x");
    assert_eq!(head.query().map(|query| query.as_ref()), Some(&b"y=1"[..]));
    assert_eq!(head.version(), Version::HTTP_2);
    let headers: Vec<_> = head.headers().collect();
    let expected: [(&[u8], &[u8]); 4] =
        [(b"host", b"a.test"), (b"accept", b"*/*"), (b"x-one", b"1"), (b"cookie", b"a=1; b=2")];
    assert_eq!(headers, expected);
}

#[test]
fn there_is_one_authority() {
    assert!(get(&[("host", "a.test")]).is_ok());
    assert!(get(&[("host", "A.TEST")]).is_ok());
    assert!(get(&[("host", "b.test")]).is_err());
    assert!(get(&[("host", "a.test"), ("host", "a.test")]).is_err());
    let limits = HeadLimits::default();
    let read =
        |uri: &str, headers: &[(&str, &str)]| read(parts("GET", uri, headers), true, &limits);
    assert!(read("/x", &[]).is_err());
    assert!(read("/x", &[("host", "a.test:80")]).is_ok());
    assert!(read("/x", &[("host", "")]).is_err());
    assert!(read("/x", &[("host", "a b")]).is_err());
    assert!(read("/x", &[("host", "u@a.test")]).is_err());
    assert!(read("https://u@a.test/x", &[]).is_err());
    assert!(read("https://[::1]:8443/x", &[]).is_ok());
    assert!(read("ftp://a.test/x", &[]).is_err());
}

#[test]
fn names_that_pass_for_others_stay_here() {
    let head = get(&[("x_real_ip", "1.2.3.4"), ("content_length", "7")]).unwrap().head;
    assert_eq!(head.headers().count(), 1);
}

#[test]
fn lengths_are_numbers_and_true() {
    assert_eq!(post(&[], true), Ok(Length::None));
    assert_eq!(post(&[], false), Ok(Length::Unknown));
    assert_eq!(post(&[("content-length", "5")], false), Ok(Length::Exact(5)));
    assert_eq!(post(&[("content-length", "0")], true), Ok(Length::Exact(0)));
    assert!(post(&[("content-length", "5")], true).is_err());
    for wrong in ["", "+5", "-1", "5,5", "5 5", "0x5", "99999999999999999999"] {
        assert!(post(&[("content-length", wrong)], false).is_err(), "{wrong}");
    }
    assert!(post(&[("content-length", "5"), ("content-length", "5")], false).is_err());
}

#[test]
fn only_requests_of_a_gateway_are_taken() {
    let limits = HeadLimits::default();
    let connect = read(parts("CONNECT", "a.test:443", &[]), true, &limits).err();
    assert_eq!(connect.map(|refusal| refusal.status().as_u16()), Some(501));
    let trace = read(parts("TRACE", "https://a.test/", &[]), true, &limits).err();
    assert_eq!(trace.map(|refusal| refusal.status().as_u16()), Some(405));
    assert!(read(parts("OPTIONS", "*", &[("host", "a.test")]), true, &limits).is_err());
    let far = format!("https://a.test/{}", "x".repeat(limits.target));
    let far = read(parts("GET", &far, &[]), true, &limits).err();
    assert_eq!(far.map(|refusal| refusal.status().as_u16()), Some(414));
    let names: Vec<String> = (0..=limits.headers).map(|number| format!("x-{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(get(&many).err().map(|refusal| refusal.status().as_u16()), Some(431));
    assert!(get(&[("expect", "miracles")]).is_err());
}

#[test]
fn trailers_survive_and_framing_does_not() {
    let mut map = HeaderMap::new();
    for (name, value) in [("grpc-status", "0"), ("content-length", "3"), ("x-two", "a: b")] {
        map.append(name, value.parse().unwrap());
    }
    for name in ["x-forwarded-for", "x-request-id", "x_two", "set-cookie", "expect", "forwarded"] {
        map.append(name, "1".parse().unwrap());
    }
    let lines = trailer_lines(&map);
    assert_eq!(lines, b"grpc-status: 0\r\nx-two: a: b\r\n");
    let back = trailer_map(&lines);
    assert_eq!(back.len(), 2);
    assert_eq!(back.get("x-two").map(|value| value.as_bytes()), Some(&b"a: b"[..]));
}

proptest! {
    /// Whatever is read can be written as lines without anything but what was meant in them.
    #[test]
    fn nothing_breaks_out_of_a_line(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzz(&data);
    }
}
