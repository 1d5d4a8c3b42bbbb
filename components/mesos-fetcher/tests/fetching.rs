//! Whole fetches: helpers in processes of their own, a web server, the cache.
// Tests may panic; that is how they fail.
#![allow(clippy::unwrap_used)]

mod fetching {
    mod cache;
    mod server;
    mod uris;

    use std::{fs, path::PathBuf, time::Duration};

    use mesos_fetcher::{FetchRequest, Fetcher, FetcherConfig};
    use mesos_messages::v1::{self, command_info::Uri};

    const HELPER: &str = env!("CARGO_BIN_EXE_fetcher-test-helper");

    /// A fetcher with directories of its own.
    struct Bench {
        fetcher: Fetcher,
        dir: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Self {
            Self::with(|_| {})
        }

        fn with(adjust: impl FnOnce(&mut FetcherConfig)) -> Self {
            use std::os::unix::fs::PermissionsExt;
            let dir = tempfile::tempdir().unwrap();
            // Users must get through.
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
            let mut config = FetcherConfig::new(dir.path().join("cache"), HELPER);
            config.stall_timeout = Duration::from_secs(20);
            adjust(&mut config);
            Self { fetcher: Fetcher::new(config).unwrap(), dir }
        }

        fn sandbox(&self, id: &str) -> PathBuf {
            let sandbox = self.dir.path().join("sandboxes").join(id);
            fs::create_dir_all(&sandbox).unwrap();
            sandbox
        }

        fn request(&self, id: &str, uris: Vec<Uri>) -> FetchRequest {
            FetchRequest {
                container_id: v1::ContainerId { value: id.to_owned(), ..Default::default() },
                uris,
                sandbox: self.sandbox(id),
                user: None,
            }
        }

        async fn fetch(&self, id: &str, uris: Vec<Uri>) -> Result<(), String> {
            let request = self.request(id, uris);
            self.fetcher.fetch(request).await.map_err(|error| error.to_string())
        }

        fn file(&self, name: &str, content: &[u8]) -> String {
            let path = self.dir.path().join(name);
            fs::write(&path, content).unwrap();
            path.to_str().unwrap().to_owned()
        }

        fn cached_files(&self) -> usize {
            let users = fs::read_dir(self.dir.path().join("cache")).unwrap();
            users.map(|user| fs::read_dir(user.unwrap().path()).unwrap().count()).sum()
        }
    }

    fn uri(value: impl Into<String>) -> Uri {
        Uri { value: value.into(), ..Uri::default() }
    }

    fn cached(value: impl Into<String>) -> Uri {
        Uri { cache: Some(true), ..uri(value) }
    }
}
