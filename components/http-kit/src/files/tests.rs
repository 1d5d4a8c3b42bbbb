//! What is shown and, above all, what is not.

use std::os::unix::fs::symlink;

use super::*;
use crate::Principal;
use crate::{Body, Reply, Routes, Service};

struct Fixture {
    _dir: tempfile::TempDir,
    base: PathBuf,
    files: VirtualFiles,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().canonicalize().unwrap();
    let sandbox = base.join("sandbox");
    fs::create_dir_all(sandbox.join("sub")).unwrap();
    fs::write(sandbox.join("stdout"), "hi\n").unwrap();
    fs::write(sandbox.join("sub/inner.txt"), "inner").unwrap();
    fs::write(base.join("secret"), "secret").unwrap();
    symlink(base.join("secret"), sandbox.join("leak")).unwrap();
    symlink("..", sandbox.join("up")).unwrap();
    symlink("sub", sandbox.join("inside")).unwrap();
    symlink(&sandbox, base.join("latest")).unwrap();
    let files = VirtualFiles::default();
    files.attach("/box", &sandbox);
    files.attach("/latest", base.join("latest"));
    Fixture { _dir: dir, base, files }
}

async fn get(files: &VirtualFiles, path: &str) -> (u16, String, http::HeaderMap) {
    let mut routes = Routes::new("slave(1)");
    for endpoint in endpoints(files, "ro") {
        routes.add(endpoint);
    }
    let request = http::Request::get(path).body(Body::Empty).unwrap();
    let response = match routes.call(request, ([127, 0, 0, 1], 1).into()) {
        Reply::Now(response) => response,
        Reply::Later(future) => future.await,
    };
    let (head, body) = response.into_parts();
    let body = body.collect_all().await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    (head.status.as_u16(), body, head.headers)
}

#[tokio::test]
async fn reads_answer_as_the_original() {
    let f = fixture();
    for (path, status, body) in [
        (
            "/files/read?path=/box/stdout&offset=0&length=200",
            200,
            "{\"data\":\"hi\\n\",\"offset\":0}",
        ),
        ("/files/read?path=/box/stdout&offset=-1", 200, "{\"data\":\"\",\"offset\":3}"),
        ("/files/read?path=/box/stdout&offset=9", 200, "{\"data\":\"\",\"offset\":9}"),
        ("/files/read?path=/latest/stdout&offset=1&length=1", 200, "{\"data\":\"i\",\"offset\":1}"),
        ("/files/read?path=/box&offset=0", 400, "Cannot read a directory.\n"),
        (
            "/files/read?path=/box/stdout&offset=x",
            400,
            "Failed to parse offset: Failed to convert 'x' to number.\n",
        ),
        ("/files/read?path=/box/stdout&offset=-2", 400, "Negative offset provided: -2.\n"),
        ("/files/read", 400, "Expecting 'path=value' in query.\n"),
        ("/files/read?path=/box/nope&offset=0", 404, ""),
        ("/files/browse", 400, "Expecting 'path=value' in query.\n"),
        ("/files/browse?path=/nope", 404, ""),
        ("/files/browse?path=/box/stdout", 200, "[]"),
    ] {
        let (got, text, _) = get(&f.files, path).await;
        assert_eq!((got, text.as_str()), (status, body), "{path}");
    }
}

#[tokio::test]
async fn nothing_outside_a_root_is_shown() {
    let f = fixture();
    for path in [
        "/box/leak",
        "/box/up/secret",
        "/box/../secret",
        "/box/up/sandbox/stdout",
        "/secret",
        "secret",
        "/",
    ] {
        let read = f.files.read(path, Some(0), None, &Caller::free()).await;
        let inside = path == "/box/up/sandbox/stdout";
        assert_eq!(read.is_ok(), inside, "{path}: {read:?}");
    }
    let listed = f.files.browse("/box/up", &Caller::free()).await;
    assert!(matches!(listed, Err(FilesError::NotFound)));
    let entries = f.files.browse("/box", &Caller::free()).await.unwrap();
    let leak = entries.iter().find(|e| e.path == "/box/leak").unwrap();
    assert!(endpoints::mode_text(leak.mode).starts_with('l'));
    let inside = entries.iter().find(|e| e.path == "/box/inside").unwrap();
    assert!(endpoints::mode_text(inside.mode).starts_with('d'));
}

#[tokio::test]
async fn a_fifo_does_not_block() {
    let f = fixture();
    nix::unistd::mkfifo(&f.base.join("sandbox/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let read = f.files.read("/box/pipe", Some(0), None, &Caller::free()).await;
    assert!(matches!(read, Err(FilesError::Invalid(_))));
}

#[tokio::test]
async fn guards_and_detaching_hide() {
    let f = fixture();
    f.files.attach_guarded(
        "/guarded",
        f.base.join("sandbox"),
        Arc::new(|caller| caller.principal().is_some_and(|p| &*p.0 == "ops")),
    );
    let ops = Caller::trusted(Principal("ops".into()));
    assert!(f.files.browse("/guarded", &ops).await.is_ok());
    let nobody = f.files.browse("/guarded", &Caller::nobody()).await;
    assert!(matches!(nobody, Err(FilesError::Forbidden)));
    f.files.detach("/guarded/");
    let gone = f.files.browse("/guarded", &ops).await;
    assert!(matches!(gone, Err(FilesError::NotFound)));
}

#[tokio::test]
async fn browse_and_download_have_the_recorded_form() {
    let f = fixture();
    let (_, text, _) = get(&f.files, "/files/browse?path=/box/sub").await;
    let entries: serde_json::Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&str> = entries[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["gid", "mode", "mtime", "nlink", "path", "size", "uid"]);
    assert_eq!(entries[0]["path"], "/box/sub/inner.txt");
    assert!(entries[0]["mtime"].is_f64());
    let (status, body, headers) = get(&f.files, "/files/download?path=/box/stdout").await;
    assert_eq!((status, body.as_str()), (200, "hi\n"));
    assert_eq!(headers["content-disposition"], "attachment; filename=stdout");
    assert_eq!(headers["content-type"], "application/octet-stream");
}
