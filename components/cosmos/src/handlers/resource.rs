//! What packages name by URL, fetched for clients that may not reach it themselves. Only URLs
//! of packages in a repository: this is no proxy for whatever somebody asks.

use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, StatusCode, Uri};
use http_body_util::Full;
use http_kit::{Body, Params, Response};

use crate::Cosmos;
use crate::clients::AGENT;
use crate::error::Failure;
use crate::repositories::fetch::{is_redirect, redirected};

/// As the original's error names it.
const NAME: &str = "ResourceProxyHandler$";
const REDIRECTS: usize = 10;

pub(crate) async fn resource(cosmos: &Cosmos, asked: Uri) -> Result<Response, Failure> {
    let params = Params::of(&asked);
    let url = params.get("url").ok_or_else(|| Failure::not_present("param 'url'"))?;
    let raw =
        asked.query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("url=")));
    let collection = cosmos.repositories.collection();
    // Written with or without the encoding of a query, as in the original.
    let known = [Some(url), raw].into_iter().flatten().find(|url| collection.names_url(url));
    let known = known.ok_or_else(|| Failure::forbidden(NAME, Some(url)))?;
    let uri = known
        .parse::<Uri>()
        .map_err(|error| Failure::endpoint_uri_syntax(known, &error.to_string()))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(Failure::endpoint_uri_syntax(known, "neither http nor https"));
    }
    open(cosmos, known, uri).await
}

async fn open(cosmos: &Cosmos, url: &str, mut uri: Uri) -> Result<Response, Failure> {
    for _ in 0..=REDIRECTS {
        let request = http::Request::get(&uri)
            .header(USER_AGENT, AGENT)
            .body(Full::default())
            .map_err(|error| Failure::endpoint_uri_syntax(url, &error.to_string()))?;
        let connection = |error: http_kit::ClientError| {
            Failure::endpoint_uri_connection(url, &error.to_string())
        };
        let response = cosmos.client.send(request).await.map_err(connection)?;
        match response.status() {
            StatusCode::OK => return passed_on(url, response.map(Body::Incoming)),
            status if is_redirect(status) => uri = redirected(&uri, response.headers())?,
            status => return Err(Failure::generic_http(&Method::GET, url, status)),
        }
    }
    Err(Failure::endpoint_uri_connection(url, "too many redirects"))
}

/// The answer with its type and its file's name, and nothing else of its head.
fn passed_on(url: &str, response: Response) -> Result<Response, Failure> {
    let (head, body) = response.into_parts();
    let length = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    // Nothing, or something that may be cut off without anybody noticing.
    if length.and_then(|length| length.parse::<u64>().ok()).is_none_or(|length| length == 0) {
        return Err(Failure::generic_http(&Method::GET, url, StatusCode::BAD_GATEWAY));
    }
    let mut response = Response::new(body);
    let kind = head.headers.get(CONTENT_TYPE).cloned();
    let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if let Some(name) = file_name(url)
        && let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""))
    {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// The last part of a URL's path.
fn file_name(url: &str) -> Option<&str> {
    let path = url.split(['?', '#']).next()?.split_once("://")?.1.split_once('/')?.1;
    let name = path.trim_end_matches('/').rsplit('/').next()?;
    (!name.is_empty() && !name.contains(['"', '\\'])).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn names_of_files() {
        for (url, name) in [
            ("http://h/a/b.zip", Some("b.zip")),
            ("http://h/a/b.zip?x=/y", Some("b.zip")),
            ("http://h/a/", Some("a")),
            ("http://h/", None),
            ("http://h", None),
            ("http://h/a\"b", None),
        ] {
            assert_eq!(file_name(url), name, "{url}");
        }
    }
}
