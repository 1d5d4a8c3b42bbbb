//! A request's head, checked and with its path normalised.

use bytes::Bytes;
use http::{Method, Version};

use crate::Refusal;
use crate::path::{Path, PathError};
use crate::wire::field::{ConnectionOptions, Field, Fields, Kind};

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("{0}")]
    Path(#[from] PathError),
    #[error("the target is neither a path nor a URL")]
    Target,
}

/// A request as policies see it. One allocation holds every header.
#[derive(Clone, Debug)]
pub struct RequestHead {
    method: Method,
    version: Version,
    path: Path,
    query: Option<Bytes>,
    lines: Box<[u8]>,
    fields: Fields,
    marks: Marks,
}

/// What the engine remembers of a head besides its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// `Connection` names headers that must not go on.
    pub(crate) names_headers: bool,
    /// The client wants another protocol.
    pub(crate) asks_upgrade: bool,
}

// === impl RequestHead ===

impl RequestHead {
    /// A head from its parts; `target` is in origin form (`/path?query`).
    pub fn new<'a>(
        method: Method,
        version: Version,
        target: &[u8],
        headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<RequestHead, HeadError> {
        let (path, query) = split(target)?;
        let mut lines = Vec::new();
        let mut fields = Fields::new();
        let mut options = ConnectionOptions::default();
        let mut marks = Marks::default();
        for (name, value) in headers {
            let field = Field::at(lines.len(), name, lines.len() + name.len(), value.len());
            lines.extend_from_slice(name);
            lines.extend_from_slice(value);
            fields.push(field);
            match field.kind {
                Kind::Connection => options.add(value),
                Kind::Upgrade => marks.asks_upgrade = true,
                _ => {}
            }
        }
        marks.names_headers = options.names;
        marks.asks_upgrade &= options.upgrade;
        Ok(RequestHead { method, version, path, query, lines: lines.into(), fields, marks })
    }

    /// From header lines as they were read, which the fields stand in.
    pub(crate) fn from_parts(
        method: Method,
        version: Version,
        target: &[u8],
        lines: &[u8],
        fields: Fields,
        marks: Marks,
    ) -> Result<RequestHead, Refusal> {
        let (path, query) = split(target).map_err(|error| match error {
            HeadError::Path(error) => Refusal::Malformed(error.text()),
            HeadError::Target => Refusal::Malformed("the target is no path"),
        })?;
        Ok(RequestHead { method, version, path, query, lines: lines.into(), fields, marks })
    }

    pub fn method(&self) -> &Method {
        &self.method
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// The one path that is judged, routed and forwarded.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What stands behind the `?`, as sent.
    pub fn query(&self) -> Option<&Bytes> {
        self.query.as_ref()
    }

    /// The first header of a name (any case).
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers();
        let found = headers.find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value)
    }

    /// Every header of a name (any case), in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let same = move |(found, _): &(&[u8], &[u8])| found.eq_ignore_ascii_case(name.as_bytes());
        self.headers().filter(same).map(|(_, value)| value)
    }

    /// Every header, in order, as sent.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| (field.name(&self.lines), field.value(&self.lines)))
    }

    /// Every header with what the engine knows it as.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (Kind, &[u8], &[u8])> {
        let parts = |field: &Field| (field.kind, field.name(&self.lines), field.value(&self.lines));
        self.fields.iter().map(parts)
    }

    /// The first header of a kind.
    pub(crate) fn field(&self, kind: Kind) -> Option<&[u8]> {
        let found = self.fields.iter().find(|field| field.kind == kind);
        found.map(|field| field.value(&self.lines))
    }

    pub(crate) fn marks(&self) -> Marks {
        self.marks
    }
}

fn split(target: &[u8]) -> Result<(Path, Option<Bytes>), HeadError> {
    let (path, query) = match memchr::memchr(b'?', target) {
        Some(at) => (target.get(..at), target.get(at + 1..)),
        None => (Some(target), None),
    };
    let path = Path::parse(path.unwrap_or_default())?;
    Ok((path, query.map(Bytes::copy_from_slice)))
}
