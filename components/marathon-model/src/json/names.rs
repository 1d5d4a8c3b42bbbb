//! Which texts are names, paths, URIs.

/// `[a-z0-9]` with dashes inside.
pub(super) fn is_port_name(text: &str) -> bool {
    is_label(text, |byte| byte == b'-')
}

/// A name of a network: dashes and underscores inside, at most 63 characters.
pub(super) fn is_network_name(text: &str) -> bool {
    text.len() <= 63 && is_label(text, |byte| byte == b'-' || byte == b'_')
}

fn is_label(text: &str, inner: impl Fn(u8) -> bool) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    match text.as_bytes() {
        [only] => plain(*only),
        [first, middle @ .., last] => {
            plain(*first) && plain(*last) && middle.iter().all(|b| plain(*b) || inner(*b))
        }
        [] => false,
    }
}

/// Segments between slashes: labels joined by dots, `..`, or nothing.
pub(super) fn is_path_id(text: &str) -> bool {
    !text.is_empty()
        && text.split('/').all(|segment| {
            segment.is_empty() || segment == ".." || segment.split('.').all(is_port_name)
        })
}

/// Empty, `//cmd`, or a path to a program.
pub(super) fn is_executor(text: &str) -> bool {
    let path = text.strip_prefix('/').unwrap_or(text);
    text.is_empty() || text == "//cmd" || path.split('/').all(|segment| !segment.is_empty())
}

/// What Java's `URI` reads: more than RFC 2396, less than browsers.
pub(crate) fn is_uri(text: &str) -> bool {
    let escaped = |rest: &str| rest.get(..2).is_some_and(|hex| is_hex(hex.as_bytes()));
    let mut hashes = 0;
    for (at, char) in text.char_indices() {
        let legal = match char {
            '%' => text.get(at + 1..).is_some_and(escaped),
            '#' => {
                hashes += 1;
                hashes == 1
            }
            '<' | '>' | '"' | '{' | '}' | '|' | '\\' | '^' | '`' => false,
            other => !other.is_control() && !other.is_whitespace(),
        };
        if !legal {
            return false;
        }
    }
    has_good_scheme(text)
}

fn is_hex(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_hexdigit)
}

fn has_good_scheme(text: &str) -> bool {
    let end = text.find(['/', '?', '#']).unwrap_or(text.len());
    let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| scheme.len() < end) else {
        return !text.starts_with("//") || text.len() > 2;
    };
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(good)
        && !rest.is_empty()
        && rest != "//"
        && !rest.starts_with('#')
}

/// Whether Mesos' fetcher extracts it, as the original guesses for `uris`.
pub(super) fn is_archive(uri: &str) -> bool {
    const ENDINGS: [&str; 9] =
        [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".gz", ".tgz", ".tbz2", ".txz", ".zip"];
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    is_uri(uri) && ENDINGS.iter().any(|ending| path.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "a-b", "0", "http-api"] {
            assert!(is_port_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "é", "a.b"] {
            assert!(!is_port_name(bad), "{bad}");
        }
        assert!(is_network_name("a_b") && !is_network_name(&"a".repeat(64)));
        for good in ["/", "/a/b", "a", "../a", "a.b/c", "/a/", "//a"] {
            assert!(is_path_id(good), "{good}");
        }
        for bad in ["", "/A", "a b", "/.", "a..b", "/-a"] {
            assert!(!is_path_id(bad), "{bad}");
        }
        assert!(["", "//cmd", "/bin/sh", "a"].iter().all(|text| is_executor(text)));
        assert!(["/", "//x", "a//b"].iter().all(|text| !is_executor(text)));
    }

    #[test]
    fn uris() {
        for good in [
            "http://a/b.tgz?x=1#y",
            "file:///etc/docker.tar.gz",
            "hdfs:a",
            "a/b",
            "s3://b/%20",
            "/a:b",
            "http://é/",
        ] {
            assert!(is_uri(good), "{good}");
        }
        for bad in ["http://a b", "http:", "1a:b", ":b", "a#b#c", "%zz", "http://", "{{x}}"] {
            assert!(!is_uri(bad), "{bad}");
        }
        assert!(is_archive("http://a/b.tar.gz?x") && !is_archive("http://a/b.tar.gzip"));
    }
}
