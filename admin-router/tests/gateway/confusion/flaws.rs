//! What is wrong with requests that have to be refused, whoever sends them.

use super::generate::{Draft, Random, smuggled};

/// Their names.
pub(super) const FLAWS: [&str; 25] = [
    "two hosts",
    "no host",
    "a bad host",
    "two lengths",
    "a length and chunks",
    "a bad length",
    "an unknown coding",
    "two codings",
    "chunks in 1.0",
    "a folded line",
    "a bare line feed",
    "a bare carriage return",
    "a NUL",
    "a space before the colon",
    "no colon",
    "no name",
    "a bad name",
    "a bad version",
    "CONNECT",
    "TRACE",
    "a bad method",
    "a bad request line",
    "an unknown expectation",
    "a bad chunk",
    "too many headers",
];

/// Makes a request one that has to be refused.
pub(super) fn spoil(
    random: &mut Random,
    mut draft: Draft,
    flaw: &'static str,
    host: &str,
    marker: &str,
) -> Vec<u8> {
    let inner = smuggled(marker);
    match flaw {
        "two hosts" => draft.add(&format!("Host: {}", random.pick(&["evil", host, ""]))),
        "no host" => draft.without_host(),
        "a bad host" => {
            draft.without_host();
            let hosts = ["", "a/b", "a b", "u@h", "h:99999", "h:x", "[::1", "a,b", "h\\x", "h#x"];
            draft.add(&format!("Host: {}", random.pick(&hosts)));
        }
        "two lengths" => {
            draft.add("Content-Length: 0");
            draft.add(random.pick(&["Content-Length: 0", "content-length: 5"]));
        }
        "a length and chunks" => {
            let mut both = ["Content-Length: 4", "Transfer-Encoding: chunked"];
            if random.chance(50) {
                both.reverse();
            }
            both.iter().for_each(|line| draft.add(line));
            draft.body = format!("0\r\n\r\n{inner}").into_bytes();
        }
        "a bad length" => {
            let values =
                ["+5", "-1", "5,5", "5, 6", "0x5", "5 5", "", "1e1", "99999999999999999999"];
            draft.add(&format!("Content-Length: {}", random.pick(&values)));
            draft.body = inner.into_bytes();
        }
        "an unknown coding" => {
            let values = [
                "identity",
                "xchunked",
                "chunked, chunked",
                "gzip, chunked",
                "chunked;q=1",
                "\"chunked\"",
                "chunked,",
                "\u{b}chunked",
                "",
            ];
            draft.add(&format!("Transfer-Encoding: {}", random.pick(&values)));
            draft.body = format!("0\r\n\r\n{inner}").into_bytes();
        }
        "two codings" => {
            draft.add("Transfer-Encoding: chunked");
            draft.add(random.pick(&["Transfer-Encoding: chunked", "transfer-encoding: identity"]));
            draft.body = format!("0\r\n\r\n{inner}").into_bytes();
        }
        "chunks in 1.0" => {
            draft.version = "HTTP/1.0";
            draft.add("Transfer-Encoding: chunked");
            draft.body = format!("0\r\n\r\n{inner}").into_bytes();
        }
        "a bad chunk" => {
            draft.add("Transfer-Encoding: chunked");
            draft.body = random
                .pick(&[
                    "zz\r\nab\r\n0\r\n\r\n",
                    "0x2\r\nab\r\n0\r\n\r\n",
                    "-1\r\n\r\n",
                    "+2\r\nab\r\n0\r\n\r\n",
                    "ffffffffffffffff1\r\nab\r\n0\r\n\r\n",
                    "2\nab\r\n0\r\n\r\n",
                    "2\r\nabc\r\n0\r\n\r\n",
                    "2 \r\nab\r\n0\r\n\r\n",
                    "\r\n2\r\nab\r\n0\r\n\r\n",
                    ";x\r\n\r\n",
                    "0\r\nbad trailer\r\n\r\n",
                    "0\r\nX: y\nZ: w\r\n\r\n",
                ])
                .as_bytes()
                .to_vec();
        }
        "too many headers" => (0..200).for_each(|at| draft.add(&format!("X-{at}: y"))),
        "CONNECT" | "TRACE" => draft.method = flaw.to_owned(),
        "a bad method" => {
            draft.method = random.pick(&["G(T", "G@T", "GE\u{7f}", "G\"T", ""]).to_owned();
        }
        "a bad version" => {
            draft.version = random.pick(&[
                "HTTP/2.0",
                "HTTP/1.2",
                "HTTP/0.9",
                "http/1.1",
                "HTTP/1.1x",
                "HTTP/11",
                "x",
            ]);
        }
        "an unknown expectation" => draft.add("Expect: wonders"),
        "a bad request line" | "a bare line feed" => {
            return spoil_lines(random, &draft, flaw);
        }
        _ => spoil_field(random, &mut draft, flaw),
    }
    draft.bytes()
}

/// What is wrong with one header line.
fn spoil_field(random: &mut Random, draft: &mut Draft, flaw: &str) {
    let lines: &[&[u8]] = match flaw {
        "a folded line" => {
            &[b"X-A: b\r\n c", b"X-A: b\r\n\tTransfer-Encoding: chunked", b" X-A: b"]
        }
        "a bare carriage return" => &[b"X-A: b\rc", b"X-A: b\rContent-Length: 5", b"X\r-A: b"],
        "a NUL" => &[b"X-A: b\0c", b"X\0A: b", b"X-A: \0"],
        "a space before the colon" => {
            &[b"X-A : b", b"Transfer-Encoding : chunked", b"Content-Length\t: 5", b"Host : evil"]
        }
        "no colon" => &[b"X-A", b"garbage here", b"Content-Length 5"],
        "no name" => &[b": b", b":"],
        _ => &[b"X(A: b", b"X A: b", b"\"X\": b", b"X\xe4: b", b"X@A: b", b"X/A: b"],
    };
    let at = random.below(draft.lines.len() + 1);
    // A first line that begins with a space continues the request line, and is as wrong.
    draft.lines.insert(at, random.pick(lines).to_vec());
}

fn spoil_lines(random: &mut Random, draft: &Draft, flaw: &str) -> Vec<u8> {
    let mut bytes = draft.bytes();
    if flaw == "a bare line feed" {
        let head = bytes.len() - draft.body.len();
        let ends: Vec<usize> = (0..head).filter(|at| bytes[*at] == b'\r').collect();
        bytes.remove(ends[random.below(ends.len())]);
        return bytes;
    }
    let start: &[u8] = random.pick(&[&b" "[..], b"\t", b"\0", b"\x0b"]);
    match random.below(3) {
        0 => drop(bytes.splice(..0, start.iter().copied())),
        1 => bytes.insert(draft.method.len(), b' '),
        _ => bytes[draft.method.len()] = b'\t',
    }
    bytes
}
