//! Reading everything back at a start.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use cluster_state::{ClusterState, Entry};
use marathon_core::{Instance, InstanceRecord, Recovered, launch::Placement};
use marathon_model::{
    App, PathId, Timestamp,
    group::{Group, Root},
    plan::{Plan, StoredPlan},
};
use tokio::task::JoinSet;

use super::{
    Committer, StoreError, batch, codec,
    commit::{self, GroupVersion, Objects},
    keys::{self, Kind},
};

/// Entries that one task decodes.
const PORTION: usize = 4096;
/// Reads of old versions at once.
const READS: usize = 64;

type Versions = HashMap<(PathId, Timestamp), Arc<App>>;

/// Everything that is stored, and the one that writes on.
pub(super) async fn load(
    state: Arc<dyn ClusterState>,
    max_versions: usize,
) -> Result<(Recovered, Committer), StoreError> {
    batch::recover(&state).await?;
    let (framework_id, apps, groups, instances, deployments, failures, roots) = tokio::try_join!(
        async { Ok(state.get(keys::FRAMEWORK_ID).await?) },
        current_apps(&state),
        current_groups(&state),
        decoded(&state, keys::INSTANCES, codec::read_instance),
        plans(&state),
        decoded(&state, keys::FAILURES, codec::read_failure),
        async { Ok::<_, StoreError>(state.list(keys::ROOTS).await?) },
    )?;
    let roots: std::collections::VecDeque<Timestamp> =
        roots.iter().filter_map(|entry| keys::version_of(&entry.key)).collect();
    let version = roots.back().copied().unwrap_or_default();
    let (gone_apps, gone_groups) =
        tokio::try_join!(gone(&state, Kind::App), gone(&state, Kind::Group))?;

    let root = Root::load(version, groups.values().map(|g| g.1.clone()), apps.values().cloned());
    let needed = missing(&apps, &instances, deployments.iter().map(|(_, plan)| plan));
    let old = old_versions(&state, needed).await?;
    let find = |id: &PathId, version: Timestamp| {
        let current = apps.get(id).filter(|app| app.version == version);
        current.or_else(|| old.get(&(id.clone(), version))).cloned()
    };
    let mut useless = Vec::new();
    let mut known = HashMap::new();
    let mut plans: Vec<Plan> = Vec::with_capacity(deployments.len());
    for (count, stored) in deployments {
        match stored.resolve(find) {
            Ok(plan) => {
                known.insert(plan.id.clone(), (count, plan.affected().clone()));
                plans.push(plan);
            }
            Err(error) => {
                let id = stored.id();
                tracing::warn!(%id, %error, "a deployment is left out");
                useless.extend((0..count).map(|part| keys::deployment(id, part)));
            }
        }
    }
    plans.sort_by_key(|plan| plan.version);
    let instances = restore(instances, &apps, &old, &mut useless);

    let framework_id = framework_id
        .map(|entry| String::from_utf8(entry.value.to_vec()))
        .transpose()
        .map_err(|error| StoreError::corrupt(keys::FRAMEWORK_ID, error))?;
    let recovered = Recovered { framework_id, root, instances, deployments: plans, failures };
    let committer = Committer {
        state,
        max_versions,
        version,
        roots,
        apps: Objects::new(apps, gone_apps),
        groups: Objects::new(groups, gone_groups),
        deployments: known,
        useless,
    };
    Ok((recovered, committer))
}

/// Everything below a prefix, decoded on all processors.
async fn decoded<T: Send + 'static>(
    state: &Arc<dyn ClusterState>,
    prefix: &str,
    read: impl Fn(&str, &[u8]) -> Result<T, StoreError> + Copy + Send + 'static,
) -> Result<Vec<T>, StoreError> {
    let entries: Arc<[Entry]> = state.list(prefix).await?.into();
    if entries.len() <= 64 {
        return entries.iter().map(|entry| read(&entry.key, &entry.value)).collect();
    }
    let mut running = JoinSet::new();
    for portion in 0..entries.len().div_ceil(PORTION) {
        let entries = entries.clone();
        running.spawn_blocking(move || {
            let portion = entries.iter().skip(portion * PORTION).take(PORTION);
            portion.map(|entry| read(&entry.key, &entry.value)).collect::<Result<Vec<T>, _>>()
        });
    }
    let mut all = Vec::with_capacity(entries.len());
    while let Some(portion) = running.join_next().await {
        all.extend(portion??);
    }
    Ok(all)
}

async fn current_apps(
    state: &Arc<dyn ClusterState>,
) -> Result<HashMap<PathId, Arc<App>>, StoreError> {
    let apps = decoded(state, keys::APPS, codec::read_app).await?;
    Ok(apps.into_iter().map(|app| (app.id.clone(), app)).collect())
}

async fn current_groups(
    state: &Arc<dyn ClusterState>,
) -> Result<HashMap<PathId, GroupVersion>, StoreError> {
    let groups: Vec<(Timestamp, Arc<Group>)> = decoded(state, keys::GROUPS, |key, value| {
        let id = keys::id_of(key).ok_or_else(|| StoreError::corrupt(key, "no id"))?;
        codec::read_group(key, id, value)
    })
    .await?;
    let group = |(version, group): (Timestamp, Arc<Group>)| {
        (group.id.clone(), GroupVersion(version, group))
    };
    Ok(groups.into_iter().map(group).collect())
}

/// What is gone, and since when.
pub(super) async fn gone(
    state: &Arc<dyn ClusterState>,
    kind: Kind,
) -> Result<Vec<(Timestamp, PathId)>, StoreError> {
    decoded(state, kind.gone(), |key, value| {
        let id = keys::id_of(key).ok_or_else(|| StoreError::corrupt(key, "no id"))?;
        Ok((codec::read_timestamp(key, value)?, id))
    })
    .await
}

/// Deployments, each with the number of its keys.
async fn plans(state: &Arc<dyn ClusterState>) -> Result<Vec<(usize, StoredPlan)>, StoreError> {
    let mut pieces: BTreeMap<String, Vec<Bytes>> = BTreeMap::new();
    for entry in state.list(keys::DEPLOYMENTS).await? {
        let folder = entry.key.rsplit_once('/').map_or("", |(folder, _)| folder);
        pieces.entry(folder.to_owned()).or_default().push(entry.value);
    }
    let mut plans = Vec::with_capacity(pieces.len());
    for (key, pieces) in pieces {
        let whole = commit::join(&pieces);
        let whole = whole.ok_or_else(|| StoreError::corrupt(&key, "a piece is missing"))?;
        plans.push((pieces.len(), codec::read_plan(&key, &whole)?));
    }
    Ok(plans)
}

/// Versions that instances and deployments are of and that are not the current ones.
fn missing<'a>(
    apps: &HashMap<PathId, Arc<App>>,
    instances: &[InstanceRecord],
    plans: impl Iterator<Item = &'a StoredPlan>,
) -> BTreeSet<(PathId, Timestamp)> {
    let current = |id: &PathId, version| apps.get(id).is_some_and(|app| app.version == version);
    let mut missing = BTreeSet::new();
    for instance in instances {
        let id = instance.id.app();
        if !current(&id, instance.version) {
            missing.insert((id, instance.version));
        }
    }
    for (id, version) in plans.flat_map(StoredPlan::references) {
        if !current(id, version) {
            missing.insert((id.clone(), version));
        }
    }
    missing
}

async fn old_versions(
    state: &Arc<dyn ClusterState>,
    needed: BTreeSet<(PathId, Timestamp)>,
) -> Result<Versions, StoreError> {
    let mut found = Versions::new();
    let mut running = JoinSet::new();
    let mut needed = needed.into_iter();
    loop {
        while running.len() < READS
            && let Some((id, version)) = needed.next()
        {
            let state = state.clone();
            running.spawn(async move {
                let app = nearest(&state, &id, version).await?;
                Ok::<_, StoreError>(((id, version), app))
            });
        }
        let Some(done) = running.join_next().await else { return Ok(found) };
        let (key, app) = done??;
        found.extend(app.map(|app| (key, app)));
    }
}

/// An app in an old version; where that was forgotten, in the next one that is left: an
/// instance of it is outdated either way.
async fn nearest(
    state: &Arc<dyn ClusterState>,
    id: &PathId,
    version: Timestamp,
) -> Result<Option<Arc<App>>, StoreError> {
    let key = Kind::App.old_version(id, version);
    if let Some(entry) = state.get(&key).await? {
        return codec::read_app(&key, &entry.value).map(Some);
    }
    let entries = state.list(&Kind::App.old(id)).await?;
    let left = entries.iter().find(|entry| entry.value != codec::NOTHING);
    left.map(|entry| codec::read_app(&entry.key, &entry.value)).transpose()
}

fn restore(
    records: Vec<InstanceRecord>,
    apps: &HashMap<PathId, Arc<App>>,
    old: &Versions,
    useless: &mut Vec<String>,
) -> Vec<Instance> {
    let mut instances = Vec::with_capacity(records.len());
    let mut places = Places::new();
    for record in records {
        let id = record.id.app();
        let current = apps.get(&id);
        let spec = current
            .filter(|app| app.version == record.version)
            .or_else(|| old.get(&(id, record.version)))
            .or(current);
        match spec {
            Some(spec) => {
                let mut instance = record.restore(spec.clone());
                instance.placement = instance.placement.map(|place| shared(place, &mut places));
                instances.push(instance);
            }
            None => {
                tracing::warn!(id = %record.id, "an instance of an app that is gone is left out");
                useless.push(keys::instance(&record.id));
            }
        }
    }
    instances
}

type Places = HashMap<String, Arc<Placement>>;

/// The same place for all instances of an agent: it was read for each.
fn shared(place: Arc<Placement>, places: &mut Places) -> Arc<Placement> {
    match places.get(&place.agent_id) {
        Some(known) if *known == place => known.clone(),
        _ => {
            places.insert(place.agent_id.clone(), place.clone());
            place
        }
    }
}
