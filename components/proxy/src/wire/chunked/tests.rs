//! What is decoded, and what is refused.

use proptest::prelude::*;

use super::*;

/// The data, the trailers, and what stands behind the body.
type Parts = (Vec<u8>, Vec<u8>, Vec<u8>);

fn decode(text: &[u8], pieces: usize) -> Result<Parts, &'static str> {
    let mut chunked = Chunked::new(1000);
    let mut data = Vec::new();
    let mut rest = Vec::new();
    for piece in text.chunks(pieces.max(1)) {
        let mut piece = piece.to_vec();
        if chunked.is_over() {
            rest.extend(piece);
            continue;
        }
        let decoded = chunked.decode(&mut piece).map_err(|error| error.0)?;
        data.extend_from_slice(&piece[..decoded.data]);
        rest.extend_from_slice(&piece[decoded.consumed..]);
    }
    if !chunked.is_over() {
        return Err("cut off");
    }
    Ok((data, chunked.trailers().to_vec(), rest))
}

fn data(text: &str) -> Result<String, &'static str> {
    decode(text.as_bytes(), text.len()).map(|(data, ..)| String::from_utf8(data).unwrap())
}

#[test]
fn chunks_are_put_together() {
    assert_eq!(data("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), Ok("hello world".into()));
    assert_eq!(data("A\r\n0123456789\r\n00\r\n\r\n"), Ok("0123456789".into()));
    assert_eq!(data("1;a=b;c=\"d\"\r\nx\r\n0;e\r\n\r\n"), Ok("x".into()));
    assert_eq!(data("0\r\n\r\n"), Ok(String::new()));
}

#[test]
fn what_follows_is_left() {
    let (data, _, rest) = decode(b"1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n", 100).unwrap();
    assert_eq!((&data[..], &rest[..]), (&b"x"[..], &b"GET / HTTP/1.1\r\n"[..]));
}

#[test]
fn what_readers_disagree_about_is_refused() {
    for wrong in [
        "\r\n",
        "g\r\n",
        "-1\r\nx",
        "+1\r\nx",
        "0x1\r\nx",
        "1 \r\nx\r\n0\r\n\r\n",
        " 1\r\nx",
        "1\nx\r\n0\r\n\r\n",
        "1\r\nx\n0\r\n\r\n",
        "1\r\nxy\r\n0\r\n\r\n",
        "2\r\nx\r\n0\r\n\r\n",
        "1\r\nx0\r\n\r\n",
        "0\r\n\n",
        "0\n\r\n",
        "0\n\n",
        "1\rx",
        "1;\nx",
        "1;a\0\r\nx",
        "1;a\rb",
        "1000000000000000\r\n",
        "ffffffffffffffffffff\r\n",
        "\t1\r\nx",
        "1\r\r\nx",
        ";a\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\nA b\r\n\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\n A: b\r\n\r\n",
        "0\r\nA: b\r\n c\r\n\r\n",
        "0\r\nA: b\rc\r\n\r\n",
        "0\r\nA: \0\r\n\r\n",
    ] {
        let result = data(wrong);
        assert!(matches!(result, Err(reason) if reason != "cut off"), "{wrong:?}: {result:?}");
    }
}

#[test]
fn trailers_say_nothing_that_heads_decide() {
    let lines = "X-Sum: 1\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\nHost: evil\r\n\
        Authorization: x\r\nSet-Cookie: a\r\nX-Forwarded-For: 1.1.1.1\r\nX_Sum: 2\r\nGrpc-Status: 0\r\n";
    let text = format!("0\r\n{lines}\r\n");
    let (_, trailers, _) = decode(text.as_bytes(), 7).unwrap();
    assert_eq!(trailers, b"X-Sum: 1\r\nGrpc-Status: 0\r\n");
}

#[test]
fn what_ends_wrongly_does_not_end() {
    for text in ["0\r\nbad trailer\r\n\r\n", "1\r\na\r\n0\r\nX: y\nZ: w\r\n\r\n", "z\r\n"] {
        let mut chunked = Chunked::new(1000);
        assert!(chunked.decode(&mut text.as_bytes().to_vec()).is_err(), "{text}");
        assert!(!chunked.is_over(), "{text}");
    }
}

#[test]
fn extensions_and_trailers_have_limits() {
    let long = "a".repeat(300);
    assert!(data(&format!("1;{long}\r\nx\r\n0\r\n\r\n")).is_err());
    let many = format!("1;{}\r\nx\r\n", "a".repeat(200)).repeat(100);
    assert!(data(&format!("{many}0\r\n\r\n")).is_err());
    assert!(data(&format!("0\r\nA: {}\r\n\r\n", "a".repeat(2000))).is_err());
    let lines = "A: b\r\n".repeat(100);
    assert!(data(&format!("0\r\n{lines}\r\n")).is_err());
}

proptest! {
    #[test]
    fn however_it_is_cut_it_is_the_same(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8),
        pieces in 1usize..50,
        rest in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut text = Vec::new();
        for chunk in &chunks {
            text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            text.extend_from_slice(chunk);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"0\r\nA: b\r\n\r\n");
        text.extend_from_slice(&rest);
        let (data, trailers, left) = decode(&text, pieces).unwrap();
        prop_assert_eq!(data, chunks.concat());
        prop_assert_eq!(trailers, b"A: b\r\n");
        prop_assert_eq!(left, rest);
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in proptest::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'0'), Just(b';'), any::<u8>()],
            0..200,
        ),
    ) {
        crate::fuzz::chunked_body(&bytes);
    }
}
