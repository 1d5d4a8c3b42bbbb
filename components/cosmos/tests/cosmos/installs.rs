//! Installing and listing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use crate::fakes::Told;
use crate::harness::{World, changed, package};

async fn world(packages: &[Value]) -> World {
    let world = World::start(&[]).await;
    let uri = world.file("r.json", packages);
    world.ok("package/repository/add", 1, json!({"name": "r", "uri": uri})).await;
    world
}

#[tokio::test]
async fn a_package_becomes_an_app() {
    let world = world(&[package("alpha", "1.0", 0), package("alpha", "2.0", 1)]).await;
    let options = json!({"port": 9999});
    let ask = json!({"packageName": "alpha", "packageVersion": "1.0", "options": options});
    let installed = world.ok("package/install", 1, ask).await;
    assert_eq!(
        installed,
        json!({"packageName": "alpha", "packageVersion": "1.0", "appId": "/alpha"})
    );
    let app = world.apps.app("/alpha").unwrap();
    assert_eq!(app["cmd"], "run 9999");
    let labels = &app["labels"];
    assert_eq!(labels["DCOS_PACKAGE_NAME"], "alpha");
    assert_eq!(labels["DCOS_PACKAGE_VERSION"], "1.0");
    assert!(labels["DCOS_PACKAGE_SOURCE"].as_str().unwrap().starts_with("file:/"));
    let stored = STANDARD.decode(labels["DCOS_PACKAGE_OPTIONS"].as_str().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&stored).unwrap(), options);
    let again = world.refused("package/install", json!({"packageName": "alpha"})).await;
    assert_eq!(
        again,
        (409, "PackageAlreadyInstalled".into(), "Package is already installed".into())
    );
    let ask = json!({"packageName": "alpha", "appId": "other"});
    let second = world.ok("package/install", 2, ask).await;
    assert_eq!(
        second,
        json!({
            "packageName": "alpha", "packageVersion": "2.0", "appId": "/other",
            "postInstallNotes": "Installed.",
        })
    );
    // Its older name.
    let ask = json!({"packageName": "alpha", "appId": "third"});
    let third = world.ok("service/start", 1, ask).await;
    assert_eq!(third, json!({"packageName": "alpha", "packageVersion": "2.0", "appId": "/third"}));
    let posted = world.marathon.seen().iter().filter(|seen| seen.method == Method::POST).count();
    assert_eq!(posted, 4);
}

#[tokio::test]
async fn what_cannot_be_installed_is_said() {
    let packages = [
        package("alpha", "1.0", 0),
        changed(package("future", "1.0", 0), json!({"minDcosReleaseVersion": "9999"})),
        changed(package("free", "1.0", 0), json!({"config": null})),
        changed(
            package("broken", "1.0", 0),
            json!({"marathon": {"v2AppMustacheTemplate": STANDARD.encode("{\"id\": {{#x}}")}}),
        ),
    ];
    let world = world(&packages).await;
    for (body, status, kind) in [
        (json!({"packageName": "nothing"}), 400, "PackageNotFound"),
        (json!({"packageName": "alpha", "packageVersion": "9"}), 400, "VersionNotFound"),
        (json!({"packageName": "alpha", "options": {"port": "9999"}}), 400, "JsonSchemaMismatch"),
        (json!({"packageName": "alpha", "options": 5}), 400, "not_parsed"),
        (json!({"packageName": "free", "options": {"port": 1}}), 400, "OptionsNotAllowed"),
        (json!({"packageName": "free"}), 400, "JsonParsingError"),
        (json!({"packageName": "future"}), 400, "MinDcosReleaseVersionNotMet"),
        (json!({"packageName": "broken"}), 500, "unhandled_exception"),
    ] {
        let found = world.refused("package/install", body.clone()).await;
        assert_eq!((found.0, found.1.as_str()), (status, kind), "{body}: {}", found.2);
    }
    assert!(world.apps.kept().apps.is_empty());
}

#[tokio::test]
async fn a_package_may_be_a_program_alone() {
    let cli = json!({"cli": {"binaries": {"linux": {"x86-64": {
        "kind": "executable", "url": "http://example.com/cli",
        "contentHash": [{"algo": "sha256", "value": "00"}],
    }}}}});
    let package = changed(package("tool", "1.0", 0), json!({"marathon": null, "resource": cli}));
    let world = world(&[package]).await;
    let ask = json!({"packageName": "tool"});
    let installed = world.ok("package/install", 2, ask.clone()).await;
    assert!(installed.get("appId").is_none());
    let url = installed["cli"]["binaries"]["linux"]["x86-64"]["url"].as_str().unwrap();
    assert!(
        url.starts_with("http://127.0.0.1:") && url.contains("/package/resource?url="),
        "{url}"
    );
    let (status, kind, message) = world.refused("package/install", ask.clone()).await;
    assert_eq!((status, kind.as_str()), (400, "ServiceMarathonTemplateNotFound"));
    assert_eq!(
        message,
        "Package: [tool] version: [1.0] does not have a Marathon template defined and can not be rendered"
    );
    assert_eq!(world.refused("package/render", ask).await.1, "ServiceMarathonTemplateNotFound");
}

#[tokio::test]
async fn what_marathon_says_is_passed_on() {
    let world = world(&[package("alpha", "1.0", 0)]).await;
    let details = json!([{"path": "/id", "errors": ["must be lower case"]}]);
    let invalid = json!({"message": "Object is not valid", "details": details});
    for (told, status, kind, data) in [
        (Told::json(422, &invalid), 400, "MarathonBadResponse", json!({"errors": details})),
        (
            Told::new(400, "text/plain", "nonsense"),
            500,
            "MarathonGenericError",
            json!({"marathonStatus": 400, "status": 500}),
        ),
        (
            Told::json(503, &json!({})),
            502,
            "MarathonBadGateway",
            json!({"marathonStatus": 503, "status": 502}),
        ),
        (
            Told::json(401, &json!({})).header("www-authenticate", "Basic realm=x"),
            401,
            "Unauthorized",
            json!({"serviceName": "marathon", "realm": "Basic realm=x", "status": 401}),
        ),
        (
            Told::json(403, &json!({})),
            403,
            "Forbidden",
            json!({"serviceName": "marathon", "status": 403}),
        ),
    ] {
        world.apps.kept().instead.clear();
        world.apps.instead(Method::POST, "/v2/apps", told);
        let (found, error) = world.ask("package/install", 1, json!({"packageName": "alpha"})).await;
        assert_eq!((found, error["type"].as_str().unwrap()), (status, kind));
        assert_eq!(error["data"], data);
    }
}

#[tokio::test]
async fn without_marathon_packages_can_still_be_looked_at() {
    let world = World::with(&[(catalog::NAME, catalog::URI)], |config| {
        config.marathon = "http://127.0.0.1:1".to_owned();
    })
    .await;
    assert!(!world.names().await.is_empty());
    let refused = world.refused("package/install", json!({"packageName": "hello-world"})).await;
    assert_eq!((refused.0, refused.1.as_str()), (503, "ServiceUnavailable"));
    assert_eq!(world.refused("package/list", json!({})).await.0, 503);
}

#[tokio::test]
async fn who_asks_is_told_to_marathon() {
    let world = world(&[package("alpha", "1.0", 0)]).await;
    let kind = |what: &str| {
        format!("application/vnd.dcos.package.list-{what}+json;charset=utf-8;version=v1")
    };
    let (request, response) = (kind("request"), kind("response"));
    let headers = [
        ("content-type", request.as_str()),
        ("accept", response.as_str()),
        ("authorization", "token=abc"),
    ];
    world.send(Method::POST, "/package/list", &headers, b"{}").await;
    assert_eq!(world.marathon.seen()[0].headers["authorization"], "token=abc");
}

#[tokio::test]
async fn installed_packages_are_listed_by_their_labels() {
    let world = world(&[package("beta", "1.0", 0), package("alpha", "1.0", 0)]).await;
    for (name, id) in [("beta", "b"), ("alpha", "z"), ("alpha", "a")] {
        world.ok("package/install", 1, json!({"packageName": name, "appId": id})).await;
    }
    let other = json!({"id": "/plain", "labels": {}});
    world.apps.kept().apps.insert("/plain".to_owned(), other.as_object().unwrap().clone());
    let odd =
        json!({"id": "/odd", "labels": {"DCOS_PACKAGE_NAME": "x", "DCOS_PACKAGE_DEFINITION": "?"}});
    world.apps.kept().apps.insert("/odd".to_owned(), odd.as_object().unwrap().clone());
    // Also once no repository has them any more.
    world.ok("package/repository/delete", 1, json!({"name": "r"})).await;
    let ids = async |ask: Value| -> Vec<String> {
        let found = world.ok("package/list", 1, ask).await;
        let all = found["packages"].as_array().unwrap();
        all.iter().map(|one| one["appId"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(json!({})).await, ["/a", "/z", "/b"]);
    assert_eq!(ids(json!({"packageName": "alpha"})).await, ["/a", "/z"]);
    assert_eq!(ids(json!({"packageName": "alpha", "appId": "z"})).await, ["/z"]);
    assert_eq!(ids(json!({"packageName": "nothing"})).await, Vec::<String>::new());
    let found = world.ok("package/list", 1, json!({"appId": "/b"})).await;
    let information = &found["packages"][0]["packageInformation"];
    assert_eq!(information["packageDefinition"]["name"], "beta");
    assert_eq!(information["packageDefinition"]["selected"], false);
    assert!(information["packageDefinition"].get("config").is_none());
    assert!(information["resourceDefinition"]["assets"].is_object());
}
