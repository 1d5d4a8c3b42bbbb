//! The two body formats of the v1 APIs.

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentType {
    /// `application/json`, in the JSON flavour of [`crate::json`].
    Json,
    /// `application/x-protobuf`.
    Protobuf,
}

impl ContentType {
    /// The header value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }

    /// From a `Content-Type` header. The original compares the whole value, so `; charset=utf-8` is refused as there.
    pub fn from_header(value: &str) -> Option<Self> {
        match value {
            "application/json" => Some(Self::Json),
            "application/x-protobuf" => Some(Self::Protobuf),
            _ => None,
        }
    }
}
