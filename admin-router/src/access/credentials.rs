//! The token that a request brings.

use proxy::RequestHead;

/// The cookies of a login; they never go on.
pub(crate) const COOKIES: &[&str] = &[TOKEN_COOKIE, "dcos-acs-info-cookie"];
/// The one that holds the token.
pub(crate) const TOKEN_COOKIE: &str = "dcos-acs-auth-cookie";

/// What a request brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    Nothing,
    /// By a program, which chose to send it.
    Header(&'a str),
    /// By a browser, which sends it for whatever page asks.
    Cookie(&'a str),
    /// Something that is no token, or more than one.
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
    let mut found = Presented::Nothing;
    for header in head.all("cookie") {
        for value in cookies(header, TOKEN_COOKIE) {
            found = match (found, std::str::from_utf8(value)) {
                (Presented::Nothing, Ok(token)) if is_token(token) => Presented::Cookie(token),
                // The same twice is what two paths or domains can lead to; two different ones
                // are somebody's attempt to slip one in.
                (Presented::Cookie(known), Ok(token)) if known == token => found,
                _ => return Presented::Unusable,
            };
        }
    }
    found
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
        assert_eq!(presented(&head), expected);
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
            check(&[("cookie", header)], Presented::Cookie("a.b.c"));
        }
        check(&[("cookie", "x=1"), ("cookie", "dcos-acs-auth-cookie=t")], Presented::Cookie("t"));
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
    fn two_tokens_are_none() {
        check(&[("authorization", "token=a"), ("authorization", "token=a")], Presented::Unusable);
        let two = |first, second| format!("{TOKEN_COOKIE}={first}; {TOKEN_COOKIE}={second}");
        check(&[("cookie", &two("a", "b"))], Presented::Unusable);
        check(&[("cookie", &two("a", "a"))], Presented::Cookie("a"));
        check(&[("cookie", &two("a", ""))], Presented::Unusable);
        let long = format!("{TOKEN_COOKIE}={}", "x".repeat(9000));
        check(&[("cookie", &long)], Presented::Unusable);
    }
}
