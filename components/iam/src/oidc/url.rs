//! Which URLs are spoken to and sent to: over TLS, or on this machine.

use std::net::IpAddr;

use http::Uri;

const MAX_URL: usize = 2048;
const MAX_TARGET: usize = 4096;
/// The end of a login that shows its token instead of going anywhere.
const SHOW_TOKEN: &str = "dcos:authenticationresponse:html";
/// The same, but the page can hand the token to a program on the user's machine: a port and the
/// program's number of this login follow.
const HAND_TOKEN: &str = "dcos:authenticationresponse:loopback:";

/// Where a provider stands: what may be asked of it follows from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// Anywhere, over TLS.
    Remote,
    /// On this machine, for tests and providers beside the gateway.
    Loopback,
}

/// Where a browser goes after a login.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Target {
    /// A path of the cluster.
    Path(String),
    /// A page that shows the token, for a command line to be pasted into.
    Token,
    /// The same page, with a button that sends the token to a program on this machine.
    Program { port: u16, number: String },
}

/// Checks an issuer: its configuration is fetched from below it.
pub(crate) fn issuer(text: &str) -> Result<Site, &'static str> {
    let uri = parse(text)?;
    if uri.query().is_some() {
        return Err("it must not have a query");
    }
    site(&uri)
}

/// Checks the cluster's own URL: a scheme and an authority, no path.
pub(crate) fn base_url(text: &str) -> Result<Site, &'static str> {
    let uri = parse(text)?;
    if uri.query().is_some() || uri.path() != "/" {
        return Err("it must be https://host[:port] and nothing more");
    }
    site(&uri)
}

/// Checks an endpoint that a provider's own configuration names. A provider elsewhere cannot
/// point at this machine, nor at addresses that only this machine sees.
pub(super) fn endpoint(text: &str, provider: Site) -> Result<Uri, &'static str> {
    let uri = parse(text)?;
    let own = site(&uri)?;
    if provider == Site::Remote && (own == Site::Loopback || is_inward(&uri)) {
        return Err("a provider elsewhere cannot name an address of this machine");
    }
    Ok(uri)
}

/// A target as a browser brought it: a path of this cluster, also with the cluster's own
/// address before it. Anything else would send people elsewhere with our good name.
pub(crate) fn target(text: Option<&str>, base: &str) -> Result<Target, &'static str> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(Target::Path("/".to_owned()));
    };
    if text == SHOW_TOKEN {
        return Ok(Target::Token);
    }
    if let Some(program) = text.strip_prefix(HAND_TOKEN) {
        return program_of(program).ok_or("it names no program");
    }
    let base = base.trim_end_matches('/');
    let path = match text.strip_prefix(base) {
        Some("") => "/",
        Some(rest) => rest,
        None => text,
    };
    if is_local(path) { Ok(Target::Path(path.to_owned())) } else { Err("it leads elsewhere") }
}

/// The target that a command line's own parameters stand for: `redirect_uri` on this machine, and
/// the number by which it knows its login again.
pub(crate) fn program(redirect_uri: &str, number: &str) -> Option<String> {
    let port = redirect_uri
        .strip_prefix("http://localhost:")
        .or_else(|| redirect_uri.strip_prefix("http://127.0.0.1:"))?;
    let target = format!("{}:{number}", port.trim_end_matches('/'));
    program_of(&target).map(|_| format!("{HAND_TOKEN}{target}"))
}

fn program_of(text: &str) -> Option<Target> {
    let (port, number) = text.split_once(':')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let fits = (16..=128).contains(&number.len()) && number.bytes().all(plain);
    let port = port.parse().ok().filter(|port| *port >= 1024 && fits)?;
    Some(Target::Program { port, number: number.to_owned() })
}

/// One slash, and nothing that a browser could read as a second one: browsers take `\` for `/`
/// and leave out tabs and newlines.
fn is_local(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    path.len() <= MAX_TARGET
        && path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(plain)
}

fn parse(text: &str) -> Result<Uri, &'static str> {
    let graphic = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.len() > MAX_URL || !graphic || text.contains(['#', '\\']) {
        return Err("it is not a URL");
    }
    let uri: Uri = text.parse().map_err(|_| "it is not a URL")?;
    let authority = uri.authority().ok_or("it has no host")?;
    if authority.as_str().contains('@') {
        return Err("it must not have a user in it");
    }
    Ok(uri)
}

fn site(uri: &Uri) -> Result<Site, &'static str> {
    let host = host(uri);
    if host.is_empty() {
        return Err("it has no host");
    }
    let loopback = match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    };
    match (uri.scheme_str(), loopback) {
        (Some("https" | "http"), true) => Ok(Site::Loopback),
        (Some("https"), false) => Ok(Site::Remote),
        _ => Err("it must begin with https://"),
    }
}

fn host(uri: &Uri) -> &str {
    uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

/// Addresses that mean something else to each machine: where clouds answer questions about it.
fn is_inward(uri: &Uri) -> bool {
    match host(uri).parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(v4)) => v4.is_link_local() || v4.is_unspecified() || v4.is_multicast(),
        Ok(IpAddr::V6(v6)) => {
            v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast()
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_reached_over_tls_or_on_this_machine() {
        assert_eq!(issuer("https://idp.example.com/realms/x"), Ok(Site::Remote));
        assert_eq!(issuer("https://idp.example.com:8443/"), Ok(Site::Remote));
        assert_eq!(issuer("http://127.0.0.1:5556/dex"), Ok(Site::Loopback));
        assert_eq!(issuer("http://[::1]:5556"), Ok(Site::Loopback));
        assert_eq!(issuer("https://localhost"), Ok(Site::Loopback));
        let bad = [
            "",
            "idp.example.com",
            "/path",
            "http://idp.example.com",
            "ftp://idp.example.com",
            "https://",
            "https://a@b",
            "https://a:b@c",
            "https://a/?q",
            "https://a/#f",
            "https://a b",
            "https:\\\\a",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "javascript:alert(1)",
        ];
        for text in bad {
            assert!(issuer(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_provider_elsewhere_cannot_point_inwards() {
        assert!(endpoint("https://idp.example.com/token?x=y", Site::Remote).is_ok());
        let inward = [
            "http://127.0.0.1/token",
            "https://127.0.0.1/token",
            "https://localhost/token",
            "https://[::1]/",
            "https://169.254.169.254/latest",
            "https://0.0.0.0/",
            "https://[fe80::1]/",
            "https://[::ffff:127.0.0.1]/",
            "http://idp.example.com/token",
        ];
        for text in inward {
            assert!(endpoint(text, Site::Remote).is_err(), "{text}");
        }
        assert!(endpoint("http://127.0.0.1:1/token", Site::Loopback).is_ok());
    }

    #[test]
    fn targets_stay_here() {
        let base = "https://cluster.example.com";
        let path = |text: &str| Ok(Target::Path(text.to_owned()));
        let go = |text: &str| target(Some(text), base);
        assert_eq!(target(None, base), path("/"));
        assert_eq!(go(""), path("/"));
        assert_eq!(go("/service/x/?a=b#c"), path("/service/x/?a=b#c"));
        assert_eq!(go("https://cluster.example.com/a"), path("/a"));
        assert_eq!(go("https://cluster.example.com"), path("/"));
        assert_eq!(go(SHOW_TOKEN), Ok(Target::Token));
        let elsewhere = [
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "https://cluster.example.com.evil.example/",
            "https://cluster.example.com@evil.example/",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/\n",
            "/ä",
            "evil",
            "https:/evil.example",
            "https://cluster.example.com//evil.example",
            "/a\r\nSet-Cookie: x=y",
            " /a",
        ];
        for text in elsewhere {
            assert!(go(text).is_err(), "{text:?}");
        }
        assert!(go(&format!("/{}", "a".repeat(MAX_TARGET))).is_err());
    }

    #[test]
    fn a_program_is_on_this_machine() {
        let number = "0123456789abcdef-_AZ";
        for redirect in ["http://localhost:4567", "http://127.0.0.1:4567/"] {
            let text = program(redirect, number).unwrap();
            let expected = Target::Program { port: 4567, number: number.to_owned() };
            assert_eq!(target(Some(&text), "https://a.b"), Ok(expected), "{redirect}");
        }
        for redirect in [
            "http://evil.example:4567",
            "http://localhost.evil.example:4567",
            "http://localhost:4567.evil.example",
            "http://localhost:4567@evil.example",
            "http://localhost:4567/x",
            "http://localhost:80",
            "http://localhost:99999",
            "https://localhost:4567",
            "http://localhost",
            "",
        ] {
            assert_eq!(program(redirect, number), None, "{redirect}");
        }
        for number in ["", "short", "0123456789abcdef\"><script>", &"a".repeat(129)] {
            assert_eq!(program("http://localhost:4567", number), None, "{number}");
            let text = format!("{HAND_TOKEN}4567:{number}");
            assert!(target(Some(&text), "https://a.b").is_err(), "{number}");
        }
    }

    proptest::proptest! {
        /// What is allowed begins with exactly one slash, whatever browsers make of it.
        #[test]
        fn no_target_leads_elsewhere(text in "[/\\\\a-z:.@?#\t ]{0,24}") {
            if let Ok(Target::Path(path)) = target(Some(&text), "https://a.b") {
                proptest::prop_assert!(path.starts_with('/') && !path.starts_with("//"));
                proptest::prop_assert!(!path.contains(['\\', '\t', ' ']));
            }
        }
    }
}
