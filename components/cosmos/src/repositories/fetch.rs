//! Getting a repository's document: over HTTP, from a file, or from within this program.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED, LOCATION, USER_AGENT,
};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use http_kit::{Client, ClientConfig, ClientError};
use universe::{Limits, MediaType, Repository, RepositoryError};

use super::{Listed, Validators};
use crate::Config;
use crate::clients::AGENT;
use crate::error::Failure;

/// Redirects of one request that are followed.
const REDIRECTS: usize = 10;
const GZIP: &[u8] = &[0x1f, 0x8b];

/// A document that is a repository.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) document: Arc<[u8]>,
    pub(super) repository: Arc<Repository>,
    pub(super) validators: Validators,
}

/// Where a repository is.
enum Place {
    /// Within this program.
    Embedded,
    File(PathBuf),
    Http(Uri),
}

/// Gets documents.
#[derive(Debug)]
pub(super) struct Fetcher {
    client: Client,
    agent: String,
    tries: u32,
    retry_interval: Duration,
    timeout: Duration,
    limits: Limits,
}

/// Why a try failed, and whether another one may do better.
struct Tried {
    failure: Failure,
    again: bool,
}

/// An error unless the URI is one that can be added.
pub(super) fn check_uri(listed: &Listed) -> Result<(), Failure> {
    place(listed).map(drop)
}

fn place(listed: &Listed) -> Result<Place, Failure> {
    let uri = listed.uri.as_str();
    if uri == catalog::URI {
        return Ok(Place::Embedded);
    }
    if let Some(rest) = uri.strip_prefix("file:") {
        let path = rest.strip_prefix("//").unwrap_or(rest);
        // `file://host/path` names another host's file.
        let path =
            path.strip_prefix("localhost").filter(|_| rest.starts_with("//")).unwrap_or(path);
        let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        let path = Path::new(decoded.as_ref());
        if !path.is_absolute() {
            return Err(Failure::unsupported_repository_uri(uri));
        }
        return Ok(Place::File(path.to_owned()));
    }
    if !uri.starts_with("http://") && !uri.starts_with("https://") {
        return Err(Failure::unsupported_repository_uri(uri));
    }
    match uri.parse::<Uri>() {
        Ok(parsed) if parsed.host().is_some_and(|host| !host.is_empty()) => Ok(Place::Http(parsed)),
        Ok(_) => Err(Failure::repository_uri_syntax(&listed.name, uri, "no host")),
        Err(error) => Err(Failure::repository_uri_syntax(&listed.name, uri, &error.to_string())),
    }
}

// === impl Fetcher ===

impl Fetcher {
    pub(super) fn new(config: &Config) -> Fetcher {
        let client = Client::new(ClientConfig {
            body_limit: config.limits.document,
            ..ClientConfig::default()
        });
        Fetcher {
            client,
            agent: format!("{AGENT} dcos/{}", config.dcos_version),
            tries: config.tries.max(1),
            retry_interval: config.retry_interval,
            timeout: config.fetch_timeout,
            limits: config.limits,
        }
    }

    /// The document, unless it is the one that `known` stands for.
    pub(super) async fn fetch(
        &self,
        listed: &Listed,
        known: &Validators,
    ) -> Result<Option<Fetched>, Failure> {
        match place(listed)? {
            Place::Embedded => {
                let document = Arc::from(catalog::repository());
                self.parse(document, Validators::default()).await.map(Some)
            }
            Place::File(path) => self.file(listed, path, known).await,
            Place::Http(uri) => self.http(listed, uri, known).await,
        }
    }

    /// Reads a document on the pool for blocking work: a large one takes a while.
    pub(super) async fn parse(
        &self,
        document: Arc<[u8]>,
        validators: Validators,
    ) -> Result<Fetched, Failure> {
        let limits = self.limits;
        let source = Arc::clone(&document);
        let parsed = tokio::task::spawn_blocking(move || Repository::parse(source, &limits)).await;
        let parsed = parsed.map_err(|_| Failure::service_unavailable("cosmos"))?;
        let repository = parsed.map_err(|error| Failure::repository_document(&error))?;
        Ok(Fetched { document, repository: Arc::new(repository), validators })
    }

    async fn file(
        &self,
        listed: &Listed,
        path: PathBuf,
        known: &Validators,
    ) -> Result<Option<Fetched>, Failure> {
        let (limit, known) = (self.limits.document, known.clone());
        let read = tokio::task::spawn_blocking(move || read_file(&path, limit, &known)).await;
        let read = read.map_err(|_| Failure::service_unavailable("cosmos"))?;
        let connection = |error: std::io::Error| {
            Failure::repository_uri_connection(&listed.name, &listed.uri, &error.to_string())
        };
        let Some((validators, bytes)) = read.map_err(connection)? else { return Ok(None) };
        let document = self.unpacked(bytes).await?;
        self.parse(document, validators).await.map(Some)
    }

    async fn http(
        &self,
        listed: &Listed,
        uri: Uri,
        known: &Validators,
    ) -> Result<Option<Fetched>, Failure> {
        let mut left = self.tries;
        loop {
            left -= 1;
            let slow = || Tried {
                failure: Failure::repository_uri_connection(
                    &listed.name,
                    &listed.uri,
                    &format!("nothing whole within {:?}", self.timeout),
                ),
                again: false,
            };
            let tried =
                tokio::time::timeout(self.timeout, self.try_http(listed, &uri, known)).await;
            match tried.unwrap_or_else(|_| Err(slow())) {
                Ok(found) => return Ok(found),
                Err(Tried { failure, again }) if !again || left == 0 => return Err(failure),
                Err(Tried { failure, .. }) => {
                    tracing::info!(repository = %listed.name, error = %failure.message, "trying again");
                    tokio::time::sleep(self.retry_interval).await;
                }
            }
        }
    }

    async fn try_http(
        &self,
        listed: &Listed,
        uri: &Uri,
        known: &Validators,
    ) -> Result<Option<Fetched>, Tried> {
        let response = self.follow(listed, uri.clone(), known).await?;
        let (name, uri) = (&listed.name, &listed.uri);
        match response.status() {
            StatusCode::NOT_MODIFIED if *known != Validators::default() => return Ok(None),
            StatusCode::OK => {}
            status => {
                let failure = Failure::universe_client_http(name, uri, status);
                return Err(Tried { failure, again: status.is_server_error() });
            }
        }
        let settled = |failure| Tried { failure, again: false };
        check_type(response.headers()).map_err(settled)?;
        let validators = Validators {
            etag: text(response.headers(), &ETAG),
            last_modified: text(response.headers(), &LAST_MODIFIED),
        };
        let document = match text(response.headers(), &CONTENT_ENCODING).as_deref() {
            None | Some("identity") => Arc::from(response.body().as_ref()),
            Some("gzip") => self.unpacked(response.into_body()).await.map_err(settled)?,
            Some(other) => return Err(settled(Failure::unsupported_content_encoding(other))),
        };
        self.parse(document, validators).await.map(Some).map_err(settled)
    }

    /// Sends the request and follows redirects that keep the scheme.
    async fn follow(
        &self,
        listed: &Listed,
        mut uri: Uri,
        known: &Validators,
    ) -> Result<Response<Bytes>, Tried> {
        let settled = |failure| Tried { failure, again: false };
        for _ in 0..=REDIRECTS {
            let request = self.request(&uri, known).map_err(|error| {
                settled(Failure::repository_uri_syntax(
                    &listed.name,
                    &listed.uri,
                    &error.to_string(),
                ))
            })?;
            let response =
                self.client.fetch(request).await.map_err(|error| self.failed(listed, &error))?;
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            uri = redirected(&uri, response.headers()).map_err(settled)?;
        }
        Err(settled(Failure::repository_uri_connection(
            &listed.name,
            &listed.uri,
            &format!("more than {REDIRECTS} redirects"),
        )))
    }

    fn request(&self, uri: &Uri, known: &Validators) -> Result<Request<Full<Bytes>>, http::Error> {
        let accept: Vec<String> =
            [5, 4, 3].map(|version| MediaType::repository(version).to_string()).to_vec();
        let mut request = Request::get(uri)
            .header(ACCEPT, accept.join(","))
            .header(ACCEPT_ENCODING, "gzip")
            .header(USER_AGENT, &self.agent);
        if let Some(etag) = &known.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(modified) = &known.last_modified {
            request = request.header(IF_MODIFIED_SINCE, modified);
        }
        request.body(Full::default())
    }

    fn failed(&self, listed: &Listed, error: &ClientError) -> Tried {
        let failure = match error {
            ClientError::TooLarge { limit, .. } => {
                let error = RepositoryError::TooLarge { size: limit + 1, limit: *limit };
                Failure::repository_document(&error)
            }
            other => {
                Failure::repository_uri_connection(&listed.name, &listed.uri, &other.to_string())
            }
        };
        let again = matches!(error, ClientError::Unreachable { .. } | ClientError::Broken { .. });
        Tried { failure, again }
    }

    /// A document that may be packed; a small file must not become a large one without end.
    async fn unpacked(&self, bytes: Bytes) -> Result<Arc<[u8]>, Failure> {
        let limit = self.limits.document;
        if !bytes.starts_with(GZIP) {
            return Ok(Arc::from(bytes.as_ref()));
        }
        let unpack = move || {
            let mut out = Vec::new();
            let mut limited = GzDecoder::new(bytes.as_ref()).take(limit as u64 + 1);
            limited.read_to_end(&mut out).map(|_| out)
        };
        let out = tokio::task::spawn_blocking(unpack).await;
        let out = out.map_err(|_| Failure::service_unavailable("cosmos"))?;
        match out {
            Ok(out) if out.len() > limit => {
                let error = RepositoryError::TooLarge { size: out.len(), limit };
                Err(Failure::repository_document(&error))
            }
            Ok(out) => Ok(Arc::from(out)),
            Err(error) => {
                let reason = format!("the packed document is damaged: {error}");
                Err(Failure::repository_document(&RepositoryError::Syntax { at: 0, reason }))
            }
        }
    }
}

/// A file's bytes, unless it is the one that is known.
fn read_file(
    path: &Path,
    limit: usize,
    known: &Validators,
) -> std::io::Result<Option<(Validators, Bytes)>> {
    // Asked before it is opened: opening a pipe waits for whoever writes to it.
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let etag = format!("{}-{}", modified.as_nanos(), metadata.len());
    let validators = Validators { etag: Some(etag), last_modified: None };
    if validators == *known {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some((validators, Bytes::from(bytes))))
}

/// The type says that it is a repository; which version does not matter, as in the original.
fn check_type(headers: &HeaderMap) -> Result<(), Failure> {
    let actual = text(headers, &CONTENT_TYPE);
    let parsed = actual.as_deref().and_then(|actual| MediaType::parse(actual).ok());
    let fits = |found: &MediaType| (3..=5).any(|v| found.admits(&MediaType::repository(v)));
    if parsed.as_ref().is_some_and(fits) {
        return Ok(());
    }
    let shown = parsed.map(|parsed| parsed.to_string()).or(actual);
    let supported = [MediaType::repository(4), MediaType::repository(3)];
    Err(Failure::unsupported_content_type(&supported, shown.as_deref()))
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect leads; not to another scheme.
pub(crate) fn redirected(from: &Uri, headers: &HeaderMap) -> Result<Uri, Failure> {
    let scheme = from.scheme_str().unwrap_or("http");
    let target = text(headers, &LOCATION);
    let unsupported = |actual: Option<&str>| Failure::unsupported_redirect(scheme, actual);
    let target =
        target.and_then(|target| target.parse::<Uri>().ok()).ok_or_else(|| unsupported(None))?;
    match target.scheme_str() {
        Some(other) if other == scheme => Ok(target),
        Some(other) => Err(unsupported(Some(other))),
        None => {
            let mut parts = target.into_parts();
            parts.scheme = from.scheme().cloned();
            parts.authority = from.authority().cloned();
            Uri::from_parts(parts).map_err(|_| unsupported(None))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(uri: &str) -> &'static str {
        let listed = Listed { name: "n".to_owned(), uri: uri.to_owned() };
        match place(&listed) {
            Ok(Place::Embedded) => "embedded",
            Ok(Place::File(_)) => "file",
            Ok(Place::Http(_)) => "http",
            Err(failure) => failure.kind,
        }
    }

    #[test]
    fn places() {
        for (uri, expected) in [
            ("file:catalog", "embedded"),
            ("file:/a/b.json", "file"),
            ("file:///a/b.json", "file"),
            ("file://localhost/a/b.json", "file"),
            ("file://foo/bar", "UnsupportedRepositoryUri"),
            ("file:relative", "UnsupportedRepositoryUri"),
            ("ftp://h/x", "UnsupportedRepositoryUri"),
            ("x", "UnsupportedRepositoryUri"),
            ("http://h/x", "http"),
            ("https://h", "http"),
            ("http://h/a b", "RepositoryUriSyntax"),
            ("http:///x", "RepositoryUriSyntax"),
        ] {
            assert_eq!(kind(uri), expected, "{uri}");
        }
    }

    #[test]
    fn redirects_keep_the_scheme() {
        let to = |location: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, location.parse().unwrap());
            redirected(&"http://a/x".parse().unwrap(), &headers).map(|uri| uri.to_string())
        };
        assert_eq!(to("http://b/y").unwrap(), "http://b/y");
        assert_eq!(to("/y?z").unwrap(), "http://a/y?z");
        assert_eq!(to("https://b/y").unwrap_err().kind, "UnsupportedRedirect");
    }
}
