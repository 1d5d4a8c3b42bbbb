//! Pages of other origins, on whose behalf a browser must not change anything.
//!
//! A browser sends a page's simple POST to any address without asking first, and a service on
//! loopback would obey it: whoever can show somebody a page could start tasks on their machine.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Method, Uri};

/// What those are told who may not.
pub const REFUSAL: &str = "A page of another origin may not change anything here; \
                           programs send no Origin header";

/// Whether a request would change something, and a page of another origin made a browser send
/// it. `allowed` are the origins that may, each as a browser writes it; `*` is none of them.
pub fn is_foreign_write(method: &Method, headers: &HeaderMap, allowed: &[String]) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match text(ORIGIN.as_str()) {
        Some(origin) => {
            let own = || {
                // No page can set the second without asking first; gateways do.
                let hosts = [text(HOST.as_str()), text("x-forwarded-host")];
                hosts.into_iter().flatten().any(|host| is_at(origin, host))
            };
            !allowed.iter().any(|allowed| allowed == origin) && !own()
        }
        None => text("sec-fetch-site") == Some("cross-site"),
    }
}

/// Whether an origin is that of a host. The scheme is a gateway's matter.
fn is_at(origin: &str, host: &str) -> bool {
    let Ok(uri) = origin.parse::<Uri>() else { return false };
    let Some(authority) = uri.authority() else { return false };
    let default = match uri.scheme_str() {
        Some("http") => ":80",
        Some("https") => ":443",
        _ => return false,
    };
    let bare = |text: &str| text.strip_suffix(default).unwrap_or(text).to_ascii_lowercase();
    bare(authority.as_str()) == bare(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: Method, headers: &[(&'static str, &'static str)]) -> bool {
        let pairs = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
        });
        is_foreign_write(&method, &pairs.collect(), &["https://ui.example.com".to_owned()])
    }

    #[test]
    fn pages_of_others_change_nothing() {
        let host = ("host", "127.0.0.1:8080");
        for origin in ["http://evil.com", "null", "http://127.0.0.1:3000", "", "*"] {
            assert!(refused(Method::POST, &[host, ("origin", origin)]), "{origin}");
            assert!(!refused(Method::GET, &[host, ("origin", origin)]), "{origin}");
        }
        assert!(refused(Method::DELETE, &[host, ("sec-fetch-site", "cross-site")]));
        assert!(refused(Method::PUT, &[("origin", "http://evil.com")]), "without a host");
    }

    #[test]
    fn programs_own_pages_and_those_allowed_do() {
        let host = ("host", "127.0.0.1:8080");
        for headers in [
            &[host][..],
            &[host, ("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")],
            &[host, ("origin", "https://ui.example.com"), ("sec-fetch-site", "cross-site")],
            &[host, ("sec-fetch-site", "none")],
            &[("host", "Gate.example.com"), ("origin", "https://gate.example.com")],
            &[("host", "gate:443"), ("origin", "https://gate")],
            &[host, ("x-forwarded-host", "gate"), ("origin", "https://gate")],
        ] {
            assert!(!refused(Method::POST, headers), "{headers:?}");
        }
    }
}
