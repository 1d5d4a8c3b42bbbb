//! Values of labels. Pure.

use std::net::IpAddr;
use std::sync::Arc;

use proxy::Network;

/// More take longer than a request may.
const MOST_ROUNDS: u32 = 1_000_000;

/// Which requests of a host, as `path_beg` of HAProxy's has it: any that begins so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// As it stands in the label.
    pub text: Arc<str>,
    prefixes: Vec<Box<str>>,
    ignore_case: bool,
}

/// Who may ask, by HTTP's basic authentication.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    pub realm: Arc<str>,
    pub user: Arc<str>,
    /// `$5$…` or `$6$…`, as crypt(3) has them.
    pub hash: Arc<str>,
}

/// How a server is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    #[default]
    RoundRobin,
    LeastConn,
    /// The first that there is.
    First,
    /// By the client's address.
    Source,
    /// By the path.
    Uri,
    Random,
    /// By a header.
    Header(Arc<str>),
}

/// How connections of a port are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Http,
    Tcp,
}

// === impl Paths ===

impl Paths {
    /// None for what HAProxy would not take either.
    pub(crate) fn parse(text: &str) -> Option<Paths> {
        let mut paths = Paths { text: text.into(), prefixes: Vec::new(), ignore_case: false };
        let mut flags = true;
        for word in text.split_ascii_whitespace() {
            match word {
                "-i" if flags => paths.ignore_case = true,
                "--" if flags => flags = false,
                _ if flags && word.starts_with('-') => return None,
                _ => {
                    flags = false;
                    paths.prefixes.push(word.into());
                }
            }
        }
        if paths.ignore_case {
            paths.prefixes.iter_mut().for_each(|prefix| prefix.make_ascii_lowercase());
        }
        (!paths.prefixes.is_empty()).then_some(paths)
    }

    pub fn matches(&self, path: &str) -> bool {
        let begins = |prefix: &str| {
            let Some(start) = path.as_bytes().get(..prefix.len()) else { return false };
            match self.ignore_case {
                true => start.eq_ignore_ascii_case(prefix.as_bytes()),
                false => start == prefix.as_bytes(),
            }
        };
        self.prefixes.iter().any(|prefix| begins(prefix))
    }
}

// === impl Auth ===

impl Auth {
    /// The text says why not.
    pub(crate) fn parse(text: &str) -> Result<Auth, &'static str> {
        let mut parts = text.split(':');
        let (realm, user, hash) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(realm), Some(user), Some(hash), None) => (realm, user, hash),
            _ => return Err("expecting realm:user:hash"),
        };
        if user.is_empty() {
            return Err("the user has no name");
        }
        if realm.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\' | 0x7f)) {
            return Err("the realm has letters that no header may have");
        }
        if !["$5$", "$6$"].iter().any(|kind| hash.starts_with(kind)) {
            return Err("only hashes of crypt's kinds $5$ and $6$ (SHA-256, SHA-512) are checked");
        }
        let rounds = hash.split('$').nth(2).and_then(|part| part.strip_prefix("rounds="));
        if rounds
            .is_some_and(|rounds| !rounds.parse().is_ok_and(|rounds: u32| rounds <= MOST_ROUNDS))
        {
            return Err("the hash asks for too many rounds");
        }
        Ok(Auth { realm: realm.into(), user: user.into(), hash: hash.into() })
    }
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Auth({}: {})", self.realm, self.user)
    }
}

// === impl Balance ===

impl Balance {
    pub(crate) fn parse(text: &str) -> Option<Balance> {
        // Arguments (`uri depth 3`) are left to those that have some.
        match text.trim() {
            "roundrobin" | "static-rr" => Some(Balance::RoundRobin),
            "leastconn" => Some(Balance::LeastConn),
            "first" => Some(Balance::First),
            "source" => Some(Balance::Source),
            "uri" => Some(Balance::Uri),
            "random" => Some(Balance::Random),
            text => {
                let name = text.strip_prefix("hdr(")?.strip_suffix(')')?;
                http::HeaderName::from_bytes(name.as_bytes()).ok()?;
                Some(Balance::Header(name.to_ascii_lowercase().into()))
            }
        }
    }

    /// As HAProxy writes it.
    pub(crate) fn haproxy(&self) -> String {
        match self {
            Balance::RoundRobin => "roundrobin".into(),
            Balance::LeastConn => "leastconn".into(),
            Balance::First => "first".into(),
            Balance::Source => "source".into(),
            Balance::Uri => "uri".into(),
            Balance::Random => "random".into(),
            Balance::Header(name) => format!("hdr({name})"),
        }
    }
}

// === impl Mode ===

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Http => "http",
            Mode::Tcp => "tcp",
        }
    }
}

/// Whatever is not one of these words means no.
pub(crate) fn boolean(text: &str) -> bool {
    ["true", "t", "yes", "y"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether it is one of the words that people write for no.
pub(crate) fn is_boolean(text: &str) -> bool {
    let no = ["false", "f", "no", "n"];
    boolean(text) || no.iter().any(|word| text.eq_ignore_ascii_case(word))
}

pub(crate) fn integer<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.trim().parse().ok()
}

/// Host names, lower case; none if one of them can be no host's.
pub(crate) fn hosts(text: &str) -> Option<Vec<Arc<str>>> {
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let hosts = text.split(',').map(|host| host.trim().to_ascii_lowercase());
    let hosts = hosts.map(|host| {
        let plain = !host.is_empty() && host.bytes().all(is_host);
        let address = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
        (plain || address && host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok())
            .then(|| Arc::from(host))
    });
    hosts.collect()
}

/// Networks; an error names the first that is none.
pub(crate) fn networks(text: &str) -> Result<Vec<(Arc<str>, Network)>, &str> {
    let words = text.split_ascii_whitespace();
    words.map(|word| Ok((word.into(), word.parse().map_err(|_| word)?))).collect()
}

/// A path or a URL that may stand in a `Location`.
pub(crate) fn location(text: &str) -> Option<Arc<str>> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    plain.then(|| text.into())
}

/// `*` is every address.
pub(crate) fn bind_address(text: &str) -> Option<Option<IpAddr>> {
    match text.trim() {
        "*" | "" => Some(None),
        text => text.trim_matches(['[', ']']).parse().ok().map(Some),
    }
}
