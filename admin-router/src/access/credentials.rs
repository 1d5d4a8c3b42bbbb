//! The token that a request brings.

use proxy::RequestHead;
use smallvec::SmallVec;

/// The cookies of a login; they never go on.
pub(crate) const COOKIES: &[&str] = &[TOKEN_COOKIE, "dcos-acs-info-cookie"];
/// The one that holds the token.
pub(crate) const TOKEN_COOKIE: &str = "dcos-acs-auth-cookie";

/// Different tokens of one request that are looked at; more are somebody's attempt to keep the
/// right one from being found.
const MOST: usize = 8;

/// Different values of the cookie of one request.
pub(crate) type Candidates<'a> = SmallVec<[&'a str; 2]>;

/// What a request brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    Nothing,
    /// By a program, which chose to send it.
    Header(&'a str),
    /// By a browser, which sends it for whatever page asks. A page below the gateway, or a site
    /// beside it, can set cookies of that name too, for other paths and domains: there may be
    /// several.
    Cookie(Candidates<'a>),
    /// Something that is no token, or too many.
    Unusable,
}

/// Finds the token. An `Authorization` header replaces cookies entirely, also when there is no
/// token in it.
pub(crate) fn presented(head: &RequestHead) -> Presented<'_> {
    let mut headers = head.all("authorization");
    if let Some(header) = headers.next() {
        let only = headers.next().is_none();
        return match of_header(header).filter(|_| only) {
            Some(token) => Presented::Header(token),
            None => Presented::Unusable,
        };
    }
    let (mut candidates, mut has_any) = (Candidates::new(), false);
    for value in values(head) {
        has_any = true;
        let Some(token) = std::str::from_utf8(value).ok().filter(|text| is_token(text)) else {
            continue;
        };
        if !candidates.contains(&token) {
            candidates.push(token);
        }
    }
    match candidates.len() {
        0 if has_any => Presented::Unusable,
        0 => Presented::Nothing,
        1..=MOST => Presented::Cookie(candidates),
        _ => Presented::Unusable,
    }
}

/// Whether the cookie has more than one value, only one of which can be that of the last login.
pub(crate) fn is_ambiguous(head: &RequestHead) -> bool {
    let mut values = values(head);
    let first = values.next();
    values.any(|value| Some(value) != first)
}

fn values(head: &RequestHead) -> impl Iterator<Item = &[u8]> {
    head.all("cookie").flat_map(|header| cookies(header, TOKEN_COOKIE))
}

/// `token=<token>` or `Bearer <token>`.
fn of_header(header: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(header).ok()?.trim();
    let token = match text.strip_prefix("token=") {
        Some(token) => token,
        None => match text.split_at_checked(7) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token,
            _ => return None,
        },
    };
    let token = token.trim();
    is_token(token).then_some(token)
}

/// Whether it has the alphabet of tokens, so that it can be written into a header.
fn is_token(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=');
    !text.is_empty() && text.len() <= identity::MAX_TOKEN_LENGTH && text.bytes().all(good)
}

/// The values of a cookie in one header.
fn cookies<'a>(header: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    header.split(|byte| *byte == b';').filter_map(move |pair| {
        let pair = pair.trim_ascii();
        let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some(quoted.unwrap_or(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Method, Version};

    fn check(headers: &[(&str, &str)], expected: Presented<'_>) {
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let head = RequestHead::new(Method::GET, Version::HTTP_11, b"/", headers).unwrap();
        assert_eq!(format!("{:?}", presented(&head)), format!("{expected:?}"));
    }

    fn by_cookie<'a>(tokens: &[&'a str]) -> Presented<'a> {
        Presented::Cookie(tokens.iter().copied().collect())
    }

    #[test]
    fn tokens_come_in_a_header_or_a_cookie() {
        check(&[], Presented::Nothing);
        for header in ["token=a.b.c", "Bearer a.b.c", "bearer  a.b.c ", " token=a.b.c"] {
            check(&[("Authorization", header)], Presented::Header("a.b.c"));
        }
        for header in [
            "dcos-acs-auth-cookie=a.b.c",
            "x=y; dcos-acs-auth-cookie=\"a.b.c\";z",
            "a;;dcos-acs-auth-cookie=a.b.c",
        ] {
            check(&[("cookie", header)], by_cookie(&["a.b.c"]));
        }
        check(&[("cookie", "x=1"), ("cookie", "dcos-acs-auth-cookie=t")], by_cookie(&["t"]));
        check(
            &[("cookie", "xdcos-acs-auth-cookie=t; dcos-acs-auth-cookies=t")],
            Presented::Nothing,
        );
    }

    #[test]
    fn a_header_replaces_cookies_entirely() {
        let cookie = ("cookie", "dcos-acs-auth-cookie=good");
        check(&[cookie, ("authorization", "token=other")], Presented::Header("other"));
        for header in ["Basic YTpi", "", "token=", "Bearer", "token", "a token=b", "token=a b"] {
            check(&[cookie, ("authorization", header)], Presented::Unusable);
        }
    }

    #[test]
    fn two_tokens_in_headers_are_none_and_in_cookies_candidates() {
        check(&[("authorization", "token=a"), ("authorization", "token=a")], Presented::Unusable);
        let two = |first, second| format!("{TOKEN_COOKIE}={first}; {TOKEN_COOKIE}={second}");
        check(&[("cookie", &two("a", "b"))], by_cookie(&["a", "b"]));
        check(&[("cookie", &two("a", "a"))], by_cookie(&["a"]));
        check(&[("cookie", &two("a", ""))], by_cookie(&["a"]));
        check(&[("cookie", &two("", "x y"))], Presented::Unusable);
        let many: Vec<String> =
            (0..=MOST).map(|number| format!("{TOKEN_COOKIE}={number}")).collect();
        check(&[("cookie", &many.join("; "))], Presented::Unusable);
        check(
            &[("cookie", &many[1..].join("; "))],
            by_cookie(&["1", "2", "3", "4", "5", "6", "7", "8"]),
        );
        let long = format!("{TOKEN_COOKIE}={}", "x".repeat(9000));
        check(&[("cookie", &long)], Presented::Unusable);
    }
}
