//! The head that an upstream gets. Pure.

use std::borrow::Cow;
use std::io::Write;
use std::net::IpAddr;

use http::Version;
use http::header::HeaderName;

use crate::observe::Client;
use crate::wire::body::Length;
use crate::wire::elements;
use crate::wire::field::Kind;
use crate::{Address, Forward, HeaderEdits, Host, RequestHead, Scheme, Upgrade};

/// A request that goes to an upstream.
#[derive(Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) request: &'a RequestHead,
    pub(crate) forward: &'a Forward,
    pub(crate) client: &'a Client,
    pub(crate) request_id: &'a [u8],
    /// The client waits for `100 Continue`.
    pub(crate) expects: bool,
}

// === impl Outgoing ===

impl Outgoing<'_> {
    /// Whether the upstream is asked for another protocol. Never together with a body, and never
    /// for HTTP/2, whose frames would pass by every check.
    pub(crate) fn upgrades(&self, length: Length) -> bool {
        let request = self.request;
        self.forward.upgrade == Upgrade::Allow
            && length == Length::None
            && request.version() == Version::HTTP_11
            && request.marks().asks_upgrade
            && request.field(Kind::Upgrade).is_some_and(is_upgrade)
    }

    /// Appends the head.
    pub(crate) fn write(&self, out: &mut Vec<u8>, length: Length) {
        let Outgoing { request, forward, .. } = *self;
        out.extend_from_slice(request.method().as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(&forward.target);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        self.write_host(out);
        self.write_headers(out);
        for (name, value) in &forward.request.set {
            line(out, name.as_str(), value.as_bytes());
        }
        self.write_origin(out);
        line(out, "X-Request-Id", self.request_id);
        match length {
            Length::None => {}
            Length::Exact(length) => {
                out.extend_from_slice(b"Content-Length: ");
                out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            Length::Unknown => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        }
        if self.expects && length != Length::None {
            out.extend_from_slice(b"Expect: 100-continue\r\n");
        }
        if self.upgrades(length) {
            line(out, "Upgrade", request.field(Kind::Upgrade).unwrap_or_default());
            out.extend_from_slice(b"Connection: Upgrade\r\n");
        } else if takes_trailers(request) {
            out.extend_from_slice(b"TE: trailers\r\nConnection: TE\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Names that do not go on as trailers either.
    pub(super) fn kept_back(&self) -> Box<[HeaderName]> {
        let edits = &self.forward.request;
        let names = edits.remove.iter().chain(edits.set.iter().map(|(name, _)| name));
        names.cloned().collect()
    }

    fn write_host(&self, out: &mut Vec<u8>) {
        let host = match &self.forward.host {
            Host::Set(host) => Some(&host[..]),
            Host::Keep => self.request.field(Kind::Host),
        };
        if let Some(host) = host {
            line(out, "Host", host);
            return;
        }
        out.extend_from_slice(b"Host: ");
        // Writing to memory does not fail.
        let _ = match &self.forward.upstream.address {
            Address::Tcp(address) => write!(out, "{address}"),
            Address::Name(name, port) => write!(out, "{name}:{port}"),
            Address::Unix(_) => write!(out, "localhost"),
        };
        out.extend_from_slice(b"\r\n");
    }

    /// The client's own headers, as far as they go on.
    fn write_headers(&self, out: &mut Vec<u8>) {
        let edits = &self.forward.request;
        let named = self.request.marks().names_headers;
        for (kind, name, value) in self.request.fields() {
            let goes_on = match kind {
                Kind::Other | Kind::Cookie => true,
                Kind::Origin => self.client.trusted,
                // Those that the engine writes itself, and those of one connection.
                _ => false,
            };
            if !goes_on || is_edited(edits, name) || (named && self.is_named(name)) {
                continue;
            }
            if kind == Kind::Cookie && !edits.remove_cookies.is_empty() {
                write_cookies(out, value, edits.remove_cookies);
                continue;
            }
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Whether `Connection` names a header as one of the connection's.
    fn is_named(&self, name: &[u8]) -> bool {
        let mut values = self.request.fields().filter(|(kind, ..)| *kind == Kind::Connection);
        values.any(|(_, _, value)| elements(value).any(|named| named.eq_ignore_ascii_case(name)))
    }

    /// Where the request comes from.
    fn write_origin(&self, out: &mut Vec<u8>) {
        let (request, client) = (self.request, self.client);
        let before = |kind| if client.trusted { request.field(kind) } else { None };
        out.extend_from_slice(b"X-Forwarded-For: ");
        if client.trusted {
            join(out, request, Kind::XForwardedFor);
        }
        out.extend_from_slice(client.address.as_bytes());
        out.extend_from_slice(b"\r\nX-Real-IP: ");
        match before(Kind::XRealIp).filter(|text| is_address(text)) {
            Some(text) => out.extend_from_slice(text),
            None => out.extend_from_slice(client.address.as_bytes()),
        }
        out.extend_from_slice(b"\r\nX-Forwarded-Proto: ");
        let scheme = client.scheme();
        out.extend_from_slice(before(Kind::XForwardedProto).unwrap_or(scheme));
        out.extend_from_slice(b"\r\nX-Forwarded-Port: ");
        match before(Kind::XForwardedPort) {
            Some(port) => out.extend_from_slice(port),
            None => {
                let port = client.peer.local.port();
                out.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
        let host = request.field(Kind::Host);
        if let Some(host) = before(Kind::XForwardedHost).or(host) {
            line(out, "X-Forwarded-Host", host);
        }
        out.extend_from_slice(b"Forwarded: ");
        if client.trusted {
            join(out, request, Kind::Forwarded);
        }
        write_forwarded(out, client, host);
        out.extend_from_slice(b"\r\n");
    }
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The values of every header of a kind as one list, with a comma behind it.
fn join(out: &mut Vec<u8>, request: &RequestHead, kind: Kind) {
    for (_, _, value) in request.fields().filter(|(found, ..)| *found == kind) {
        if !value.is_empty() {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
    }
}

fn write_forwarded(out: &mut Vec<u8>, client: &Client, host: Option<&[u8]>) {
    let v6 = client.peer.address.ip().to_canonical().is_ipv6();
    out.extend_from_slice(if v6 { b"for=\"[" } else { b"for=" });
    out.extend_from_slice(client.address.as_bytes());
    if v6 {
        out.extend_from_slice(b"]\"");
    }
    if let Some(host) = host {
        // A host that was checked has neither quotes nor backslashes.
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(host);
        out.push(b'"');
    }
    out.extend_from_slice(b";proto=");
    out.extend_from_slice(client.scheme());
}

fn is_edited(edits: &HeaderEdits, name: &[u8]) -> bool {
    let same = |edited: &HeaderName| edited.as_str().as_bytes().eq_ignore_ascii_case(name);
    edits.remove.iter().any(same) || edits.set.iter().any(|(edited, _)| same(edited))
}

fn write_cookies(out: &mut Vec<u8>, value: &[u8], remove: &[&str]) {
    let mut first = true;
    for cookie in value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
        let name = cookie.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii_end();
        if cookie.is_empty() || remove.iter().any(|removed| removed.as_bytes() == name) {
            continue;
        }
        out.extend_from_slice(if first { b"Cookie: " } else { b"; " });
        out.extend_from_slice(cookie);
        first = false;
    }
    if !first {
        out.extend_from_slice(b"\r\n");
    }
}

fn is_address(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<IpAddr>().is_ok())
}

/// One protocol, and not HTTP/2.
fn is_upgrade(protocol: &[u8]) -> bool {
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._/".contains(byte);
    !protocol.is_empty()
        && protocol.iter().all(token)
        && !protocol.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"h2"))
        && !protocol.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"http"))
}

fn takes_trailers(request: &RequestHead) -> bool {
    let mut te = request.fields().filter(|(kind, ..)| *kind == Kind::Te);
    te.any(|(_, _, value)| elements(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers")))
}

/// Who the client is behind proxies that are trusted: the last one that is not one of them.
pub(crate) fn origin(
    request: &RequestHead,
    client: &Client,
    trusts: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let peer = client.peer.address.ip().to_canonical();
    if !client.trusted {
        return peer;
    }
    let mut chain = Vec::new();
    for (_, _, value) in request.fields().filter(|(kind, ..)| *kind == Kind::XForwardedFor) {
        chain.extend(elements(value));
    }
    let mut last = peer;
    for element in chain.iter().rev() {
        let text = std::str::from_utf8(element).unwrap_or_default();
        let Ok(address) = text.parse::<IpAddr>() else { break };
        last = address.to_canonical();
        if !trusts(last) {
            break;
        }
    }
    last
}

/// The id that a request came with, if it is kept: a proxy that is trusted has made it. Anybody
/// else could pass a request off as another one.
pub(crate) fn given_id<'a>(request: &'a RequestHead, client: &Client) -> Option<&'a [u8]> {
    let valid = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let given = request.field(Kind::XRequestId).filter(|_| client.trusted)?;
    ((1..=128).contains(&given.len()) && given.iter().all(valid)).then_some(given)
}

/// Trailers without those whose names a policy takes away or sets itself: some programs read
/// trailers as if they were headers.
pub(super) fn trailing<'a>(lines: &'a [u8], kept_back: &[HeaderName]) -> Cow<'a, [u8]> {
    if lines.is_empty() || kept_back.is_empty() {
        return Cow::Borrowed(lines);
    }
    let goes_on = |line: &&[u8]| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        !kept_back.iter().any(|kept| kept.as_str().as_bytes().eq_ignore_ascii_case(name))
    };
    lines.split_inclusive(|byte| *byte == b'\n').filter(goes_on).flatten().copied().collect()
}

impl Client {
    pub(crate) fn scheme(&self) -> &'static [u8] {
        match self.peer.scheme {
            Scheme::Http => b"http",
            Scheme::Https => b"https",
        }
    }
}

#[cfg(test)]
mod tests;
