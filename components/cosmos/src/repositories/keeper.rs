//! The one task that holds the copies of repositories, looks at the originals again from time
//! to time, and publishes what queries see.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use universe::{Collection, Source};

use super::fetch::{Fetched, Fetcher};
use super::list::{List, Listed};
use super::{Copy, Published, Status, disk};
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
    published: Arc<ArcSwap<Published>>,
    repositories: Vec<Listed>,
    copies: BTreeMap<String, Copy>,
    /// When each was last looked at, and what was wrong with it.
    looked_at: BTreeMap<String, (u64, Option<String>)>,
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
        published: Arc<ArcSwap<Published>>,
    ) -> Keeper {
        Keeper {
            folder: config.data_dir.clone(),
            list,
            fetcher,
            published,
            repositories: Vec::new(),
            copies: BTreeMap::new(),
            looked_at: BTreeMap::new(),
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
            self.looked_at.insert(uri.clone(), (now(), None));
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
            self.looked_at.remove(&uri);
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
        let kept = self.copies.contains_key(uri);
        let (error, fetched) = judge(outcome);
        if let Some(error) = &error {
            tracing::error!(%repository, %uri, %error, kept, "a repository is not what it should be");
        }
        self.looked_at.insert(uri.clone(), (now(), error.clone()));
        // What is partly valid is better than nothing, but not better than what was valid.
        match fetched {
            Some(fetched) if error.is_none() || !kept => {
                let packages = fetched.repository.packages.len();
                tracing::info!(%repository, %uri, packages, "a repository was read");
                self.keep(listed.uri, fetched).await;
                self.publish();
            }
            _ => self.publish_statuses(),
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
        self.publish_with(Arc::new(Collection::new(sources)));
    }

    /// Publishes what is new to tell of the same packages.
    fn publish_statuses(&self) {
        self.publish_with(Arc::clone(&self.published.load().collection));
    }

    fn publish_with(&self, collection: Arc<Collection>) {
        let status = |listed: &Listed| {
            let packages = self.copies.get(&listed.uri);
            let packages = packages.map_or(0, |copy| copy.repository.packages.len());
            let (checked, error) = self.looked_at.get(&listed.uri).cloned().unzip();
            (listed.uri.clone(), Status { packages, checked, error: error.flatten() })
        };
        let statuses = self.repositories.iter().map(status).collect();
        self.published.store(Arc::new(Published { collection, statuses }));
    }
}

/// What is wrong, and what there is all the same.
fn judge(outcome: Result<Option<Fetched>, Failure>) -> (Option<String>, Option<Fetched>) {
    match outcome {
        Ok(Some(fetched)) if !fetched.repository.faults.is_empty() => {
            (Some(tell(&fetched.repository.faults)), Some(fetched))
        }
        Ok(fetched) => (None, fetched),
        Err(failure) => (Some(failure.explained()), None),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl From<Fetched> for Copy {
    fn from(fetched: Fetched) -> Copy {
        Copy { repository: fetched.repository, validators: fetched.validators }
    }
}
