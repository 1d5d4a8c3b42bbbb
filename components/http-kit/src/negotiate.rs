//! Content types of the v1 APIs: what a request holds, what its answer may be.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};

use crate::{Response, respond};

/// JSON by its media type.
pub const APPLICATION_JSON: &str = "application/json";
/// Protobuf by its media type.
pub const APPLICATION_PROTOBUF: &str = "application/x-protobuf";
/// RecordIO by its media type.
pub const APPLICATION_RECORDIO: &str = "application/recordio";

/// The two encodings of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Media {
    Json,
    Protobuf,
}

impl Media {
    /// The media type as headers name it.
    pub const fn name(self) -> &'static str {
        match self {
            Media::Json => APPLICATION_JSON,
            Media::Protobuf => APPLICATION_PROTOBUF,
        }
    }

    /// Exactly one of the two names; parameters are not tolerated.
    pub fn from_name(name: &str) -> Option<Media> {
        match name {
            APPLICATION_JSON => Some(Media::Json),
            APPLICATION_PROTOBUF => Some(Media::Protobuf),
            _ => None,
        }
    }
}

/// `405` unless the method is POST.
pub fn require_post(method: &Method) -> Result<(), Response> {
    if method == Method::POST {
        Ok(())
    } else {
        Err(respond::method_not_allowed(&["POST"], method))
    }
}

/// The encoding of a request's body; `400` when the header is missing, `415`
/// when it is anything else.
pub fn request_media(headers: &HeaderMap) -> Result<Media, Response> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Err(respond::bad_request("Expecting 'Content-Type' to be present"));
    };
    value.to_str().ok().and_then(Media::from_name).ok_or_else(unsupported_media)
}

/// `415` in the recorded words.
pub fn unsupported_media() -> Response {
    respond::text(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "Expecting 'Content-Type' of application/json or application/x-protobuf",
    )
}

/// The encoding of the answer: JSON where both are allowed; `406` where neither is.
pub fn response_media(headers: &HeaderMap) -> Result<Media, Response> {
    if accepts(headers, APPLICATION_JSON) {
        Ok(Media::Json)
    } else if accepts(headers, APPLICATION_PROTOBUF) {
        Ok(Media::Protobuf)
    } else {
        Err(respond::text(
            StatusCode::NOT_ACCEPTABLE,
            "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'",
        ))
    }
}

/// Whether `Accept` allows a media type; absent allows all, `q=0` excludes, the
/// most specific range decides.
pub fn accepts(headers: &HeaderMap, media: &str) -> bool {
    accepts_in(headers, &ACCEPT, media)
}

/// As [`accepts`], for another header of the same form (`Message-Accept`).
pub fn accepts_in(headers: &HeaderMap, name: &http::HeaderName, media: &str) -> bool {
    let mut values = headers.get_all(name).iter().peekable();
    if values.peek().is_none() {
        return true;
    }
    let mut best: Option<(u8, bool)> = None;
    for range in values.filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')) {
        if let Some((rank, allowed)) = match_range(range, media)
            && best.is_none_or(|(known, _)| rank > known)
        {
            best = Some((rank, allowed));
        }
    }
    best.is_some_and(|(_, allowed)| allowed)
}

/// How specifically a range names the media type, and whether its weight is
/// above nothing.
fn match_range(range: &str, media: &str) -> Option<(u8, bool)> {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next()?;
    let rank = if name.eq_ignore_ascii_case(media) {
        3
    } else if name == "*/*" || name == "*" {
        1
    } else {
        let (kind, sub) = name.split_once('/')?;
        let same_kind = media.split_once('/').is_some_and(|(k, _)| k.eq_ignore_ascii_case(kind));
        if sub != "*" || !same_kind {
            return None;
        }
        2
    };
    Some((rank, weight(parts) > 0.0))
}

fn weight<'a>(mut params: impl Iterator<Item = &'a str>) -> f64 {
    params
        .find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")))
        .map_or(1.0, |q| q.trim().parse().unwrap_or(0.0))
}

/// Whether `Accept-Encoding` names gzip with a weight above nothing.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(http::header::ACCEPT_ENCODING) else {
        return false;
    };
    let Ok(value) = value.to_str() else {
        return false;
    };
    let mut any = false;
    for coding in value.split(',') {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let allowed = weight(parts) > 0.0;
        if name.eq_ignore_ascii_case("gzip") {
            return allowed;
        }
        any |= name == "*" && allowed;
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn accept(value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn json_wins_where_both_are_allowed() {
        for value in [
            "*/*",
            "application/*",
            "application/x-protobuf, application/json",
            "application/x-protobuf;q=1, application/json;q=0.1",
        ] {
            assert_eq!(response_media(&accept(value)).unwrap(), Media::Json, "{value}");
        }
        assert_eq!(response_media(&HeaderMap::new()).unwrap(), Media::Json);
    }

    #[test]
    fn a_weight_of_zero_excludes() {
        let headers = accept("application/json;q=0, */*");
        assert_eq!(response_media(&headers).unwrap(), Media::Protobuf);
        let refused = response_media(&accept("text/plain")).unwrap_err();
        assert_eq!(refused.status(), StatusCode::NOT_ACCEPTABLE);
    }

    #[test]
    fn content_type_is_compared_exactly() {
        let mut headers = HeaderMap::new();
        assert_eq!(request_media(&headers).unwrap_err().status(), 400);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        assert_eq!(request_media(&headers).unwrap_err().status(), 415);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(APPLICATION_PROTOBUF));
        assert_eq!(request_media(&headers).unwrap(), Media::Protobuf);
    }

    #[test]
    fn gzip_is_recognised_among_codings() {
        let mut headers = HeaderMap::new();
        assert!(!accepts_gzip(&headers));
        for (value, expected) in [
            ("gzip", true),
            ("deflate, gzip;q=1.0", true),
            ("gzip;q=0, *", false),
            ("*", true),
            ("identity", false),
        ] {
            headers.insert("accept-encoding", HeaderValue::from_static(value));
            assert_eq!(accepts_gzip(&headers), expected, "{value}");
        }
    }
}
