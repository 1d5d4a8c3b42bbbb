//! What the gateway answers from its own: files, facts of the cluster, counts.

use std::io::ErrorKind;
use std::path::{Component, Path as FilePath, PathBuf};

use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, EXPIRES, HeaderValue, PRAGMA};
use proxy::{Decision, Peer, Response};
use tokio::io::AsyncReadExt;

use super::{Ask, Gateway, Inner, own, respond};
use crate::access::Caller;
use crate::pages::{html, set};
use crate::routes::Own;

/// The largest file that is served.
const LONGEST: u64 = 32 * 1024 * 1024;

/// The release of DC/OS whose API this is, as programs ask for it.
const DCOS_VERSION: &str = "2.1.1";

/// What the web page may load: its own files.
const UI_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: https:; \
     object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
);

// === impl Gateway ===

impl Gateway {
    /// Answers with a file, or with what stands in its place.
    pub(super) fn file(&self, ask: Ask, caller: &Caller, what: Own) -> Decision {
        let site = &self.0.site;
        let rest = ask.path.strip_prefix(ask.route.pattern.base()).unwrap_or_default();
        let path = match what {
            Own::Version => site.metadata.as_ref().map(|dir| dir.join("dcos-version.json")),
            Own::BuildInfo => site.build_info.clone(),
            Own::MetadataFolder => below(site.metadata.as_deref(), rest),
            Own::Assets | Own::Ui => below(site.ui.as_deref(), ask.path.as_str()),
            _ => None,
        };
        let user = caller.user();
        let this = self.clone();
        Decision::Later(Box::pin(async move {
            let inner = &*this.0;
            let mut response = match (what, path) {
                (Own::Metadata, _) => inner.metadata(&ask).await,
                (Own::Version, None) => inner.version(&ask),
                (Own::Ui, None) if ask.path.as_str() == "/" => inner.landing(&ask),
                (_, Some(path)) => inner.read_file(&ask, &path, what).await,
                (_, None) => inner.not_found(&ask.head, &ask.peer),
            };
            response.user = user;
            respond(response, ask.id)
        }))
    }
}

/// A file below a folder; none for names that could lead elsewhere.
fn below(folder: Option<&FilePath>, path: &str) -> Option<PathBuf> {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
    let relative = FilePath::new(decoded.trim_start_matches('/'));
    // Hidden files are for nobody; and the path is normalised already.
    let plain = |part: Component<'_>| match part {
        Component::Normal(name) => !name.to_string_lossy().starts_with('.'),
        _ => false,
    };
    relative.components().all(plain).then(|| match folder {
        Some(folder) if decoded.ends_with('/') => Some(folder.join(relative).join("index.html")),
        Some(folder) => Some(folder.join(relative)),
        None => None,
    })?
}

// === impl Inner ===

impl Inner {
    async fn read_file(&self, ask: &Ask, path: &FilePath, what: Own) -> Response {
        let text = match read(path).await {
            Ok(text) => text,
            Err(error) => {
                if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) {
                    tracing::warn!(%error, path = %path.display(), "a file cannot be served");
                }
                return self.not_found(&ask.head, &ask.peer);
            }
        };
        let (head, status) = (Some(&*ask.head), StatusCode::OK);
        let mut response = self.pages.answer(head, &ask.peer, status, media_type(path), text);
        let keep = match what {
            Own::Version => "no-cache",
            Own::Assets => "max-age=172800",
            Own::Ui => "max-age=30",
            _ => "no-cache, no-store, must-revalidate",
        };
        set(&mut response, CACHE_CONTROL, HeaderValue::from_static(keep));
        match what {
            Own::BuildInfo => {
                set(&mut response, PRAGMA, HeaderValue::from_static("no-cache"));
                set(&mut response, EXPIRES, HeaderValue::from_static("0"));
            }
            Own::Ui | Own::Assets => set(&mut response, CONTENT_SECURITY_POLICY, UI_POLICY),
            _ => {}
        }
        response
    }

    /// The version where there is no file that says it.
    fn version(&self, ask: &Ask) -> Response {
        let text = serde_json::json!({
            "version": DCOS_VERSION,
            "dcos-variant": "open",
            "dais-version": env!("CARGO_PKG_VERSION"),
        });
        let mut response = self.pages.json(&ask.head, &ask.peer, format!("{text}\n"));
        set(&mut response, CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }

    /// `/metadata`, in the original's spelling.
    async fn metadata(&self, ask: &Ask) -> Response {
        let ip = self.site.public_ip.unwrap_or_else(|| reached(&ask.peer));
        let id = match &self.site.cluster_id {
            Some(path) => read(path).await.ok(),
            None => None,
        };
        let id = id.as_deref().and_then(|text| std::str::from_utf8(text).ok());
        let id = id.and_then(|text| text.lines().next()).map(str::trim).filter(|id| !id.is_empty());
        let text = match id {
            Some(id) => {
                let id = serde_json::Value::from(id);
                format!("{{\"PUBLIC_IPV4\": \"{ip}\", \"CLUSTER_ID\": {id}}}\n")
            }
            None => format!("{{\"PUBLIC_IPV4\": \"{ip}\"}}\n"),
        };
        self.pages.json(&ask.head, &ask.peer, text)
    }

    pub(super) fn metrics(&self, ask: &Ask) -> Response {
        let Some(metrics) = self.metrics.get() else {
            return self.not_found(&ask.head, &ask.peer);
        };
        self.pages.text(&ask.head, &ask.peer, metrics.render())
    }

    /// The counts that are about the gateway as a whole.
    pub(super) fn status(&self, ask: &Ask) -> Response {
        let text = self.metrics.get().map(|metrics| metrics.render()).unwrap_or_default();
        let mut rows = String::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.contains('{')) {
            let (name, value) = line.rsplit_once(' ').unwrap_or((line, ""));
            let (name, value) = (html::escape(name), html::escape(value));
            rows.push_str(&format!("<tr><td>{name}</td><td>{value}</td></tr>"));
        }
        let body =
            format!("<table>{rows}</table><p><a href=\"/nginx/metrics\">All metrics</a></p>");
        let page = html::page("Gateway status", &body);
        self.pages.html(Some(&ask.head), &ask.peer, StatusCode::OK, page)
    }

    /// What is there while there is no web page.
    fn landing(&self, ask: &Ask) -> Response {
        const BODY: &str = "<p>This is the gateway of a Dais cluster.</p><ul>\
            <li><a href=\"/mesos/\">Mesos master</a></li>\
            <li><a href=\"/mesos/tasks\">Tasks</a></li>\
            <li><a href=\"/service/marathon/v2/apps\">Apps of Marathon</a></li>\
            <li><a href=\"/dcos-metadata/dcos-version.json\">Version</a></li>\
            <li><a href=\"/nginx/status\">Status of the gateway</a></li>\
            <li><a href=\"/login\">Log in</a></li>\
            <li><a href=\"/acs/api/v1/auth/logout\">Log out</a></li></ul>";
        let page = html::page("Dais", BODY);
        self.pages.html(Some(&ask.head), &ask.peer, StatusCode::OK, page)
    }

    /// The token of a browser's session, for whoever has it open. A page of a service, which
    /// has the same origin, must not read it: it is only shown to a person (not to a script that
    /// fetches it), and in a document that other documents cannot look into.
    pub(super) fn token(&self, ask: &Ask) -> Response {
        let head = &*ask.head;
        let header = |name| head.header(name).unwrap_or_default();
        let shown =
            header("sec-fetch-dest") == b"document" && header("sec-fetch-mode") == b"navigate";
        let candidates = match crate::access::credentials::presented(head) {
            crate::access::credentials::Presented::Cookie(candidates) => candidates,
            _ => return self.pages.redirect(head, &ask.peer, StatusCode::FOUND, "/login"),
        };
        if !shown {
            let text = own("a token is shown in a window of its own only");
            return self.pages.error(Some(head), &ask.peer, StatusCode::FORBIDDEN, &text);
        }
        let caller = self.gate.identify(head, &ask.peer).ok();
        let chosen = caller.as_ref().map(|caller| match &caller.authorization {
            Some(header) => header.to_str().ok().and_then(|text| text.strip_prefix("token=")),
            // Nobody is identified where authentication is off.
            None => candidates.first().copied(),
        });
        match chosen.flatten() {
            Some(token) => self.token_page(ask, token),
            None => self.pages.redirect(head, &ask.peer, StatusCode::FOUND, "/login"),
        }
    }
}

/// The address that the client reached, as IPv4 where it is one.
fn reached(peer: &Peer) -> std::net::IpAddr {
    peer.local.ip().to_canonical()
}

async fn read(path: &FilePath) -> std::io::Result<Bytes> {
    let file = tokio::fs::File::open(path).await?;
    let length = file.metadata().await?;
    if length.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if length.len() > LONGEST {
        return Err(ErrorKind::FileTooLarge.into());
    }
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).await?;
    Ok(text.into())
}

fn media_type(path: &FilePath) -> HeaderValue {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
    HeaderValue::from_static(match end {
        "html" => "text/html; charset=UTF-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_outside_of_the_folder_are_never_named() {
        let folder = Some(FilePath::new("/srv"));
        assert_eq!(below(folder, "/a/b.js"), Some(PathBuf::from("/srv/a/b.js")));
        assert_eq!(below(folder, "/"), Some(PathBuf::from("/srv/index.html")));
        assert_eq!(below(folder, "/a/"), Some(PathBuf::from("/srv/a/index.html")));
        for path in ["/../x", "/a/../x", "/.git/config", "/a/.htpasswd", "/%2e%2e/x", "/%ff"] {
            assert_eq!(below(folder, path), None, "{path}");
        }
        assert_eq!(below(None, "/a"), None);
    }
}
