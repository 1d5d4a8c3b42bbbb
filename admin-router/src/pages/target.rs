//! Where somebody goes after a login: to a page of this gateway, never elsewhere.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proxy::Path;

/// Longer ones are refused; browsers' own limits are about there.
const LONGEST: usize = 2048;

/// What stays as it is in a value of a query.
const VALUE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A path (with query and fragment) of this gateway, normalised; none for whatever a browser
/// might take for an address elsewhere.
pub(crate) fn local(text: &str) -> Option<String> {
    let good = |byte: u8| (0x21..0x7f).contains(&byte) && !b"\\<>\"'^`{|}".contains(&byte);
    if text.len() > LONGEST || !text.bytes().all(good) {
        return None;
    }
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let (path, rest) = text.split_at_checked(end)?;
    // Two slashes begin the name of a host.
    if !path.starts_with('/') || path.starts_with("//") {
        return None;
    }
    let path = Path::parse(path.as_bytes()).ok()?;
    // Whoever logs in must not be logged out, or land on this page again.
    let elsewhere = |prefix| path.strip_prefix(prefix).is_none();
    let useful = ["/login", "/acs/api/v1/auth", "/auth"].into_iter().all(elsewhere);
    (useful || path.as_str() == "/login/token").then(|| format!("{}{rest}", path.as_str()))
}

/// The login page with the way back.
pub(crate) fn login(path_and_query: &str) -> String {
    match local(path_and_query) {
        Some(target) if target != "/" => format!("/login?redirect={}", value(&target)),
        _ => "/login".to_owned(),
    }
}

/// A text as a value of a query.
pub(crate) fn value(text: &str) -> String {
    utf8_percent_encode(text, VALUE).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn own_pages_are_returned_to() {
        for (text, expected) in [
            ("/", "/"),
            ("/#/services/detail", "/#/services/detail"),
            ("/service/a/?x=1&y=%20#z", "/service/a/?x=1&y=%20#z"),
            ("/a/../mesos/", "/mesos/"),
            ("/a//b", "/a/b"),
            ("/login/token", "/login/token"),
        ] {
            assert_eq!(local(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(login("/mesos/?a=b"), "/login?redirect=/mesos/%3Fa%3Db");
        assert_eq!(login("/"), "/login");
    }

    #[test]
    fn nothing_else_is() {
        for text in [
            "",
            "evil",
            "//evil",
            "///evil",
            "/\\evil",
            "\\\\evil",
            "/\t/evil",
            " /x",
            "/x y",
            "/\r\nLocation: x",
            "https://evil",
            "javascript:alert(1)",
            "/ä",
            "/%00",
            "/..//evil",
            "?//evil",
            "#",
            "/login",
            "/login?redirect=/login",
            "/%6cogin",
            "/acs/api/v1/auth/logout",
            "/auth/logout",
        ] {
            assert_eq!(local(text), None, "{text:?}");
        }
        assert_eq!(local(&format!("/{}", "x".repeat(3000))), None);
        assert_eq!(login("//evil"), "/login");
    }

    proptest! {
        #[test]
        fn what_comes_out_is_a_path(text in "[/\\\\.%a-f0-9?#:;@ \t\n]{0,24}") {
            if let Some(target) = local(&text) {
                prop_assert!(target.starts_with('/'));
                prop_assert!(!target.starts_with("//") && !target.starts_with("/\\"));
                prop_assert!(target.bytes().all(|byte| (0x21..0x7f).contains(&byte)));
                prop_assert_eq!(local(&target), Some(target.clone()));
            }
        }
    }
}
