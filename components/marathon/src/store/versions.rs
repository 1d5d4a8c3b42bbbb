//! Apps and groups as they were.

use std::sync::Arc;

use marathon_model::{
    App, PathId, Timestamp,
    group::{Group, Root},
};

use super::{
    Store, StoreError, codec,
    keys::{self, Kind},
    load,
};

impl Store {
    /// The versions of an app, the newest first.
    pub async fn app_versions(&self, id: &PathId) -> Result<Vec<Timestamp>, StoreError> {
        let old = self.state.list(&Kind::App.old(id)).await?;
        let mut versions: Vec<Timestamp> = old
            .iter()
            .filter(|entry| entry.value != codec::NOTHING)
            .filter_map(|entry| keys::version_of(&entry.key))
            .collect();
        versions.extend(self.current_app(id).await?.map(|app| app.version));
        versions.sort_unstable_by(|a, b| b.cmp(a));
        versions.dedup();
        Ok(versions)
    }

    /// An app in one of its versions.
    pub async fn app_version(
        &self,
        id: &PathId,
        version: Timestamp,
    ) -> Result<Option<Arc<App>>, StoreError> {
        let key = Kind::App.old_version(id, version);
        if let Some(entry) = self.state.get(&key).await? {
            let there = entry.value != codec::NOTHING;
            return there.then(|| codec::read_app(&key, &entry.value)).transpose();
        }
        Ok(self.current_app(id).await?.filter(|app| app.version == version))
    }

    /// The versions of a group, the newest first: those of the root in which it was there.
    pub async fn group_versions(&self, id: &PathId) -> Result<Vec<Timestamp>, StoreError> {
        let roots = self.state.list(keys::ROOTS).await?;
        let history = if id.is_root() { Vec::new() } else { self.group_history(id).await? };
        let there = |version: &Timestamp| {
            id.is_root() || latest(&history, *version).is_some_and(|(_, group)| group.is_some())
        };
        let versions = roots.iter().rev().filter_map(|entry| keys::version_of(&entry.key));
        Ok(versions.filter(there).collect())
    }

    /// A group with everything below it as it was in a version of the root; `root` is the
    /// present. None where that version or the group in it is unknown.
    pub async fn group_at(
        &self,
        root: &Root,
        id: &PathId,
        version: Timestamp,
    ) -> Result<Option<(Vec<Arc<App>>, Vec<Arc<Group>>)>, StoreError> {
        let known =
            version == root.version() || self.state.get(&keys::root(version)).await?.is_some();
        if !known {
            return Ok(None);
        }
        let groups = self.groups_at(root, id, version).await?;
        if !groups.iter().any(|group| group.id == *id) {
            return Ok(None);
        }
        Ok(Some((self.apps_at(root, id, version).await?, groups)))
    }

    async fn apps_at(
        &self,
        root: &Root,
        group: &PathId,
        version: Timestamp,
    ) -> Result<Vec<Arc<App>>, StoreError> {
        let mut apps = Vec::new();
        for app in root.apps_below(group) {
            if app.version <= version {
                apps.push(app.clone());
            } else {
                apps.extend(self.old_app_at(&app.id, version).await?);
            }
        }
        for (at, id) in load::gone(&self.state, Kind::App).await? {
            if at > version && id.is_below(group) && root.app(&id).is_none() {
                apps.extend(self.old_app_at(&id, version).await?);
            }
        }
        Ok(apps)
    }

    /// The latest old version that is not later than `version`.
    async fn old_app_at(
        &self,
        id: &PathId,
        version: Timestamp,
    ) -> Result<Option<Arc<App>>, StoreError> {
        let old = self.state.list(&Kind::App.old(id)).await?;
        let not_later = |key: &str| keys::version_of(key).is_some_and(|at| at <= version);
        let entry = old.iter().rev().find(|entry| not_later(&entry.key));
        let there = entry.filter(|entry| entry.value != codec::NOTHING);
        there.map(|entry| codec::read_app(&entry.key, &entry.value)).transpose()
    }

    async fn groups_at(
        &self,
        root: &Root,
        id: &PathId,
        version: Timestamp,
    ) -> Result<Vec<Arc<Group>>, StoreError> {
        let mut ids: Vec<PathId> = root.groups_below(id).map(|group| group.id.clone()).collect();
        ids.push(id.clone());
        for (at, gone) in load::gone(&self.state, Kind::Group).await? {
            if at > version && gone.is_below(id) && root.group(&gone).is_none() {
                ids.push(gone);
            }
        }
        let mut groups = Vec::with_capacity(ids.len());
        for id in ids {
            let history = self.group_history(&id).await?;
            match latest(&history, version) {
                Some((_, group)) => groups.extend(group.clone()),
                // The root is always there, also before anything was said of it.
                None if id.is_root() => groups.extend(root.group(&id).cloned()),
                None => {}
            }
        }
        Ok(groups)
    }

    /// Every form of a group that is known, the oldest first.
    async fn group_history(
        &self,
        id: &PathId,
    ) -> Result<Vec<(Timestamp, Option<Arc<Group>>)>, StoreError> {
        let mut history = Vec::new();
        for entry in self.state.list(&Kind::Group.old(id)).await? {
            let Some(version) = keys::version_of(&entry.key) else { continue };
            let there = entry.value != codec::NOTHING;
            let group = there
                .then(|| codec::read_group(&entry.key, id.clone(), &entry.value))
                .transpose()?;
            history.push((version, group.map(|(_, group)| group)));
        }
        let key = Kind::Group.key(id);
        if let Some(entry) = self.state.get(&key).await? {
            let (version, group) = codec::read_group(&key, id.clone(), &entry.value)?;
            history.push((version, Some(group)));
        }
        Ok(history)
    }

    async fn current_app(&self, id: &PathId) -> Result<Option<Arc<App>>, StoreError> {
        let key = Kind::App.key(id);
        let entry = self.state.get(&key).await?;
        entry.map(|entry| codec::read_app(&key, &entry.value)).transpose()
    }
}

/// The last form that is not later than `version`.
fn latest<T>(history: &[(Timestamp, T)], version: Timestamp) -> Option<&(Timestamp, T)> {
    history.iter().rev().find(|(at, _)| *at <= version)
}
