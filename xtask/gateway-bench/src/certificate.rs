//! The one certificate that all proxies use: ECDSA P-256, as the gateway's own is.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Both in one file, as haproxy wants it.
    pub(crate) both: PathBuf,
}

pub(crate) fn make(folder: &Path) -> Result<Files> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let files = Files {
        certificate: folder.join("certificate.pem"),
        key: folder.join("key.pem"),
        both: folder.join("both.pem"),
    };
    fs::write(&files.both, format!("{certificate}{key}"))?;
    fs::write(&files.certificate, certificate)?;
    fs::write(&files.key, key)?;
    Ok(files)
}
