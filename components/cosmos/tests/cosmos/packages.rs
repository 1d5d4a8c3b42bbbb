//! Search, describe, versions, rendering, and what is fetched on a client's behalf.

use http::Method;
use serde_json::json;

use crate::fakes::{Fake, Told};
use crate::harness::{World, changed, package};

async fn world() -> World {
    let mut world = World::start(&[]).await;
    let first = world.file(
        "first.json",
        &[
            package("alpha", "1.0", 0),
            package("alpha", "2.0", 1),
            changed(package("beta", "1.0", 0), json!({"selected": true, "upgradesFrom": ["0.9"]})),
        ],
    );
    let second =
        world.file("second.json", &[package("alpha", "3.0", 9), package("gamma", "1.0", 0)]);
    for (name, uri) in [("First", first), ("Second", second)] {
        world.ok("package/repository/add", 1, json!({"name": name, "uri": uri})).await;
    }
    world.restart().await;
    world
}

#[tokio::test]
async fn search_shows_packages_in_order() {
    let world = world().await;
    let found = world.ok("package/search", 1, json!({})).await;
    let all = found["packages"].as_array().unwrap();
    let names: Vec<&str> = all.iter().map(|package| package["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["beta", "alpha", "gamma"]);
    let icon = format!(
        "http://{}/package/resource?url=http%3A%2F%2Fexample.com%2Ficon.png",
        world.address()
    );
    assert_eq!(
        all[1],
        json!({
            "name": "alpha", "currentVersion": "2.0", "versions": {"2.0": 1, "1.0": 0, "3.0": 9},
            "description": "The alpha package", "framework": false, "tags": ["example"],
            "images": {"icon-small": icon},
        })
    );
    let found = world.ok("package/search", 1, json!({"query": "GAMMA"})).await;
    assert_eq!(found["packages"].as_array().unwrap().len(), 1);
    let found = world.ok("package/search", 1, json!({"query": "*mma"})).await;
    assert_eq!(found["packages"][0]["name"], "gamma");
    let found = world.ok("package/search", 1, json!({"query": null})).await;
    assert_eq!(found["packages"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn describe_has_two_forms() {
    let world = world().await;
    let ask = json!({"packageName": "alpha"});
    let newest = world.ok("package/describe", 3, ask).await;
    assert_eq!(newest["package"]["version"], "2.0");
    assert_eq!(newest["package"]["config"], package("alpha", "2.0", 1)["config"]);
    let ask = json!({"packageName": "alpha", "packageVersion": "3.0"});
    let old = world.ok("package/describe", 2, ask.clone()).await;
    assert_eq!(old["packagingVersion"], "3.0");
    assert_eq!(old["selected"], false);
    assert!(old["marathon"]["v2AppMustacheTemplate"].is_string());
    let (status, error) = world.ask("package/describe", 2, json!({"packageName": "beta"})).await;
    assert_eq!(
        (status, error["type"].as_str()),
        (400, Some("ConversionFromPackageToV2DescribeResponse"))
    );
    let refused = world.refused("package/describe", json!({"packageName": "delta"})).await;
    assert_eq!(refused, (400, "PackageNotFound".into(), "Package [delta] not found".into()));
    let refused = world
        .refused("package/describe", json!({"packageName": "alpha", "packageVersion": "7"}))
        .await;
    assert_eq!(
        refused,
        (400, "VersionNotFound".into(), "Version [7] of package [alpha] not found".into())
    );
}

#[tokio::test]
async fn versions_are_listed_of_every_repository() {
    let world = world().await;
    let ask = json!({"packageName": "alpha", "includePackageVersions": true});
    let found = world.ok("package/list-versions", 1, ask).await;
    assert_eq!(found, json!({"results": {"2.0": "1", "1.0": "0", "3.0": "9"}}));
    let (_, kind, _) =
        world.refused("package/list-versions", json!({"packageName": "alpha"})).await;
    assert_eq!(kind, "not_parsed");
}

#[tokio::test]
async fn rendering_shows_what_would_be_installed() {
    let world = world().await;
    let ask = json!({"packageName": "gamma", "options": {"port": 1}, "appId": "x/y"});
    let rendered = world.ok("package/render", 1, ask).await;
    let app = &rendered["marathonJson"];
    assert_eq!(app["id"], "/x/y");
    assert_eq!(app["cmd"], "run 1");
    assert_eq!(app["cpus"], 0.5);
    assert_eq!(app["env"]["BLOB"], "http://example.com/blob");
    assert!(app["labels"]["DCOS_PACKAGE_SOURCE"].as_str().unwrap().ends_with("second.json"));
    assert!(world.apps.kept().apps.is_empty());
    let ask = json!({"packageName": "gamma", "options": {"port": "x", "other": 1}});
    let (status, error) = world.ask("package/render", 1, ask).await;
    assert_eq!((status, error["type"].as_str()), (400, Some("JsonSchemaMismatch")));
    let errors = error["data"]["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors.iter().any(|error| error["instance"]["pointer"] == "/port"));
    assert!(errors.iter().any(|error| error["unwanted"] == json!(["other"])));
}

#[tokio::test]
async fn only_what_packages_name_is_fetched() {
    let assets = Fake::start(|seen| match seen.target.as_str() {
        "/a/b%20c.zip?x=1&y=2" => Told::new(200, "application/zip", "zipped"),
        "/moved" => Told::new(302, "text/plain", "").header("location", "/a/b%20c.zip?x=1&y=2"),
        "/elsewhere" => Told::new(302, "text/plain", "").header("location", "ftp://h/x"),
        "/empty" => Told::new(200, "text/plain", ""),
        _ => Told::new(404, "text/plain", "no"),
    })
    .await;
    let world = World::start(&[]).await;
    let url = |path: &str| format!("{}{path}", assets.url());
    let uris = json!({
        "a": url("/a/b%20c.zip?x=1&y=2"), "b": url("/moved"), "c": url("/gone"), "d": url("/empty"),
        "e": url("/elsewhere"), "f": "file:///etc/passwd",
    });
    let package =
        changed(package("alpha", "1.0", 0), json!({"resource": {"assets": {"uris": uris}}}));
    let uri = world.file("r.json", &[package]);
    world.ok("package/repository/add", 1, json!({"name": "r", "uri": uri})).await;
    let described = world.ok("package/describe", 3, json!({"packageName": "alpha"})).await;
    let rewritten = described["package"]["resource"]["assets"]["uris"].as_object().unwrap();
    let get = async |name: &str| {
        let url = rewritten[name].as_str().unwrap();
        let path = url.strip_prefix(&format!("http://{}", world.address())).unwrap();
        world.send(Method::GET, path, &[], b"").await
    };
    for name in ["a", "b"] {
        let answer = get(name).await;
        assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &b"zipped"[..]), "{name}");
        assert_eq!(answer.headers()["content-type"], "application/zip");
    }
    let name = get("a").await.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert_eq!(name, "attachment; filename=\"b%20c.zip\"");
    for (name, status) in [("c", 400), ("d", 400), ("e", 400), ("f", 400)] {
        assert_eq!(get(name).await.status(), status, "{name}");
    }
    let foreign = format!("/package/resource?url={}/a/other", assets.url());
    let answer = world.send(Method::GET, &foreign, &[], b"").await;
    assert_eq!(answer.status(), 403);
    assert_eq!(world.send(Method::GET, "/package/resource", &[], b"").await.status(), 400);
}
