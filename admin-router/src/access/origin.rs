//! Requests that a page of another origin made a browser send.
//!
//! A browser adds the cookies of the gateway to whatever a page sends there. So a cookie counts
//! for requests that change something, or open a WebSocket, only when the browser says that the
//! page is one of the gateway's own. Programs send `Authorization`, which no foreign page can.

use http::Method;
use proxy::{RequestHead, Scheme};

/// Whether a request that is authenticated by its cookie needs the proof of [`is_own`].
pub(crate) fn needs_proof(head: &RequestHead) -> bool {
    let safe =
        matches!(*head.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    !safe || head.header("upgrade").is_some()
}

/// Whether the browser says that a page of the gateway's own sent it. What says nothing, or
/// contradicts itself, is not.
pub(crate) fn is_own(head: &RequestHead, scheme: Scheme) -> bool {
    let mut sites = head.all("sec-fetch-site");
    let site = sites.next();
    let mut origins = head.all("origin");
    let origin = origins.next();
    if sites.next().is_some() || origins.next().is_some() {
        return false;
    }
    let by_site = site.map(|site| site == b"same-origin");
    let by_origin = origin.map(|origin| is_at(origin, head, scheme));
    match (by_site, by_origin) {
        (None, None) => false,
        (site, origin) => site.unwrap_or(true) && origin.unwrap_or(true),
    }
}

/// Whether an origin is that of the request's own `Host`. With TLS it must be `https`: who can
/// change what comes without must not gain by it.
fn is_at(origin: &[u8], head: &RequestHead, scheme: Scheme) -> bool {
    let mut hosts = head.all("host");
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let (Ok(origin), Ok(host)) = (std::str::from_utf8(origin), std::str::from_utf8(host)) else {
        return false;
    };
    let (at, port) = match (origin.strip_prefix("https://"), origin.strip_prefix("http://")) {
        (Some(at), _) => (at, ":443"),
        (None, Some(at)) if scheme == Scheme::Http => (at, ":80"),
        _ => return false,
    };
    let bare = |text| str::strip_suffix(text, port).unwrap_or(text);
    !host.is_empty() && bare(at).eq_ignore_ascii_case(bare(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Version;

    fn head(method: Method, headers: &[(&str, &str)]) -> RequestHead {
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        RequestHead::new(method, Version::HTTP_11, b"/", headers).unwrap()
    }

    fn own(headers: &[(&str, &str)]) -> bool {
        let host = [("host", "gate:8443")];
        let headers: Vec<_> = host.iter().chain(headers).copied().collect();
        is_own(&head(Method::POST, &headers), Scheme::Https)
    }

    #[test]
    fn what_changes_something_needs_proof() {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            assert!(needs_proof(&head(method, &[])));
        }
        assert!(needs_proof(&head(Method::from_bytes(b"PURGE").unwrap(), &[])));
        assert!(needs_proof(&head(Method::GET, &[("Upgrade", "websocket")])));
        assert!(!needs_proof(&head(Method::GET, &[])));
    }

    #[test]
    fn own_pages_are_recognised() {
        assert!(own(&[("origin", "https://gate:8443")]));
        assert!(own(&[("origin", "https://GATE:8443"), ("sec-fetch-site", "same-origin")]));
        assert!(own(&[("sec-fetch-site", "same-origin")]));
        let default = head(Method::POST, &[("host", "gate"), ("origin", "https://gate:443")]);
        assert!(is_own(&default, Scheme::Https));
        let plain = head(Method::POST, &[("host", "gate:80"), ("origin", "http://gate")]);
        assert!(is_own(&plain, Scheme::Http));
    }

    #[test]
    fn pages_of_others_are_not() {
        assert!(!own(&[]));
        for origin in [
            "https://evil",
            "null",
            "",
            "http://gate:8443",
            "https://gate",
            "https://gate:8444",
            "https://gate:8443.evil",
            "https://gate:8443/x",
            "gate:8443",
        ] {
            assert!(!own(&[("origin", origin)]), "{origin}");
            assert!(!own(&[("origin", origin), ("sec-fetch-site", "same-origin")]), "{origin}");
        }
        for site in ["cross-site", "same-site", "none", ""] {
            assert!(!own(&[("sec-fetch-site", site)]), "{site}");
            assert!(!own(&[("sec-fetch-site", site), ("origin", "https://gate:8443")]), "{site}");
        }
        assert!(!own(&[("origin", "https://gate:8443"), ("origin", "https://evil")]));
        assert!(!own(&[("host", "evil"), ("origin", "https://gate:8443")]));
    }
}
