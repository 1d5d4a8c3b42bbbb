//! The one task that holds the copies of repositories, looks at the originals again from time
//! to time, and publishes what queries see.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use universe::{Collection, Package, PackageFault, Repository, Source};

use super::fetch::{Fetched, Fetcher};
use super::list::{List, Listed};
use super::{Copy, Published, Status, disk};
use crate::Config;
use crate::error::{Failure, tell};

/// The most packages that stay in use of documents that are no more: each holds its document.
const CARRIED: usize = 1_000;

/// The list changed; with the document of what is new in it. The list itself is read where the
/// message arrives: messages may overtake each other.
#[derive(Debug)]
pub(super) struct Message {
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
    looked_at: BTreeMap<String, (Option<u64>, Option<String>)>,
    /// URIs that are being looked at: a slow repository is not asked twice at once.
    looking: HashMap<tokio::task::Id, String>,
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
            looking: HashMap::new(),
            looks: JoinSet::new(),
        }
    }

    /// Takes what there is without asking anybody.
    pub(super) async fn load(&mut self, list: Vec<Listed>) {
        let uris: Vec<String> = list.iter().map(|listed| listed.uri.clone()).collect();
        let folder = self.folder.clone();
        let tidied = tokio::task::spawn_blocking(move || disk::tidy(&folder, &uris));
        let _ = tidied.await;
        for listed in &list {
            if let Some(copy) = self.stored(listed).await {
                if let Some(faults) = faults(&copy.repository) {
                    self.looked_at.insert(listed.uri.clone(), (None, Some(faults)));
                }
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
                Some(looked) = self.looks.join_next_with_id() => match looked {
                    Ok((task, looked)) => {
                        self.looking.remove(&task);
                        self.looked(looked).await;
                    }
                    Err(error) => {
                        let uri = self.looking.remove(&error.id());
                        tracing::error!(?uri, %error, "a look at a repository broke off");
                    }
                },
                _ = ticks.tick() => self.look().await,
            }
        }
    }

    async fn take(&mut self, message: Message) {
        if let Some((uri, fetched)) = message.fetched {
            self.looked_at.insert(uri.clone(), (Some(now()), None));
            self.save(&uri, &fetched).await;
            self.copies.insert(uri, Copy::from(fetched));
        }
        match self.list.read().await {
            Ok(read) => self.change_list(read.repositories).await,
            // The next look reads it.
            Err(error) => tracing::warn!(%error, "cannot read the list of repositories"),
        }
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
            if embedded || self.looking.values().any(|uri| *uri == listed.uri) {
                continue;
            }
            let uri = listed.uri.clone();
            let known = self.copies.get(&listed.uri).map(|copy| copy.validators.clone());
            let fetcher = Arc::clone(&self.fetcher);
            let task = self.looks.spawn(async move {
                let outcome = fetcher.fetch(&listed, &known.unwrap_or_default()).await;
                Looked { listed, outcome }
            });
            self.looking.insert(task.id(), uri);
        }
    }

    async fn looked(&mut self, Looked { listed, outcome }: Looked) {
        if !self.repositories.contains(&listed) {
            return;
        }
        let (repository, uri) = (&listed.name, &listed.uri);
        let known = self.copies.get(uri);
        let error = match &outcome {
            Ok(Some(fetched)) => faults(&fetched.repository),
            // What was wrong with it still is.
            Ok(None) => known.and_then(|copy| faults(&copy.repository)),
            Err(failure) => Some(failure.explained()),
        };
        if let Some(error) = &error {
            let kept = known.is_some();
            tracing::error!(%repository, %uri, %error, kept, "a repository is not what it should be");
        }
        self.looked_at.insert(uri.clone(), (Some(now()), error));
        let Ok(Some(mut fetched)) = outcome else { return self.publish_statuses() };
        let old = known.map(|copy| Arc::clone(&copy.repository));
        let carried = old.map_or_else(Vec::new, |old| carried(&old, &fetched.repository));
        if carried.is_empty() {
            self.save(uri, &fetched).await;
        } else {
            // The copy on disk stays the one that has them.
            let Repository { mut packages, faults } = (*fetched.repository).clone();
            packages.extend(carried);
            fetched.repository = Arc::new(Repository { packages, faults });
        }
        let packages = fetched.repository.packages.len();
        tracing::info!(%repository, %uri, packages, "a repository was read");
        self.copies.insert(listed.uri, Copy::from(fetched));
        self.publish();
    }

    /// Writes the copy on disk.
    async fn save(&self, uri: &str, fetched: &Fetched) {
        if uri == catalog::URI {
            return;
        }
        let (folder, name, fetched) = (self.folder.clone(), uri.to_owned(), fetched.clone());
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
            let (checked, error) = self.looked_at.get(&listed.uri).cloned().unwrap_or_default();
            (listed.uri.clone(), Status { packages, checked, error })
        };
        let statuses = self.repositories.iter().map(status).collect();
        self.published.store(Arc::new(Published { collection, statuses }));
    }
}

/// What is wrong with a document's packages.
fn faults(repository: &Repository) -> Option<String> {
    (!repository.faults.is_empty()).then(|| tell(&repository.faults))
}

/// Packages of the old document that stay in use, because one that is not valid stands in their
/// place in the new one: the same revision, or all of a name that the new one has none of.
fn carried(old: &Repository, new: &Repository) -> Vec<Arc<Package>> {
    if new.faults.is_empty() {
        return Vec::new();
    }
    if new.packages.is_empty() {
        return old.packages.clone();
    }
    let nameless = new.faults.iter().any(|fault| fault.package.is_none());
    let fault = |fault: &PackageFault| Some((fault.package.clone()?, fault.release));
    let faulty: HashSet<(String, Option<u64>)> = new.faults.iter().filter_map(fault).collect();
    let names: HashSet<&str> = faulty.iter().map(|(name, _)| name.as_str()).collect();
    let revision = |package: &Arc<Package>| (package.name().to_owned(), package.release());
    let there: HashSet<(String, u64)> = new.packages.iter().map(revision).collect();
    let named: HashSet<&str> = new.packages.iter().map(|package| package.name()).collect();
    let stays = |package: &&Arc<Package>| {
        let (name, release) = revision(package);
        let same = faulty.contains(&(name.clone(), Some(release)));
        let only = !named.contains(name.as_str()) && (nameless || names.contains(name.as_str()));
        (same || only) && !there.contains(&(name, release))
    };
    old.packages.iter().filter(stays).take(CARRIED).cloned().collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl From<Fetched> for Copy {
    fn from(fetched: Fetched) -> Copy {
        Copy { repository: fetched.repository, validators: fetched.validators }
    }
}
