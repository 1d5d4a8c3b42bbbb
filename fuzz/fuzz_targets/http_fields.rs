//! Queries, negotiation headers, files of credentials, tokens, paths, and lines of a stream.
#![no_main]

use http::{HeaderMap, HeaderValue, Method, header};
use http_kit::auth::Credentials;
use http_kit::guard::{self, Lines, Row, Table};
use http_kit::{negotiate, query};
use libfuzzer_sys::fuzz_target;

const TABLE: Table = Table::new(&[
    Row::needs(&[], "/v2/apps/{id*}/versions", "m:{id}", identity::Action::Read),
    Row::needs(&[], "/agents/{id}/**", "a:{id}", identity::Action::Read),
]);

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        assert_eq!(query::decode(&query::encode(text)), text);
        let _ = query::Params::parse(text).get("path");
        let _ = Credentials::parse(text);
        if let Some(rid) = TABLE.find(&Method::GET, text).and_then(|found| found.rid) {
            assert_eq!(rid.matches(':').count(), 1, "a path reaches into another resource");
        }
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
