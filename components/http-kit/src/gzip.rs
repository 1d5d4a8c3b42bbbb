//! Compression of answers for clients that ask for it.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, HeaderValue};

use crate::{Body, Response};

/// Bodies shorter than this are sent as they are.
const MINIMUM: usize = 1024;
/// Bodies longer than this are compressed off the runtime's threads.
const INLINE: usize = 64 * 1024;

/// Whether [`compress`] would change the answer.
pub fn applies(response: &Response) -> bool {
    let long = response.body().as_full().is_some_and(|b| b.len() >= MINIMUM);
    long && !response.headers().contains_key(CONTENT_ENCODING)
}

/// Compresses a body that is here as a whole; streams stay as they are.
pub async fn compress(mut response: Response) -> Response {
    let Some(plain) = response.body().as_full().cloned() else {
        return response;
    };
    let packed = if plain.len() <= INLINE {
        pack(&plain)
    } else {
        tokio::task::spawn_blocking(move || pack(&plain)).await.unwrap_or_default()
    };
    if let Some(packed) = packed {
        *response.body_mut() = Body::Full(packed);
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Speed over size: these answers cross a data centre, not the world.
fn pack(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::respond;

    #[tokio::test]
    async fn long_bodies_are_packed_and_unpack_to_themselves() {
        for length in [MINIMUM, INLINE + 1] {
            let plain = "x1".repeat(length);
            let response = respond::json(plain.clone());
            assert!(applies(&response));
            let packed = compress(response).await;
            assert_eq!(packed.headers()[CONTENT_ENCODING], "gzip");
            let body = packed.into_body().collect_all().await.unwrap();
            let mut unpacked = String::new();
            flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut unpacked).unwrap();
            assert_eq!(unpacked, plain);
        }
    }

    #[test]
    fn short_bodies_stay() {
        assert!(!applies(&respond::json("x".repeat(MINIMUM - 1))));
    }
}
