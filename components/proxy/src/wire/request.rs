//! Heads of requests.

use std::mem::MaybeUninit;
use std::sync::Arc;

use http::{Method, StatusCode, Version};

use super::body::Length;
use super::field::{ConnectionOptions, Field, Fields, Kind};
use super::{MOST_HEADERS, decimal, lines_end_well};
use crate::config::HeadLimits;
use crate::{Refusal, RequestHead};

/// A head that was read, and what it says about its connection and body.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) head: Arc<RequestHead>,
    /// Bytes that the head takes.
    pub(crate) consumed: usize,
    pub(crate) length: Length,
    pub(crate) keep_alive: bool,
    /// The client waits with the body until it is told to go on.
    pub(crate) expects: bool,
}

/// What was gathered from the header lines.
#[derive(Default)]
struct Facts<'a> {
    host: Option<&'a [u8]>,
    content_length: Option<u64>,
    chunked: bool,
    expects: bool,
    upgrade: bool,
    options: ConnectionOptions,
}

/// Reads a head from the front of `bytes`; none when it is not complete.
pub(crate) fn parse(bytes: &[u8], limits: &HeadLimits) -> Result<Option<Parsed>, Refusal> {
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let most = limits.headers.min(MOST_HEADERS);
    let headers = headers.get_mut(..most).unwrap_or_default();
    let mut request = httparse::Request::new(&mut []);
    let consumed = match request.parse_with_uninit_headers(bytes, headers) {
        Ok(httparse::Status::Complete(consumed)) => consumed,
        Ok(httparse::Status::Partial) => return incomplete(bytes, limits).map(|()| None),
        Err(error) => return Err(refusal(error, bytes, most)),
    };
    let text = bytes.get(..consumed).unwrap_or_default();
    if consumed > limits.bytes {
        return Err(Refusal::HeadTooLarge { limit: limits.bytes });
    }
    if !lines_end_well(text) {
        return Err(Refusal::Malformed("a line ends without a carriage return"));
    }
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Err(Refusal::Malformed("the request line is incomplete"));
    };
    if target.len() > limits.target {
        return Err(Refusal::TargetTooLong { limit: limits.target });
    }
    let version = if version == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let method = read_method(method)?;
    let first = request.headers.first().map_or(consumed, |header| {
        (header.name.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize)
    });
    let (fields, facts) = read_fields(request.headers, bytes.as_ptr() as usize + first, version)?;
    let target = read_target(target, &facts, version)?;
    let length = facts.length(version)?;
    let lines = text.get(first..).unwrap_or_default();
    let head = RequestHead::from_parts(method, version, target, lines, fields, facts.marks())?;
    Ok(Some(Parsed {
        head: Arc::new(head),
        consumed,
        length,
        keep_alive: facts.keeps_alive(version),
        expects: facts.expects && length != Length::None && version == Version::HTTP_11,
    }))
}

/// More may be waited for, as long as it is not too much.
fn incomplete(bytes: &[u8], limits: &HeadLimits) -> Result<(), Refusal> {
    if bytes.len() > limits.bytes {
        return Err(Refusal::HeadTooLarge { limit: limits.bytes });
    }
    // A method, a version, and what stands between.
    let line = limits.target + 64;
    if bytes.len() > line && memchr::memchr(b'\n', bytes.get(..line).unwrap_or_default()).is_none()
    {
        return Err(Refusal::TargetTooLong { limit: limits.target });
    }
    Ok(())
}

fn refusal(error: httparse::Error, bytes: &[u8], most: usize) -> Refusal {
    match error {
        httparse::Error::HeaderName => Refusal::Malformed("a header's name is invalid"),
        httparse::Error::HeaderValue => Refusal::Malformed("a header's value is invalid"),
        httparse::Error::NewLine => Refusal::Malformed("a line ends wrongly"),
        httparse::Error::TooManyHeaders => Refusal::TooManyHeaders { limit: most },
        httparse::Error::Version if names_a_version(bytes) => Refusal::Unsupported {
            status: StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            what: "only HTTP/1.1, HTTP/1.0 and, over TLS, HTTP/2 are spoken here",
        },
        httparse::Error::Version => Refusal::Malformed("the version is invalid"),
        _ => Refusal::Malformed("the request line is invalid"),
    }
}

/// Whether the first line is a method, a target and a version, though one that is not known.
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    let (Some(version), None) = (words.next(), words.next()) else { return false };
    matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit())
}

fn read_method(method: &str) -> Result<Method, Refusal> {
    check_method(method)?;
    Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::Malformed("the method is invalid"))
}

/// Refuses the methods that are for no gateway.
pub(crate) fn check_method(method: &str) -> Result<(), Refusal> {
    match method {
        "CONNECT" => Err(Refusal::Unsupported {
            status: StatusCode::NOT_IMPLEMENTED,
            what: "this is no forward proxy: CONNECT is not supported",
        }),
        // It has the upstream say what it got, the token that the gateway made of a cookie too.
        "TRACE" => Err(Refusal::Unsupported {
            status: StatusCode::METHOD_NOT_ALLOWED,
            what: "TRACE is not allowed",
        }),
        _ => Ok(()),
    }
}

/// `base` is the address of the first header line.
fn read_fields<'a>(
    headers: &[httparse::Header<'a>],
    base: usize,
    version: Version,
) -> Result<(Fields, Facts<'a>), Refusal> {
    let mut fields = Fields::new();
    let mut facts = Facts::default();
    for header in headers {
        let name = header.name.as_bytes();
        if name.len() > usize::from(u16::MAX) {
            return Err(Refusal::Malformed("a header's name is too long"));
        }
        // Many programs take `_` for `-`: then such a name would pass for another.
        if name.contains(&b'_') {
            continue;
        }
        let field = Field::within(base, name, header.value);
        facts.add(field.kind, header.value, version)?;
        fields.push(field);
    }
    Ok((fields, facts))
}

// === impl Facts ===

impl<'a> Facts<'a> {
    fn add(&mut self, kind: Kind, value: &'a [u8], version: Version) -> Result<(), Refusal> {
        match kind {
            Kind::Host if self.host.is_some() => {
                return Err(Refusal::Malformed("there is more than one Host"));
            }
            Kind::Host => {
                check_host(value)?;
                self.host = Some(value);
            }
            Kind::ContentLength if self.content_length.is_some() => {
                return Err(Refusal::Malformed("there is more than one Content-Length"));
            }
            Kind::ContentLength => {
                let length = decimal(value);
                self.content_length =
                    Some(length.ok_or(Refusal::Malformed("the Content-Length is no length"))?);
            }
            Kind::TransferEncoding if self.chunked => {
                return Err(Refusal::Malformed("there is more than one Transfer-Encoding"));
            }
            Kind::TransferEncoding => {
                check_transfer_encoding(value, version)?;
                self.chunked = true;
            }
            Kind::Connection => self.options.add(value),
            Kind::Upgrade => self.upgrade = true,
            Kind::Expect if value.eq_ignore_ascii_case(b"100-continue") => self.expects = true,
            Kind::Expect => {
                return Err(Refusal::Unsupported {
                    status: StatusCode::EXPECTATION_FAILED,
                    what: "the only expectation that is known is 100-continue",
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn length(&self, version: Version) -> Result<Length, Refusal> {
        if version == Version::HTTP_11 && self.host.is_none() {
            return Err(Refusal::Malformed("there is no Host"));
        }
        match (self.chunked, self.content_length) {
            (true, Some(_)) => {
                Err(Refusal::Malformed("there are both Transfer-Encoding and Content-Length"))
            }
            (true, None) => Ok(Length::Unknown),
            (false, Some(length)) => Ok(Length::Exact(length)),
            (false, None) => Ok(Length::None),
        }
    }

    fn keeps_alive(&self, version: Version) -> bool {
        !self.options.close && (version == Version::HTTP_11 || self.options.keep_alive)
    }

    fn marks(&self) -> crate::head::Marks {
        crate::head::Marks {
            names_headers: self.options.names,
            asks_upgrade: self.options.upgrade && self.upgrade,
        }
    }
}

fn check_transfer_encoding(value: &[u8], version: Version) -> Result<(), Refusal> {
    if version != Version::HTTP_11 {
        return Err(Refusal::Malformed("HTTP/1.0 knows no Transfer-Encoding"));
    }
    if !value.eq_ignore_ascii_case(b"chunked") {
        return Err(Refusal::Unsupported {
            status: StatusCode::NOT_IMPLEMENTED,
            what: "the only Transfer-Encoding that is known is chunked",
        });
    }
    Ok(())
}

/// A name or an address, with or without a port.
pub(crate) fn check_host(host: &[u8]) -> Result<(), Refusal> {
    let (name, rest) = match host.strip_prefix(b"[") {
        Some(inner) => {
            let end = memchr::memchr(b']', inner).unwrap_or(0);
            let (address, rest) = inner.split_at(end);
            let text = std::str::from_utf8(address).unwrap_or_default();
            let valid = text.parse::<std::net::Ipv6Addr>().is_ok();
            (if valid { address } else { b"" }, rest.get(1..).unwrap_or(b"?"))
        }
        None => {
            let end = memchr::memchr(b':', host).unwrap_or(host.len());
            let (name, rest) = host.split_at(end);
            let valid = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
            (if name.iter().all(valid) { name } else { b"" }, rest)
        }
    };
    let port_is_valid = match rest.strip_prefix(b":") {
        Some(port) => {
            let port = decimal(port).filter(|_| port.len() <= 5);
            port.is_some_and(|port| port <= u64::from(u16::MAX))
        }
        None => rest.is_empty(),
    };
    if name.is_empty() || !port_is_valid {
        return Err(Refusal::Malformed("the Host is invalid"));
    }
    Ok(())
}

/// Brings a target into the origin form: path and query.
fn read_target<'a>(
    target: &'a str,
    facts: &Facts<'_>,
    version: Version,
) -> Result<&'a [u8], Refusal> {
    let bytes = target.as_bytes();
    if !bytes.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
        return Err(Refusal::Malformed("the target has characters that must be encoded"));
    }
    if bytes.first() == Some(&b'/') {
        return Ok(bytes);
    }
    let colon = target.find("://").ok_or(Refusal::Malformed("the target is no path"))?;
    let (scheme, rest) = target.split_at(colon);
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Refusal::Malformed("the target's scheme is neither http nor https"));
    }
    let rest = rest.get(3..).unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    check_host(authority.as_bytes())?;
    let same = facts.host.is_some_and(|host| host.eq_ignore_ascii_case(authority.as_bytes()));
    if !same && (version == Version::HTTP_11 || facts.host.is_some()) {
        return Err(Refusal::Malformed("the target names another host than Host"));
    }
    match path.as_bytes() {
        [] => Ok(b"/"),
        [b'/', ..] => Ok(path.as_bytes()),
        _ => Err(Refusal::Malformed("the target has no path")),
    }
}

#[cfg(test)]
mod tests;
