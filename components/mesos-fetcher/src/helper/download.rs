//! Brings a URI's content into a file.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use ureq::{
    Agent,
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

const MAX_REDIRECTS: u32 = 50;

/// Where systems keep the certificates they trust.
const CERTIFICATES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Returns the file's permissions.
pub(super) fn copy(path: &Path, to: &File) -> Result<u32, String> {
    let failed = |error: io::Error| format!("'{}' cannot be read: {error}", path.display());
    // Without blocking: the path may be that of a pipe.
    let mut from = File::options()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)
        .map_err(failed)?;
    let metadata = from.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(format!("'{}' is not a regular file", path.display()));
    }
    let mut to = to;
    io::copy(&mut from, &mut to).map_err(failed)?;
    Ok(metadata.permissions().mode() & 0o777)
}

pub(super) fn http(url: &str, to: &File, stall_timeout_ms: u64) -> Result<(), String> {
    let response = agent(stall_timeout_ms)
        .get(url)
        .call()
        .map_err(|error| format!("the download failed: {error}"))?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(format!("the server answered with status {status}"));
    }
    let mut body = response.into_body().into_reader();
    let mut to = to;
    io::copy(&mut body, &mut to).map_err(|error| format!("the download failed: {error}"))?;
    to.flush().map_err(|error| format!("the download failed: {error}"))
}

/// What a server says about the size, without the content.
pub(crate) fn http_size(url: &str, stall_timeout_ms: u64) -> Result<u64, String> {
    let response = agent(stall_timeout_ms)
        .head(url)
        .call()
        .map_err(|error| format!("asking for the size failed: {error}"))?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(format!("asking for the size, the server answered with status {status}"));
    }
    response
        .headers()
        .get("content-length")
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .ok_or_else(|| "the server does not tell the size".to_owned())
}

fn agent(stall_timeout_ms: u64) -> Agent {
    let stall = Some(Duration::from_millis(stall_timeout_ms));
    let tls = TlsConfig::builder().root_certs(certificates()).build();
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(MAX_REDIRECTS)
        .timeout_resolve(stall)
        .timeout_connect(stall)
        .timeout_recv_response(stall)
        .timeout_per_read(stall)
        .timeout_per_write(stall)
        .user_agent("dais-fetcher")
        .tls_config(tls)
        .build()
        .new_agent()
}

/// Those the system trusts, or, where it keeps none, those built in.
fn certificates() -> RootCerts {
    let bundle = std::env::var_os("SSL_CERT_FILE").map(Into::into);
    let places = bundle.into_iter().chain(CERTIFICATES.iter().map(std::path::PathBuf::from));
    for place in places {
        let Ok(pem) = fs::read(&place) else {
            continue;
        };
        let found: Vec<_> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if !found.is_empty() {
            return RootCerts::new_with_certs(&found);
        }
    }
    RootCerts::WebPki
}
