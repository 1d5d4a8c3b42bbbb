//! From what HTTP/2 carries to a head like any other: the same checks, nothing that could be read
//! in two ways behind the gateway.

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode, Version};

use crate::config::HeadLimits;
use crate::exchange::Length;
use crate::wire::chunked::may_trail;
use crate::wire::request::check_method;
use crate::{Refusal, RequestHead};

/// A head, and how long the body is that follows it.
pub(super) struct Incoming {
    pub(super) head: RequestHead,
    pub(super) length: Length,
    /// The client waits with the body until it is told to go on.
    pub(super) expects: bool,
}

/// Checks a request. `over` says that nothing follows the head.
///
/// Names in upper case, broken values, headers of connections, pseudo headers twice or out of
/// place are refused before it comes here: the frames' reader resets such streams.
pub(super) fn read(parts: Parts, over: bool, limits: &HeadLimits) -> Result<Incoming, Refusal> {
    let Parts { method, uri, headers, .. } = parts;
    check_method(method.as_str())?;
    if headers.len() > limits.headers {
        return Err(Refusal::TooManyHeaders { limit: limits.headers });
    }
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    if target.len() > limits.target {
        return Err(Refusal::TargetTooLong { limit: limits.target });
    }
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(Refusal::Malformed("the target has characters that must be encoded"));
    }
    if uri.scheme_str().is_some_and(|scheme| scheme != "http" && scheme != "https") {
        return Err(Refusal::Malformed("the scheme is neither http nor https"));
    }
    let authority = authority(uri.authority().map(|authority| authority.as_str()), &headers)?;
    let length = length(&headers, over)?;
    let expects = expects(&headers)?;
    let cookies = cookies(&headers);
    // `host` first, as clients of HTTP/1.1 send it.
    let host = [(HOST.as_str().as_bytes(), authority.as_bytes())];
    // Many programs take `_` for `-`: then such a name would pass for another.
    let goes_on = |name: &HeaderName| {
        name != HOST && name != COOKIE && name != EXPECT && !name.as_str().contains('_')
    };
    let rest = headers.iter().filter(|(name, _)| goes_on(name));
    let rest = rest.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    let cookies = cookies.iter().map(|value| (COOKIE.as_str().as_bytes(), value.as_slice()));
    let fields = host.into_iter().chain(rest).chain(cookies);
    let head = RequestHead::new(method, Version::HTTP_2, target.as_bytes(), fields);
    let head = head.map_err(|_| Refusal::Malformed("the path is not acceptable"))?;
    Ok(Incoming { head, length, expects: expects && !over })
}

/// The one authority: `:authority` and `host` may not differ.
fn authority(pseudo: Option<&str>, headers: &HeaderMap) -> Result<String, Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err(Refusal::Malformed("more than one host")),
        (Some(host), None) => {
            let text = std::str::from_utf8(host.as_bytes());
            Some(text.map_err(|_| Refusal::Malformed("the host is not acceptable"))?)
        }
        (None, _) => None,
    };
    let authority = match (pseudo, host) {
        (Some(pseudo), Some(host)) if !pseudo.eq_ignore_ascii_case(host) => {
            return Err(Refusal::Malformed("authority and host differ"));
        }
        (Some(authority), _) | (None, Some(authority)) => authority,
        (None, None) => return Err(Refusal::Malformed("no authority")),
    };
    if is_authority(authority) {
        Ok(authority.to_string())
    } else {
        Err(Refusal::Malformed("the authority is not acceptable"))
    }
}

/// A name or an address, and maybe a port; nobody's user name.
fn is_authority(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte);
    !text.is_empty() && text.len() <= 255 + 6 && text.bytes().all(plain)
}

/// Whether the client waits to be told to go on. That is settled here: it does not go on.
fn expects(headers: &HeaderMap) -> Result<bool, Refusal> {
    let mut expectations = headers.get_all(EXPECT).iter();
    let known = expectations.all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    match known {
        true => Ok(headers.contains_key(EXPECT)),
        false => Err(Refusal::Unsupported {
            status: StatusCode::EXPECTATION_FAILED,
            what: "the only expectation that is known is 100-continue",
        }),
    }
}

/// What `content-length` says. The frames' reader counts against it.
fn length(headers: &HeaderMap, over: bool) -> Result<Length, Refusal> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(value) = lengths.next() else {
        return Ok(if over { Length::None } else { Length::Unknown });
    };
    if lengths.next().is_some() {
        return Err(Refusal::Malformed("more than one content-length"));
    }
    let digits = value.as_bytes();
    let number = match digits.iter().all(u8::is_ascii_digit) && digits.len() <= 19 {
        true => std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()),
        false => None,
    };
    match number {
        None => Err(Refusal::Malformed("the content-length is not a number")),
        Some(1..) if over => Err(Refusal::Malformed("content-length without a body")),
        Some(number) => Ok(Length::Exact(number)),
    }
}

/// Crumbs of cookies become the one header that HTTP/1.1 knows.
fn cookies(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let mut all = crumbs.next()?.as_bytes().to_vec();
    for crumb in crumbs {
        all.extend_from_slice(b"; ");
        all.extend_from_slice(crumb.as_bytes());
    }
    Some(all)
}

/// Trailers as lines; those that mean something in a head only are left out.
pub(crate) fn trailer_lines(trailers: &HeaderMap) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in trailers {
        if !may_trail(name.as_str().as_bytes()) {
            continue;
        }
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

/// The other way round, for trailers that were checked already.
pub(crate) fn trailer_map(lines: &[u8]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        let name = http::HeaderName::from_bytes(name);
        if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    map
}

/// For fuzzing: bytes as method, target, authority and headers, one a line. What is read has one
/// host, one path, and no byte in it that means something between lines of HTTP/1.1.
pub(crate) fn fuzz(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (method, target, authority) = (next(), next(), next());
    let uri = http::Uri::builder().scheme("https").authority(authority).path_and_query(target);
    let Ok(uri) = uri.build() else { return };
    let mut builder = http::Request::builder().method(method).uri(uri);
    for line in lines {
        let at = memchr::memchr(b':', line).unwrap_or(line.len());
        let (name, value) = line.split_at(at);
        builder = builder.header(name, value.strip_prefix(b":").unwrap_or_default());
    }
    let Ok(request) = builder.body(()) else { return };
    let Ok(incoming) = read(request.into_parts().0, false, &HeadLimits::default()) else { return };
    let head = incoming.head;
    assert_eq!(head.all("host").count(), 1);
    assert!(head.all("cookie").count() <= 1);
    let harmless = |text: &[u8]| !text.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    for (name, value) in head.headers() {
        assert!(harmless(name) && harmless(value) && !name.contains(&b':'), "{name:?}: {value:?}");
        assert!(!name.contains(&b'_') && !name.iter().any(u8::is_ascii_uppercase));
    }
    let plain = |text: &[u8]| text.iter().all(u8::is_ascii_graphic);
    assert!(plain(head.path().as_str().as_bytes()));
    assert!(head.query().is_none_or(|query| plain(query)));
}

#[cfg(test)]
mod tests;
