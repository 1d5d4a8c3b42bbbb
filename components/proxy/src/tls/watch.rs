//! Certificates that change on disk are served without a restart.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Certificates, Source, material};

/// Compares what files held, without keeping keys in memory.
struct Fingerprint {
    hasher: RandomState,
    last: u64,
}

// === impl Certificates ===

impl Certificates {
    /// Reads the files every `every` and serves what changed. Two files can never be replaced in
    /// one step: while they do not fit together the old pair stays, and it is tried again with
    /// the next change. Ends with `token`.
    pub async fn watch(self: Arc<Certificates>, every: Duration, token: CancellationToken) {
        let mut seen = Fingerprint { hasher: RandomState::new(), last: 0 };
        seen.changed(&self.sources.load());
        while token.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            let certificates = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || {
                certificates.look(&mut seen);
                seen
            });
            match looked.await {
                Ok(back) => seen = back,
                Err(_) => return,
            }
        }
    }

    fn look(&self, seen: &mut Fingerprint) {
        if !seen.changed(&self.sources.load()) {
            return;
        }
        match self.refresh() {
            Ok(()) => tracing::info!("certificates changed: {:?}", self.names()),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                let cause = cause.unwrap_or_default();
                tracing::warn!("new certificates are not used: {error}{cause}");
            }
        }
    }
}

// === impl Fingerprint ===

impl Fingerprint {
    /// Whether the files are other ones than when last asked.
    fn changed(&mut self, sources: &[Source]) -> bool {
        let texts: Vec<_> = sources.iter().map(|source| material::texts(source).ok()).collect();
        let now = self.hasher.hash_one(&texts);
        std::mem::replace(&mut self.last, now) != now
    }
}
