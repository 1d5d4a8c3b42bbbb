//! What one line says.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::Version;

use crate::RequestHead;

/// A request that is over.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub request_id: &'a str,
    pub client: IpAddr,
    pub user: Option<&'a str>,
    /// Absent when the head could not be read.
    pub request: Option<&'a RequestHead>,
    pub status: u16,
    /// Bytes of bodies, from the client and to it.
    pub received: u64,
    pub sent: u64,
    pub route: &'a str,
    pub upstream: Option<&'a str>,
    pub total: Duration,
    /// From the request's going out to the end of the upstream's answer.
    pub upstream_time: Option<Duration>,
    /// Absent on the plain port.
    pub tls: Option<&'a str>,
    /// What ended the request early.
    pub error: Option<&'a str>,
}

/// Parameters whose values are not written: their names contain one of these.
const SECRET: [&str; 12] = [
    "token",
    "password",
    "passwd",
    "secret",
    "auth",
    "jwt",
    "session",
    "cookie",
    "credential",
    "signature",
    "apikey",
    "api_key",
];
/// And these as a whole: short words that stand inside others.
const SECRET_WHOLE: [&str; 8] = ["code", "state", "sig", "key", "pwd", "pass", "otp", "nonce"];

/// Appends one line.
pub(super) fn render(out: &mut Vec<u8>, now: SystemTime, entry: &Entry<'_>) {
    out.extend_from_slice(b"{\"time\":\"");
    time(out, now);
    out.extend_from_slice(b"\",\"id\":\"");
    escaped(out, entry.request_id.as_bytes());
    out.extend_from_slice(b"\",\"client\":\"");
    address(out, entry.client);
    out.push(b'"');
    optional(out, "user", entry.user);
    if let Some(request) = entry.request {
        text(out, "method", request.method().as_str());
        out.extend_from_slice(b",\"path\":\"");
        escaped(out, request.path().as_str().as_bytes());
        if let Some(query) = request.query() {
            out.push(b'?');
            parameters(out, query);
        }
        out.push(b'"');
        text(out, "protocol", protocol(request.version()));
    }
    optional(out, "tls", entry.tls);
    number(out, "status", u64::from(entry.status));
    number(out, "received", entry.received);
    number(out, "sent", entry.sent);
    text(out, "route", entry.route);
    optional(out, "upstream", entry.upstream);
    milliseconds(out, "ms", entry.total);
    if let Some(took) = entry.upstream_time {
        milliseconds(out, "upstream_ms", took);
    }
    optional(out, "error", entry.error);
    out.extend_from_slice(b"}\n");
}

/// The line that stands for lines that are not there.
pub(super) fn dropped(now: SystemTime, lines: u64) -> Vec<u8> {
    let mut out = b"{\"time\":\"".to_vec();
    time(&mut out, now);
    out.push(b'"');
    number(&mut out, "dropped", lines);
    out.extend_from_slice(b"}\n");
    out
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

fn name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn text(out: &mut Vec<u8>, key: &str, value: &str) {
    name(out, key);
    out.push(b'"');
    escaped(out, value.as_bytes());
    out.push(b'"');
}

fn optional(out: &mut Vec<u8>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        text(out, key, value);
    }
}

fn number(out: &mut Vec<u8>, key: &str, value: u64) {
    name(out, key);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// With three digits behind the point.
fn milliseconds(out: &mut Vec<u8>, key: &str, value: Duration) {
    let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
    number(out, key, micros / 1000);
    out.push(b'.');
    digits(out, micros % 1000, 3);
}

fn address(out: &mut Vec<u8>, address: IpAddr) {
    use std::io::Write;
    // A vector takes everything.
    let _ = write!(out, "{address}");
}

/// A query, without the values that are secrets.
fn parameters(out: &mut Vec<u8>, query: &[u8]) {
    for (at, parameter) in query.split(|byte| *byte == b'&').enumerate() {
        if at > 0 {
            out.push(b'&');
        }
        match memchr::memchr(b'=', parameter) {
            Some(equals) => {
                let (name, value) = parameter.split_at(equals);
                escaped(out, name);
                match is_secret(name) {
                    true => out.extend_from_slice(b"=***"),
                    false => escaped(out, value),
                }
            }
            // A lone word may be a token as well: `?eyJhbGciOi…`.
            None if parameter.len() > 40 => out.extend_from_slice(b"***"),
            None => escaped(out, parameter),
        }
    }
}

/// Names are compared decoded: `%74oken` is `token` for whoever is behind.
fn is_secret(name: &[u8]) -> bool {
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name.iter();
    while let Some(byte) = rest.next() {
        let hex = |at: Option<&u8>| at.and_then(|digit| char::from(*digit).to_digit(16));
        let mut ahead = rest.clone();
        match (byte, hex(ahead.next()), hex(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                rest = ahead;
            }
            _ => decoded.push(*byte),
        }
    }
    decoded.make_ascii_lowercase();
    let whole = SECRET_WHOLE.iter().any(|word| decoded == word.as_bytes());
    whole || SECRET.iter().any(|word| memchr::memmem::find(&decoded, word.as_bytes()).is_some())
}

/// As the inside of a JSON string. What is no UTF-8 becomes the replacement character: a line is
/// always readable.
fn escaped(out: &mut Vec<u8>, text: &[u8]) {
    let harmless = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if text.iter().all(harmless) {
        out.extend_from_slice(text);
        return;
    }
    for chunk in text.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                0..=0x1f | 0x7f => {
                    out.extend_from_slice(b"\\u00");
                    hex(out, byte >> 4);
                    hex(out, byte & 15);
                }
                _ => out.push(byte),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn hex(out: &mut Vec<u8>, nibble: u8) {
    out.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
}

/// `2026-01-02T03:04:05.678Z`.
fn time(out: &mut Vec<u8>, now: SystemTime) {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let second = seconds % 86_400;
    let parts = [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (second / 3600, 2, b':'),
        (second / 60 % 60, 2, b':'),
        (second % 60, 2, b'.'),
        (u64::from(since.subsec_millis()), 3, b'Z'),
    ];
    for (value, width, end) in parts {
        digits(out, value, width);
        out.push(end);
    }
}

fn digits(out: &mut Vec<u8>, value: u64, width: u32) {
    for place in (0..width).rev() {
        out.push(b'0' + (value / 10u64.pow(place) % 10) as u8);
    }
}

/// Year, month and day of a day since 1970, by counting in years that begin in March: the day
/// that is sometimes missing is the last one then.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}
