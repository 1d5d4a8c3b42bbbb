//! Header lines, as places in the bytes of their head.

use smallvec::SmallVec;

/// One header: where its name and value stand, and which it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    name_at: u32,
    value_at: u32,
    value_len: u32,
    name_len: u16,
    pub(crate) kind: Kind,
}

pub(crate) type Fields = SmallVec<[Field; 16]>;

/// The headers that the engine itself has to do with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Other,
    Connection,
    KeepAlive,
    ProxyConnection,
    ProxyAuthenticate,
    ProxyAuthorization,
    TransferEncoding,
    Te,
    Trailer,
    Upgrade,
    Http2Settings,
    ContentLength,
    Host,
    Expect,
    Cookie,
    XForwardedFor,
    XForwardedProto,
    XForwardedHost,
    XForwardedPort,
    Forwarded,
    XRealIp,
    XRequestId,
    /// Another name under which proxies say where a request comes from.
    Origin,
    /// A target that some programs take instead of the one in the first line.
    OtherTarget,
}

// === impl Kind ===

impl Kind {
    pub(crate) fn of(name: &[u8]) -> Kind {
        // Nearly all names are told apart by their length and first letter.
        let first = name.first().map_or(0, u8::to_ascii_lowercase);
        let candidates: &[(&str, Kind)] = match (first, name.len()) {
            (b'c', 6) => &[("cookie", Kind::Cookie)],
            (b'c', 10) => &[("connection", Kind::Connection)],
            (b'c', 14) => &[("content-length", Kind::ContentLength)],
            (b'e', 6) => &[("expect", Kind::Expect)],
            (b'f', 9) => &[("forwarded", Kind::Forwarded)],
            (b'h', 4) => &[("host", Kind::Host)],
            (b'h', 14) => &[("http2-settings", Kind::Http2Settings)],
            (b'k', 10) => &[("keep-alive", Kind::KeepAlive)],
            (b'p', 16) => &[("proxy-connection", Kind::ProxyConnection)],
            (b'p', 18) => &[("proxy-authenticate", Kind::ProxyAuthenticate)],
            (b'p', 19) => &[("proxy-authorization", Kind::ProxyAuthorization)],
            (b't', 2) => &[("te", Kind::Te)],
            (b't', 7) => &[("trailer", Kind::Trailer)],
            (b't', 14) => &[("true-client-ip", Kind::Origin)],
            (b't', 17) => &[("transfer-encoding", Kind::TransferEncoding)],
            (b'u', 7) => &[("upgrade", Kind::Upgrade)],
            (b'x', _) => return Kind::of_x(name),
            _ => &[],
        };
        Kind::among(candidates, name)
    }

    fn among(candidates: &[(&str, Kind)], name: &[u8]) -> Kind {
        let same = |(known, _): &&(&str, Kind)| known.as_bytes().eq_ignore_ascii_case(name);
        candidates.iter().find(same).map_or(Kind::Other, |(_, kind)| *kind)
    }

    fn of_x(name: &[u8]) -> Kind {
        let candidates: &[(&str, Kind)] = match name.len() {
            9 => &[("x-real-ip", Kind::XRealIp)],
            11 => &[("x-client-ip", Kind::Origin), ("x-forwarded", Kind::Origin)],
            12 => &[("x-request-id", Kind::XRequestId)],
            13 => &[("x-rewrite-url", Kind::OtherTarget)],
            14 => &[("x-original-url", Kind::OtherTarget)],
            15 => &[("x-forwarded-for", Kind::XForwardedFor), ("x-original-host", Kind::Origin)],
            16 => &[
                ("x-forwarded-host", Kind::XForwardedHost),
                ("x-forwarded-port", Kind::XForwardedPort),
            ],
            17 => &[("x-forwarded-proto", Kind::XForwardedProto)],
            _ => &[],
        };
        match Kind::among(candidates, name) {
            Kind::Other if is_forwarded(name) => Kind::Origin,
            kind => kind,
        }
    }

    /// Whether a header is about one connection only, and never goes on.
    pub(crate) fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Kind::Connection
                | Kind::KeepAlive
                | Kind::ProxyConnection
                | Kind::ProxyAuthenticate
                | Kind::ProxyAuthorization
                | Kind::TransferEncoding
                | Kind::Te
                | Kind::Trailer
                | Kind::Upgrade
                | Kind::Http2Settings
        )
    }
}

/// Whatever a proxy tells in this family is its word, not a client's: a prefix of the path, a
/// scheme, a user.
fn is_forwarded(name: &[u8]) -> bool {
    const FAMILY: &[u8] = b"x-forwarded-";
    name.get(..FAMILY.len()).is_some_and(|start| start.eq_ignore_ascii_case(FAMILY))
}

// === impl Field ===

impl Field {
    /// `name` and `value` stand in a text that begins at the address `base`.
    pub(crate) fn within(base: usize, name: &[u8], value: &[u8]) -> Field {
        Field::at(
            (name.as_ptr() as usize).wrapping_sub(base),
            name,
            (value.as_ptr() as usize).wrapping_sub(base),
            value.len(),
        )
    }

    /// Heads are limited to far less than what the numbers hold.
    pub(crate) fn at(name_at: usize, name: &[u8], value_at: usize, value_len: usize) -> Field {
        Field {
            name_at: name_at as u32,
            value_at: value_at as u32,
            value_len: value_len as u32,
            name_len: name.len() as u16,
            kind: Kind::of(name),
        }
    }

    pub(crate) fn name<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.name_at as usize;
        bytes.get(start..start + usize::from(self.name_len)).unwrap_or_default()
    }

    pub(crate) fn value<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.value_at as usize;
        bytes.get(start..start + self.value_len as usize).unwrap_or_default()
    }
}

/// What `Connection` headers say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConnectionOptions {
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
    /// Names of headers that must not go on stand there too.
    pub(crate) names: bool,
}

// === impl ConnectionOptions ===

impl ConnectionOptions {
    pub(crate) fn add(&mut self, value: &[u8]) {
        for option in super::elements(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else if !option.eq_ignore_ascii_case(b"te") {
                self.names = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_known_in_any_case() {
        assert_eq!(Kind::of(b"Transfer-Encoding"), Kind::TransferEncoding);
        assert_eq!(Kind::of(b"TE"), Kind::Te);
        assert_eq!(Kind::of(b"x-FORWARDED-for"), Kind::XForwardedFor);
        assert_eq!(Kind::of(b"x-forwarded-fox"), Kind::Origin);
        assert_eq!(Kind::of(b"x-forwardedfox"), Kind::Other);
        assert_eq!(Kind::of(b""), Kind::Other);
        for (name, kind) in [
            ("Connection", Kind::Connection),
            ("Keep-Alive", Kind::KeepAlive),
            ("Proxy-Connection", Kind::ProxyConnection),
            ("Proxy-Authenticate", Kind::ProxyAuthenticate),
            ("Proxy-Authorization", Kind::ProxyAuthorization),
            ("Trailer", Kind::Trailer),
            ("Upgrade", Kind::Upgrade),
            ("HTTP2-Settings", Kind::Http2Settings),
            ("Content-Length", Kind::ContentLength),
            ("Host", Kind::Host),
            ("Expect", Kind::Expect),
            ("Cookie", Kind::Cookie),
            ("X-Forwarded-Proto", Kind::XForwardedProto),
            ("X-Forwarded-Host", Kind::XForwardedHost),
            ("X-Forwarded-Port", Kind::XForwardedPort),
            ("Forwarded", Kind::Forwarded),
            ("X-Real-IP", Kind::XRealIp),
            ("X-Request-Id", Kind::XRequestId),
            ("X-Client-IP", Kind::Origin),
            ("True-Client-IP", Kind::Origin),
            ("X-Original-Host", Kind::Origin),
            ("X-Original-URL", Kind::OtherTarget),
            ("X-Rewrite-URL", Kind::OtherTarget),
        ] {
            assert_eq!(Kind::of(name.as_bytes()), kind, "{name}");
            assert_eq!(Kind::of(name.to_ascii_lowercase().as_bytes()), kind, "{name}");
            assert_eq!(
                Kind::of(format!("{name}x").as_bytes()),
                match kind {
                    _ if name.starts_with("X-Forwarded-") => Kind::Origin,
                    _ => Kind::Other,
                }
            );
        }
    }

    #[test]
    fn options_are_told_from_names() {
        let mut options = ConnectionOptions::default();
        options.add(b"Keep-Alive,, Upgrade ,");
        assert!(options.keep_alive && options.upgrade && !options.close && !options.names);
        options.add(b"close");
        options.add(b"x-mine");
        assert!(options.close && options.names);
    }
}
