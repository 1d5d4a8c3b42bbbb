//! The agent's side: what goes through the cache, and one helper per fetch.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::{DirBuilderExt, chown},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mesos_messages::v1;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    sync::watch,
    task::spawn_blocking,
};

use crate::{
    cache::{Cache, Key, Lookup},
    config::{FetchRequest, FetcherConfig},
    error::FetchError,
    helper,
    job::{Action, Identity, Item, Job, Limits, Outcome},
    uri::Source,
    users,
};

/// A helper's last words are short.
const MAX_OUTCOME_BYTES: u64 = 1 << 20;
/// What a download may find in the agent's environment.
const PASSED_ON: [&str; 9] = [
    "SSL_CERT_FILE",
    "ALL_PROXY",
    "all_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// The handle; clones share the cache.
#[derive(Clone, Debug)]
pub struct Fetcher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: FetcherConfig,
    cache: Mutex<Cache>,
    /// Told whenever a download into the cache has come to an end.
    downloads: watch::Sender<u64>,
    running: Mutex<HashMap<String, watch::Sender<bool>>>,
}

/// Keeps cache entries from going while they are used.
struct References<'a> {
    inner: &'a Inner,
    keys: Vec<Key>,
}

// === impl Fetcher ===

impl Fetcher {
    /// Empties the cache directory. Blocks on the disk; needs no runtime yet.
    pub fn new(config: FetcherConfig) -> Result<Self, FetchError> {
        let failed = |action| {
            let path = config.cache_dir.clone();
            move |source| FetchError::Io { action, path, source }
        };
        match fs::remove_dir_all(&config.cache_dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("empty the cache")(error));
            }
            _ => {}
        }
        // Passed through by the users whose directories are in it.
        fs::DirBuilder::new()
            .mode(0o711)
            .recursive(true)
            .create(&config.cache_dir)
            .map_err(failed("make the cache"))?;
        let inner = Inner {
            cache: Mutex::new(Cache::new(config.cache_size)),
            config,
            downloads: watch::Sender::new(0),
            running: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Brings all URIs into the sandbox, in their order. Dropping the future stops it, as `kill`
    /// does.
    pub async fn fetch(&self, request: FetchRequest) -> Result<(), FetchError> {
        if request.uris.is_empty() {
            return Ok(());
        }
        let id = request.container_id.value.clone();
        let killed = watch::Sender::new(false);
        let mut told = killed.subscribe();
        self.inner.running().insert(id.clone(), killed);
        let result = tokio::select! {
            result = self.inner.fetch(&request) => result,
            _ = told.wait_for(|killed| *killed) => Err(FetchError::Cancelled(id.clone())),
        };
        self.inner.running().remove(&id);
        result
    }

    /// Ends a fetch that runs; `fetch` then fails with `Cancelled`.
    pub fn kill(&self, id: &v1::ContainerId) {
        if let Some(killed) = self.inner.running().get(&id.value) {
            killed.send_replace(true);
        }
    }
}

// === impl Inner ===

impl Inner {
    fn running(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<bool>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, request: &FetchRequest) -> Result<(), FetchError> {
        let user = request.user.clone();
        let identity = blocking(move || users::identity(user.as_deref())).await?;
        let mut job = Job {
            sandbox: request.sandbox.clone(),
            items: Vec::new(),
            frameworks_home: self.config.frameworks_home.clone(),
            stall_timeout_ms: self.config.stall_timeout.as_millis() as u64,
            limits: Limits {
                entries: self.config.max_archive_entries,
                bytes: self.config.max_extracted_bytes,
            },
            identity,
        };
        let mut references = References { inner: self, keys: Vec::new() };
        // First all downloads of this fetch's own, then waiting for those of others: two fetches
        // that wait for each other's downloads never meet.
        for uri in request.uris.iter().filter(|uri| uri.cache()) {
            self.provide(&key(request, uri), &job, &mut references).await;
        }
        for uri in &request.uris {
            let action = match uri.cache() {
                true => self.cached(&key(request, uri), &mut references).await,
                false => Action::Bypass,
            };
            job.items.push(item(uri, action));
        }
        self.run(&job).await.map_err(|reason| FetchError::Failed {
            container_id: request.container_id.value.clone(),
            reason,
        })
    }

    /// Downloads into the cache what is not there and nobody downloads yet. What goes wrong is
    /// left to the download that bypasses the cache, which says so.
    async fn provide(&self, key: &Key, job: &Job, references: &mut References<'_>) {
        if self.cache().lookup(key) != Lookup::Absent {
            return;
        }
        let Ok(size) = self.size(key.1.clone()).await else {
            return;
        };
        let Some(reserved) = self.cache().reserve(key.clone(), size) else {
            return;
        };
        let unfinished = Unfinished { inner: self, key };
        let file = self.config.cache_dir.join(&reserved.file);
        let evicted = self.paths(reserved.evicted);
        let (target, identity) = (file.clone(), job.identity.clone());
        let prepared = blocking(move || {
            remove(&evicted);
            prepare(&target, identity.as_ref())
        })
        .await;
        let action = Action::Download(file.clone());
        let uri = v1::command_info::Uri { value: key.1.clone(), ..Default::default() };
        let download = Job { items: vec![item(&uri, action)], ..job.clone() };
        if prepared.is_ok() && self.run(&download).await.is_ok() {
            let size = blocking(move || fs::metadata(file).map(|meta| meta.len())).await;
            if let Ok(size) = size {
                let evicted = self.cache().complete(key, size);
                references.keys.push(key.clone());
                let evicted = self.paths(evicted);
                blocking(move || remove(&evicted)).await;
            }
        }
        drop(unfinished);
    }

    /// From the cache once it is there, else past it.
    async fn cached(&self, key: &Key, references: &mut References<'_>) -> Action {
        let mut downloads = self.downloads.subscribe();
        loop {
            downloads.borrow_and_update();
            {
                let mut cache = self.cache();
                match cache.lookup(key) {
                    Lookup::Ready(file) => {
                        if cache.retain(key) {
                            references.keys.push(key.clone());
                        }
                        return Action::Retrieve(self.config.cache_dir.join(file));
                    }
                    Lookup::Absent => return Action::Bypass,
                    Lookup::Downloading => {}
                }
            }
            if downloads.changed().await.is_err() {
                return Action::Bypass;
            }
        }
    }

    async fn size(&self, uri: String) -> Result<u64, String> {
        let home = self.config.frameworks_home.clone();
        let stall = self.config.stall_timeout.as_millis() as u64;
        blocking(move || match Source::of(&uri, home.as_deref())? {
            Source::Local(path) => {
                fs::metadata(path).map(|meta| meta.len()).map_err(|error| error.to_string())
            }
            Source::Http(url) => helper::http_size(&url, stall),
        })
        .await
    }

    fn paths(&self, files: Vec<PathBuf>) -> Vec<PathBuf> {
        files.into_iter().map(|file| self.config.cache_dir.join(file)).collect()
    }

    /// One helper, from its start to its end.
    async fn run(&self, job: &Job) -> Result<(), String> {
        let failed = |what: &str, error: io::Error| format!("the helper cannot be {what}: {error}");
        let text = serde_json::to_vec(job).map_err(|error| error.to_string())?;
        let environment = PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut child = Command::new(&self.config.helper)
            .args(&self.config.helper_args)
            .env_clear()
            .envs(environment)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed("started", error))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that died says why, or does not, below.
            let _ = stdin.write_all(&text).await;
        }
        let mut words = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let _ = stdout.take(MAX_OUTCOME_BYTES).read_to_end(&mut words).await;
        }
        let status = child.wait().await.map_err(|error| failed("waited for", error))?;
        match serde_json::from_slice(&words) {
            Ok(Outcome::Fetched) if status.success() => Ok(()),
            Ok(Outcome::Failed(reason)) => Err(reason),
            _ => Err(format!("the helper ended with {status}")),
        }
    }
}

// === impl References ===

impl Drop for References<'_> {
    fn drop(&mut self) {
        let mut cache = self.inner.cache();
        for key in &self.keys {
            cache.release(key);
        }
    }
}

/// A download that is not complete when this is dropped has failed, cancelled ones too.
struct Unfinished<'a> {
    inner: &'a Inner,
    key: &'a Key,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let failed = {
            let mut cache = self.inner.cache();
            match cache.lookup(self.key) {
                Lookup::Downloading => cache.fail(self.key),
                _ => None,
            }
        };
        if let Some(file) = failed {
            let _ = fs::remove_file(self.inner.config.cache_dir.join(file));
        }
        self.inner.downloads.send_modify(|count| *count = count.wrapping_add(1));
    }
}

fn key(request: &FetchRequest, uri: &v1::command_info::Uri) -> Key {
    (request.user.clone().unwrap_or_default(), uri.value.clone())
}

fn item(uri: &v1::command_info::Uri, action: Action) -> Item {
    Item {
        uri: uri.value.clone(),
        executable: uri.executable(),
        extract: uri.extract(),
        output_file: uri.output_file.clone(),
        action,
    }
}

/// A directory of the user's own, for others shall not read what it downloads.
fn prepare(file: &Path, identity: Option<&Identity>) -> io::Result<()> {
    let Some(dir) = file.parent() else {
        return Ok(());
    };
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        other => other?,
    }
    match identity {
        Some(identity) => chown(dir, Some(identity.uid), Some(identity.gid)),
        None => Ok(()),
    }
}

fn remove(files: &[PathBuf]) {
    for file in files {
        if let Err(error) = fs::remove_file(file) {
            tracing::warn!("Failed to remove '{}' from the cache: {error}", file.display());
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(
            error.try_into_panic().unwrap_or_else(|error| Box::new(error.to_string())),
        ),
    }
}
