//! The repositories: their list, shared by the cluster, and what each holds.
//!
//! Queries read a snapshot and wait for nothing. One task, the keeper, looks at the repositories
//! again from time to time and publishes the next snapshot.

mod disk;
pub(crate) mod fetch;
mod keeper;
mod list;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use cluster_state::ClusterState;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use universe::{Collection, Repository};

use self::fetch::{Fetched, Fetcher};
use self::keeper::{Keeper, Message};
use self::list::List;
pub(crate) use self::list::Listed;
use crate::error::{Failure, NameOrUri};
use crate::{Config, CosmosError};

/// Messages that wait for the keeper; more than that and the callers wait.
const INBOX: usize = 64;

/// What a repository held when it was last seen, and how to ask whether it changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Copy {
    repository: Arc<Repository>,
    validators: Validators,
}

/// What an origin gave to recognise a document by.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Validators {
    etag: Option<String>,
    last_modified: Option<String>,
}

/// How it went with a repository when it was last looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Status {
    /// Packages that are used.
    pub(crate) packages: usize,
    /// When it was last looked at, in seconds since 1970; none if not since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checked: Option<u64>,
    /// What was wrong with it then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// What the keeper publishes.
#[derive(Debug, Default)]
struct Published {
    collection: Arc<Collection>,
    /// By URI.
    statuses: BTreeMap<String, Status>,
}

/// The repositories of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Repositories {
    list: List,
    fetcher: Arc<Fetcher>,
    published: Arc<ArcSwap<Published>>,
    keeper: mpsc::Sender<Message>,
}

// === impl Repositories ===

impl Repositories {
    /// Reads the list and the copies on disk, and starts the keeper, which ends with `shutdown`.
    pub(crate) async fn start(
        config: &Config,
        state: Arc<dyn ClusterState>,
        shutdown: CancellationToken,
    ) -> Result<(Repositories, tokio::task::JoinHandle<()>), CosmosError> {
        let list = List::open(state, &config.repositories).await?;
        let fetcher = Arc::new(Fetcher::new(config));
        let published = Arc::new(ArcSwap::from_pointee(Published::default()));
        let (sender, inbox) = mpsc::channel(INBOX);
        let mut keeper =
            Keeper::new(config, list.clone(), Arc::clone(&fetcher), Arc::clone(&published));
        keeper.load(list.read().await?.repositories).await;
        let join = tokio::spawn(keeper.run(inbox, config.refresh, shutdown));
        Ok((Repositories { list, fetcher, published, keeper: sender }, join))
    }

    /// All packages, as of the last look at each repository.
    pub(crate) fn collection(&self) -> Arc<Collection> {
        Arc::clone(&self.published.load().collection)
    }

    /// How it went with the repository at `uri` when it was last looked at.
    pub(crate) fn status(&self, uri: &str) -> Status {
        self.published.load().statuses.get(uri).cloned().unwrap_or_default()
    }

    /// The list, by priority.
    pub(crate) async fn list(&self) -> Result<Vec<Listed>, Failure> {
        Ok(self.list.read().await.map_err(list::unreadable)?.repositories)
    }

    /// Adds a repository that can be read and is valid throughout.
    pub(crate) async fn add(
        &self,
        new: Listed,
        index: Option<i64>,
    ) -> Result<Vec<Listed>, Failure> {
        fetch::check_uri(&new)?;
        let fetched = match self.fetcher.fetch(&new, &Validators::default()).await? {
            Some(fetched) => fetched,
            None => {
                return Err(Failure::repository_uri_connection(&new.name, &new.uri, "unchanged"));
            }
        };
        if !fetched.repository.faults.is_empty() {
            return Err(Failure::repository_packages(&fetched.repository.faults));
        }
        let list = self.list.add(new.clone(), index).await?;
        self.publish(Some((new.uri, fetched))).await?;
        Ok(list)
    }

    /// Removes the repositories with that name and URI.
    pub(crate) async fn delete(&self, wanted: NameOrUri<'_>) -> Result<Vec<Listed>, Failure> {
        let list = self.list.delete(wanted).await?;
        self.publish(None).await?;
        Ok(list)
    }

    /// Returns when queries see the new list.
    async fn publish(&self, fetched: Option<(String, Fetched)>) -> Result<(), Failure> {
        let (done, published) = oneshot::channel();
        let stopping = || Failure::service_unavailable("cosmos");
        let message = Message { fetched, done };
        self.keeper.send(message).await.map_err(|_| stopping())?;
        published.await.map_err(|_| stopping())
    }
}
