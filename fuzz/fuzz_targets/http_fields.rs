//! Queries, negotiation headers, and files of credentials.
#![no_main]

use http::{HeaderMap, HeaderValue, header};
use http_kit::auth::Credentials;
use http_kit::{negotiate, query};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        assert_eq!(query::decode(&query::encode(text)), text);
        let _ = query::Params::parse(text).get("path");
        let _ = Credentials::parse(text);
    }
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let mut headers = HeaderMap::new();
    for name in [header::ACCEPT, header::ACCEPT_ENCODING, header::CONTENT_TYPE] {
        headers.insert(name, value.clone());
    }
    let _ = negotiate::request_media(&headers);
    let _ = negotiate::response_media(&headers);
    let _ = negotiate::accepts_gzip(&headers);
});
