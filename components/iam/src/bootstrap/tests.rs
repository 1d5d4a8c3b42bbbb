//! First starts, cut off and repeated.

use std::os::unix::fs::PermissionsExt;

use cluster_state::embedded;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::feed::Feed;

struct World {
    folder: tempfile::TempDir,
    cluster: Arc<dyn ClusterState>,
    node_key: NodeKey,
    passwords: Passwords,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let cluster = embedded::open(folder.path().join("state")).unwrap();
        let node_key = NodeKey::from_bytes(&[1; 32]).unwrap();
        World { folder, cluster, node_key, passwords: Passwords::new() }
    }

    async fn store(&self) -> Arc<Store> {
        let feed = Feed::new(CancellationToken::new());
        Store::open(Arc::clone(&self.cluster), feed).await.unwrap().0
    }

    /// One start of an instance whose files are in `name`.
    async fn start(
        &self,
        name: &str,
        superuser: Option<&(String, String)>,
    ) -> (Arc<Store>, Places) {
        let store = self.store().await;
        let data_dir = self.folder.path().join(name);
        secrets::create_folder(&data_dir).unwrap();
        let audit = Audit::open(&data_dir, &audit_settings()).unwrap();
        let bootstrap = Bootstrap {
            store: &store,
            audit: &audit,
            cluster: &self.cluster,
            node_key: &self.node_key,
            passwords: &self.passwords,
            data_dir: &data_dir,
            address: "0.0.0.0:8101".parse().unwrap(),
            superuser_account: superuser,
        };
        let places = bootstrap.run().await.unwrap();
        (store, places)
    }
}

fn audit_settings() -> crate::audit::Settings {
    crate::audit::Settings { reserve_bytes: 0, ..crate::audit::Settings::default() }
}

fn may(state: &State, uid: &str, rid: &str, action: Action) -> bool {
    let everything = crate::model::everything(state, json!({"keys": []}));
    let snapshot = identity::Snapshot::from_everything(1, everything).unwrap();
    snapshot.policy.allows(uid, rid, action)
}

async fn logs_in(world: &World, state: &State, file: &Path) -> bool {
    let password = std::fs::read_to_string(file).unwrap();
    let hash = state.user(ADMIN).unwrap().password.clone().unwrap();
    let stored = crate::password::Stored::parse(&hash.0).unwrap();
    world
        .passwords
        .verify(Some(stored), password.trim().to_owned(), Arc::default())
        .await
        .unwrap()
        .ok
}

#[tokio::test]
async fn the_first_start_makes_an_administrator_and_the_second_changes_nothing() {
    let world = World::new();
    let (store, places) = world.start("one", None).await;
    let state = store.state();
    assert!(logs_in(&world, &state, &places.admin_password_file).await);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&places.admin_password_file), 0o600);
    assert_eq!(mode(&places.service_accounts), 0o700);
    assert!(may(&state, ADMIN, "dcos:adminrouter:ops:mesos", Action::Full));
    let revision = state.revision();

    std::fs::remove_file(&places.admin_password_file).unwrap();
    let (store, places) = world.start("one", None).await;
    assert_eq!(store.state().revision(), revision);
    assert!(!places.admin_password_file.exists(), "the password is not made again");
}

#[tokio::test]
async fn an_administrator_who_was_removed_stays_away() {
    let world = World::new();
    let (store, _) = world.start("one", None).await;
    let hash = PasswordHash(crate::password::hash("password").unwrap().as_str().to_owned());
    let other = superuser(&store.state(), "ann", "", Credential::Password(hash));
    for command in other {
        store.run(&command).await.unwrap();
    }
    store.run(&Command::DeleteUser { uid: ADMIN.to_owned() }).await.unwrap();
    store.run(&Command::DeleteUser { uid: "dcos_cosmos".to_owned() }).await.unwrap();
    let (store, places) = world.start("one", None).await;
    assert!(store.state().user(ADMIN).is_err());
    assert!(store.state().user("dcos_cosmos").is_err());
    assert!(places.service_accounts.join("dcos_marathon.json").exists());
}

#[tokio::test]
async fn a_start_cut_off_after_the_file_uses_its_password() {
    let world = World::new();
    let data_dir = world.folder.path().join("one");
    secrets::create_folder(&data_dir).unwrap();
    let password = password::generate();
    secrets::replace(&data_dir.join("admin-password"), format!("{password}\n").as_bytes()).unwrap();
    let (store, places) = world.start("one", None).await;
    let kept = std::fs::read_to_string(&places.admin_password_file).unwrap();
    assert_eq!(kept.trim(), password);
    assert!(logs_in(&world, &store.state(), &places.admin_password_file).await);
}

#[tokio::test]
async fn of_two_instances_that_start_at_once_one_has_the_password_and_both_the_accounts() {
    let world = World::new();
    let ((_, one), (_, two)) = tokio::join!(world.start("one", None), world.start("two", None));
    let store = world.store().await;
    let files = [&one.admin_password_file, &two.admin_password_file];
    let left: Vec<_> = files.into_iter().filter(|file| file.exists()).collect();
    assert_eq!(left.len(), 1);
    assert!(logs_in(&world, &store.state(), left[0]).await);
    for account in ACCOUNTS {
        let name = format!("{}.json", account.uid);
        let read = |places: &Places| std::fs::read(places.service_accounts.join(&name)).unwrap();
        assert_eq!(read(&one), read(&two), "{name}");
    }
}

#[tokio::test]
async fn accounts_may_do_what_they_need_and_nothing_else() {
    let world = World::new();
    let (store, places) = world.start("one", None).await;
    let state = store.state();
    for account in ACCOUNTS {
        let file = places.service_accounts.join(format!("{}.json", account.uid));
        let loaded = http_kit::guard::ServiceAccount::load(&file).unwrap();
        assert_eq!(loaded.uid(), account.uid);
        assert_eq!(loaded.login_endpoint(), Some("http://127.0.0.1:8101/acs/api/v1/auth/login"));
        let body: serde_json::Value =
            serde_json::from_str(&loaded.login_body(1000).unwrap()).unwrap();
        let key = state.user(account.uid).unwrap().public_key.clone().unwrap();
        let key = PublicKey::from_pem(&key).unwrap();
        let token = body["token"].as_str().unwrap();
        assert!(identity::verify_service_login(token, account.uid, &key, 1000).is_ok());
        assert!(may(&state, account.uid, "dcos:iam:policy", Action::Read));
        assert!(!may(&state, account.uid, "dcos:iam:policy", Action::Update));
        assert!(!may(&state, account.uid, SUPERUSER_RID, Action::Read));
        assert!(!may(&state, account.uid, "dcos:adminrouter:acs", Action::Read));
    }
    let sign = "dcos:adminrouter:ops:ca:rw";
    assert!(may(&state, "dcos_adminrouter", sign, Action::Full));
    assert!(!may(&state, "dcos_marathon", sign, Action::Full));
    let app = "dcos:service:marathon:marathon:services:/a/b";
    assert!(may(&state, "dcos_adminrouter", app, Action::Read));
    assert!(!may(&state, "dcos_adminrouter", app, Action::Update));
    assert!(may(&state, "dcos_cosmos", app, Action::Delete));
    assert!(may(
        &state,
        "dcos_marathon",
        "dcos:mesos:master:framework:role:slave_public",
        Action::Create
    ));
}

#[tokio::test]
async fn files_come_back_unless_an_operator_changed_the_key() {
    let world = World::new();
    let (store, places) = world.start("one", None).await;
    let file = places.service_accounts.join("dcos_marathon.json");
    let content = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    world.start("one", None).await;
    assert_eq!(std::fs::read(&file).unwrap(), content);

    let pkcs8 = SigningKey::generate_es256().unwrap();
    let patch = crate::model::UserPatch {
        public_key: Some(SigningKey::es256(&pkcs8).unwrap().public().pem()),
        ..Default::default()
    };
    store.run(&Command::UpdateUser { uid: "dcos_marathon".to_owned(), patch }).await.unwrap();
    secrets::replace(&file, b"another").unwrap();
    world.start("one", None).await;
    assert_eq!(std::fs::read(&file).unwrap(), b"another");
}

#[tokio::test]
async fn what_a_later_version_needs_is_granted_and_what_was_taken_is_not() {
    let world = World::new();
    let (store, _) = world.start("one", None).await;
    let taken = Command::Forbid {
        rid: "dcos:iam:policy".to_owned(),
        subject: Subject::User("dcos_mesos_master".to_owned()),
        action: Action::Read,
    };
    store.run(&taken).await.unwrap();
    let later = Account {
        uid: "dcos_mesos_master",
        description: "",
        grants: &[
            ("dcos:iam:policy", Action::Read),
            ("dcos:x", Action::Read),
            ("dcos:x", Action::Update),
        ],
    };
    let data_dir = world.folder.path().join("one");
    let audit = Audit::open(&data_dir, &audit_settings()).unwrap();
    let bootstrap = Bootstrap {
        store: &store,
        audit: &audit,
        cluster: &world.cluster,
        node_key: &world.node_key,
        passwords: &world.passwords,
        data_dir: &data_dir,
        address: "127.0.0.1:1".parse().unwrap(),
        superuser_account: None,
    };
    for _ in 0..2 {
        bootstrap.account(&later, &Places::below(&data_dir).service_accounts).await.unwrap();
    }
    let state = store.state();
    assert!(may(&state, "dcos_mesos_master", "dcos:x", Action::Read));
    assert!(may(&state, "dcos_mesos_master", "dcos:x", Action::Update));
    assert!(!may(&state, "dcos_mesos_master", "dcos:iam:policy", Action::Read));
}

#[tokio::test]
async fn the_installations_superuser_is_made_from_its_key() {
    let world = World::new();
    let pkcs8 = SigningKey::generate_es256().unwrap();
    let key = SigningKey::es256(&pkcs8).unwrap().public().pem();
    let account = ("bootstrapuser".to_owned(), key.clone());
    let (store, _) = world.start("one", Some(&account)).await;
    let state = store.state();
    assert_eq!(state.user("bootstrapuser").unwrap().public_key, Some(key));
    assert!(may(&state, "bootstrapuser", "dcos:anything", Action::Delete));
    store.run(&Command::DeleteUser { uid: "bootstrapuser".to_owned() }).await.unwrap();
    let (store, _) = world.start("one", Some(&account)).await;
    assert!(store.state().user("bootstrapuser").is_err(), "made once");
}

#[tokio::test]
async fn what_cannot_be_told_is_not_made() {
    let world = World::new();
    let store = world.store().await;
    let data_dir = world.folder.path().join("one");
    secrets::create_folder(&data_dir).unwrap();
    let log = data_dir.join(crate::audit::FILE);
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    let audit = Audit::open(&data_dir, &audit_settings()).unwrap();
    let bootstrap = Bootstrap {
        store: &store,
        audit: &audit,
        cluster: &world.cluster,
        node_key: &world.node_key,
        passwords: &world.passwords,
        data_dir: &data_dir,
        address: "127.0.0.1:8101".parse().unwrap(),
        superuser_account: None,
    };
    assert!(matches!(bootstrap.run().await, Err(BootstrapError::Audit(_))));
    assert_eq!(store.state().users().count(), 0);
    std::fs::remove_file(&log).unwrap();
    bootstrap.run().await.unwrap();
    assert!(store.state().user(ADMIN).is_ok());
    let told = std::fs::read_to_string(&log).unwrap();
    let first = told.lines().find(|line| line.contains(ADMIN)).unwrap();
    assert!(first.contains("\"result\":\"begun\""), "{first}");
}
