//! The packages of the catalog that run real software: installed, used through their port with a
//! real client, uninstalled. A machine without the software skips them, aloud.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::cluster::{Cluster, binary};
use crate::support::{eventually, http, wait_until};

/// Whether the programs are there; where tools are required, they must be.
fn have(programs: &[&str]) -> bool {
    let missing: Vec<&&str> = programs.iter().filter(|program| !installed(program)).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("DAIS_REQUIRE_TOOLS").is_none(), "not installed: {missing:?}");
    eprintln!("skipped: not installed: {missing:?}");
    false
}

fn installed(program: &str) -> bool {
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let of_postgresql = versions.map(|version| version.path().join("bin"));
    let mut folders = folders.iter().map(std::path::PathBuf::from).chain(of_postgresql);
    folders.any(|folder| folder.join(program).exists())
}

fn dais(cluster: &Cluster, arguments: &[&str]) -> String {
    let output = Command::new(binary())
        .args(arguments)
        .env("DAIS_DATA_DIR", cluster.data_dir())
        .env("DAIS_DIR", cluster.folder.path().join("client"))
        .stdin(Stdio::null())
        .output()
        .expect("dais starts");
    assert!(output.status.success(), "dais {arguments:?}: {}", text(&output));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", text(&output));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}\n{}\n{}", output.status, String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// An installed package with one healthy instance.
struct Service<'a> {
    cluster: &'a Cluster,
    package: &'static str,
}

impl<'a> Service<'a> {
    fn install(cluster: &'a Cluster, package: &'static str, options: &Value) -> Service<'a> {
        let file = cluster.folder.path().join(format!("{package}-options.json"));
        std::fs::write(&file, options.to_string()).expect("the options");
        let file = file.to_str().expect("a path");
        dais(cluster, &["package", "install", package, "--yes", "--options", file]);
        let service = Service { cluster, package };
        wait_until("a healthy instance", || service.app()["tasksHealthy"] == 1);
        service
    }

    fn app(&self) -> Value {
        let path = format!("/v2/apps/{}?embed=app.tasks", self.package);
        http::get(self.cluster.marathon(), &path).json()["app"].clone()
    }

    fn port(&self) -> String {
        self.app()["tasks"][0]["ports"][0].to_string()
    }

    /// The sandbox of its instance.
    fn sandbox(&self) -> std::path::PathBuf {
        let task = self.app()["tasks"][0]["id"].as_str().expect("an id").to_owned();
        eventually("the sandbox", || {
            let state = self.cluster.state();
            let tasks = state["frameworks"]
                .as_array()?
                .iter()
                .flat_map(|framework| framework["tasks"].as_array().cloned().unwrap_or_default());
            let found = tasks.into_iter().find(|one| one["id"] == task.as_str())?;
            let (agent, framework) = (found["slave_id"].as_str()?, found["framework_id"].as_str()?);
            let inside =
                format!("slaves/{agent}/frameworks/{framework}/executors/{task}/runs/latest");
            let agents = std::fs::read_dir(self.cluster.data_dir()).ok()?;
            agents.flatten().map(|entry| entry.path().join(&inside)).find(|path| path.is_dir())
        })
    }

    fn uninstall(self) {
        dais(self.cluster, &["package", "uninstall", self.package, "--yes"]);
        let path = format!("/v2/apps/{}", self.package);
        wait_until("the app to be gone", || {
            http::get(self.cluster.marathon(), &path).status == 404
        });
        let listed = dais(self.cluster, &["package", "list", "--json"]);
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        assert_eq!(listed, json!([]));
    }
}

fn cluster() -> Cluster {
    Cluster::with_services(&["--agents", "1", "--public-agents", "0"])
}

#[test]
fn nginx_serves_a_folder() {
    if !have(&["nginx"]) {
        return;
    }
    let cluster = cluster();
    let folder = cluster.folder.path().join("site");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("page.txt"), "what the host has\n").expect("a file");
    let options = json!({"content": {"dir": folder}});
    let nginx = Service::install(&cluster, "nginx", &options);
    let address = format!("127.0.0.1:{}", nginx.port());
    let page = http::get(&address, "/page.txt");
    assert_eq!((page.status, &*page.body), (200, &b"what the host has\n"[..]));
    assert_eq!(http::get(&address, "/none").status, 404);
    nginx.uninstall();
    assert!(http::try_get(&address, "/page.txt").is_none(), "the port is closed");
}

#[test]
fn redis_keeps_a_value_over_its_own_death() {
    if !have(&["redis-server", "redis-cli"]) {
        return;
    }
    let cluster = cluster();
    let data = cluster.folder.path().join("redis-data");
    let options = json!({"storage": {"path": data}, "redis": {"password": "open sesame"}});
    let redis = Service::install(&cluster, "redis", &options);
    let cli = |redis: &Service<'_>, words: &[&str]| {
        let port = redis.port();
        let base = ["-h", "127.0.0.1", "-p", &port, "--no-auth-warning", "-a", "open sesame"];
        run("redis-cli", &[&base, words].concat())
    };
    assert_eq!(cli(&redis, &["SET", "answer", "42"]), "OK");
    assert_eq!(cli(&redis, &["GET", "answer"]), "42");
    let refused = run("redis-cli", &["-h", "127.0.0.1", "-p", &redis.port(), "GET", "answer"]);
    assert!(refused.contains("NOAUTH"), "{refused}");

    let before = redis.app()["tasks"][0]["id"].clone();
    let task = before.as_str().expect("an id");
    dais(&cluster, &["marathon", "task", "kill", task]);
    wait_until("another healthy instance", || {
        let app = redis.app();
        app["tasksHealthy"] == 1 && app["tasks"][0]["id"] != before
    });
    assert_eq!(cli(&redis, &["GET", "answer"]), "42");
    redis.uninstall();
}

#[test]
fn postgresql_answers_queries() {
    if !have(&["psql", "initdb"]) {
        return;
    }
    let cluster = cluster();
    let data = cluster.folder.path().join("database");
    let options = json!({"postgresql": {"database": "shop"}, "storage": {"path": data}});
    let postgresql = Service::install(&cluster, "postgresql", &options);
    let password = std::fs::read_to_string(postgresql.sandbox().join("password"));
    let password = password.expect("the password of the superuser");
    let query = |password: &str, text: &str| {
        let port = postgresql.port();
        Command::new("psql")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "postgres",
                "-d",
                "shop",
                "-At",
                "-c",
                text,
            ])
            .env("PGPASSWORD", password)
            .output()
            .expect("psql starts")
    };
    let made = query(password.trim(), "create table goods (name text, price int)");
    assert!(made.status.success(), "{}", text(&made));
    let added = query(password.trim(), "insert into goods values ('tea', 3), ('milk', 2)");
    assert!(added.status.success(), "{}", text(&added));
    let sum = query(password.trim(), "select sum(price) from goods");
    assert_eq!(String::from_utf8_lossy(&sum.stdout).trim(), "5", "{}", text(&sum));
    assert!(!query("guessed", "select 1").status.success(), "a wrong password is refused");

    let before = postgresql.app()["tasks"][0]["id"].clone();
    dais(&cluster, &["marathon", "task", "kill", before.as_str().expect("an id")]);
    wait_until("another healthy instance", || {
        let app = postgresql.app();
        app["tasksHealthy"] == 1 && app["tasks"][0]["id"] != before
    });
    let sum = query(password.trim(), "select sum(price) from goods");
    assert_eq!(String::from_utf8_lossy(&sum.stdout).trim(), "5", "{}", text(&sum));
    postgresql.uninstall();
}

#[test]
fn an_image_goes_to_the_registry_and_back() {
    if !have(&["docker-registry", "skopeo"]) {
        return;
    }
    let cluster = cluster();
    let registry = Service::install(&cluster, "docker-registry", &json!({}));
    let folder = cluster.folder.path();
    image(&folder.join("image"));
    let copy = |from: &str, to: &str| {
        let tls = ["--src-tls-verify=false", "--dest-tls-verify=false"];
        let policy = ["--insecure-policy", "copy", "--quiet", "--preserve-digests"];
        run("skopeo", &[&policy[..], &tls[..], &[from, to]].concat());
    };
    let remote = format!("docker://127.0.0.1:{}/team/tool:1", registry.port());
    let (from, to) =
        (folder.join("image").display().to_string(), folder.join("back").display().to_string());
    copy(&format!("oci:{from}:1"), &remote);
    let tags =
        http::get(&format!("127.0.0.1:{}", registry.port()), "/v2/team/tool/tags/list").json();
    assert_eq!(tags, json!({"name": "team/tool", "tags": ["1"]}));
    copy(&remote, &format!("oci:{to}:1"));
    let blobs = |folder: &str| {
        let mut names: Vec<_> = std::fs::read_dir(format!("{folder}/blobs/sha256"))
            .expect("blobs")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(blobs(&to), blobs(&from), "the image came back bit by bit");
    registry.uninstall();
}

/// An OCI image of one layer, written by hand: no registry is asked for it.
fn image(folder: &Path) {
    let content = folder.with_file_name("content");
    std::fs::create_dir(&content).expect("a folder");
    std::fs::write(content.join("hello.txt"), "from an image\n").expect("a file");
    let layer = folder.with_file_name("layer.tar");
    let (layer_text, content) = (layer.display().to_string(), content.display().to_string());
    run("tar", &["--sort=name", "-C", &content, "-cf", &layer_text, "."]);
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("folders");
    let store = |bytes: &[u8]| -> (String, usize) {
        let draft = folder.join("draft");
        std::fs::write(&draft, bytes).expect("a blob");
        let line = run("sha256sum", &[draft.to_str().expect("a path")]);
        let digest = line.split(' ').next().expect("a digest").to_owned();
        std::fs::rename(&draft, blobs.join(&digest)).expect("a blob");
        (format!("sha256:{digest}"), bytes.len())
    };
    let (layer, layer_size) = store(&std::fs::read(&layer).expect("the layer"));
    let config = json!({"architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer]}});
    let (config, config_size) = store(config.to_string().as_bytes());
    let manifest = json!({"schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config, "size": config_size},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": layer, "size": layer_size}]});
    let (manifest, manifest_size) = store(manifest.to_string().as_bytes());
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": manifest, "size": manifest_size,
        "annotations": {"org.opencontainers.image.ref.name": "1"}}]});
    std::fs::write(folder.join("index.json"), index.to_string()).expect("the index");
    let layout = json!({"imageLayoutVersion": "1.0.0"});
    std::fs::write(folder.join("oci-layout"), layout.to_string()).expect("the layout");
}
