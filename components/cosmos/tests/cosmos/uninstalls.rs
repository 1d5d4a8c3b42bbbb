//! Uninstalling, at once and by the service itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Method;
use serde_json::{Value, json};

use crate::fakes::{Fake, Told};
use crate::harness::{World, changed, package};

async fn add(world: &World, packages: &[Value]) {
    let uri = world.file("r.json", packages);
    world.ok("package/repository/add", 1, json!({"name": "r", "uri": uri})).await;
}

async fn install(world: &World, name: &str, id: &str) {
    world.ok("package/install", 1, json!({"packageName": name, "appId": id})).await;
}

fn label(world: &World, id: &str, name: &str, value: &str) {
    let mut kept = world.apps.kept();
    let app = kept.apps.get_mut(id).unwrap();
    app["labels"][name] = json!(value);
}

#[tokio::test]
async fn one_app_goes_and_several_need_a_word() {
    let world = World::start(&[]).await;
    add(&world, &[package("alpha", "1.0", 0)]).await;
    let none = world.refused("package/uninstall", json!({"packageName": "alpha"})).await;
    assert_eq!(
        none,
        (400, "PackageNotInstalled".into(), "Package [alpha] is not installed".into())
    );
    install(&world, "alpha", "a").await;
    let gone = world.ok("package/uninstall", 1, json!({"packageName": "alpha"})).await;
    assert_eq!(
        gone,
        json!({"results": [{
            "packageName": "alpha", "appId": "/a", "packageVersion": "1.0", "postUninstallNotes": "Gone.",
        }]})
    );
    assert!(world.apps.kept().apps.is_empty());
    for id in ["a", "b", "c"] {
        install(&world, "alpha", id).await;
    }
    let (status, error) = world.ask("package/uninstall", 1, json!({"packageName": "alpha"})).await;
    assert_eq!(status, 400);
    assert_eq!(
        error,
        json!({
            "type": "AmbiguousAppId",
            "message": "Multiple apps named [alpha] are installed: [/a, /b, /c]",
            "data": {"packageName": "alpha", "appIds": ["/a", "/b", "/c"]},
        })
    );
    let ask = json!({"packageName": "alpha", "appId": "b"});
    world.ok("package/uninstall", 1, ask.clone()).await;
    let again = world.refused("package/uninstall", ask).await;
    assert_eq!(again.1, "UninstallNonExistentAppForPackage");
    let ask = json!({"packageName": "other", "appId": "a"});
    assert_eq!(world.refused("package/uninstall", ask).await.1, "PackageNotInstalled");
    let all = world.ok("package/uninstall", 1, json!({"packageName": "alpha", "all": true})).await;
    assert_eq!(all["results"].as_array().unwrap().len(), 2);
    let deleted = world.marathon.seen().into_iter().filter(|seen| seen.method == Method::DELETE);
    assert!(deleted.map(|seen| seen.target).all(|target| target.ends_with("?force=true")));
}

#[tokio::test]
async fn a_framework_is_ended_too() {
    let frameworks = Arc::new(std::sync::Mutex::new(json!([])));
    let shown = Arc::clone(&frameworks);
    let master =
        Fake::start(move |_| Told::json(200, &json!({"frameworks": *shown.lock().unwrap()}))).await;
    let url = master.url();
    let world = World::with(&[], |config| config.master = url).await;
    add(&world, &[package("alpha", "1.0", 0)]).await;
    let uninstall = async |found: Value| {
        *frameworks.lock().unwrap() = found;
        install(&world, "alpha", "a").await;
        label(&world, "/a", "DCOS_PACKAGE_FRAMEWORK_NAME", "fw");
        world.ask("package/uninstall", 1, json!({"packageName": "alpha"})).await
    };
    let torn_down = || -> Vec<String> {
        let posts = master.seen().into_iter().filter(|seen| seen.method == Method::POST);
        posts
            .map(|seen| format!("{} {}", seen.target, String::from_utf8_lossy(&seen.body)))
            .collect()
    };
    assert_eq!(uninstall(json!([{"id": "1", "name": "other"}])).await.0, 200);
    assert!(torn_down().is_empty());
    assert_eq!(uninstall(json!([{"id": "a-1", "name": "fw"}])).await.0, 200);
    assert_eq!(torn_down(), ["/master/teardown frameworkId=a-1"]);
    let several = json!([{"id": "1", "name": "fw"}, {"id": "2", "name": "fw"}]);
    let (status, error) = uninstall(several).await;
    assert_eq!((status, error["type"].as_str().unwrap()), (400, "MultipleFrameworkIds"));
    assert_eq!(error["data"]["ids"], json!(["1", "2"]));
    assert!(world.apps.kept().apps.is_empty());
}

#[tokio::test]
async fn without_a_master_the_rest_is_named() {
    let world = World::with(&[], |config| config.master = "http://127.0.0.1:1".to_owned()).await;
    add(&world, &[package("alpha", "1.0", 0)]).await;
    install(&world, "alpha", "a").await;
    label(&world, "/a", "DCOS_PACKAGE_FRAMEWORK_NAME", "fw");
    let refused = world.refused("package/uninstall", json!({"packageName": "alpha"})).await;
    assert_eq!((refused.0, refused.1.as_str()), (503, "IncompleteUninstall"));
    install(&world, "alpha", "a").await;
    world.apps.instead(Method::DELETE, "/v2/apps", Told::json(409, &json!({})));
    let refused = world.refused("package/uninstall", json!({"packageName": "alpha"})).await;
    assert_eq!((refused.0, refused.1.as_str()), (400, "MarathonAppDeleteError"));
}

/// A service built with the SDK: it says when it has cleaned up.
async fn sdk(done: &Arc<AtomicBool>) -> Fake {
    let done = Arc::clone(done);
    Fake::start(move |seen| match seen.target.as_str() {
        "/v2/plans/deploy" if done.load(Ordering::Relaxed) => Told::json(200, &json!({})),
        "/v2/plans/deploy" => Told::json(202, &json!({})),
        "/v2/state/frameworkId" => Told::json(200, &json!(["fw-1"])),
        _ => Told::json(404, &json!({})),
    })
    .await
}

async fn installed_sdk(world: &World, service: &Fake) {
    add(world, &[package("alpha", "1.0", 0)]).await;
    install(world, "alpha", "group/a").await;
    label(world, "/group/a", "DCOS_COMMONS_UNINSTALL", "true");
    label(world, "/group/a", "DCOS_COMMONS_API_VERSION", "v2");
    let task =
        json!([{"state": "TASK_RUNNING", "host": "127.0.0.1", "ports": [service.address.port()]}]);
    world.apps.kept().apps.get_mut("/group/a").unwrap().insert("tasks".to_owned(), task);
}

#[tokio::test]
async fn a_service_that_cleans_up_is_waited_for_through_a_restart() {
    let done = Arc::new(AtomicBool::new(false));
    let service = sdk(&done).await;
    let mut world = World::start(&[]).await;
    installed_sdk(&world, &service).await;
    let begun = world.ok("package/uninstall", 1, json!({"packageName": "alpha"})).await;
    assert_eq!(begun["results"][0]["appId"], "/group/a");
    let app = world.apps.app("/group/a").unwrap();
    assert_eq!(app["env"], json!({"BLOB": "http://example.com/blob", "SDK_UNINSTALL": "true"}));
    // Not while its deployment goes on.
    let before = service.seen().len();
    let looks = |world: &World| {
        let seen = world.marathon.seen();
        seen.iter().filter(|seen| seen.target == "/v2/deployments").count()
    };
    world.until("it looks", async || looks(&world) > 3).await;
    assert_eq!(service.seen().len(), before);
    world.apps.kept().deployments.clear();
    world.until("it asks the service", async || service.seen().len() > before + 2).await;
    assert!(world.apps.app("/group/a").is_some());
    // What was begun is not forgotten.
    world.restart().await;
    let before = service.seen().len();
    world.until("it asks again", async || service.seen().len() > before + 2).await;
    assert!(world.apps.app("/group/a").is_some());
    done.store(true, Ordering::Relaxed);
    world.until("the app goes", async || world.apps.app("/group/a").is_none()).await;
    // And nothing goes on afterwards: a new app of that name stays.
    install(&world, "alpha", "group/a").await;
    world.restart().await;
    let before = looks(&world);
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(looks(&world), before);
    assert!(world.apps.app("/group/a").is_some());
}

#[tokio::test]
async fn an_uninstall_ends_when_its_app_vanishes() {
    let done = Arc::new(AtomicBool::new(false));
    let service = sdk(&done).await;
    let world = World::start(&[]).await;
    installed_sdk(&world, &service).await;
    world.ok("package/uninstall", 1, json!({"packageName": "alpha"})).await;
    world.apps.kept().deployments.clear();
    world.apps.kept().apps.clear();
    let asked = || world.marathon.seen().len();
    world
        .until("it stops asking", async || {
            let before = asked();
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
            asked() == before
        })
        .await;
}

#[tokio::test]
async fn an_uninstall_that_marathon_refuses_never_began() {
    let done = Arc::new(AtomicBool::new(true));
    let service = sdk(&done).await;
    let world = World::start(&[]).await;
    installed_sdk(&world, &service).await;
    world.apps.instead(Method::PUT, "/v2/apps", Told::json(422, &json!({"message": "no"})));
    let refused = world.refused("package/uninstall", json!({"packageName": "alpha"})).await;
    assert_eq!((refused.0, refused.1.as_str()), (400, "FailedToStartUninstall"));
    assert!(refused.2.contains("Encountered error in marathon request"), "{}", refused.2);
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    assert!(world.apps.app("/group/a").is_some());
}

#[tokio::test]
async fn an_uninstall_cut_off_before_marathon_knew_never_began() {
    let done = Arc::new(AtomicBool::new(true));
    let service = sdk(&done).await;
    let mut world = World::start(&[]).await;
    installed_sdk(&world, &service).await;
    world.stop().await;
    // As it is written just before Marathon is told.
    let pending = json!({"app_id": "/group/a", "frameworks": ["fw-1"], "deployment": null});
    world.put("/cosmos/uninstalls/%2Fgroup%2Fa", &pending.to_string()).await;
    world.restart().await;
    world.until("it is forgotten", async || world.keys("/cosmos/uninstalls/").await == 0).await;
    assert!(world.apps.app("/group/a").is_some());
    assert!(service.seen().is_empty());
    // Told already: it goes on.
    world.stop().await;
    world.put("/cosmos/uninstalls/%2Fgroup%2Fa", &pending.to_string()).await;
    world.apps.kept().apps.get_mut("/group/a").unwrap()["env"] = json!({"SDK_UNINSTALL": "true"});
    world.restart().await;
    world.until("the app goes", async || world.apps.app("/group/a").is_none()).await;
}

#[tokio::test]
async fn an_uninstall_goes_on_where_the_answer_was_lost() {
    for lost in [Told::new(504, "text/plain", "late"), Told::json(200, &json!({"version": "v"}))] {
        let done = Arc::new(AtomicBool::new(true));
        let service = sdk(&done).await;
        let world = World::start(&[]).await;
        installed_sdk(&world, &service).await;
        world.apps.kept().answer_to_changes = Some(lost);
        let refused = world.refused("package/uninstall", json!({"packageName": "alpha"})).await;
        assert_eq!((refused.0, refused.1.as_str()), (400, "FailedToStartUninstall"));
        assert_eq!(world.keys("/cosmos/uninstalls/").await, 1);
        // The old instance looks complete too: not while anything of it is being deployed.
        let looks =
            || world.marathon.seen().iter().filter(|s| s.target == "/v2/deployments").count();
        let before = looks();
        world.until("it looks", async || looks() > before + 3).await;
        assert!(world.apps.app("/group/a").is_some());
        world.apps.kept().deployments.clear();
        world.until("the app goes", async || world.apps.app("/group/a").is_none()).await;
        world.until("it is forgotten", async || world.keys("/cosmos/uninstalls/").await == 0).await;
    }
}

#[tokio::test]
async fn a_second_uninstall_joins_the_first() {
    let done = Arc::new(AtomicBool::new(false));
    let service = sdk(&done).await;
    let world = World::start(&[]).await;
    installed_sdk(&world, &service).await;
    let ask = json!({"packageName": "alpha"});
    let puts = || world.marathon.seen().iter().filter(|seen| seen.method == Method::PUT).count();
    world.ok("package/uninstall", 1, ask.clone()).await;
    let begun = puts();
    // Whatever Marathon would answer now, the first one goes on.
    world.apps.instead(Method::PUT, "/v2/apps", Told::json(422, &json!({"message": "no"})));
    let again = world.ok("package/uninstall", 1, ask).await;
    assert_eq!(again["results"][0]["appId"], "/group/a");
    assert_eq!((puts(), world.keys("/cosmos/uninstalls/").await), (begun, 1));
    world.apps.kept().instead.clear();
    // Nor is it undone by an update.
    let update = json!({"appId": "/group/a", "replace": true, "options": {"port": 7}});
    let refused = world.refused("service/update", update).await;
    assert_eq!((refused.0, refused.1.as_str()), (409, "ServiceUninstalling"));
    assert_eq!(world.apps.app("/group/a").unwrap()["env"]["SDK_UNINSTALL"], "true");
    // What stands in the way of deleting the app is waited for.
    world.apps.instead(Method::DELETE, "/v2/apps", Told::json(409, &json!({})));
    world.apps.kept().deployments.clear();
    done.store(true, Ordering::Relaxed);
    let tried = || world.marathon.seen().iter().filter(|s| s.method == Method::DELETE).count();
    world.until("it is tried again", async || tried() > 2).await;
    world.apps.kept().instead.clear();
    world.until("the app goes", async || world.apps.app("/group/a").is_none()).await;
}

#[tokio::test]
async fn an_app_does_not_get_to_know_who_asks() {
    let done = Arc::new(AtomicBool::new(false));
    let service = sdk(&done).await;
    let world = World::start(&[]).await;
    installed_sdk(&world, &service).await;
    let kind = |what: &str| {
        format!("application/vnd.dcos.package.uninstall-{what}+json;charset=utf-8;version=v1")
    };
    let (request, response) = (kind("request"), kind("response"));
    let headers = [
        ("content-type", request.as_str()),
        ("accept", response.as_str()),
        ("authorization", "token=secret"),
    ];
    let body = json!({"packageName": "alpha"}).to_string();
    let answer = world.send(Method::POST, "/package/uninstall", &headers, body.as_bytes()).await;
    assert_eq!(answer.status(), 200);
    let told = |fake: &Fake| fake.seen().iter().any(|s| s.headers.contains_key("authorization"));
    assert!(told(&world.marathon) && !service.seen().is_empty() && !told(&service));
}

#[tokio::test]
async fn a_manager_uninstalls_its_packages() {
    let manager = Fake::start(|_| {
        Told::json(200, &json!({"results": [{"packageName": "managed", "appId": "/m"}]}))
    })
    .await;
    let url = manager.url();
    let world = World::with(&[], |config| config.gateway = Some(url)).await;
    let managed = changed(
        package("managed", "1.0", 0),
        json!({"packagingVersion": "5.0", "manager": {"packageName": "boss"}}),
    );
    add(&world, &[managed, package("managed", "0.9", 0)]).await;
    install_app_of(&world).await;
    let gone = world.ok("package/uninstall", 1, json!({"packageName": "managed"})).await;
    assert_eq!(gone["results"][0]["appId"], "/m");
    let seen = &manager.seen()[0];
    assert_eq!(seen.target, "/service/boss/package/uninstall");
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(body, json!({"packageName": "managed", "appId": "/m", "packageVersion": "1.0"}));
    assert!(world.apps.app("/m").is_some());
}

/// An app that its manager made.
async fn install_app_of(world: &World) {
    let labels = json!({"DCOS_PACKAGE_NAME": "managed", "DCOS_PACKAGE_VERSION": "1.0"});
    let app = json!({"id": "/m", "labels": labels});
    world.apps.kept().apps.insert("/m".to_owned(), app.as_object().unwrap().clone());
}
