//! Answers in pieces: made while they are read, so that a large one holds up nobody.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderValue, header};
use http_kit::{Body, Response, respond};

/// So many bytes are made at a time: a fraction of a millisecond.
const PIECE: usize = 64 * 1024;
/// An answer that is no longer than this is sent as a whole.
const WHOLE: usize = 256 * 1024;

/// Something that is written in steps.
pub(crate) trait Source: Send + 'static {
    /// Appends until `out` has about `limit` bytes. True when there is no more.
    fn write(&mut self, out: &mut Vec<u8>, limit: usize) -> bool;
}

/// `200` with JSON from a source; a long one comes in pieces, packed if `gzip`.
pub(crate) fn respond(mut source: impl Source, gzip: bool) -> Response {
    let mut first = Vec::with_capacity(4096);
    while first.len() < WHOLE {
        if source.write(&mut first, WHOLE) {
            return respond::json(first);
        }
    }
    let mut pieces = Pieces { source, first, done: false, packer: None };
    if gzip {
        pieces.packer = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    }
    let mut response = respond::json(Body::pulled(move || pieces.next()));
    if gzip {
        let value = HeaderValue::from_static("gzip");
        response.headers_mut().insert(header::CONTENT_ENCODING, value);
    }
    response
}

/// Everything at once: for what has to be inside of something else.
#[cfg(test)]
pub(crate) fn whole(mut source: impl Source) -> Vec<u8> {
    let mut out = Vec::new();
    while !source.write(&mut out, usize::MAX) {}
    out
}

struct Pieces<S> {
    source: S,
    first: Vec<u8>,
    done: bool,
    packer: Option<GzEncoder<Vec<u8>>>,
}

impl<S: Source> Pieces<S> {
    fn next(&mut self) -> Option<Bytes> {
        while !self.done {
            let plain = self.plain();
            let piece = match &mut self.packer {
                None => plain,
                Some(packer) => {
                    // Writing to memory does not fail.
                    let _ = packer.write_all(&plain);
                    if self.done {
                        let _ = packer.try_finish();
                    }
                    std::mem::take(packer.get_mut())
                }
            };
            if !piece.is_empty() {
                return Some(piece.into());
            }
        }
        None
    }

    fn plain(&mut self) -> Vec<u8> {
        if !self.first.is_empty() {
            return std::mem::take(&mut self.first);
        }
        let mut out = Vec::with_capacity(PIECE + 8192);
        self.done = self.source.write(&mut out, PIECE);
        out
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    struct Numbers(u32);

    impl Source for Numbers {
        fn write(&mut self, out: &mut Vec<u8>, limit: usize) -> bool {
            while self.0 > 0 && out.len() < limit {
                self.0 -= 1;
                let _ = write!(out, "{} ", self.0);
            }
            self.0 == 0
        }
    }

    #[tokio::test]
    async fn pieces_are_the_whole() {
        for count in [10, 200_000] {
            let expected = whole(Numbers(count));
            let plain = respond(Numbers(count), false);
            assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
            assert_eq!(plain.into_body().collect_all().await.unwrap(), expected);
        }
        let packed = respond(Numbers(200_000), true);
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
        let packed = packed.into_body().collect_all().await.unwrap();
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, whole(Numbers(200_000)));
    }
}
