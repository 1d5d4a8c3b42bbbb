//! A request's head, checked and with its path normalised.

use bytes::{Bytes, BytesMut};
use http::{Method, Version};
use smallvec::SmallVec;

use crate::path::{Path, PathError};

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("{0}")]
    Path(#[from] PathError),
    #[error("the target is neither a path nor a URL")]
    Target,
}

/// One header: where its name and value stand in the head's bytes.
#[derive(Clone, Copy, Debug)]
struct Field {
    name: (u32, u32),
    value: (u32, u32),
}

/// A request as policies see it. One allocation holds every header.
#[derive(Clone, Debug)]
pub struct RequestHead {
    method: Method,
    version: Version,
    path: Path,
    query: Option<Bytes>,
    bytes: Bytes,
    fields: SmallVec<[Field; 16]>,
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
        let (path, query) = match memchr::memchr(b'?', target) {
            Some(at) => (target.get(..at), target.get(at + 1..)),
            None => (Some(target), None),
        };
        let path = Path::parse(path.unwrap_or_default())?;
        let query = query.map(Bytes::copy_from_slice);
        let mut bytes = BytesMut::new();
        let mut fields = SmallVec::new();
        for (name, value) in headers {
            let name = append(&mut bytes, name);
            let value = append(&mut bytes, value);
            fields.push(Field { name, value });
        }
        Ok(RequestHead { method, version, path, query, bytes: bytes.freeze(), fields })
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
        self.fields.iter().map(|field| (self.text(field.name), self.text(field.value)))
    }

    fn text(&self, (start, end): (u32, u32)) -> &[u8] {
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }
}

fn append(bytes: &mut BytesMut, text: &[u8]) -> (u32, u32) {
    let start = bytes.len() as u32;
    bytes.extend_from_slice(text);
    (start, bytes.len() as u32)
}
