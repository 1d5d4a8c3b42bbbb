//! What a search query fits.

use crate::Package;

/// A query as the original reads it.
pub(crate) enum Query<'a> {
    /// Without `*`: part of a text, in any case.
    Part(String),
    /// With `*`: a whole text; each `*` stands for anything within one line.
    Pattern(&'a str),
}

// === impl Query ===

impl<'a> Query<'a> {
    pub(crate) fn new(text: &'a str) -> Query<'a> {
        if text.contains('*') { Query::Pattern(text) } else { Query::Part(text.to_lowercase()) }
    }

    pub(crate) fn fits(&self, package: &Package) -> bool {
        self.fits_text(package.name())
            || self.fits_text(package.description())
            || package.tags().iter().any(|tag| self.fits_text(tag))
    }

    fn fits_text(&self, text: &str) -> bool {
        match self {
            Query::Part(part) => text.to_lowercase().contains(part.as_str()),
            Query::Pattern(pattern) => wildcard(pattern, text),
        }
    }
}

/// Whether all of `text` is `pattern`. The original makes an expression `^...$` of it, in which
/// an end of line within the text fits nothing, and one at its end is passed over.
fn wildcard(pattern: &str, text: &str) -> bool {
    const ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
    let text = text.strip_suffix("\r\n").or_else(|| text.strip_suffix(ENDS)).unwrap_or(text);
    if text.contains(ENDS) {
        return false;
    }
    let mut parts = pattern.split('*');
    let (first, last) = (parts.next().unwrap_or(""), parts.next_back().unwrap_or(""));
    let Some(mut rest) = text.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else {
        return false;
    };
    // The leftmost place of each part leaves the most room for the next.
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::wildcard;

    #[test]
    fn stars_stand_for_anything_within_a_line() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "a"),
            ("a*", "a"),
            ("a*b*c", "a1b2c"),
            ("a*b", "ab"),
            ("*b*", "abc"),
            ("a*", "ab\n"),
        ] {
            assert!(wildcard(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("a*", "ba"),
            ("*a", "ab"),
            ("a*a", "a"),
            ("a*b*c", "acb"),
            ("a*", "a\nb"),
            ("A*", "a"),
            ("a.*", "ab"),
        ] {
            assert!(!wildcard(pattern, text), "{pattern} {text}");
        }
    }
}
