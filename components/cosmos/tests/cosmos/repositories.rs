//! The list of repositories, and repositories that are broken in every way.

use std::io::Write;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::fakes::{Fake, Told};
use crate::harness::{World, changed, document, package};

const V4: &str = "application/vnd.dcos.universe.repo+json;charset=utf-8;version=v4";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn list(world: &World) -> Vec<String> {
    let found = world.ok("package/repository/list", 1, json!({})).await;
    let all = found["repositories"].as_array().unwrap();
    all.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_packages_that_come_with_dais_are_the_default() {
    let mut world = World::start(&[(catalog::NAME, catalog::URI)]).await;
    let found = world.ok("package/repository/list", 1, json!({})).await;
    assert_eq!(found, json!({"repositories": [{"name": "Dais", "uri": "file:catalog"}]}));
    assert!(world.names().await.contains(&"hello-world".to_owned()));
    let described = world.ok("package/describe", 3, json!({"packageName": "hello-world"})).await;
    // Its icons come with it: nothing leads anywhere.
    let icon = described["package"]["resource"]["images"]["icon-small"].as_str().unwrap();
    assert!(icon.starts_with("data:image/"));
    let none = world.ok("package/repository/delete", 1, json!({"name": "Dais"})).await;
    assert_eq!(none, json!({"repositories": []}));
    assert!(world.names().await.is_empty());
    world.restart().await;
    assert!(list(&world).await.is_empty());
    world.ok("package/repository/add", 1, json!({"name": "Dais", "uri": "file:catalog"})).await;
    assert!(world.names().await.contains(&"hello-world".to_owned()));
}

#[tokio::test]
async fn the_order_of_the_list_is_the_priority() {
    let world = World::start(&[]).await;
    let uris: Vec<String> = ["a", "b", "c"]
        .iter()
        .enumerate()
        .map(|(at, name)| {
            world.file(name, &[package("same", &format!("{at}"), 0), package(name, "1", 0)])
        })
        .collect();
    let add = |name: &str, uri: &str, index: Value| {
        world.ok("package/repository/add", 1, json!({"name": name, "uri": uri, "index": index}))
    };
    add("a", &uris[0], Value::Null).await;
    add("b", &uris[1], json!(0)).await;
    let all = add("c", &uris[2], json!(2)).await;
    assert_eq!(all["repositories"][2], json!({"name": "c", "uri": uris[2]}));
    assert_eq!(list(&world).await, ["b", "a", "c"]);
    let same = world.ok("package/describe", 3, json!({"packageName": "same"})).await;
    assert_eq!(same["package"]["version"], "1");
    let delete = json!({"uri": uris[1]});
    world.ok("package/repository/delete", 1, delete).await;
    let same = world.ok("package/describe", 3, json!({"packageName": "same"})).await;
    assert_eq!(same["package"]["version"], "0");
    assert_eq!(world.names().await, ["a", "c", "same"]);
}

#[tokio::test]
async fn refusals_are_those_of_the_original() {
    let world = World::start(&[]).await;
    let uri = world.file("a", &[]);
    world.ok("package/repository/add", 1, json!({"name": "a", "uri": uri})).await;
    let other = world.file("b", &[]);
    for (call, body, kind, message) in [
        (
            "add",
            json!({"name": "a", "uri": uri}),
            "RepositoryAlreadyPresent",
            "are both already present",
        ),
        (
            "add",
            json!({"name": "a", "uri": other}),
            "RepositoryAlreadyPresent",
            "Repository name [a] is",
        ),
        (
            "add",
            json!({"name": "b", "uri": uri}),
            "RepositoryAlreadyPresent",
            "Repository URI [file:",
        ),
        (
            "add",
            json!({"name": "b", "uri": other, "index": 5}),
            "RepositoryAddIndexOutOfBounds",
            "Index (5) is out of range. Index value must be between 0 and 1 inclusive.",
        ),
        (
            "add",
            json!({"name": "b", "uri": "file://foo/bar"}),
            "UnsupportedRepositoryUri",
            "Only http and https",
        ),
        (
            "add",
            json!({"name": "b", "uri": "ftp://foo/bar"}),
            "UnsupportedRepositoryUri",
            "Only http and https",
        ),
        (
            "add",
            json!({"name": "b", "uri": "http://a b"}),
            "RepositoryUriSyntax",
            "has invalid syntax",
        ),
        (
            "add",
            json!({"name": "b", "uri": "http://127.0.0.1:1/"}),
            "RepositoryUriConnection",
            "Could not access",
        ),
        (
            "add",
            json!({"name": "b", "uri": "file:/no/such/file"}),
            "RepositoryUriConnection",
            "Could not access",
        ),
        (
            "add",
            json!({"name": "b", "uri": "file:/etc"}),
            "RepositoryUriConnection",
            "Could not access",
        ),
        (
            "add",
            json!({"name": "b", "uri": "file:/etc/passwd"}),
            "JsonDecodingError",
            "Unable to decode",
        ),
        ("delete", json!({}), "RepoNameOrUriMissing", "Must specify either"),
        (
            "delete",
            json!({"name": "x"}),
            "RepositoryNotPresent",
            "Repository name [x] is not present",
        ),
        (
            "delete",
            json!({"name": "a", "uri": "http://x"}),
            "RepositoryNotPresent",
            "Neither repository name",
        ),
    ] {
        let found = world.refused(&format!("package/repository/{call}"), body.clone()).await;
        assert_eq!((found.0, found.1.as_str()), (400, kind), "{body}");
        assert!(found.2.contains(message), "{body}: {}", found.2);
    }
    // What a file of this host holds is not shown.
    let (_, error) = world
        .ask("package/repository/add", 1, json!({"name": "b", "uri": "file:/etc/passwd"}))
        .await;
    assert!(!error.to_string().contains("root:"), "{error}");
    assert_eq!(list(&world).await, ["a"]);
}

/// A repository that answers what it is told.
async fn telling(told: Told) -> Fake {
    Fake::start(move |_| told.clone()).await
}

#[tokio::test]
async fn a_broken_repository_is_refused_and_says_why() {
    let good = document(&[package("a", "1", 0)]);
    let bad = document(&[
        package("a", "1", 0),
        changed(package("bad", "1", 7), json!({"tags": ["a b"]})),
    ]);
    let world = World::with(&[], |config| {
        config.fetch_timeout = Duration::from_secs(3);
        config.limits.document = 20_000;
    })
    .await;
    let large = document(&vec![package("a", "1", 0); 40]);
    for (what, told, kind, reason) in [
        (
            "truncated",
            Told::new(200, V4, good[..good.len() - 9].to_owned()),
            "JsonParsingError",
            "ends early",
        ),
        (
            "html",
            Told::new(200, "text/html; charset=ISO-8859-1", "<html>"),
            "UnsupportedContentType",
            "text/html",
        ),
        ("no type", Told::new(200, "", good.clone()), "UnsupportedContentType", ""),
        (
            "plain json",
            Told::new(200, "application/json", good.clone()),
            "UnsupportedContentType",
            "application/json",
        ),
        (
            "version",
            Told::new(
                200,
                "application/vnd.dcos.universe.repo+json;charset=utf-8;version=v2",
                good.clone(),
            ),
            "UnsupportedContentType",
            "version=v2",
        ),
        (
            "zip",
            Told::new(200, "application/zip", "PK"),
            "UnsupportedContentType",
            "application/zip",
        ),
        ("no packages", Told::new(200, V4, "{}"), "JsonDecodingError", "packages is missing"),
        (
            "bad package",
            Told::new(200, V4, bad),
            "JsonDecodingError",
            "package [bad] release 7: tags: Value 'a b'",
        ),
        ("large", Told::new(200, V4, large.clone()), "JsonDecodingError", "the limit is 20000"),
        (
            "packed and large",
            Told::new(200, V4, gzip(large.as_bytes())).header("content-encoding", "gzip"),
            "JsonDecodingError",
            "the limit is 20000",
        ),
        (
            "damaged gzip",
            Told::new(200, V4, gzip(good.as_bytes())[..60].to_vec())
                .header("content-encoding", "gzip"),
            "JsonParsingError",
            "damaged",
        ),
        (
            "encoding",
            Told::new(200, V4, good.clone()).header("content-encoding", "br"),
            "UnsupportedContentEncoding",
            "br",
        ),
        ("missing", Told::new(404, "text/plain", "no"), "UniverseClientHttpError", "404"),
        ("failing", Told::new(503, "text/plain", "no"), "UniverseClientHttpError", "503"),
        (
            "redirected",
            Told::new(302, "text/plain", "").header("location", "https://example.com/"),
            "UnsupportedRedirect",
            "https",
        ),
        (
            "round",
            Told::new(302, "text/plain", "").header("location", "/"),
            "RepositoryUriConnection",
            "redirects",
        ),
        (
            "slow",
            Told::new(200, V4, good.clone()).after(Duration::from_secs(60)),
            "RepositoryUriConnection",
            "whole",
        ),
    ] {
        let repository = telling(told).await;
        let ask = json!({"name": what, "uri": repository.url()});
        let (status, error) = world.ask("package/repository/add", 1, ask).await;
        assert_eq!((status, error["type"].as_str().unwrap()), (400, kind), "{what}: {error}");
        assert!(error.to_string().contains(reason), "{what}: {error}");
        if what == "failing" {
            assert_eq!(repository.seen().len(), 3, "tried again");
        }
    }
    assert!(list(&world).await.is_empty());
}

#[tokio::test]
async fn repositories_are_asked_as_the_original_asks() {
    let world = World::start(&[]).await;
    let packed = gzip(document(&[package("packed", "1", 0)]).as_bytes());
    let repository = telling(Told::new(200, V4, packed).header("content-encoding", "gzip")).await;
    world.ok("package/repository/add", 1, json!({"name": "r", "uri": repository.url()})).await;
    assert_eq!(world.names().await, ["packed"]);
    let asked = &repository.seen()[0].headers;
    let types = [5, 4, 3].map(|version| {
        format!("application/vnd.dcos.universe.repo+json;charset=utf-8;version=v{version}")
    });
    assert_eq!(asked["accept"], types.join(",").as_str());
    assert_eq!(asked["accept-encoding"], "gzip");
    assert!(asked["user-agent"].to_str().unwrap().starts_with("cosmos/"));
    assert!(asked["user-agent"].to_str().unwrap().contains(" dcos/2."));
}

#[tokio::test]
async fn one_that_breaks_later_takes_nothing_down() {
    let told = Arc::new(Mutex::new(Told::new(200, V4, document(&[package("first", "1", 0)]))));
    let shared = Arc::clone(&told);
    let repository = Fake::start(move |_| shared.lock().unwrap().clone()).await;
    let mut world = World::start(&[]).await;
    let other = world.file("other", &[package("other", "1", 0)]);
    for (name, uri) in [("changing", repository.url()), ("other", other)] {
        world.ok("package/repository/add", 1, json!({"name": name, "uri": uri})).await;
    }
    assert_eq!(world.names().await, ["first", "other"]);
    let asked = || repository.seen().len();
    for broken in [
        Told::new(500, "text/plain", "no"),
        Told::new(200, "text/html", "<html>"),
        Told::new(200, V4, "{\"packages\": ["),
        Told::new(
            200,
            V4,
            document(&[changed(package("first", "2", 1), json!({"version": null}))]),
        ),
    ] {
        *told.lock().unwrap() = broken;
        let before = asked();
        world.until("it is asked again", async || asked() > before + 4).await;
        assert_eq!(world.names().await, ["first", "other"]);
    }
    // Whoever asks is told what is wrong with it.
    let found = world.statuses().await;
    assert_eq!(found[1], json!({"packages": 1, "checked": found[1]["checked"]}));
    assert_eq!(found[0]["packages"], 1);
    let error = found[0]["error"].as_str().unwrap();
    assert_eq!(error, "package [first] release 1: version: is missing");
    // The copy on disk serves while it is away, also after a restart.
    world.restart().await;
    assert_eq!(world.names().await, ["first", "other"]);
    world.ok("package/install", 1, json!({"packageName": "first"})).await;
    *told.lock().unwrap() = Told::new(200, V4, document(&[package("second", "1", 0)]));
    world.until("the new document", async || world.names().await == ["other", "second"]).await;
}

#[tokio::test]
async fn one_bad_package_holds_up_no_other() {
    let told = Arc::new(Mutex::new((1, vec![package("first", "1", 0)])));
    let (shared, full) = (Arc::clone(&told), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&full);
    let repository = Fake::start(move |seen| {
        let (tag, packages) = shared.lock().unwrap().clone();
        let tag = format!("\"{tag}\"");
        if seen.headers.get("if-none-match").is_some_and(|known| *known == tag.as_str()) {
            return Told::new(304, V4, "");
        }
        count.fetch_add(1, Ordering::Relaxed);
        Told::new(200, V4, document(&packages)).header("etag", &tag)
    })
    .await;
    let mut world = World::start(&[]).await;
    world.ok("package/repository/add", 1, json!({"name": "r", "uri": repository.url()})).await;
    let bad = changed(package("first", "2", 1), json!({"version": null}));
    *told.lock().unwrap() = (2, vec![bad.clone(), package("second", "1", 0)]);
    // The good one comes, and what the bad one stands in the place of stays.
    world.until("it comes", async || world.names().await == ["first", "second"]).await;
    let fault = "package [first] release 1: version: is missing";
    let asked = || repository.seen().len();
    let before = asked();
    world.until("it is asked again", async || asked() > before + 3).await;
    // Unchanged is not well, and nothing is sent again.
    assert_eq!(world.statuses().await[0]["error"], fault);
    assert_eq!(full.load(Ordering::Relaxed), 2);
    assert_eq!(world.names().await, ["first", "second"]);
    *told.lock().unwrap() = (3, vec![bad, package("first", "1", 0), package("third", "1", 0)]);
    world.until("it changes", async || world.names().await == ["first", "third"]).await;
    // The copy on disk tells its fault as well.
    world.stop().await;
    world.config.refresh = Duration::from_secs(3600);
    *told.lock().unwrap() = (3, Vec::new());
    world.restart().await;
    assert_eq!(world.names().await, ["first", "third"]);
    assert_eq!(world.statuses().await[0]["error"], fault);
}

#[tokio::test]
async fn what_did_not_change_is_not_sent_again() {
    let (full, unchanged) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (Arc::clone(&full), Arc::clone(&unchanged));
    let repository = Fake::start(move |seen| {
        let known = seen.headers.get("if-none-match").is_some_and(|etag| etag == "\"tag\"")
            && seen.headers.get("if-modified-since").is_some_and(|date| date == "a date");
        if known {
            counts.1.fetch_add(1, Ordering::Relaxed);
            return Told::new(304, V4, "");
        }
        counts.0.fetch_add(1, Ordering::Relaxed);
        let document = document(&[package("a", "1", 0)]);
        Told::new(200, V4, document).header("etag", "\"tag\"").header("last-modified", "a date")
    })
    .await;
    let mut world = World::start(&[]).await;
    world.ok("package/repository/add", 1, json!({"name": "r", "uri": repository.url()})).await;
    world.until("looks again", async || unchanged.load(Ordering::Relaxed) > 2).await;
    world.restart().await;
    let before = unchanged.load(Ordering::Relaxed);
    world.until("looks again", async || unchanged.load(Ordering::Relaxed) > before + 2).await;
    assert_eq!(full.load(Ordering::Relaxed), 1);
    assert_eq!(world.names().await, ["a"]);
}

#[tokio::test]
async fn a_repository_that_is_away_at_the_start_comes_later() {
    let status = Arc::new(AtomicU16::new(503));
    let now = Arc::clone(&status);
    let repository = Fake::start(move |_| {
        Told::new(now.load(Ordering::Relaxed), V4, document(&[package("late", "1", 0)]))
    })
    .await;
    let uri = repository.url();
    let world = World::start(&[("late", &uri), (catalog::NAME, catalog::URI)]).await;
    assert!(world.names().await.contains(&"hello-world".to_owned()));
    assert!(!world.names().await.contains(&"late".to_owned()));
    status.store(200, Ordering::Relaxed);
    world.until("it comes", async || world.names().await.contains(&"late".to_owned())).await;
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changes() {
    let world = World::start(&[]).await;
    let uri = world.file("a", &[package("a", "1", 0)]);
    world.ok("package/repository/add", 1, json!({"name": "a", "uri": uri})).await;
    assert_eq!(world.names().await, ["a"]);
    world.file("a", &[package("a", "1", 0), package("b", "1", 0)]);
    world.until("the new file", async || world.names().await == ["a", "b"]).await;
}

#[tokio::test]
async fn two_at_once_do_not_lose_one() {
    let world = World::with(&[], |config| config.refresh = Duration::from_secs(3600)).await;
    let uris: Vec<String> = (0..5)
        .map(|at| world.file(&format!("{at}"), &[package(&format!("p{at}"), "1", 0)]))
        .collect();
    let add = |at: usize| {
        world.ask("package/repository/add", 1, json!({"name": format!("{at}"), "uri": uris[at]}))
    };
    let (a, b, c, d, e) = tokio::join!(add(0), add(1), add(2), add(3), add(4));
    let mut added = Vec::new();
    for (at, (status, answer)) in [a, b, c, d, e].into_iter().enumerate() {
        match status {
            200 => added.push(format!("{at}")),
            _ => assert_eq!(answer["type"], "ConcurrentAccess"),
        }
    }
    // At once, not with the next look.
    let found = world.names().await;
    let expected: Vec<String> = added.iter().map(|name| format!("p{name}")).collect();
    assert_eq!(found, expected);
    let mut listed = list(&world).await;
    listed.sort();
    assert_eq!(listed, added);
}
