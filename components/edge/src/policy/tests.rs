//! Decisions, as a table.

use super::*;

#[test]
fn prefixes_go_as_haproxy_strips_them() {
    for (path, prefix, left) in [
        ("/a/b", "/a", Some("b")),
        ("/a", "/a", Some("")),
        ("/A/b", "/a", Some("b")),
        ("/ab", "/a", Some("b")),
        ("/b", "/a", None),
        ("/", "/a", None),
    ] {
        assert_eq!(stripped(path, prefix), left, "{path}");
    }
}

#[test]
fn hosts_are_names_in_lower_case() {
    for (host, name) in [
        ("a.example.com", "a.example.com"),
        ("A.Example.com:8080", "a.example.com"),
        ("a:", "a"),
        ("[::1]:80", "[::1]"),
        ("[::1]", "[::1]"),
        ("", ""),
    ] {
        // The colons of an address are no port's.
        let expected = if host == "[::1]" { "[::1]" } else { name };
        assert_eq!(host_of(host), expected, "{host}");
    }
}
