//! The file with which a component logs in.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use identity::{KeyError, SigningKey};
use serde::Deserialize;

/// A file that is longer is none of these.
const LONGEST: u64 = 64 * 1024;

/// Why a service account file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("cannot read the service account file {path}")]
    Read {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the service account file {path} must be readable by its owner only (chmod 600)")]
    Exposed { path: String },
    #[error("the service account file {path} is malformed")]
    Malformed { path: String },
    #[error("the service account file {path} has no usable key")]
    Key {
        path: String,
        #[source]
        source: KeyError,
    },
    #[error("the service account file {path} has a key for another scheme than it says")]
    Scheme { path: String },
}

/// Who a component is, and the key that proves it.
#[derive(Clone)]
pub struct ServiceAccount {
    uid: String,
    private_key: String,
    login_endpoint: Option<String>,
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceAccount({})", self.uid)
    }
}

#[derive(Deserialize)]
struct File {
    uid: String,
    private_key: String,
    #[serde(default)]
    scheme: Option<String>,
    #[serde(default)]
    login_endpoint: Option<String>,
}

impl ServiceAccount {
    /// Reads the original's form: JSON with `uid`, `private_key` (PEM), `scheme` and
    /// `login_endpoint`. Nobody else may be able to read the file.
    pub fn load(path: &Path) -> Result<ServiceAccount, AccountError> {
        let name = || path.display().to_string();
        let read = |source| AccountError::Read { path: name(), source };
        let file = std::fs::File::open(path).map_err(read)?;
        if file.metadata().map_err(read)?.mode() & 0o077 != 0 {
            return Err(AccountError::Exposed { path: name() });
        }
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).map_err(read)?;
        let file: File =
            serde_json::from_str(&text).map_err(|_| AccountError::Malformed { path: name() })?;
        let key = SigningKey::from_pem(&file.private_key)
            .map_err(|source| AccountError::Key { path: name(), source })?;
        if file.scheme.is_some_and(|scheme| scheme != key.algorithm().name()) {
            return Err(AccountError::Scheme { path: name() });
        }
        let File { uid, private_key, login_endpoint, .. } = file;
        Ok(ServiceAccount { uid, private_key, login_endpoint })
    }

    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Where the file says that it logs in.
    pub fn login_endpoint(&self) -> Option<&str> {
        self.login_endpoint.as_deref()
    }

    /// The body of a login.
    pub fn login_body(&self, now_unix: i64) -> Result<String, KeyError> {
        let token = identity::service_login_token(&self.uid, &self.private_key, now_unix)?;
        Ok(serde_json::json!({"uid": self.uid, "token": token}).to_string())
    }
}
