//! Certificates: of the https frontend, and of services whose labels name files. All are read
//! again when they change; what cannot be read is left out and told of.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proxy::tls::{Certificates, Source, TlsError, TlsOptions};
use tokio_util::sync::CancellationToken;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// Files of one folder.
const MOST_FILES: usize = 10_000;

/// Where certificates come from.
#[derive(Clone, Default)]
pub struct Origins {
    /// Files in PEM with a chain and a key, or folders of such. The first is what clients get
    /// that name no known host.
    pub paths: Vec<PathBuf>,
    /// Texts in PEM.
    pub texts: Vec<String>,
}

/// All certificates.
pub(crate) struct Keyring {
    origins: Origins,
    /// Made here, for where there is none.
    own: Source,
    https: Arc<Certificates>,
    named: Mutex<Named>,
}

/// By files that labels name.
#[derive(Default)]
struct Named {
    certificates: BTreeMap<Arc<str>, Arc<Certificates>>,
    wanted: BTreeSet<Arc<str>>,
    refused: BTreeMap<String, String>,
    fingerprint: u64,
}

/// Why there are none at all.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    #[error("cannot use the certificate made here")]
    Use(#[from] TlsError),
}

impl std::fmt::Debug for Origins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Origins({:?} and {} texts)", self.paths, self.texts.len())
    }
}

// === impl Keyring ===

impl Keyring {
    /// With a certificate made here; those of files come with the first [`Keyring::look`].
    pub(crate) fn new(origins: Origins) -> Result<Arc<Keyring>, KeyringError> {
        let made = rcgen::generate_simple_self_signed(vec!["edge-lb".to_owned()])?;
        let own = Source::pem(made.cert.pem(), made.signing_key.serialize_pem());
        let https = Certificates::new(vec![own.clone()], &TlsOptions::default())?;
        Ok(Arc::new(Keyring { origins, own, https, named: Mutex::default() }))
    }

    /// For the https frontend.
    pub(crate) fn https(&self) -> &Arc<Certificates> {
        &self.https
    }

    /// Those in a file that a label names.
    pub(crate) fn of(&self, path: &str) -> Option<Arc<Certificates>> {
        self.lock().certificates.get(path).cloned()
    }

    /// Which files labels name; whether some of them were not named before.
    pub(crate) fn want(&self, paths: BTreeSet<Arc<str>>) -> bool {
        let mut named = self.lock();
        let more = paths.iter().any(|path| !named.wanted.contains(path));
        named.wanted = paths;
        more
    }

    /// What cannot be used, and why.
    pub(crate) fn refused(&self) -> BTreeMap<String, String> {
        self.lock().refused.clone()
    }

    /// Reads everything again, if anything changed; whether it did. Blocks.
    pub(crate) fn look(&self, hasher: &RandomState) -> bool {
        let wanted = self.lock().wanted.clone();
        let files = self.files(&wanted);
        let texts: Vec<_> = files.iter().map(|file| (file, std::fs::read(file).ok())).collect();
        let fingerprint = hasher.hash_one((&texts, &wanted));
        if std::mem::replace(&mut self.lock().fingerprint, fingerprint) == fingerprint {
            return false;
        }
        drop(texts);
        let mut refused = BTreeMap::new();
        let mut sources = Vec::new();
        let texts = self.origins.texts.iter().map(|text| Source::pem(text.clone(), text.clone()));
        let given = texts.map(|source| ("what was given".to_owned(), source));
        let files = files
            .into_iter()
            .map(|file| (file.display().to_string(), Source::files(&file, key_of(&file))));
        let mut certificates = BTreeMap::new();
        for (name, source) in given.chain(files) {
            match Certificates::new(vec![source.clone()], &TlsOptions::default()) {
                Ok(usable) => {
                    sources.push(source);
                    if let Some(path) = wanted.get(name.as_str()) {
                        certificates.insert(Arc::clone(path), usable);
                    }
                }
                Err(error) => {
                    let cause = std::error::Error::source(&error);
                    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
                    let text = format!("{error}{cause}");
                    tracing::warn!(certificate = name, "not used: {text}");
                    refused.insert(name, text);
                }
            }
        }
        if sources.is_empty() {
            sources.push(self.own.clone());
        }
        match self.https.reload(sources) {
            Ok(()) => tracing::info!("certificates are for {:?}", self.https.names()),
            Err(error) => tracing::warn!("certificates are not used: {error}"),
        }
        let mut named = self.lock();
        // Who had a certificate keeps it while its file is broken.
        for path in &wanted {
            if let Some(before) = named.certificates.get(path) {
                let before = Arc::clone(before);
                certificates.entry(Arc::clone(path)).or_insert(before);
            }
        }
        named.certificates = certificates;
        named.refused = refused;
        true
    }

    /// Looks from time to time, until `token`, and calls `changed` when something was read anew.
    pub(crate) async fn watch(
        self: Arc<Keyring>,
        now: Arc<tokio::sync::Notify>,
        changed: impl Fn(),
        token: CancellationToken,
    ) {
        let hasher = Arc::new(RandomState::new());
        loop {
            let (this, with) = (Arc::clone(&self), Arc::clone(&hasher));
            match tokio::task::spawn_blocking(move || this.look(&with)).await {
                Ok(true) => changed(),
                Ok(false) => {}
                Err(_) => return,
            }
            tokio::select! {
                () = token.cancelled() => return,
                () = now.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn files(&self, wanted: &BTreeSet<Arc<str>>) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for path in &self.origins.paths {
            match std::fs::read_dir(path) {
                Ok(entries) => files.extend(folder(entries)),
                // Whatever else it is: reading it says what is wrong with it.
                Err(_) => files.push(path.clone()),
            }
        }
        let more = wanted.iter().map(|path| PathBuf::from(&**path));
        files.extend(more);
        let mut seen = BTreeSet::new();
        files.retain(|file| seen.insert(file.clone()));
        files
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Named> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Files with certificates, by name. Keys that stand beside them are none.
fn folder(entries: std::fs::ReadDir) -> Vec<PathBuf> {
    let is_one = |path: &PathBuf| {
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        !hidden && matches!(kind, "pem" | "crt" | "cert") && path.is_file()
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_one)
        .take(MOST_FILES)
        .collect();
    files.sort();
    files
}

/// `x.crt` has its key in `x.key`, or as HAProxy has it in `x.crt.key`, or in itself.
fn key_of(file: &Path) -> PathBuf {
    let mut behind = file.as_os_str().to_owned();
    behind.push(".key");
    let beside = [PathBuf::from(behind), file.with_extension("key")];
    beside.into_iter().find(|path| path.is_file()).unwrap_or_else(|| file.to_path_buf())
}
