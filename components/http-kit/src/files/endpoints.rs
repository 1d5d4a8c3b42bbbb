//! `/files/browse`, `/files/read`, `/files/download`, `/files/debug`.

use std::fs::File;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, HeaderValue};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::{FileInfo, FilesError, VirtualFiles};
use crate::json::{self, Object};
use crate::permissions::Caller;
use crate::{Body, Endpoint, Params, Request, Response, respond};

/// The four endpoints of the actor `files`.
pub fn endpoints(files: &VirtualFiles, realm: &'static str) -> [Endpoint; 4] {
    let endpoint = |path, summary, handler: fn(VirtualFiles, Request) -> Answer| {
        let files = files.clone();
        Endpoint::new("files", path, move |request| handler(files.clone(), request))
            .realm(realm)
            .help(summary)
    };
    [
        endpoint("/browse", "Lists a directory", |f, r| Box::pin(browse(f, r))),
        endpoint("/read", "Reads a piece of a file", |f, r| Box::pin(read(f, r))),
        endpoint("/download", "Sends a file", |f, r| Box::pin(download(f, r))),
        endpoint("/debug", "Shows which paths are attached", |f, r| Box::pin(debug(f, r))),
    ]
}

type Answer = std::pin::Pin<Box<dyn Future<Output = Response> + Send>>;

/// What a handler needs of its request.
struct Asked {
    params: Params,
    caller: Caller,
}

impl Asked {
    fn of(request: &Request) -> Asked {
        Asked { params: Params::of(request.uri()), caller: Caller::of(request.extensions()) }
    }

    fn path(&self) -> Result<&str, Response> {
        match self.params.get("path") {
            Some(path) if !path.is_empty() => Ok(path),
            _ => Err(respond::bad_request("Expecting 'path=value' in query.\n")),
        }
    }

    /// A number of the query; absent and -1 mean none.
    fn number(&self, name: &str) -> Result<Option<u64>, Response> {
        let Some(text) = self.params.get(name) else {
            return Ok(None);
        };
        let number: i64 = text.trim().parse().map_err(|_| {
            respond::bad_request(format!(
                "Failed to parse {name}: Failed to convert '{text}' to number.\n"
            ))
        })?;
        if number < -1 {
            return Err(respond::bad_request(format!("Negative {name} provided: {number}.\n")));
        }
        Ok(u64::try_from(number).ok())
    }
}

impl FilesError {
    /// The classic answer.
    pub fn answer(&self) -> Response {
        match self {
            FilesError::Invalid(text) => respond::bad_request(format!("{text}\n")),
            FilesError::Forbidden => respond::forbidden(),
            FilesError::NotFound => respond::not_found(),
            FilesError::Io(text) => respond::internal_error(format!("{text}.\n")),
        }
    }
}

async fn browse(files: VirtualFiles, request: Request) -> Response {
    let asked = Asked::of(&request);
    let path = match asked.path() {
        Ok(path) => path,
        Err(refused) => return refused,
    };
    match files.browse(path, &asked.caller).await {
        Ok(entries) => {
            let mut out = Vec::with_capacity(64 + entries.len() * 160);
            json::list(&mut out, &entries, write_entry);
            respond::json_or_jsonp(&asked.params, out)
        }
        Err(error) => error.answer(),
    }
}

fn write_entry(out: &mut Vec<u8>, entry: &FileInfo) {
    let mut object = Object::new(out);
    object.string("gid", &entry.gid);
    object.string("mode", &mode_text(entry.mode));
    object.double("mtime", entry.mtime as f64);
    object.integer("nlink", i64::try_from(entry.nlink).unwrap_or(i64::MAX));
    object.string("path", &entry.path);
    object.integer("size", i64::try_from(entry.size).unwrap_or(i64::MAX));
    object.string("uid", &entry.uid);
    object.end();
}

/// `-rwxr-xr-x`.
pub(super) fn mode_text(mode: u32) -> String {
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o020_000 => 'c',
        0o060_000 => 'b',
        0o010_000 => 'p',
        0o140_000 => 's',
        _ => '-',
    };
    let bits = "rwxrwxrwx"
        .chars()
        .enumerate()
        .map(|(at, letter)| if mode & (0o400 >> at) != 0 { letter } else { '-' });
    std::iter::once(kind).chain(bits).collect()
}

async fn read(files: VirtualFiles, request: Request) -> Response {
    let asked = Asked::of(&request);
    match read_inner(&files, &asked).await {
        Ok(response) | Err(response) => response,
    }
}

async fn read_inner(files: &VirtualFiles, asked: &Asked) -> Result<Response, Response> {
    let path = asked.path()?;
    let offset = asked.number("offset")?;
    let length = asked.number("length")?;
    let piece =
        files.read(path, offset, length, &asked.caller).await.map_err(|error| error.answer())?;
    let mut out = Vec::with_capacity(64 + piece.data.len());
    let mut object = Object::new(&mut out);
    json::raw_string(object.key("data"), &piece.data);
    let told = offset.unwrap_or(piece.size);
    object.integer("offset", i64::try_from(told).unwrap_or(i64::MAX));
    object.end();
    Ok(respond::json_or_jsonp(&asked.params, out))
}

async fn download(files: VirtualFiles, request: Request) -> Response {
    let asked = Asked::of(&request);
    let path = match asked.path() {
        Ok(path) => path,
        Err(refused) => return refused,
    };
    match files.open(path, &asked.caller).await {
        Ok((file, size)) => send(path, file, size),
        Err(error) => error.answer(),
    }
}

fn send(path: &str, file: File, size: u64) -> Response {
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or("file");
    let (pieces, received) = mpsc::channel(4);
    tokio::spawn(pump(tokio::fs::File::from_std(file), pieces));
    let body = Body::Sized { pieces: received, remaining: size };
    let kind = HeaderValue::from_static(content_type(name));
    let mut response = respond::with_body(StatusCode::OK, kind, body);
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename={}", file_name(name))) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    response
}

/// A name with anything special is quoted, without what would end the quotes.
fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '~');
    if name.chars().all(plain) {
        return name.to_owned();
    }
    let kept: String = name
        .chars()
        .map(|c| if c.is_control() || matches!(c, '"' | '\\') { '_' } else { c })
        .collect();
    format!("\"{kept}\"")
}

async fn pump(mut file: tokio::fs::File, pieces: mpsc::Sender<Bytes>) {
    loop {
        let mut piece = Vec::with_capacity(64 * 1024);
        match file.read_buf(&mut piece).await {
            Ok(0) => return,
            Ok(_) => {
                if pieces.send(piece.into()).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a download broke off");
                return;
            }
        }
    }
}

fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "css" => "text/css",
        "csv" => "text/csv",
        "gif" => "image/gif",
        "gz" | "tgz" => "application/x-gzip",
        "htm" | "html" => "text/html",
        "jpeg" | "jpg" => "image/jpeg",
        "js" => "application/javascript",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "tar" => "application/x-tar",
        "txt" => "text/plain",
        "xml" => "application/xml",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

async fn debug(files: VirtualFiles, request: Request) -> Response {
    let mut out = Vec::new();
    let mut object = Object::new(&mut out);
    for (path, real) in files.attached() {
        object.string(&path, &real.to_string_lossy());
    }
    object.end();
    respond::json_or_jsonp(&Params::of(request.uri()), out)
}
