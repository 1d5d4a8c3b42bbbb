//! Services that run: described, changed, and managed by others.

use http::Method;
use serde_json::{Value, json};

use crate::fakes::{Fake, Told};
use crate::harness::{World, changed, package};

async fn world() -> World {
    let world = World::start(&[]).await;
    let packages = [
        changed(
            package("alpha", "2.0", 1),
            json!({"upgradesFrom": ["1.0"], "downgradesTo": ["1.0"]}),
        ),
        changed(package("alpha", "1.0", 0), json!({"downgradesTo": ["*"]})),
    ];
    let uri = world.file("r.json", &packages);
    world.ok("package/repository/add", 1, json!({"name": "r", "uri": uri})).await;
    let ask = json!({"packageName": "alpha", "packageVersion": "1.0", "options": {"port": 1}});
    world.ok("package/install", 1, ask).await;
    world
}

#[tokio::test]
async fn a_service_says_what_can_become_of_it() {
    let world = world().await;
    let found = world.ok("service/describe", 1, json!({"appId": "alpha"})).await;
    assert_eq!(found["package"]["version"], "1.0");
    assert_eq!(found["upgradesTo"], json!(["2.0"]));
    assert_eq!(found["downgradesTo"], json!(["2.0", "1.0"]));
    assert_eq!(found["userProvidedOptions"], json!({"port": 1}));
    assert_eq!(
        found["resolvedOptions"],
        json!({"service": {"name": "alpha", "cpus": 0.5}, "port": 1})
    );
    let icon = found["package"]["resource"]["images"]["icon-small"].as_str().unwrap();
    assert!(icon.contains("/package/resource?url="));
    let refused = world.refused("service/describe", json!({"appId": "nothing"})).await;
    assert_eq!(refused.1, "MarathonAppNotFound");
    assert_eq!(refused.2, "Unable to locate service with marathon appId: '/nothing'");
}

#[tokio::test]
async fn options_change_and_the_service_stays() {
    let world = world().await;
    let update = |more: Value| {
        let mut ask = json!({"appId": "/alpha", "replace": false});
        ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ask
    };
    let answer =
        world.ok("service/update", 1, update(json!({"options": {"service": {"cpus": 2}}}))).await;
    assert_eq!(answer["marathonDeploymentId"], "deployment-1");
    assert_eq!(
        answer["resolvedOptions"],
        json!({"service": {"name": "alpha", "cpus": 2}, "port": 1})
    );
    assert_eq!(answer["package"]["version"], "1.0");
    let app = world.apps.app("/alpha").unwrap();
    assert_eq!((app["cpus"].as_f64(), app["cmd"].as_str()), (Some(2.0), Some("run 1")));
    let put = world.marathon.seen().into_iter().find(|seen| seen.method == Method::PUT).unwrap();
    assert_eq!(put.target, "/v2/apps/alpha?force=true&partialUpdate=false");
    // Only what is given now.
    world.ok("service/update", 1, update(json!({"replace": true, "options": {"port": 7}}))).await;
    let app = world.apps.app("/alpha").unwrap();
    assert_eq!((app["cpus"].as_f64(), app["cmd"].as_str()), (Some(0.5), Some("run 7")));
    // It still knows its package when no repository does.
    world.ok("package/repository/delete", 1, json!({"name": "r"})).await;
    world.ok("service/update", 1, update(json!({"options": {"port": 8}}))).await;
    for (more, kind) in [
        (json!({"packageVersion": "2.0"}), "VersionUpgradeNotSupportedInOpen"),
        (json!({"options": {"service": {"name": "other"}}}), "AppIdChanged"),
        (json!({"options": {"port": "x"}}), "JsonSchemaMismatch"),
        (json!({"appId": "nothing"}), "MarathonAppNotFound"),
        (json!({"replace": null}), "not_parsed"),
    ] {
        let refused = world.refused("service/update", update(more.clone())).await;
        assert_eq!((refused.0, refused.1.as_str()), (400, kind), "{more}");
    }
    // The version that runs may be named.
    world.ok("service/update", 1, update(json!({"packageVersion": "1.0"}))).await;
    world.apps.kept().apps.get_mut("/alpha").unwrap()["labels"]["DCOS_PACKAGE_OPTIONS"] =
        json!("NQ==");
    let refused = world.refused("service/update", update(json!({}))).await;
    assert_eq!(refused.1, "OptionsNotStored");
    world.apps.instead(Method::PUT, "/v2/apps", Told::json(422, &json!({"message": "no"})));
    let refused = world.refused("service/update", update(json!({"replace": true}))).await;
    assert_eq!((refused.0, refused.1.as_str()), (500, "unhandled_exception"));
    assert!(refused.2.contains("\"no\""));
}

#[tokio::test]
async fn an_app_that_vanished_does_not_come_back() {
    let world = world().await;
    world.apps.kept().vanishing.push("/alpha".to_owned());
    let update = json!({"appId": "/alpha", "replace": true});
    let refused = world.refused("service/update", update).await;
    assert_eq!((refused.0, refused.1.as_str()), (400, "MarathonAppNotFound"));
    assert!(world.apps.app("/alpha").is_none());
}

#[tokio::test]
async fn a_package_for_a_later_release_is_refused_throughout() {
    let world = world().await;
    let later = changed(package("late", "1.0", 0), json!({"minDcosReleaseVersion": "999"}));
    let uri = world.file("late.json", &[later]);
    world.ok("package/repository/add", 1, json!({"name": "late", "uri": uri})).await;
    let labels = json!({"DCOS_PACKAGE_NAME": "late", "DCOS_PACKAGE_VERSION": "1.0"});
    let app = json!({"id": "/late", "labels": labels});
    world.apps.kept().apps.insert("/late".to_owned(), app.as_object().unwrap().clone());
    for (call, body) in [
        ("package/install", json!({"packageName": "late"})),
        ("package/render", json!({"packageName": "late"})),
        ("service/update", json!({"appId": "/late", "replace": true})),
    ] {
        let refused = world.refused(call, body).await;
        assert_eq!((refused.0, refused.1.as_str()), (400, "MinDcosReleaseVersionNotMet"), "{call}");
    }
}

#[tokio::test]
async fn packages_with_a_manager_are_its_business() {
    let answer = json!({"packageName": "managed", "packageVersion": "1.0", "appId": "/m"});
    let manager = Fake::start(move |seen| match seen.target.as_str() {
        "/package/install" => Told::json(200, &answer),
        "/service/describe" => Told::json(200, &json!({"package": {}, "upgradesTo": ["9"]})),
        "/service/update" => Told::json(200, &json!({"marathonDeploymentId": "d"})),
        _ => Told::json(404, &json!({})),
    })
    .await;
    let world = World::start(&[]).await;
    let needs = json!({"packageName": "boss", "minPackageVersion": "2.0"});
    let managed =
        changed(package("managed", "1.0", 0), json!({"packagingVersion": "5.0", "manager": needs}));
    let uri = world.file("r.json", &[managed]);
    world.ok("package/repository/add", 1, json!({"name": "r", "uri": uri})).await;
    let ask = json!({"packageName": "managed", "options": {"port": 5}});
    let refused = world.refused("package/install", ask.clone()).await;
    assert_eq!((refused.0, refused.1.as_str()), (400, "CustomPackageManagerNotFound"));
    let boss = |version: &str| {
        json!({
            "id": "/boss", "labels": {"DCOS_PACKAGE_VERSION": version},
            "tasks": [{"host": "127.0.0.1", "ports": [manager.address.port()]}],
        })
    };
    let run = |version: &str| {
        let app = boss(version).as_object().unwrap().clone();
        world.apps.kept().apps.insert("/boss".to_owned(), app);
    };
    run("1.9");
    let refused = world.refused("package/install", ask.clone()).await;
    assert_eq!((refused.0, refused.1.as_str()), (400, "CustomPackageManagerError"));
    assert!(refused.2.contains("2.0 or later is needed"), "{}", refused.2);
    run("2.0");
    let installed = world.ok("package/install", 1, ask).await;
    assert_eq!(installed["appId"], "/m");
    let seen = manager.seen().into_iter().next().unwrap();
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(body, json!({"packageName": "managed", "options": {"port": 5}}));
    assert!(seen.headers["content-type"].to_str().unwrap().contains("package.install-request"));
    assert!(
        seen.headers["accept"]
            .to_str()
            .unwrap()
            .contains("install-response+json;charset=utf-8;version=v2")
    );
    assert_eq!(seen.headers["x-forwarded-host"], "127.0.0.1");
    let labels = json!({"DCOS_PACKAGE_NAME": "managed", "DCOS_PACKAGE_VERSION": "1.0"});
    let app = json!({"id": "/m", "labels": labels});
    world.apps.kept().apps.insert("/m".to_owned(), app.as_object().unwrap().clone());
    let described = world.ok("service/describe", 1, json!({"appId": "m"})).await;
    assert_eq!(described["upgradesTo"], json!(["9"]));
    let updated = world.ok("service/update", 1, json!({"appId": "m", "replace": false})).await;
    assert_eq!(updated["marathonDeploymentId"], "d");
}
