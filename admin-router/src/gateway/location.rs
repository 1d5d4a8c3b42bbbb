//! Redirects of upstreams, mapped to where they are behind the gateway; answers that nobody may
//! keep; and what an upstream may not say about the gateway's own origin.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::HeaderValue;
use http::header::{
    CACHE_CONTROL, EXPIRES, HeaderName, LOCATION, PRAGMA, SET_COOKIE, STRICT_TRANSPORT_SECURITY,
};
use proxy::{RequestHead, ResponseEdit, ResponseHead, Scheme};

use crate::access::credentials::COOKIES;
use crate::cluster::Service;

/// Maps `Location` to below a prefix.
pub(super) struct Mapped {
    head: Arc<RequestHead>,
    rule: Rule,
}

enum Rule {
    /// `http://<Host>/x` is `<prefix>/x`.
    Below(&'static str),
    /// What the original does for services, below `/service/<path>`.
    Service(Arc<Service>, Bytes),
}

/// Tells clients not to keep an answer, in the original's words.
pub(super) struct NoStore;

/// Lets an upstream say nothing that would hold for the whole origin, which it only shares: no
/// cookies of a login, no worker over all paths, no clearing of what others keep.
pub(super) struct Guest;

// === impl Mapped ===

impl Mapped {
    pub(super) fn below(prefix: &'static str, head: Arc<RequestHead>) -> Mapped {
        Mapped { head, rule: Rule::Below(prefix) }
    }

    /// `prefix` is where the service is behind the gateway, without a slash at the end.
    pub(super) fn service(service: Arc<Service>, prefix: Bytes, head: Arc<RequestHead>) -> Mapped {
        Mapped { head, rule: Rule::Service(service, prefix) }
    }

    fn map(&self, location: &str) -> Option<String> {
        let host = std::str::from_utf8(self.head.header("host")?).ok()?;
        match &self.rule {
            Rule::Below(prefix) => {
                let rest = of_host(location, "http://", host)?;
                Some(format!("{prefix}{rest}"))
            }
            Rule::Service(service, prefix) => {
                let prefix = std::str::from_utf8(prefix).ok()?;
                map_service(location, service.scheme, prefix, host)
            }
        }
    }
}

impl ResponseEdit for Mapped {
    fn edit(&self, response: &mut ResponseHead) {
        Guest.edit(response);
        for (name, value) in &mut response.headers {
            if *name != LOCATION {
                continue;
            }
            let mapped = value.to_str().ok().and_then(|location| self.map(location));
            if let Some(mapped) = mapped.and_then(|mapped| HeaderValue::try_from(mapped).ok()) {
                *value = mapped;
            }
        }
    }
}

/// Where a redirect of a service leads behind the gateway; none leaves it as it is.
fn map_service(location: &str, scheme: Scheme, prefix: &str, host: &str) -> Option<String> {
    let scheme = match scheme {
        Scheme::Http => "http://",
        Scheme::Https => "https://",
    };
    let path = match of_host(location, scheme, host) {
        Some(path) => path,
        // Two slashes begin another host's name.
        None if location.starts_with('/') && !location.starts_with("//") => location,
        None => return None,
    };
    let rest = path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match rest {
        Some(_) => Some(path.to_owned()),
        None => Some(format!("{prefix}{path}")),
    }
}

/// The path of a URL of this scheme and host, beginning with a slash. The port does not matter:
/// services see the client's, and some leave it out.
fn of_host<'a>(location: &'a str, scheme: &str, host: &str) -> Option<&'a str> {
    let (start, rest) = location.split_at_checked(scheme.len())?;
    if !start.eq_ignore_ascii_case(scheme) {
        return None;
    }
    let (at, path) = rest.split_at_checked(rest.find('/')?)?;
    let name = |text| match str::rsplit_once(text, ':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => text,
    };
    let same = at.eq_ignore_ascii_case(host) || at.eq_ignore_ascii_case(name(host));
    same.then_some(path)
}

// === impl NoStore ===

impl NoStore {
    /// The one there is.
    pub(super) fn shared() -> Arc<dyn ResponseEdit> {
        static SHARED: LazyLock<Arc<NoStore>> = LazyLock::new(|| Arc::new(NoStore));
        Arc::<NoStore>::clone(&SHARED)
    }
}

impl ResponseEdit for NoStore {
    fn edit(&self, response: &mut ResponseHead) {
        let headers: [(HeaderName, &str); 3] = [
            (CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
            (PRAGMA, "no-cache"),
            (EXPIRES, "0"),
        ];
        for (name, value) in headers {
            response.headers.retain(|(known, _)| *known != name);
            response.headers.push((name, HeaderValue::from_static(value)));
        }
    }
}

// === impl Guest ===

impl Guest {
    /// The one there is.
    pub(super) fn shared() -> Arc<dyn ResponseEdit> {
        static SHARED: LazyLock<Arc<Guest>> = LazyLock::new(|| Arc::new(Guest));
        Arc::<Guest>::clone(&SHARED)
    }
}

impl ResponseEdit for Guest {
    fn edit(&self, response: &mut ResponseHead) {
        response.headers.retain(|(name, value)| match name.as_str() {
            "service-worker-allowed" | "clear-site-data" => false,
            _ if *name == STRICT_TRANSPORT_SECURITY => false,
            _ => *name != SET_COOKIE || !sets_login(value.as_bytes()),
        });
    }
}

/// Whether a `Set-Cookie` would come back as a cookie of a login. A cookie without a name comes
/// back as its value alone, which may look like a name and a value.
fn sets_login(cookie: &[u8]) -> bool {
    let skipped = |byte: &u8| *byte == b'=' || byte.is_ascii_whitespace();
    let start = cookie.iter().position(|byte| !skipped(byte)).unwrap_or(cookie.len());
    let rest = cookie.get(start..).unwrap_or_default();
    let name = rest.split(|byte| matches!(byte, b'=' | b';')).next().unwrap_or_default();
    COOKIES.iter().any(|own| name.trim_ascii().eq_ignore_ascii_case(own.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_says_nothing_about_the_whole_origin() {
        for (name, value, stays) in [
            ("set-cookie", "dcos-acs-auth-cookie=x; Path=/", false),
            ("set-cookie", " \tdcos-acs-auth-cookie =x", false),
            ("set-cookie", "=dcos-acs-auth-cookie=x", false),
            ("set-cookie", "= =DCOS-acs-info-cookie", false),
            ("set-cookie", "dcos-acs-info-cookie;Path=/service", false),
            ("set-cookie", "session=dcos-acs-auth-cookie=x", true),
            ("set-cookie", "xdcos-acs-auth-cookie=x", true),
            ("set-cookie", "", true),
            ("service-worker-allowed", "/", false),
            ("clear-site-data", "\"cookies\"", false),
            ("strict-transport-security", "max-age=1", false),
            ("content-type", "text/html", true),
        ] {
            let header = (HeaderName::from_static(name), HeaderValue::from_static(value));
            let mut response = ResponseHead { status: http::StatusCode::OK, headers: vec![header] };
            Guest::shared().edit(&mut response);
            assert_eq!(!response.headers.is_empty(), stays, "{name}: {value}");
        }
    }

    #[test]
    fn redirects_of_services_stay_below_their_path() {
        for (location, expected) in [
            ("/", Some("/service/a/b/")),
            ("/x?y#z", Some("/service/a/b/x?y#z")),
            ("/service/a/b/x", Some("/service/a/b/x")),
            ("/service/a/bc", Some("/service/a/b/service/a/bc")),
            ("http://gate/x", Some("/service/a/b/x")),
            ("HTTP://Gate:8443/x", Some("/service/a/b/x")),
            ("http://gate/service/a/b/x", Some("/service/a/b/x")),
            // Elsewhere, relative, or another scheme: as the service says it.
            ("https://gate/x", None),
            ("http://gate:1/x", None),
            ("http://other/x", None),
            ("http://gate", None),
            ("http://gate.evil/x", None),
            ("//other/x", None),
            ("x", None),
            ("", None),
        ] {
            let mapped = map_service(location, Scheme::Http, "/service/a/b", "gate:8443");
            assert_eq!(mapped.as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn redirects_of_servers_stay_below_their_route() {
        let host = [(&b"host"[..], &b"gate:8443"[..])];
        let head = RequestHead::new(http::Method::GET, http::Version::HTTP_11, b"/", host).unwrap();
        let mapped = Mapped::below("/exhibitor", Arc::new(head));
        let location = |text: &'static str| {
            let headers = vec![(LOCATION, HeaderValue::from_static(text))];
            let mut response = ResponseHead { status: http::StatusCode::FOUND, headers };
            mapped.edit(&mut response);
            response.headers[0].1.clone()
        };
        assert_eq!(location("http://gate:8443/x"), "/exhibitor/x");
        assert_eq!(location("https://gate:8443/x"), "https://gate:8443/x");
        assert_eq!(location("/x"), "/x");
    }

    #[test]
    fn nobody_keeps_what_must_not_be_kept() {
        let kept = (CACHE_CONTROL, HeaderValue::from_static("max-age=99"));
        let mut response = ResponseHead { status: http::StatusCode::OK, headers: vec![kept] };
        NoStore::shared().edit(&mut response);
        let values = response.headers.iter().map(|(_, value)| value.to_str().unwrap());
        assert_eq!(
            values.collect::<Vec<_>>(),
            ["no-cache, no-store, must-revalidate", "no-cache", "0"]
        );
    }
}
