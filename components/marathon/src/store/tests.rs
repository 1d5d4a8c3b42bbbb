//! The store on a real embedded state, whole and cut short.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use cluster_state::{
    BoxFuture, ClusterState, Entry, Leader, Leadership, Op, StateError, Version, Watch, embedded,
};
use marathon_core::{Instance, Recovered, TaskFailure, Write, launch::Placement};
use marathon_model::{
    App, AppUpdate, Change, InstanceId, PathId, Plan, Settings, Timestamp,
    change::Applied,
    group::{Group, Root},
    plan::plan,
};
use serde_json::json;
use tokio::sync::watch::Receiver;
use uuid::Uuid;

use super::{Committer, Store};

const KEPT: usize = 4;

// === What is written ===

fn id(text: &str) -> PathId {
    PathId::parse(text).unwrap()
}

fn app(path: &str, version: u64) -> Arc<App> {
    large_app(path, version, 0)
}

/// An app with so many bytes in a label.
fn large_app(path: &str, version: u64, size: usize) -> Arc<App> {
    let body =
        json!({"id": path, "cmd": format!("sleep {version}"), "labels": {"x": "y".repeat(size)}});
    let update = AppUpdate::parse(&body).unwrap();
    let mut app = update.create(None, &Settings::default()).unwrap();
    app.version = Timestamp(version);
    app.version_info.last_scaling_at = Timestamp(version);
    app.version_info.last_config_change_at = Timestamp(version);
    Arc::new(app)
}

fn group(path: &str) -> Arc<Group> {
    Arc::new(Group::new(id(path), false))
}

fn instance(app: &Arc<App>, number: u128) -> Arc<Instance> {
    let id = InstanceId::new(&app.id, Uuid::from_u128(number));
    Arc::new(Instance::scheduled(id, app.clone(), app.version))
}

fn failure(app: &App) -> Arc<TaskFailure> {
    Arc::new(TaskFailure {
        app_id: app.id.clone(),
        host: "h".into(),
        message: "m".into(),
        state: "TASK_FAILED".into(),
        task_id: "t".into(),
        timestamp: Timestamp(1),
        version: app.version,
        slave_id: None,
    })
}

/// A root with a change applied to it, its plan, and what is to be written of both.
fn applied(root: &Root, change: &Change, now: u64) -> (Applied, Plan, Vec<Write>) {
    let applied = root.apply(change, false, Timestamp(now), &Settings::default()).unwrap();
    let plan = plan(&applied, format!("plan-{now}"));
    let at = applied.root.version();
    let mut writes = vec![Write::RootVersion(at)];
    for (id, changed) in &applied.groups_changed {
        writes.push(match &changed.after {
            Some(group) => Write::PutGroup(group.clone()),
            None => Write::DeleteGroup { id: id.clone(), at },
        });
    }
    for (id, changed) in &applied.changed {
        writes.push(match &changed.after {
            Some(app) => Write::PutApp(app.clone()),
            None => Write::DeleteApp { id: id.clone(), at },
        });
    }
    writes.push(Write::PutDeployment(Arc::new(plan.clone())));
    (applied, plan, writes)
}

// === What is read ===

/// Everything a start finds, in an order that can be compared.
fn shown(recovered: &Recovered) -> String {
    let root = &recovered.root;
    let mut instances: Vec<String> =
        recovered.instances.iter().map(|i| format!("{}@{}", i.id, i.spec.version)).collect();
    instances.sort();
    let apps: Vec<_> = root.apps().values().map(|a| format!("{}@{}", a.id, a.version)).collect();
    let groups: Vec<_> = root.groups().keys().map(PathId::to_string).collect();
    let plans: Vec<_> = recovered.deployments.iter().map(|plan| plan.light_json()).collect();
    let failures: Vec<_> = recovered.failures.iter().map(|failure| &failure.app_id).collect();
    format!(
        "{:?} v{} apps {apps:?} groups {groups:?} instances {instances:?} plans {plans:?} \
         failures {failures:?}",
        recovered.framework_id,
        root.version()
    )
}

/// Everything but instances and failures, which follow on their own.
fn together(recovered: &Recovered) -> String {
    let parts = Recovered { instances: Vec::new(), failures: Vec::new(), ..recovered.clone() };
    shown(&parts)
}

struct Fixture {
    _folder: tempfile::TempDir,
    state: Arc<dyn ClusterState>,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = embedded::open(folder.path().join("state.redb")).unwrap();
        Self { _folder: folder, state }
    }

    fn store(&self) -> Store {
        Store::new(self.state.clone())
    }

    async fn load(&self) -> (Recovered, Committer) {
        self.store().load(KEPT).await.unwrap()
    }

    async fn keys(&self) -> Vec<String> {
        let entries = self.state.list("/marathon/").await.unwrap();
        entries.into_iter().map(|entry| entry.key).collect()
    }
}

#[tokio::test]
async fn what_was_written_is_found_again() {
    let fixture = Fixture::new();
    let (empty, mut committer) = fixture.load().await;
    assert_eq!(shown(&empty), shown(&Recovered::default()));
    let (web, db) = (app("/prod/web", 10), app("/prod/db", 10));
    committer
        .commit(vec![
            Write::FrameworkId("f-1".into()),
            Write::RootVersion(Timestamp(10)),
            Write::PutGroup(group("/prod")),
            Write::PutApp(web.clone()),
            Write::PutApp(db.clone()),
            Write::PutInstance(instance(&web, 1)),
            Write::PutInstance(instance(&web, 2)),
            Write::PutInstance(instance(&db, 3)),
            Write::DeleteInstance(instance(&web, 2).id.clone()),
            Write::PutFailure(failure(&web)),
        ])
        .await
        .unwrap();
    let (found, mut committer) = fixture.load().await;
    assert_eq!(found.framework_id.as_deref(), Some("f-1"));
    assert_eq!(found.root.version(), Timestamp(10));
    assert_eq!(found.root.app(&web.id), Some(&web));
    assert_eq!(found.root.group(&id("/prod")), Some(&group("/prod")));
    let mut ids: Vec<_> = found.instances.iter().map(|instance| instance.id.clone()).collect();
    ids.sort();
    assert_eq!(ids, [instance(&db, 3).id.clone(), instance(&web, 1).id.clone()]);
    assert_eq!(found.failures, [(*failure(&web)).clone()]);

    committer
        .commit(vec![
            Write::RootVersion(Timestamp(20)),
            Write::DeleteApp { id: web.id.clone(), at: Timestamp(20) },
            Write::DeleteFailure(web.id.clone()),
            Write::DeleteInstance(instance(&web, 1).id.clone()),
        ])
        .await
        .unwrap();
    let (found, _) = fixture.load().await;
    assert!(found.root.app(&web.id).is_none() && found.root.app(&db.id).is_some());
    assert_eq!((found.instances.len(), found.failures.len()), (1, 0));
}

#[tokio::test]
async fn old_versions_are_kept_up_to_the_limit() {
    let fixture = Fixture::new();
    let (_, mut committer) = fixture.load().await;
    let path = id("/a");
    for version in 1..=10 {
        let writes =
            vec![Write::RootVersion(Timestamp(version)), Write::PutApp(app("/a", version))];
        committer.commit(writes).await.unwrap();
        if version == 5 {
            // What is known of old versions comes back after a restart.
            committer = fixture.load().await.1;
        }
    }
    let store = fixture.store();
    let versions = store.app_versions(&path).await.unwrap();
    assert_eq!(versions, [10, 9, 8, 7].map(Timestamp));
    assert_eq!(store.app_version(&path, Timestamp(8)).await.unwrap(), Some(app("/a", 8)));
    assert_eq!(store.app_version(&path, Timestamp(10)).await.unwrap(), Some(app("/a", 10)));
    assert_eq!(store.app_version(&path, Timestamp(3)).await.unwrap(), None);
    assert_eq!(store.group_versions(&PathId::root()).await.unwrap(), [10, 9, 8, 7].map(Timestamp));
}

#[tokio::test]
async fn groups_are_put_together_as_they_were() {
    let fixture = Fixture::new();
    let (_, mut committer) = fixture.load().await;
    let at = Timestamp;
    let batches = [
        vec![
            Write::RootVersion(at(10)),
            Write::PutGroup(group("/g")),
            Write::PutApp(app("/g/a", 10)),
            Write::PutApp(app("/other", 10)),
        ],
        vec![
            Write::RootVersion(at(20)),
            Write::PutApp(app("/g/a", 20)),
            Write::PutApp(app("/g/b", 20)),
        ],
        vec![
            Write::RootVersion(at(30)),
            Write::DeleteApp { id: id("/g/b"), at: at(30) },
            Write::PutApp(app("/g/c", 30)),
        ],
        vec![
            Write::RootVersion(at(40)),
            Write::DeleteApp { id: id("/g/a"), at: at(40) },
            Write::DeleteApp { id: id("/g/c"), at: at(40) },
            Write::DeleteGroup { id: id("/g"), at: at(40) },
        ],
    ];
    for batch in batches {
        committer.commit(batch).await.unwrap();
    }
    let (found, _) = fixture.load().await;
    let store = fixture.store();
    for (version, expected) in [
        (10, vec![("/g/a", 10)]),
        (20, vec![("/g/a", 20), ("/g/b", 20)]),
        (30, vec![("/g/a", 20), ("/g/c", 30)]),
    ] {
        let (apps, groups) =
            store.group_at(&found.root, &id("/g"), at(version)).await.unwrap().unwrap();
        let apps: BTreeSet<_> = apps.iter().map(|a| (a.id.clone(), a.version.0)).collect();
        let expected: BTreeSet<_> = expected.iter().map(|(path, v)| (id(path), *v)).collect();
        assert_eq!(apps, expected, "at {version}");
        assert_eq!(groups.len(), 1);
    }
    let (apps, _) = store.group_at(&found.root, &PathId::root(), at(20)).await.unwrap().unwrap();
    assert_eq!(apps.len(), 3);
    // Gone, or never a version.
    assert!(store.group_at(&found.root, &id("/g"), at(40)).await.unwrap().is_none());
    assert!(store.group_at(&found.root, &id("/g"), at(15)).await.unwrap().is_none());
    assert_eq!(store.group_versions(&id("/g")).await.unwrap(), [30, 20, 10].map(at));
}

#[tokio::test]
async fn what_is_gone_from_every_version_is_forgotten() {
    let fixture = Fixture::new();
    let (_, mut committer) = fixture.load().await;
    let root = |version| Write::RootVersion(Timestamp(version));
    committer.commit(vec![root(1), Write::PutApp(app("/old", 1))]).await.unwrap();
    let gone = Write::DeleteApp { id: id("/old"), at: Timestamp(2) };
    committer.commit(vec![root(2), gone]).await.unwrap();
    assert!(fixture.keys().await.iter().any(|key| key.contains("/old")));
    for version in 3..10 {
        if version == 4 {
            committer = fixture.load().await.1;
        }
        committer.commit(vec![root(version), Write::PutApp(app("/new", version))]).await.unwrap();
    }
    let left = fixture.keys().await;
    assert!(!left.iter().any(|key| key.ends_with("/old") || key.contains("/old/")), "{left:?}");
    // The current form, the old ones, as many roots.
    assert_eq!(left.len(), 2 * KEPT);
}

#[tokio::test]
async fn an_app_that_comes_again_keeps_its_history() {
    let fixture = Fixture::new();
    let (_, mut committer) = fixture.load().await;
    let path = id("/a");
    for (version, write) in [
        (1, Write::PutApp(app("/a", 1))),
        (2, Write::DeleteApp { id: path.clone(), at: Timestamp(2) }),
        (3, Write::PutApp(app("/a", 3))),
    ] {
        committer.commit(vec![Write::RootVersion(Timestamp(version)), write]).await.unwrap();
    }
    let (found, _) = fixture.load().await;
    let store = fixture.store();
    assert_eq!(store.app_versions(&path).await.unwrap(), [3, 1].map(Timestamp));
    assert_eq!(store.app_version(&path, Timestamp(2)).await.unwrap(), None);
    let everything = PathId::root();
    let at = |version| store.group_at(&found.root, &everything, Timestamp(version));
    let counts = [
        at(1).await.unwrap().unwrap().0.len(),
        at(2).await.unwrap().unwrap().0.len(),
        at(3).await.unwrap().unwrap().0.len(),
    ];
    assert_eq!(counts, [1, 0, 1]);
}

#[tokio::test]
async fn instances_keep_the_version_they_were_launched_with() {
    let fixture = Fixture::new();
    let (_, mut committer) = fixture.load().await;
    let first = app("/a", 1);
    let writes = vec![
        Write::RootVersion(Timestamp(1)),
        Write::PutApp(first.clone()),
        Write::PutInstance(instance(&first, 1)),
    ];
    committer.commit(writes).await.unwrap();
    let root = |version| Write::RootVersion(Timestamp(version));
    committer.commit(vec![root(2), Write::PutApp(app("/a", 2))]).await.unwrap();
    let (found, mut committer) = fixture.load().await;
    assert_eq!(found.instances.first().map(|instance| instance.spec.clone()), Some(first));
    // Its own version is pruned: the oldest that is left is outdated as well.
    for version in 3..10 {
        committer.commit(vec![root(version), Write::PutApp(app("/a", version))]).await.unwrap();
    }
    let (found, mut committer) = fixture.load().await;
    assert_eq!(found.instances.first().map(|instance| instance.spec.version.0), Some(6));
    // Without any version there is nothing to run it by.
    let gone = Write::DeleteApp { id: id("/a"), at: Timestamp(10) };
    committer.commit(vec![root(10), gone]).await.unwrap();
    for version in 11..16 {
        committer.commit(vec![root(version)]).await.unwrap();
    }
    let (found, mut committer) = fixture.load().await;
    assert!(found.instances.is_empty());
    committer.commit(vec![root(16)]).await.unwrap();
    assert!(!fixture.keys().await.iter().any(|key| key.contains("/instances/")));
}

#[tokio::test]
async fn instances_on_one_agent_share_what_is_known_of_it() {
    let fixture = Fixture::new();
    let (_, mut committer) = fixture.load().await;
    let app = app("/a", 1);
    let on = |number: u128, agent: &str| {
        let placement = Placement {
            agent_id: agent.into(),
            host: "h".into(),
            region: None,
            zone: None,
            attributes: Vec::new(),
            role: "*".into(),
        };
        let placement = Some(Arc::new(placement));
        Write::PutInstance(Arc::new(Instance { placement, ..(*instance(&app, number)).clone() }))
    };
    let mut writes = vec![Write::PutApp(app.clone())];
    writes.extend([on(1, "S0"), on(2, "S1"), on(3, "S0")]);
    committer.commit(writes).await.unwrap();
    let (found, _) = fixture.load().await;
    let of = |agent: &str| {
        let places = found.instances.iter().filter_map(|instance| instance.placement.clone());
        places.filter(|place| place.agent_id == agent).collect::<Vec<_>>()
    };
    assert_eq!((of("S0").len(), of("S1").len()), (2, 1));
    assert!(of("S0").windows(2).all(|pair| Arc::ptr_eq(&pair[0], &pair[1])));
}

#[tokio::test]
async fn deployments_come_back_in_their_order_with_their_apps() {
    let fixture = Fixture::new();
    let (found, mut committer) = fixture.load().await;
    let create = |path: &str| {
        let body = json!({"id": path, "cmd": "sleep 1"});
        Change::CreateApp(AppUpdate::parse(&body).unwrap())
    };
    let (first, plan_a, writes) = applied(&found.root, &create("/b"), 10);
    committer.commit(writes).await.unwrap();
    let (second, plan_b, writes) = applied(&first.root, &create("/a"), 20);
    committer.commit(writes).await.unwrap();
    let update = AppUpdate::parse(&json!({"cmd": "sleep 2"})).unwrap();
    let change = Change::UpdateApp { id: id("/a"), update, partial: true, create: false };
    let (third, plan_c, writes) = applied(&second.root, &change, 30);
    let mut writes = writes;
    writes.push(Write::DeleteDeployment(plan_b.id.clone()));
    committer.commit(writes).await.unwrap();
    let (found, mut committer) = fixture.load().await;
    assert_eq!(found.deployments, [plan_a.clone(), plan_c.clone()]);
    assert_eq!(found.root.apps(), third.root.apps());
    let over = [plan_a, plan_c].map(|plan| Write::DeleteDeployment(plan.id));
    committer.commit(over.into()).await.unwrap();
    assert!(fixture.load().await.0.deployments.is_empty());
    assert!(!fixture.keys().await.iter().any(|key| key.contains("/deployments/")));
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let fixture = Fixture::new();
    let (_, mut committer) = fixture.load().await;
    committer.commit(vec![Write::PutApp(app("/a", 1))]).await.unwrap();
    let key = super::keys::Kind::App.key(&id("/a"));
    fixture.state.put(&key, Bytes::from_static(b"{"), cluster_state::When::Any).await.unwrap();
    let error = fixture.store().load(KEPT).await.unwrap_err();
    assert!(error.to_string().contains(&key), "{error}");
}

// === A state that fails ===

/// Fails every write after so many, before or after it has happened.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn ClusterState>,
    writes_left: AtomicUsize,
    /// The last write happens, and nobody is told.
    silently: bool,
}

impl ClusterState for Faulty {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, StateError>> {
        self.inner.get(key)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Entry>, StateError>> {
        self.inner.list(prefix)
    }

    fn transact(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Vec<Option<Version>>, StateError>> {
        Box::pin(async move {
            let left = self
                .writes_left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            match left {
                Ok(1) if self.silently => {
                    self.inner.transact(ops).await?;
                    Err(StateError::Closed)
                }
                Ok(_) => self.inner.transact(ops).await,
                Err(_) => Err(StateError::Closed),
            }
        })
    }

    fn watch<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Watch, StateError>> {
        self.inner.watch(prefix)
    }

    fn campaign<'a>(
        &'a self,
        election: &'a str,
        identity: Bytes,
    ) -> BoxFuture<'a, Result<Leadership, StateError>> {
        self.inner.campaign(election, identity)
    }

    fn leader<'a>(
        &'a self,
        election: &'a str,
    ) -> BoxFuture<'a, Result<Receiver<Option<Leader>>, StateError>> {
        self.inner.leader(election)
    }
}

/// A batch that needs several transactions, after a first one that does not.
fn batches() -> (Vec<Write>, Vec<Write>) {
    let first = app("/g/a", 10);
    let before = vec![
        Write::RootVersion(Timestamp(10)),
        Write::PutGroup(group("/g")),
        Write::PutApp(first.clone()),
        Write::PutInstance(instance(&first, 1)),
    ];
    let size = 350_000;
    let mut after = vec![Write::RootVersion(Timestamp(20))];
    for name in ["a", "b", "c"] {
        after.push(Write::PutApp(large_app(&format!("/g/{name}"), 20, size)));
    }
    after.push(Write::PutGroup(group("/h")));
    let app = large_app("/g/a", 20, size);
    after.extend((2..1100).map(|number| Write::PutInstance(instance(&app, number))));
    (before, after)
}

#[tokio::test]
async fn a_crash_at_any_write_leaves_all_or_nothing() {
    let (before, after) = batches();
    let whole = Fixture::new();
    let (_, mut committer) = whole.load().await;
    committer.commit(before.clone()).await.unwrap();
    let old = together(&whole.load().await.0);
    let (_, mut committer) = whole.load().await;
    committer.commit(after.clone()).await.unwrap();
    let new = together(&whole.load().await.0);
    assert_ne!(old, new);
    assert!(!whole.keys().await.iter().any(|key| key.contains("/journal/")));

    let (mut olds, mut news) = (0, 0);
    for writes in 0..64 {
        for silently in [false, true] {
            let fixture = Fixture::new();
            let (_, mut committer) = fixture.load().await;
            committer.commit(before.clone()).await.unwrap();
            let faulty = Faulty {
                inner: fixture.state.clone(),
                writes_left: AtomicUsize::new(writes),
                silently,
            };
            let (_, mut committer) = Store::new(Arc::new(faulty)).load(KEPT).await.unwrap();
            let done = committer.commit(after.clone()).await.is_ok();
            // Also what finishes it may be cut short.
            let again = Faulty {
                inner: fixture.state.clone(),
                writes_left: AtomicUsize::new(writes % 3),
                silently,
            };
            let _ = Store::new(Arc::new(again)).load(KEPT).await;
            let (found, mut committer) = fixture.load().await;
            let found_together = together(&found);
            if done {
                assert_eq!(found_together, new);
                assert_eq!(found.instances.len(), 1099);
                assert!(olds > 4 && news > 4, "{olds} {news}");
                return;
            }
            if found_together == old {
                assert_eq!(found.instances.len(), 1, "after {writes} writes");
                olds += 1;
            } else {
                assert_eq!(found_together, new, "after {writes} writes");
                news += 1;
            }
            // It goes on from there.
            committer.commit(after.clone()).await.unwrap();
            let (found, _) = fixture.load().await;
            assert_eq!((together(&found), found.instances.len()), (new.clone(), 1099));
        }
    }
    panic!("the batch never ended");
}
