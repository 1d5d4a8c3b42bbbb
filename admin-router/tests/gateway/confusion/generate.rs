//! Requests that try to be one thing to who judges them and another to who serves them.

use std::collections::BTreeMap;

use super::flaws::{FLAWS, spoil};
use super::model::{self, End, USERS};

/// Numbers that look random and are the same in every run with a seed.
pub(crate) struct Random(u64);

/// A request, and what should become of it.
pub(super) struct Plan {
    pub(super) marker: String,
    pub(super) bytes: Vec<u8>,
    pub(super) head_only: bool,
    pub(super) host: String,
    pub(super) caller: Option<&'static str>,
    pub(super) flaw: Option<&'static str>,
    pub(super) end: End,
    pub(super) query: Option<String>,
    pub(super) body: Vec<u8>,
    /// The gateway may have an answer to it that it fetched before.
    pub(super) cached: bool,
}

/// A request before it is written.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) method: String,
    pub(super) target: Vec<u8>,
    pub(super) version: &'static str,
    pub(super) lines: Vec<Vec<u8>>,
    /// As it is sent.
    pub(super) body: Vec<u8>,
}

// === impl Random ===

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % bound as u64) as usize
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    /// True in so many of a hundred cases.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// One request. `tokens` are those of the users.
pub(super) fn plan(
    random: &mut Random,
    marker: String,
    tokens: &BTreeMap<&'static str, String>,
    address: &str,
) -> Plan {
    let methods = ["GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get", "LOCK"];
    let method = random.pick(&methods).to_owned();
    let host = random.pick(&[address, address, "gate.example.com", "Gate:8443", "[::1]:80"]);
    let target = target(random, host, &marker);
    let mut lines = vec![format!("Host: {host}"), format!("X-Marker: {marker}")];
    let (caller, by_cookie) = credentials(random, tokens, &mut lines);
    let neutral = neutral(random, &mut lines);
    let proven = random.chance(50);
    if proven {
        lines.push("Sec-Fetch-Site: same-origin".to_owned());
    }
    let changes = !matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS");
    let foreign = by_cookie && !proven && (changes || neutral.upgrade);
    // nginx does the same: the order of headers means nothing.
    for last in (1..lines.len()).rev() {
        lines.swap(last, random.below(last + 1));
    }
    let lines = lines.into_iter().map(String::into_bytes).collect();
    let mut draft = Draft { method, target, version: "HTTP/1.1", lines, body: Vec::new() };
    let body = body(random, &mut draft, &marker);
    let flaw = random.chance(13).then(|| random.pick(&FLAWS)).filter(|flaw| {
        // They are about a body of their own.
        let framing = ["a length and chunks", "a bad length", "an unknown coding", "a bad chunk"];
        let framing = framing.contains(flaw) || ["two lengths", "two codings"].contains(flaw);
        !framing && *flaw != "chunks in 1.0" || draft.body.is_empty() && body.is_empty()
    });
    let read = model::read(&draft.target, host);
    let end = match &read {
        Ok((path, _)) => model::end(path, caller, foreign),
        Err(error) => End::Wrong(error),
    };
    let cached = draft.method == "GET"
        && read.as_ref().is_ok_and(|(path, _)| path.starts_with("/cache/master/"));
    // What is kept is asked for without any body.
    let flaw = flaw.filter(|flaw| !cached || *flaw != "a bad chunk");
    let query = read.ok().and_then(|(_, query)| query);
    let query = query.map(|query| String::from_utf8_lossy(query).into_owned());
    let bytes = match flaw {
        None => draft.bytes(),
        Some(flaw) => spoil(random, draft.clone(), flaw, host, &marker),
    };
    let head_only = bytes.starts_with(b"HEAD ");
    Plan { marker, bytes, head_only, host: host.to_owned(), caller, flaw, end, query, body, cached }
}

// === impl Draft ===

impl Draft {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.method.clone().into_bytes();
        bytes.push(b' ');
        bytes.extend_from_slice(&self.target);
        bytes.push(b' ');
        bytes.extend_from_slice(self.version.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        for line in &self.lines {
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    pub(super) fn add(&mut self, line: &str) {
        self.lines.push(line.as_bytes().to_vec());
    }

    pub(super) fn without_host(&mut self) {
        self.lines.retain(|line| !line.starts_with(b"Host:"));
    }
}

const BASES: [&str; 30] = [
    "/mesos/",
    "/mesos/state",
    "/mesos",
    "/service/app/",
    "/service/app/a/b",
    "/service/app",
    "/service/other/x",
    "/service/other/",
    "/service/team/db/x",
    "/service/team/db",
    "/service/none/x",
    "/service/marathon/v2/apps",
    "/marathon/v2/apps",
    "/agent/a1-S0/state",
    "/slave/a1-S0/",
    "/agent/a2-S0/",
    "/package/search",
    "/cosmos/service/describe",
    "/capabilities",
    "/acs/api/v1/users",
    "/acs/api/v1/users/dev",
    "/acs/api/v1/users/ops/password",
    "/acs/api/v1/auth/providers",
    "/acs/api/v1/internal/policy",
    "/auth/jwks",
    "/ca/api/v2/info",
    "/ca/api/v2/sign",
    "/exhibitor/exhibitor/v1/cluster/status",
    "/cache/master/state",
    "/nginx/metrics",
];

/// Bytes put in somewhere.
const PIECES: [&[u8]; 46] = [
    b"/",
    b"//",
    b"/./",
    b"/../",
    b"/..",
    b"../",
    b"/%2e%2e/",
    b"/.%2E/",
    b"%2e",
    b"%2f",
    b"%2F",
    b"..%2f",
    b"%2f..%2f",
    b"%5c",
    b"\\",
    b"..\\",
    b"%00",
    b"%0d%0a",
    b"%09",
    b"\t",
    b" ",
    b"%20",
    b"%252e%252e%252f",
    b"%252f",
    b"%25",
    b"%c0%ae%c0%ae/",
    b"%c0%af",
    b"%e0%80%af",
    b"%ff",
    b"%c3%a4",
    b"\xc3\xa4",
    b";",
    b";x=1/",
    b"..;/",
    b"/..;a=b/",
    b"/.;/",
    b"%3b",
    b"%3f",
    b"%23",
    b"#",
    b"%",
    b"%zz",
    b"%u002f",
    b":",
    b"@",
    b"...",
];

const DOTS: [&str; 14] = [
    "..",
    "..",
    "..",
    "..",
    "..",
    "%2e%2e",
    "%2E%2e",
    ".%2e",
    "%2E.",
    ".%2E",
    "%252e%252e",
    "..;",
    "%c0%ae%c0%ae",
    "...",
];

const SLASHES: [&str; 12] =
    ["/", "/", "/", "/", "/", "%2f", "%2F", "%2f", "//", "/./", "/%2e/", "%5c"];

fn target(random: &mut Random, host: &str, marker: &str) -> Vec<u8> {
    let mut path = random.pick(&BASES).as_bytes().to_vec();
    if random.chance(22) {
        path = climb(random, &path);
    }
    for _ in 0..[0, 0, 0, 0, 0, 0, 1, 1, 2, 3][random.below(10)] {
        mutate(random, &mut path);
    }
    // Known by it also where headers do not go on.
    path.extend_from_slice(format!("?m={marker}").as_bytes());
    let queries =
        ["", "", "", "&x=/../mesos/", "&a=%2e%2e%2f%00", "&?", "&x=//y;z", "&%zz", "&\\", "&/.."];
    path.extend_from_slice(random.pick(&queries).as_bytes());
    if random.chance(2) {
        path.extend_from_slice(b"#/mesos/");
    }
    if random.chance(8) {
        let authorities = [
            host.to_owned(),
            host.to_owned(),
            host.to_ascii_uppercase(),
            "evil.example.com".to_owned(),
            format!("user@{host}"),
            format!("{host}@evil.example.com"),
            format!("{host}.evil.example.com"),
            String::new(),
        ];
        let authority = &authorities[random.below(authorities.len())];
        let schemes = ["http://", "http://", "https://", "HTTP://", "ftp://", "//", "http:", ""];
        let start = format!("{}{authority}", random.pick(&schemes));
        path.splice(..0, start.bytes());
    }
    path
}

/// From one place up and to another.
fn climb(random: &mut Random, path: &[u8]) -> Vec<u8> {
    let mut climbing = random.pick(&BASES).as_bytes().to_vec();
    let depth = climbing.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).count();
    let steps = (depth + random.below(3)).saturating_sub(1);
    for _ in 0..steps {
        if climbing.last() != Some(&b'/') {
            climbing.extend_from_slice(random.pick(&SLASHES).as_bytes());
        }
        climbing.extend_from_slice(random.pick(&DOTS).as_bytes());
    }
    climbing.extend_from_slice(random.pick(&SLASHES).as_bytes());
    climbing.extend_from_slice(path.get(1..).unwrap_or_default());
    climbing
}

fn mutate(random: &mut Random, path: &mut Vec<u8>) {
    let at = random.below(path.len());
    let byte = path[at];
    match random.below(8) {
        0..=2 => {
            let at = at + usize::from(random.chance(90));
            path.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied());
        }
        3 if byte != b'%' => {
            path.splice(at..=at, format!("%{byte:02x}").bytes());
        }
        4 if byte != b'%' => {
            path.splice(at..=at, format!("%25{byte:02X}").bytes());
        }
        5 => path[at].make_ascii_uppercase(),
        6 => path.push(b'/'),
        _ => {
            if path.len() > 1 && path.last() == Some(&b'/') {
                path.pop();
            }
        }
    }
}

/// Adds who sends it: the user that counts, if any, and whether that is by cookie.
fn credentials(
    random: &mut Random,
    tokens: &BTreeMap<&'static str, String>,
    lines: &mut Vec<String>,
) -> (Option<&'static str>, bool) {
    let user = random.pick(&["admin", "admin", "admin", "admin", "dev", "ops"]);
    let user = USERS.iter().copied().find(|known| *known == user).unwrap();
    let other = *USERS.iter().rfind(|known| **known != user).unwrap();
    let (token, others) = (&tokens[user], &tokens[other]);
    let name = random.pick(&["Authorization", "authorization", "AUTHORIZATION"]);
    let scheme = random.pick(&["token=", "Bearer ", "bearer  "]);
    let header = format!("{name}: {scheme}{token}");
    let cookie = format!("Cookie: a=b; dcos-acs-auth-cookie={token};c=d");
    let other_cookie = format!("cookie: dcos-acs-info-cookie=x; dcos-acs-auth-cookie={others}");
    let (sent, caller, by_cookie) = match random.below(23) {
        0..=9 => (vec![header], Some(user), false),
        10..=12 => (vec![cookie], Some(user), true),
        13 => (vec![cookie.clone(), cookie], Some(user), true),
        14..=16 => (vec![header, other_cookie], Some(user), false),
        17 => (vec![header, format!("Authorization: token={others}")], None, false),
        18 => (vec![cookie, other_cookie], None, false),
        19 => (vec!["Authorization: token=x.y.z".to_owned(), cookie], None, false),
        20 => (vec!["Authorization: Basic eDp5".to_owned(), cookie], None, false),
        _ => (Vec::new(), None, false),
    };
    lines.extend(sent);
    (caller, by_cookie)
}

struct Neutral {
    upgrade: bool,
}

/// Adds headers that must not make a difference.
fn neutral(random: &mut Random, lines: &mut Vec<String>) -> Neutral {
    const ALL: [&str; 30] = [
        "X-Forwarded-For: 10.1.2.3",
        "X-Forwarded-Host: evil.example.com",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Port: 1",
        "X-Forwarded-Prefix: /mesos",
        "X-Forwarded-Uri: /mesos/",
        "X-Real-IP: 127.0.0.1",
        "Forwarded: for=127.0.0.1;host=evil.example.com",
        "X-Original-URL: /mesos/state",
        "X-Rewrite-URL: /service/other/",
        "X-HTTP-Method-Override: DELETE",
        "X-HTTP-Method: PUT",
        "X_Forwarded_For: 127.0.0.1",
        "Transfer_Encoding: chunked",
        "Content_Length: 500",
        "X_Marker: none",
        "Connection: keep-alive, X-Hop\r\nX-Hop: 1",
        "Connection: Authorization",
        "Connection: Cookie, Host",
        "Connection: Content-Length, Transfer-Encoding, X-Real-IP",
        "Connection: close",
        "Keep-Alive: timeout=1000",
        "Proxy-Authorization: Basic eDp5",
        "Proxy-Connection: keep-alive",
        "TE: gzip;q=1",
        "TE: trailers",
        "Trailer: Authorization",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
        "X-Empty:",
        "Via: 1.1 nobody",
    ];
    let mut upgrade = false;
    for _ in 0..random.below(4) {
        let line = random.pick(&ALL);
        upgrade |= line.contains("Upgrade:");
        lines.push(line.to_owned());
    }
    Neutral { upgrade }
}

/// A body that looks like a request itself; what an upstream should get of it.
fn body(random: &mut Random, draft: &mut Draft, marker: &str) -> Vec<u8> {
    if !matches!(draft.method.as_str(), "POST" | "PUT") && !random.chance(5) {
        return Vec::new();
    }
    let inner = smuggled(marker);
    match random.below(4) {
        0 => draft.add("Content-Length: 0"),
        1 | 2 => {
            draft.add(&format!("Content-Length: {}", inner.len()));
            draft.body = inner.clone().into_bytes();
            return inner.into_bytes();
        }
        _ => {
            draft.add(random.pick(&["Transfer-Encoding: chunked", "transfer-encoding:\tCHUNKED "]));
            let length = inner.len();
            let trailers =
                random.pick(&["", "Authorization: token=x\r\n", "Host: x\r\nX-T: y\r\n"]);
            let extension = random.pick(&["", ";x", ";x=\"y\""]);
            let text = format!("{length:x}{extension}\r\n{inner}\r\n0\r\n{trailers}\r\n");
            draft.body = text.into_bytes();
            return inner.into_bytes();
        }
    }
    Vec::new()
}

/// What must never come to an upstream as a request.
pub(super) fn smuggled(marker: &str) -> String {
    format!("GET /mesos/smuggled HTTP/1.1\r\nHost: x\r\nX-Marker: inner-{marker}\r\n\r\n")
}
