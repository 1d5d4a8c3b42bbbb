//! The one task that holds the copies of repositories, looks at the originals again from time
//! to time, and publishes what queries see.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use universe::{Collection, Source};

use super::fetch::{Fetched, Fetcher};
use super::list::{List, Listed};
use super::{Copy, disk};
use crate::Config;
use crate::error::{Failure, tell};

/// A new list, with the document of what is new in it.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) list: Vec<Listed>,
    pub(super) fetched: Option<(String, Fetched)>,
    /// Told once queries see it.
    pub(super) done: oneshot::Sender<()>,
}

/// What came of another look at a repository.
struct Looked {
    listed: Listed,
    outcome: Result<Option<Fetched>, Failure>,
}

pub(super) struct Keeper {
    folder: PathBuf,
    list: List,
    fetcher: Arc<Fetcher>,
    published: Arc<ArcSwap<Collection>>,
    repositories: Vec<Listed>,
    copies: BTreeMap<String, Copy>,
    /// URIs that are being looked at: a slow repository is not asked twice at once.
    looking: HashSet<String>,
    looks: JoinSet<Looked>,
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(
        config: &Config,
        list: List,
        fetcher: Arc<Fetcher>,
        published: Arc<ArcSwap<Collection>>,
    ) -> Keeper {
        Keeper {
            folder: config.data_dir.clone(),
            list,
            fetcher,
            published,
            repositories: Vec::new(),
            copies: BTreeMap::new(),
            looking: HashSet::new(),
            looks: JoinSet::new(),
        }
    }

    /// Takes what there is without asking anybody.
    pub(super) async fn load(&mut self, list: Vec<Listed>) {
        for listed in &list {
            if let Some(copy) = self.stored(listed).await {
                self.copies.insert(listed.uri.clone(), copy);
            }
        }
        self.repositories = list;
        self.publish();
    }

    async fn stored(&self, listed: &Listed) -> Option<Copy> {
        let fetched = if listed.uri == catalog::URI {
            self.fetcher.fetch(listed, &super::Validators::default()).await
        } else {
            let (folder, uri) = (self.folder.clone(), listed.uri.clone());
            let found = tokio::task::spawn_blocking(move || disk::load(&folder, &uri)).await;
            let (validators, document) = found.ok().flatten()?;
            self.fetcher.parse(document, validators).await.map(Some)
        };
        match fetched {
            Ok(fetched) => fetched.map(Copy::from),
            Err(failure) => {
                tracing::warn!(
                    repository = %listed.name, uri = %listed.uri, error = %failure.message,
                    "the copy of a repository cannot be used",
                );
                None
            }
        }
    }

    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Message>,
        refresh: Duration,
        shutdown: CancellationToken,
    ) {
        let mut ticks = tokio::time::interval(refresh.max(Duration::from_millis(10)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(message) = inbox.recv() => self.take(message).await,
                Some(Ok(looked)) = self.looks.join_next() => self.looked(looked).await,
                _ = ticks.tick() => self.look().await,
            }
        }
    }

    async fn take(&mut self, message: Message) {
        if let Some((uri, fetched)) = message.fetched {
            self.keep(uri, fetched).await;
        }
        self.change_list(message.list).await;
        // Whoever asked may be gone.
        let _ = message.done.send(());
    }

    async fn change_list(&mut self, list: Vec<Listed>) {
        let gone: Vec<String> = self
            .copies
            .keys()
            .filter(|uri| !list.iter().any(|listed| listed.uri == **uri))
            .cloned()
            .collect();
        for uri in gone {
            self.copies.remove(&uri);
            let folder = self.folder.clone();
            let removed = tokio::task::spawn_blocking(move || disk::remove(&folder, &uri));
            let _ = removed.await;
        }
        self.repositories = list;
        self.publish();
    }

    /// Begins to look at every repository again.
    async fn look(&mut self) {
        match self.list.read().await {
            // Another instance may have changed it.
            Ok(read) if read.repositories != self.repositories => {
                self.change_list(read.repositories).await;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "cannot read the list of repositories"),
        }
        for listed in self.repositories.clone() {
            let embedded = listed.uri == catalog::URI && self.copies.contains_key(&listed.uri);
            if embedded || !self.looking.insert(listed.uri.clone()) {
                continue;
            }
            let known = self.copies.get(&listed.uri).map(|copy| copy.validators.clone());
            let fetcher = Arc::clone(&self.fetcher);
            self.looks.spawn(async move {
                let outcome = fetcher.fetch(&listed, &known.unwrap_or_default()).await;
                Looked { listed, outcome }
            });
        }
    }

    async fn looked(&mut self, Looked { listed, outcome }: Looked) {
        self.looking.remove(&listed.uri);
        if !self.repositories.contains(&listed) {
            return;
        }
        let (repository, uri) = (&listed.name, &listed.uri);
        let known = self.copies.contains_key(uri);
        match outcome {
            Ok(None) => {}
            Ok(Some(fetched)) => {
                let faults = &fetched.repository.faults;
                if !faults.is_empty() {
                    let faults = tell(faults);
                    tracing::error!(%repository, %uri, %faults, kept = known, "packages are not valid");
                    if known {
                        return;
                    }
                }
                tracing::info!(%repository, %uri, packages = fetched.repository.packages.len(), "read");
                self.keep(listed.uri, fetched).await;
                self.publish();
            }
            Err(failure) => {
                let error = &failure.message;
                let reason = failure.data.as_ref().and_then(|data| {
                    data.get("cause")
                        .or(data.get("decodingErrorMessage"))
                        .or(data.get("parsingErrorMessage"))
                });
                let reason = reason.and_then(|reason| reason.as_str()).unwrap_or_default();
                tracing::error!(%repository, %uri, %error, reason, kept = known, "cannot be read");
            }
        }
    }

    async fn keep(&mut self, uri: String, fetched: Fetched) {
        self.copies.insert(uri.clone(), Copy::from(fetched.clone()));
        if uri == catalog::URI {
            return;
        }
        let folder = self.folder.clone();
        let name = uri.clone();
        let saved = tokio::task::spawn_blocking(move || {
            disk::save(&folder, &name, &fetched.validators, &fetched.document)
        });
        if let Ok(Err(error)) = saved.await {
            tracing::warn!(%uri, %error, "cannot keep a copy of a repository");
        }
    }

    fn publish(&self) {
        let source = |listed: &Listed| {
            let repository = Arc::clone(&self.copies.get(&listed.uri)?.repository);
            Some(Source { uri: listed.uri.clone(), repository })
        };
        let sources = self.repositories.iter().filter_map(source).collect();
        self.published.store(Arc::new(Collection::new(sources)));
    }
}

impl From<Fetched> for Copy {
    fn from(fetched: Fetched) -> Copy {
        Copy { repository: fetched.repository, validators: fetched.validators }
    }
}
