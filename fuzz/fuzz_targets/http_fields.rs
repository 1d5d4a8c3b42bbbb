//! Queries, negotiation headers, files of credentials, tokens, and lines of a stream.
#![no_main]

use http::{HeaderMap, HeaderValue, header};
use http_kit::auth::Credentials;
use http_kit::guard::{self, Lines};
use http_kit::{negotiate, query};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        assert_eq!(query::decode(&query::encode(text)), text);
        let _ = query::Params::parse(text).get("path");
        let _ = Credentials::parse(text);
    }
    let mut lines = Lines::with_limit(64);
    let _ = data.chunks(7).try_for_each(|piece| {
        lines.push(piece, |line| {
            assert!(!line.is_empty() && line.len() <= 64 && !line.contains(&b'\n'));
            Ok::<_, guard::TooLong>(())
        })
    });
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let mut headers = HeaderMap::new();
    for name in [header::ACCEPT, header::ACCEPT_ENCODING, header::CONTENT_TYPE] {
        headers.insert(name, value.clone());
    }
    let _ = negotiate::request_media(&headers);
    let _ = negotiate::response_media(&headers);
    let _ = negotiate::accepts_gzip(&headers);
    headers.insert(header::AUTHORIZATION, value);
    let _ = guard::token(&headers);
});
