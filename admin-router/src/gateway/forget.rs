//! Has a browser forget the cookies of a login, wherever they were set for.
//!
//! A cookie is known by its name, domain and path, and a request does not say which its cookies
//! have. But a browser sends those only whose domain and path are beginnings of the request's
//! own, so that all there can be are few.

use http::{HeaderName, HeaderValue, header};
use proxy::{RequestHead, Scheme};

use crate::access::credentials::TOKEN_COOKIE;

/// How many segments of the path a cookie may be set for; deeper ones are for single pages.
const DEEPEST: usize = 4;
/// How many domains above the gateway's own name.
const DOMAINS: usize = 3;

/// What an answer needs for it.
pub(super) fn cookies(
    head: &RequestHead,
    scheme: Scheme,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    // A browser takes that attribute only with TLS.
    let secure = if scheme == Scheme::Https { "; Secure" } else { "" };
    let host = head.header("host").and_then(|host| std::str::from_utf8(host).ok());
    let domains = domains(host.unwrap_or_default());
    let mut headers = Vec::new();
    for path in paths(head.path().as_str()) {
        for domain in &domains {
            let text = format!("{TOKEN_COOKIE}=; Path={path}{domain}; Max-Age=0; HttpOnly{secure}");
            headers.extend(HeaderValue::try_from(text).map(|value| (header::SET_COOKIE, value)));
        }
    }
    headers.into_iter()
}

/// `/`, and the beginnings of a path with and without a slash at their end.
fn paths(path: &str) -> Vec<String> {
    let mut paths = vec!["/".to_owned()];
    let mut begin = String::new();
    // A semicolon would end the attribute.
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    for segment in segments.take(DEEPEST).take_while(|segment| !segment.contains(';')) {
        begin = format!("{begin}/{segment}");
        paths.extend([begin.clone(), format!("{begin}/")]);
    }
    paths
}

/// The attribute for each domain, and none for the host alone.
fn domains(host: &str) -> Vec<String> {
    let mut domains = vec![String::new()];
    let mut name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_name = name.bytes().all(good) && name.parse::<std::net::IpAddr>().is_err();
    while is_name && domains.len() <= DOMAINS && name.contains('.') {
        domains.push(format!("; Domain={name}"));
        name = name.split_once('.').map_or("", |(_, parent)| parent);
    }
    domains
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_of_paths_and_domains_are_few() {
        assert_eq!(paths("/"), ["/"]);
        let expected = ["/", "/service", "/service/", "/service/evil", "/service/evil/"];
        assert_eq!(paths("/service/evil"), expected);
        assert_eq!(paths("/a;b/c"), ["/"]);
        assert_eq!(paths("/1/2/3/4/5/6").len(), 1 + 2 * DEEPEST);
        assert_eq!(domains("localhost:8443"), [""]);
        assert_eq!(domains("10.0.0.1:8443"), [""]);
        assert_eq!(domains("[::1]:8443"), [""]);
        let expected = ["", "; Domain=gate.example.com", "; Domain=example.com"];
        assert_eq!(domains("gate.example.com"), expected);
        assert_eq!(domains("a.b.c.d.e.f").len(), 1 + DOMAINS);
    }
}
