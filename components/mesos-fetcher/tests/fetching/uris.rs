//! What lands in the sandbox, and what fails.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::Command,
    time::Duration,
};

use mesos_messages::v1::command_info::Uri;

use super::{Bench, server::Server, uri};

#[tokio::test]
async fn files_and_downloads_land_in_the_sandbox() {
    let (bench, server) = (Bench::new(), Server::start());
    let path = bench.file("local", b"local");
    let uris = vec![
        uri(&path),
        Uri { output_file: Some("a/b".to_owned()), ..uri(format!("file://{path}")) },
        uri(server.url("hello")),
        uri(server.url("moved")),
        Uri { executable: Some(true), ..uri(server.url("run.sh")) },
    ];
    bench.fetch("c", uris).await.unwrap();
    let sandbox = bench.sandbox("c");
    let read = |name| fs::read_to_string(sandbox.join(name)).unwrap();
    assert_eq!((read("local"), read("a/b")), ("local".to_owned(), "local".to_owned()));
    assert_eq!((read("hello"), read("moved")), ("hello".to_owned(), "hello".to_owned()));
    let mode = |name| fs::metadata(sandbox.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("hello"), mode("run.sh")), (0o644, 0o755));
    let log = read("stderr");
    assert!(log.contains("Successfully fetched all URIs into"), "{log}");
    assert_eq!(read("stdout"), "");
    assert_eq!(bench.cached_files(), 0);
}

#[tokio::test]
async fn archives_are_extracted_unless_told_otherwise() {
    let bench = Bench::new();
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("inside"), "text").unwrap();
    let archive = bench.dir.path().join("a.tar.gz");
    let packed = Command::new("tar")
        .arg("-czf")
        .arg(&archive)
        .arg("-C")
        .arg(source.path())
        .arg("inside")
        .status()
        .unwrap();
    assert!(packed.success());
    let archive = archive.to_str().unwrap();
    bench.fetch("default", vec![uri(archive)]).await.unwrap();
    assert_eq!(fs::read_to_string(bench.sandbox("default").join("inside")).unwrap(), "text");
    assert!(bench.sandbox("default").join("a.tar.gz").exists(), "the archive is kept");
    for (id, how) in [
        ("off", Uri { extract: Some(false), ..uri(archive) }),
        ("executable", Uri { executable: Some(true), ..uri(archive) }),
        ("renamed", Uri { output_file: Some("plain".to_owned()), ..uri(archive) }),
    ] {
        bench.fetch(id, vec![how]).await.unwrap();
        assert!(!bench.sandbox(id).join("inside").exists(), "{id}");
    }
    let log = fs::read_to_string(bench.sandbox("renamed").join("stderr")).unwrap();
    assert!(log.contains("Not extracting 'plain': it has no suffix of an archive"), "{log}");
}

#[tokio::test]
async fn a_failure_names_the_uri_and_the_reason() {
    let bench = Bench::with(|config| config.stall_timeout = Duration::from_millis(300));
    let server = Server::start();
    let output = |name: &str| Uri { output_file: Some(name.to_owned()), ..uri("/etc/hostname") };
    for (id, wrong, reason) in [
        ("404", uri(server.url("missing")), "the server answered with status 404"),
        ("201", uri(server.url("created")), "the server answered with status 201"),
        ("cut", uri(server.url("cut")), "the download failed"),
        ("stalled", uri(server.url("stalled")), "the download failed"),
        ("circle", uri(server.url("circle")), "the download failed"),
        ("refused", uri("http://127.0.0.1:1/x"), "the download failed"),
        ("tls", uri(server.url("hello").replace("http", "https")), "the download failed"),
        ("ftp", uri("ftp://h/x"), "the scheme 'ftp' is not supported"),
        ("relative", uri("a/b"), "has no frameworks home"),
        ("none", uri("/no/such/file"), "'/no/such/file' cannot be read: No such file"),
        ("dir", uri("/usr"), "'/usr' is not a regular file"),
        ("device", uri("/dev/zero"), "'/dev/zero' is not a regular file"),
        ("up", output("../x"), "the output file '../x' must be below the sandbox"),
        ("root", output("/x"), "the output file '/x' must be relative to the sandbox"),
        ("bad", uri(bench.file("bad.tgz", b"no")), "'bad.tgz' cannot be extracted"),
    ] {
        let error = bench.fetch(id, vec![wrong.clone()]).await.unwrap_err();
        let start = format!("Failed to fetch all URIs for container '{id}': ");
        assert!(error.starts_with(&start), "{error}");
        assert!(error.contains(&wrong.value) && error.contains(reason), "{id}: {error}");
        let log = fs::read_to_string(bench.sandbox(id).join("stderr")).unwrap();
        assert!(log.contains(reason), "{id}: {log}");
    }
}

#[tokio::test]
async fn relative_paths_start_from_the_frameworks_home() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("x"), "home").unwrap();
    let bench = Bench::with(|config| config.frameworks_home = Some(home.path().to_owned()));
    bench.fetch("c", vec![uri("x")]).await.unwrap();
    assert_eq!(fs::read_to_string(bench.sandbox("c").join("x")).unwrap(), "home");
}

#[tokio::test]
async fn the_user_fetches_and_owns() {
    if !nix::unistd::Uid::effective().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    const NOBODY: u32 = 65534;
    let (bench, server) = (Bench::new(), Server::start());
    let secret = bench.file("secret", b"secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let fetch = |id: &'static str, uri: Uri| {
        let mut request = bench.request(id, vec![uri]);
        std::os::unix::fs::chown(&request.sandbox, Some(NOBODY), Some(NOBODY)).unwrap();
        request.user = Some("nobody".to_owned());
        bench.fetcher.fetch(request)
    };
    fetch("plain", uri(server.url("hello"))).await.unwrap();
    for name in ["hello", "stdout", "stderr"] {
        let owner = fs::metadata(bench.sandbox("plain").join(name)).unwrap().uid();
        assert_eq!(owner, NOBODY, "{name}");
    }
    fetch("cached", super::cached(server.url("hello"))).await.unwrap();
    assert_eq!(fs::metadata(bench.sandbox("cached").join("hello")).unwrap().uid(), NOBODY);
    assert_eq!(bench.cached_files(), 1);
    for (id, uri) in [("read", uri(&secret)), ("cached-read", super::cached(&secret))] {
        let error = fetch(id, uri).await.unwrap_err().to_string();
        assert!(error.contains("Permission denied"), "{error}");
    }
    let mut unknown = bench.request("unknown", vec![uri("/etc/hostname")]);
    unknown.user = Some("no-such-user".to_owned());
    let error = bench.fetcher.fetch(unknown).await.unwrap_err().to_string();
    assert_eq!(error, "Failed to find user 'no-such-user': no such user");
}

#[tokio::test]
async fn a_fetch_can_be_killed() {
    let (bench, server) = (Bench::new(), Server::start());
    let request = bench.request("c", vec![uri(server.url("stalled"))]);
    let id = request.container_id.clone();
    let fetcher = bench.fetcher.clone();
    let fetching = tokio::spawn(async move { fetcher.fetch(request).await });
    while server.count("GET /stalled") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bench.fetcher.kill(&id);
    let error = fetching.await.unwrap().unwrap_err().to_string();
    assert_eq!(error, "Fetching for container 'c' was cancelled");
    bench.fetcher.kill(&id);
}

#[tokio::test]
async fn nothing_to_fetch_is_nothing_done() {
    let bench = Bench::new();
    bench.fetch("c", Vec::new()).await.unwrap();
    assert_eq!(fs::read_dir(bench.sandbox("c")).unwrap().count(), 0);
}
