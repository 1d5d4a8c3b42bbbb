//! The list of repositories in the cluster's state: one small key, changed only by whoever has
//! seen its last version.

use std::sync::Arc;

use bytes::Bytes;
use cluster_state::{ClusterState, StateError, Version, When};
use serde::{Deserialize, Serialize};

use crate::error::{Failure, NameOrUri};

const KEY: &str = "/cosmos/repositories";
/// The most repositories of a cluster.
const MAX: usize = 100;

/// A repository of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) uri: String,
}

/// The list at some moment.
pub(super) struct Read {
    pub(super) repositories: Vec<Listed>,
    version: When,
}

/// The list of a cluster that never had one is the default.
#[derive(Clone, Debug)]
pub(super) struct List {
    state: Arc<dyn ClusterState>,
    default: Vec<Listed>,
}

// === impl List ===

impl List {
    pub(super) async fn open(
        state: Arc<dyn ClusterState>,
        default: &[(String, String)],
    ) -> Result<List, StateError> {
        let listed =
            |(name, uri): &(String, String)| Listed { name: name.clone(), uri: uri.clone() };
        let list = List { state, default: default.iter().map(listed).collect() };
        let read = list.read().await?;
        if read.version == When::Absent {
            match list.write(&read.repositories, When::Absent).await {
                // Another instance was quicker.
                Ok(_) | Err(StateError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(list)
    }

    pub(super) async fn read(&self) -> Result<Read, StateError> {
        let Some(entry) = self.state.get(KEY).await? else {
            return Ok(Read { repositories: self.default.clone(), version: When::Absent });
        };
        let repositories = serde_json::from_slice(&entry.value)
            .map_err(|error| StateError::Storage(Arc::new(error)))?;
        Ok(Read { repositories, version: When::Version(entry.version) })
    }

    async fn write(&self, list: &[Listed], when: When) -> Result<Version, StateError> {
        let text =
            serde_json::to_vec(list).map_err(|error| StateError::Storage(Arc::new(error)))?;
        self.state.put(KEY, Bytes::from(text), when).await
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut Vec<Listed>) -> Result<(), Failure>,
    ) -> Result<Vec<Listed>, Failure> {
        let mut read = self.read().await.map_err(unreadable)?;
        change(&mut read.repositories)?;
        match self.write(&read.repositories, read.version).await {
            Ok(_) => Ok(read.repositories),
            Err(StateError::Conflict { .. }) => Err(Failure::concurrent_access()),
            Err(error) => Err(unreadable(error)),
        }
    }

    /// Adds at `index`, or at the end.
    pub(super) async fn add(
        &self,
        new: Listed,
        index: Option<i64>,
    ) -> Result<Vec<Listed>, Failure> {
        self.change(|list| insert(list, new, index)).await
    }

    pub(super) async fn delete(&self, wanted: NameOrUri<'_>) -> Result<Vec<Listed>, Failure> {
        self.change(|list| remove(list, wanted)).await
    }
}

fn insert(list: &mut Vec<Listed>, new: Listed, index: Option<i64>) -> Result<(), Failure> {
    let same = NameOrUri {
        name: list.iter().any(|known| known.name == new.name).then_some(new.name.as_str()),
        uri: list.iter().any(|known| known.uri == new.uri).then_some(new.uri.as_str()),
    };
    if same.name.is_some() || same.uri.is_some() {
        return Err(Failure::repository_already_present(same));
    }
    if list.len() == MAX {
        let message = format!("There are {MAX} repositories already");
        return Err(Failure::new("TooManyRepositories", message));
    }
    let at = match index {
        None => list.len(),
        Some(index) => usize::try_from(index)
            .ok()
            .filter(|at| *at <= list.len())
            .ok_or_else(|| Failure::repository_index(index, list.len()))?,
    };
    list.insert(at, new);
    Ok(())
}

fn remove(list: &mut Vec<Listed>, wanted: NameOrUri<'_>) -> Result<(), Failure> {
    let before = list.len();
    list.retain(|known| {
        let name = wanted.name.is_none_or(|name| name == known.name);
        let uri = wanted.uri.is_none_or(|uri| uri == known.uri);
        !(name && uri)
    });
    if list.len() == before { Err(Failure::repository_not_present(wanted)) } else { Ok(()) }
}

/// The cluster's state cannot be read or written: told in the log, not to the client.
pub(super) fn unreadable(error: StateError) -> Failure {
    tracing::error!(%error, "the cluster's state cannot be used");
    Failure::service_unavailable("cluster-state")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str) -> Listed {
        Listed { name: name.to_owned(), uri: format!("http://{name}") }
    }

    fn names(list: &[Listed]) -> Vec<&str> {
        list.iter().map(|known| known.name.as_str()).collect()
    }

    #[test]
    fn the_order_is_the_priority() {
        let mut list = vec![listed("a"), listed("b")];
        insert(&mut list, listed("c"), None).unwrap();
        insert(&mut list, listed("d"), Some(0)).unwrap();
        insert(&mut list, listed("e"), Some(4)).unwrap();
        assert_eq!(names(&list), ["d", "a", "b", "c", "e"]);
        let error = insert(&mut list, listed("f"), Some(6)).unwrap_err();
        assert_eq!(
            error.message,
            "Index (6) is out of range. Index value must be between 0 and 5 inclusive."
        );
        assert!(insert(&mut list, listed("f"), Some(-1)).is_err());
        let error = insert(&mut list, listed("a"), None).unwrap_err();
        assert!(error.message.contains("both already present"));
    }

    #[test]
    fn both_must_fit_where_both_are_given() {
        let mut list = vec![listed("a"), listed("b")];
        let both = NameOrUri { name: Some("a"), uri: Some("http://b") };
        assert!(remove(&mut list, both).is_err());
        remove(&mut list, NameOrUri { name: None, uri: Some("http://b") }).unwrap();
        assert_eq!(names(&list), ["a"]);
    }
}
