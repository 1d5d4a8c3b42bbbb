//! Directives of HAProxy's in templates that labels bring: those that can be honoured. Pure.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::names::Template;
use super::values::Balance;

/// What directives ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub request: Vec<HeaderRule>,
    pub response: Vec<HeaderRule>,
    pub timeouts: Timeouts,
    pub cookie: Option<CookieOptions>,
    pub(crate) balance: Option<Balance>,
}

/// Time limits that differ from the usual ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Option<Duration>,
    pub server: Option<Duration>,
    pub client: Option<Duration>,
    pub tunnel: Option<Duration>,
}

/// One change of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    pub action: Action,
    pub name: HeaderName,
    /// Empty where one is deleted.
    pub value: HeaderValue,
    pub when: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Replaces what is there.
    Set,
    /// Comes besides what is there.
    Add,
    Delete,
}

/// On which connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    Tls,
    Plain,
}

/// The cookie that keeps a client with its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieOptions {
    pub name: String,
    pub http_only: bool,
    pub secure: bool,
}

/// A directive that has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) directive: String,
    /// It would have kept somebody out: whoever ignores it opens a door.
    pub(crate) guards: bool,
}

/// Words that only stand in directives which refuse requests.
const GUARDS: [&str; 10] = [
    "deny",
    "auth",
    "reject",
    "tarpit",
    "block",
    "silent-drop",
    "reqdeny",
    "reqideny",
    "reqtarpit",
    "reqitarpit",
];

/// Reads the directives of a template, and adds up what they ask for.
pub(crate) fn read(template: Template, text: &str, options: &mut Options) -> Vec<Left> {
    let mut left = Vec::new();
    for line in text.lines() {
        let Some(words) = words(line) else {
            left.push(Left { directive: line.trim().to_owned(), guards: guards(line) });
            continue;
        };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if !words.is_empty() && directive(template, &words, options).is_none() {
            left.push(Left { directive: words.join(" "), guards: guards(line) });
        }
    }
    left
}

/// Whether directives would refuse requests.
pub(crate) fn guards(text: &str) -> bool {
    let mut words = text.split(|one: char| one.is_whitespace() || matches!(one, '!' | '{' | '('));
    words.any(|word| GUARDS.contains(&word) || word.starts_with("http_auth"))
}

/// The words of a line: split at blanks that are neither quoted nor escaped. None where a quote
/// has no end.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut inside) = (Vec::new(), String::new(), false);
    let mut quote = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some('\''), _) => word.push(letter),
            (_, '\\') => {
                inside = true;
                word.push(letters.next()?);
            }
            (Some(_), _) => word.push(letter),
            (None, '"' | '\'') => (quote, inside) = (Some(letter), true),
            (None, '#') if !inside => break,
            (None, _) if letter.is_whitespace() => {
                if std::mem::take(&mut inside) {
                    words.push(std::mem::take(&mut word));
                }
            }
            (None, _) => {
                inside = true;
                word.push(letter);
            }
        }
    }
    if inside {
        words.push(word);
    }
    quote.is_none().then_some(words)
}

/// Some if it is honoured, or holds anyway.
fn directive(template: Template, words: &[&str], options: &mut Options) -> Option<()> {
    match (words, template) {
        // The beginnings of sections, as the built-in templates have them.
        (["backend" | "frontend", _], Template::BackendHead | Template::FrontendHead) => {}
        (["bind", address], Template::FrontendHead)
            if *address == "{bindAddr}:{servicePort}{sslCert}{bindOptions}" => {}
        (["mode", "{mode}"], Template::BackendHead | Template::FrontendHead) => {}
        (["balance", "{balance}"], Template::BackendHead) => {}
        (["balance", rest @ ..], Template::BackendHead) => {
            options.balance = Some(Balance::parse(&rest.join(" "))?);
        }
        // Connections to servers are kept and shared, and found out where that does not work;
        // where requests come from is told to servers always.
        (["option", "forwardfor" | "http-server-close" | "httpclose" | "http-keep-alive"], _) => {}
        (["option", "redispatch" | "forceclose" | "http-pretend-keepalive"], _) => {}
        (["no", "option", "httpclose" | "forceclose" | "http-server-close"], _) => {}
        (["http-request", "set-header", "X-Forwarded-Port", "%[dst_port]"], _) => {}
        (["http-request", "add-header" | "set-header", name, value, condition @ ..], _)
            if name.eq_ignore_ascii_case("x-forwarded-proto") =>
        {
            let when = when(condition)?;
            let same = matches!((*value, when), ("https", When::Tls) | ("http", When::Plain));
            return same.then_some(());
        }
        (["http-request", rest @ ..], _) => {
            let rule = header(rest)?;
            // The engine writes these itself.
            if rule.name.as_str().starts_with("x-forwarded-") || is_own(&rule.name) {
                return None;
            }
            options.request.push(rule);
        }
        (["http-response", rest @ ..], _) => options.response.push(always(header(rest)?)?),
        // As they were written before HAProxy 2.1.
        (["rspadd", line, condition @ ..], _) => {
            options.response.push(always(whole(line, condition, Action::Add)?)?);
        }
        (["reqadd", line, condition @ ..], _) => {
            let rule = whole(line, condition, Action::Add)?;
            if rule.name.as_str().starts_with("x-forwarded-") || is_own(&rule.name) {
                return None;
            }
            options.request.push(rule);
        }
        (["timeout", which, value], _) => timeout(which, value, &mut options.timeouts)?,
        (["cookie", name, rest @ ..], Template::Sticky) => {
            options.cookie = Some(cookie(name, rest)?);
        }
        _ => return None,
    }
    Some(())
}

/// Answers do not know how they were asked for.
fn always(rule: HeaderRule) -> Option<HeaderRule> {
    (rule.when == When::Always).then_some(rule)
}

fn is_own(name: &HeaderName) -> bool {
    let own = ["host", "connection", "content-length", "transfer-encoding", "x-real-ip"];
    own.contains(&name.as_str()) || name == "forwarded" || name == "x-request-id"
}

fn header(words: &[&str]) -> Option<HeaderRule> {
    let (action, name, value, condition) = match words {
        ["set-header", name, value, condition @ ..] => (Action::Set, name, *value, condition),
        ["add-header", name, value, condition @ ..] => (Action::Add, name, *value, condition),
        ["del-header", name, condition @ ..] => (Action::Delete, name, "", condition),
        _ => return None,
    };
    // Where there is a `%`, the value is made for each request.
    let value = value.replace("%%", "\0");
    if value.contains('%') {
        return None;
    }
    Some(HeaderRule {
        action,
        name: HeaderName::from_bytes(name.as_bytes()).ok()?,
        value: HeaderValue::from_str(&value.replace('\0', "%")).ok()?,
        when: when(condition)?,
    })
}

fn whole(line: &str, condition: &[&str], action: Action) -> Option<HeaderRule> {
    let (name, value) = line.split_once(':')?;
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let value = HeaderValue::from_str(value.trim()).ok()?;
    Some(HeaderRule { action, name, value, when: when(condition)? })
}

fn when(words: &[&str]) -> Option<When> {
    match words.concat().as_str() {
        "" => Some(When::Always),
        "if{ssl_fc}" | "unless!{ssl_fc}" => Some(When::Tls),
        "if!{ssl_fc}" | "unless{ssl_fc}" => Some(When::Plain),
        _ => None,
    }
}

fn timeout(which: &str, value: &str, timeouts: &mut Timeouts) -> Option<()> {
    let value = Some(duration(value)?);
    match which {
        "connect" => timeouts.connect = value,
        "server" => timeouts.server = value,
        "client" => timeouts.client = value,
        "tunnel" => timeouts.tunnel = value,
        _ => return None,
    }
    Some(())
}

/// As HAProxy has them: milliseconds, or a number with a unit.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let duration = match unit {
        "us" => Duration::from_micros(number),
        "" | "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3600)?),
        "d" => Duration::from_secs(number.checked_mul(86_400)?),
        _ => return None,
    };
    // Where HAProxy's own clock ends.
    (!duration.is_zero() && duration < Duration::from_secs(1 << 31)).then_some(duration)
}

fn cookie(name: &str, words: &[&str]) -> Option<CookieOptions> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || !name.bytes().all(plain) || !words.contains(&"insert") {
        return None;
    }
    let mut options = CookieOptions { name: name.to_owned(), http_only: false, secure: false };
    for word in words {
        match *word {
            "insert" | "indirect" | "nocache" => {}
            "httponly" => options.http_only = true,
            "secure" => options.secure = true,
            _ => return None,
        }
    }
    Some(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> (Options, Vec<String>) {
        let mut options = Options::default();
        let left = read(Template::HttpOptions, text, &mut options);
        (options, left.into_iter().map(|left| left.directive).collect())
    }

    #[test]
    fn the_built_in_texts_hold_anyway() {
        let text = "  option forwardfor\n  http-request set-header X-Forwarded-Port %[dst_port]\n  \
                    http-request add-header X-Forwarded-Proto https if { ssl_fc }\n";
        assert_eq!(options(text), (Options::default(), Vec::new()));
        let mut head = Options::default();
        let text = "\nbackend {backend}\n  balance {balance}\n  mode {mode}\n  timeout server 90s";
        assert_eq!(read(Template::BackendHead, text, &mut head), []);
        assert_eq!(head.timeouts.server, Some(Duration::from_secs(90)));
    }

    #[test]
    fn headers_are_set_in_every_notation() {
        let text = "rspadd Strict-Transport-Security:\\ max-age=15768000\n\
                    http-response set-header X-Frame-Options \"SAME ORIGIN\" # why\n\
                    http-request del-header 'X-Secret'\n\
                    http-request add-header X-Percent 50%% if !{ ssl_fc }";
        let (options, left) = options(text);
        assert_eq!(left, Vec::<String>::new());
        let shown = |rule: &HeaderRule| {
            let value = rule.value.to_str().unwrap().to_owned();
            (rule.action, rule.name.as_str().to_owned(), value, rule.when)
        };
        assert_eq!(
            options.response.iter().map(shown).collect::<Vec<_>>(),
            [
                (
                    Action::Add,
                    "strict-transport-security".into(),
                    "max-age=15768000".into(),
                    When::Always
                ),
                (Action::Set, "x-frame-options".into(), "SAME ORIGIN".into(), When::Always),
            ]
        );
        assert_eq!(
            options.request.iter().map(shown).collect::<Vec<_>>(),
            [
                (Action::Delete, "x-secret".into(), String::new(), When::Always),
                (Action::Add, "x-percent".into(), "50%".into(), When::Plain),
            ]
        );
    }

    #[test]
    fn what_cannot_be_honoured_is_left() {
        for text in [
            "http-request set-header X-Client %[src]",
            "http-request set-header X-Forwarded-For 1.2.3.4",
            "http-request set-header Host other",
            "http-response set-header X y if { status 200 }",
            "acl network src 10.0.0.0/8",
            "timeout check 3s",
            "option httplog",
            "compression algo gzip",
            "cookie x insert",
            "rspirep a b",
            "http-response set-header \"X",
            "http-response set-header X y if { ssl_fc }",
        ] {
            let (found, left) = options(text);
            assert_eq!((found, left.len()), (Options::default(), 1), "{text}");
        }
    }

    #[test]
    fn what_refuses_requests_is_known() {
        for text in [
            "http-request deny if { src 10.0.0.1 }",
            "http-request auth realm x if !a",
            "tcp-request content reject",
            "acl a http_auth(users)",
            "acl a !{ http_auth(users) }",
            "  block if x",
        ] {
            assert!(guards(text), "{text}");
        }
        assert!(!guards("http-response set-header X-Deny no"));
    }

    #[test]
    fn durations_have_units() {
        for (text, millis) in [
            ("5000", Some(5000)),
            ("5s", Some(5000)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("1d", Some(86_400_000)),
            ("10ms", Some(10)),
            ("", None),
            ("s", None),
            ("0", None),
            ("-1s", None),
            ("5x", None),
            ("99999999999999999999", None),
            ("99999999999d", None),
        ] {
            assert_eq!(duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn cookies_have_names_and_flags() {
        let mut options = Options::default();
        let text = "cookie SRV insert indirect nocache httponly secure";
        assert_eq!(read(Template::Sticky, text, &mut options), []);
        let cookie = options.cookie.unwrap();
        assert_eq!((cookie.name.as_str(), cookie.http_only, cookie.secure), ("SRV", true, true));
        let mut options = Options::default();
        assert_eq!(read(Template::Sticky, "cookie SRV prefix", &mut options).len(), 1);
    }
}
