//! Absolute paths of apps and groups: `/a/b/c`, the root is `/`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{cmp::Ordering, fmt, sync::Arc};
use thiserror::Error;

/// The id of an app or a group; cheap to clone.
///
/// Ordered by segments, so that everything below a group is one range of a sorted map.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PathId(Arc<str>);

/// The longest path: it is a part of keys, and they have a limit. The master takes no task whose
/// id is half as long.
const MAX_BYTES: usize = 512;

/// A text that is no path.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct PathError {
    /// What is wrong, in the original's words.
    pub message: String,
}

// === impl PathId ===

impl PathId {
    /// The root group.
    pub fn root() -> Self {
        Self("/".into())
    }

    /// Reads a path, absolute or relative to `base`; `.` and `..` are resolved, repeated and
    /// trailing slashes mean nothing. The characters of the segments are checked.
    pub fn resolve(text: &str, base: &PathId) -> Result<Self, PathError> {
        let mut segments: Vec<&str> =
            if text.starts_with('/') { Vec::new() } else { base.segments().collect() };
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(segments.pop()),
                part => segments.push(part),
            }
        }
        if let Some(bad) = segments.iter().find(|segment| !valid_segment(segment)) {
            let message = format!(
                "'{bad}' of path '{text}' must fully match regular expression \
                 '^(([a-z0-9]|[a-z0-9][a-z0-9\\-]*[a-z0-9])\\.)*([a-z0-9]|[a-z0-9][a-z0-9\\-]*[a-z0-9])|(\\.|\\.\\.)$'"
            );
            return Err(PathError { message });
        }
        let path = Self::join(&segments);
        if path.0.len() > MAX_BYTES {
            let message = format!("path must not be longer than {MAX_BYTES} characters");
            return Err(PathError { message });
        }
        Ok(path)
    }

    /// Reads a path; one without a leading slash is relative to the root.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        Self::resolve(text, &Self::root())
    }

    fn join(segments: &[&str]) -> Self {
        Self(format!("/{}", segments.join("/")).into())
    }

    /// The path of which this is the [`PathId::flat`] form. The segments are not checked.
    pub(crate) fn unflatten(flat: &str) -> Self {
        let mut path = String::with_capacity(flat.len() + 1);
        path.push('/');
        path.extend(flat.chars().map(|c| if c == '_' { '/' } else { c }));
        Self(path.into())
    }

    /// The path as text, beginning with a slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        &*self.0 == "/"
    }

    /// The parts between slashes; none for the root.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// The group it is in; the root's parent is none.
    pub fn parent(&self) -> Option<PathId> {
        let at = self.0.rfind('/').filter(|_| !self.is_root())?;
        Some(if at == 0 { Self::root() } else { Self(self.0.get(..at)?.into()) })
    }

    /// The groups it is in, nearest first, the root last.
    pub fn ancestors(&self) -> impl Iterator<Item = PathId> {
        std::iter::successors(self.parent(), PathId::parent)
    }

    /// The top-level group it is in or is; none for the root.
    pub fn top_level(&self) -> Option<PathId> {
        self.segments().next().map(|first| Self::join(&[first]))
    }

    /// A path one segment longer. The segment is not checked.
    pub fn child(&self, segment: &str) -> PathId {
        Self(
            if self.is_root() { format!("/{segment}") } else { format!("{}/{segment}", self.0) }
                .into(),
        )
    }

    /// The last segment; empty for the root.
    pub fn name(&self) -> &str {
        self.segments().next_back().unwrap_or_default()
    }

    /// Whether it lies below `group` (not: is it).
    pub fn is_below(&self, group: &PathId) -> bool {
        if group.is_root() {
            return !self.is_root();
        }
        self.0.strip_prefix(group.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }

    /// `a_b_c`: the form inside ids of instances.
    pub fn flat(&self) -> String {
        self.segments().collect::<Vec<_>>().join("_")
    }

    /// `c.b.a`: the name of the Mesos task.
    pub fn reversed(&self) -> String {
        self.segments().rev().collect::<Vec<_>>().join(".")
    }
}

/// Labels of lower-case letters, digits and inner dashes, joined by dots.
fn valid_segment(segment: &str) -> bool {
    segment.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

impl Ord for PathId {
    fn cmp(&self, other: &Self) -> Ordering {
        // A slash sorts before every other character, so that `/a/b` comes before `/a-b`.
        let rank = |byte: u8| if byte == b'/' { 0 } else { byte };
        if self.is_root() || other.is_root() {
            return other.is_root().cmp(&self.is_root());
        }
        self.0.bytes().map(rank).cmp(other.0.bytes().map(rank))
    }
}

impl PartialOrd for PathId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for PathId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for PathId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Serialize for PathId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PathId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        PathId::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> PathId {
        PathId::parse(text).unwrap()
    }

    #[test]
    fn reading() {
        assert_eq!(path("a").as_str(), "/a");
        assert_eq!(path("//a///b/").as_str(), "/a/b");
        assert_eq!(PathId::resolve("../c", &path("/a/b")).unwrap().as_str(), "/a/c");
        assert_eq!(PathId::resolve("..", &path("/a")).unwrap(), PathId::root());
        for bad in ["/A", "/a b", "/-a", "/a-", "/a..b", "/a_b", "/é"] {
            assert!(PathId::parse(bad).is_err(), "{bad}");
        }
        assert!(PathId::parse(&"/a".repeat(256)).is_ok());
        assert!(PathId::parse(&"/a".repeat(257)).is_err());
    }

    #[test]
    fn relatives() {
        let p = path("/a/b/c");
        assert_eq!(p.ancestors().map(|a| a.to_string()).collect::<Vec<_>>(), ["/a/b", "/a", "/"]);
        assert!(p.is_below(&path("/a")) && p.is_below(&PathId::root()));
        assert!(!p.is_below(&p) && !path("/ab").is_below(&path("/a")));
        assert_eq!((p.flat(), p.reversed(), p.name()), ("a_b_c".into(), "c.b.a".into(), "c"));
        assert_eq!((p.top_level(), PathId::root().parent()), (Some(path("/a")), None));
    }

    #[test]
    fn a_group_and_what_is_below_it_are_one_range() {
        let mut all: Vec<PathId> =
            ["/a-b", "/a/b", "/a", "/a.b", "/", "/a/b/c", "/b", "/a0"].map(path).into();
        all.sort();
        let texts: Vec<&str> = all.iter().map(PathId::as_str).collect();
        assert_eq!(texts, ["/", "/a", "/a/b", "/a/b/c", "/a-b", "/a.b", "/a0", "/b"]);
    }
}
