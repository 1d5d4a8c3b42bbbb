//! What reads others' bytes here, for the fuzzer.

use http::Method;

use crate::{
    http::{Query, Route},
    render::{app::Embed, group::GroupEmbed},
};

/// Paths and queries of requests.
pub fn request(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let found = Route::find(&method, path);
        // Doubled slashes never matter.
        assert_eq!(Route::find(&method, &path.replace('/', "//")), found, "{path:?}");
    }
    let query = Query::parse(query);
    let _ = (query.flag("force", false), query.get("label"));
    let _ = Embed::resolve(query.embeds());
    let embeds: Vec<&str> = query.embeds().collect();
    let _ = GroupEmbed::resolve(embeds.into_iter());
}

/// What is stored, if it were anything.
pub fn stored(data: &[u8]) {
    crate::store::read_anything(data);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_request_is_survived(text in "(/v2/(apps|groups|queue|tasks)/)?.*") {
            super::request(text.as_bytes());
        }

        #[test]
        fn anything_stored_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            super::stored(&bytes);
        }
    }
}
