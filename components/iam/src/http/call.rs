//! A request as endpoints see it: who sent it, from where, and its body.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use http_kit::{Body, Params, Response};
use serde_json::Value;

use crate::ApiError;

/// The largest body that most endpoints read.
pub(crate) const MAX_BODY: usize = 256 * 1024;
/// How long a client may take to send it.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Longer ids of requests are none.
const MAX_REQUEST_ID: usize = 128;

/// A request without its body.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) params: Params,
    pub(crate) peer: SocketAddr,
    /// Whether the peer is one whose word on the client is believed.
    pub(crate) forwarded: bool,
    /// The client behind the gateways that are believed.
    pub(crate) client: IpAddr,
    /// Whether the client speaks TLS with the gateway.
    pub(crate) tls: bool,
    pub(crate) request_id: String,
}

// === impl Call ===

impl Call {
    /// `proven` says that the peer showed that it is a gateway.
    pub(crate) fn new(head: Parts, peer: SocketAddr, proven: bool, trusted: &[IpAddr]) -> Call {
        let believed = proven || is_trusted(peer.ip(), trusted);
        let client = if believed { client(&head.headers, peer, trusted) } else { peer.ip() };
        let proto = head.headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
        Call {
            params: Params::of(&head.uri),
            method: head.method,
            forwarded: believed,
            client: client.to_canonical(),
            tls: believed && proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https")),
            request_id: request_id(&head.headers),
            headers: head.headers,
            peer,
        }
    }

    /// Whether the client takes JSON.
    pub(crate) fn accepts_json(&self) -> bool {
        let mut values = self.headers.get_all(ACCEPT).iter().peekable();
        if values.peek().is_none() {
            return true;
        }
        let ranges = values.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
        ranges.into_iter().any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let refused = parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
            !refused && matches!(kind.as_str(), "" | "*/*" | "application/*" | "application/json")
        })
    }

    /// Whether a browser asks.
    pub(crate) fn is_browser(&self) -> bool {
        let accept = self.headers.get(ACCEPT).and_then(|value| value.to_str().ok());
        accept.is_some_and(|accept| accept.to_ascii_lowercase().contains("text/html"))
    }
}

/// Reads a body of at most `limit` bytes, whatever is in it.
pub(crate) async fn read(body: Body, limit: usize) -> Result<bytes::Bytes, Response> {
    match tokio::time::timeout(BODY_TIMEOUT, http_kit::read_body(body, limit)).await {
        Ok(read) => read,
        Err(_) => Err(http_kit::respond::text(
            StatusCode::REQUEST_TIMEOUT,
            "The body did not arrive in time.",
        )),
    }
}

/// A body as JSON; `None` where there is none, or a form.
pub(crate) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Option<Value>, ApiError> {
    if body.is_empty() {
        return Ok(None);
    }
    let Some(kind) = headers.get(CONTENT_TYPE) else {
        return Err(ApiError::malformed("Missing Content-Type header."));
    };
    let kind = kind.to_str().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/json" => json(body).map(Some),
        "application/x-www-form-urlencoded" => match std::str::from_utf8(body) {
            Ok(_) => Ok(None),
            Err(_) => Err(ApiError::malformed("Cannot decode form body using UTF-8 codec")),
        },
        _ => Err(ApiError::unsupported_media_type("Unexpected or undefined Content-Type")),
    }
}

fn json(body: &[u8]) -> Result<Value, ApiError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let reason =
            if error.error_len().is_some() { "invalid byte" } else { "unexpected end of data" };
        ApiError::malformed(format!("Cannot decode JSON body using UTF-8. Reason: {reason}"))
    })?;
    serde_json::from_str(text)
        .map_err(|error| ApiError::malformed(format!("Cannot decode JSON body: {error}")))
}

fn is_trusted(address: IpAddr, trusted: &[IpAddr]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|other| other.to_canonical() == address)
}

/// The last address that nobody who is believed has: what stands before it, the client could
/// have written.
fn client(headers: &HeaderMap, peer: SocketAddr, trusted: &[IpAddr]) -> IpAddr {
    let mut found = peer.ip();
    let values = headers.get_all("x-forwarded-for").iter();
    let texts: Vec<&str> = values.map(|value| value.to_str().unwrap_or_default()).collect();
    for text in texts.iter().rev().flat_map(|text| text.rsplit(',')) {
        let Some(address) = address(text.trim()) else { break };
        found = address;
        if !is_trusted(address, trusted) {
            break;
        }
    }
    found
}

fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(with_port).or_else(bracketed)
}

/// Reads what gateways say of a client.
pub(crate) fn fuzz_forwarded(headers: &HeaderMap) {
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    let _ = (client(headers, peer, &[]), request_id(headers));
}

fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get("x-request-id").and_then(|value| value.to_str().ok());
    let good = |id: &&str| id.len() <= MAX_REQUEST_ID && id.bytes().all(|b| b.is_ascii_graphic());
    given.filter(good).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// On loopback there is a gateway that proved itself.
    fn call(peer: &str, headers: &[(&'static str, &'static str)]) -> Call {
        let proven = peer.parse::<IpAddr>().unwrap().is_loopback();
        call_of(peer, proven, headers)
    }

    fn call_of(peer: &str, proven: bool, headers: &[(&'static str, &'static str)]) -> Call {
        let mut request = http::Request::new(());
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        Call::new(request.into_parts().0, peer, proven, &["10.0.0.9".parse().unwrap()])
    }

    fn from(peer: &str, forwarded: &[&'static str]) -> String {
        let headers: Vec<_> = forwarded.iter().map(|value| ("x-forwarded-for", *value)).collect();
        call(peer, &headers).client.to_string()
    }

    #[test]
    fn only_gateways_say_who_the_client_is() {
        assert_eq!(from("192.0.2.1", &["203.0.113.7"]), "192.0.2.1");
        assert_eq!(from("127.0.0.1", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(from("10.0.0.9", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(from("127.0.0.1", &[]), "127.0.0.1");
        // What a client wrote itself stands before what the gateway added.
        assert_eq!(from("127.0.0.1", &["1.2.3.4, 203.0.113.7"]), "203.0.113.7");
        assert_eq!(from("127.0.0.1", &["1.2.3.4", "203.0.113.7, 10.0.0.9"]), "203.0.113.7");
        assert_eq!(from("127.0.0.1", &["x, 10.0.0.9"]), "10.0.0.9");
        assert_eq!(from("127.0.0.1", &["nonsense"]), "127.0.0.1");
        assert_eq!(from("::1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(from("::ffff:192.0.2.1", &["203.0.113.7"]), "192.0.2.1");
        assert_eq!(from("127.0.0.1", &["203.0.113.7, 127.0.0.1"]), "127.0.0.1");
        let unproven = call_of("127.0.0.1", false, &[("x-forwarded-for", "203.0.113.7")]);
        assert_eq!(unproven.client.to_string(), "127.0.0.1");
        let unproven = call_of("127.0.0.1", false, &[("x-forwarded-proto", "https")]);
        assert!(!unproven.tls);
    }

    #[test]
    fn only_gateways_say_that_there_is_tls() {
        assert!(call("127.0.0.1", &[("x-forwarded-proto", "https")]).tls);
        assert!(!call("127.0.0.1", &[("x-forwarded-proto", "http")]).tls);
        assert!(!call("127.0.0.1", &[]).tls);
        assert!(!call("192.0.2.1", &[("x-forwarded-proto", "https")]).tls);
    }

    #[test]
    fn json_is_taken_or_not() {
        let accepts = |value| call("::1", &[("accept", value)]).accepts_json();
        for good in ["*/*", "application/json", "text/html, */*;q=0.8", "application/*", ""] {
            assert!(accepts(good), "{good}");
        }
        for bad in ["text/html", "text/html, application/json;q=0", "image/png"] {
            assert!(!accepts(bad), "{bad}");
        }
        assert!(call("::1", &[]).accepts_json());
    }

    #[test]
    fn bodies_are_refused_in_the_originals_words() {
        let parse = |kind: Option<&'static str>, body: &[u8]| {
            let mut headers = HeaderMap::new();
            if let Some(kind) = kind {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            }
            super::parse(&headers, body).map_err(|error| (error.status.as_u16(), error.description))
        };
        let json = Some("application/json; charset=utf-8");
        assert_eq!(parse(json, b"{}"), Ok(Some(serde_json::json!({}))));
        assert_eq!(parse(Some("text/x"), b""), Ok(None));
        assert_eq!(parse(Some("application/x-www-form-urlencoded"), b"x"), Ok(None));
        assert_eq!(parse(None, b"x"), Err((400, "Missing Content-Type header.".to_owned())));
        let (status, text) = parse(Some("text/plain"), b"{}").unwrap_err();
        assert_eq!((status, &*text), (415, "Unexpected or undefined Content-Type"));
        assert!(
            parse(json, b"\x01\x80")
                .unwrap_err()
                .1
                .starts_with("Cannot decode JSON body using UTF-8. Reason:")
        );
        assert!(parse(json, b"x").unwrap_err().1.starts_with("Cannot decode JSON body: "));
        let deep = "[".repeat(100_000);
        assert!(parse(json, deep.as_bytes()).is_err());
    }
}
