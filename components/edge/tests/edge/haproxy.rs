//! The real HAProxy: it takes every configuration written here, and does with it what the
//! balancer does.

use std::process::{Child, Command, Stdio};

use edge::render::of_json;
use serde_json::{Value, json};

use crate::decisions::{hash, send, shown, world};
use crate::support::{Server, app, config, free_port, get, until};

/// Whether HAProxy is there; where tools are required, it must be.
fn installed() -> bool {
    let found = Command::new("haproxy").arg("-v").stdout(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return true;
    }
    assert!(std::env::var_os("DAIS_REQUIRE_TOOLS").is_none(), "haproxy is not installed");
    eprintln!("skipped: haproxy is not installed");
    false
}

struct HaProxy(Child);

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A certificate with its key in one file.
fn certificate(folder: &std::path::Path) -> std::path::PathBuf {
    let made = rcgen::generate_simple_self_signed(vec!["a.example.com".to_owned()]).unwrap();
    let path = folder.join("cert.pem");
    std::fs::write(&path, format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem()))
        .unwrap();
    path
}

fn check(text: &str, folder: &std::path::Path) -> Result<(), String> {
    let path = folder.join("haproxy.cfg");
    std::fs::write(&path, text).unwrap();
    let output = Command::new("haproxy").arg("-c").arg("-f").arg(&path).output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}\n{text}", String::from_utf8_lossy(&output.stderr))),
    }
}

#[tokio::test]
async fn it_does_the_same_with_the_configuration_that_is_printed() {
    if !installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ports: Vec<u16> = (0..9).map(|_| free_port()).collect();
    let world = world(&ports).await;
    let mut config = config(([127, 0, 0, 1], 1).into());
    config.certificates.paths = vec![certificate(folder.path())];
    config.http_port = Some(free_port());
    config.https_port = Some(free_port());
    config.app_id_port = Some(free_port());
    config.stats_port = free_port();
    let apps = json!({"apps": world.apps}).to_string();
    let rendered = of_json(&config, apps.as_bytes()).await.unwrap();
    assert_eq!(rendered.problems, []);
    check(&rendered.text, folder.path()).unwrap();
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(folder.path().join("haproxy.cfg"));
    let running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let _running = HaProxy(running);
    let at = |port: Option<u16>| ([127, 0, 0, 1], port.unwrap()).into();
    let (http, app_id) = (at(config.http_port), at(config.app_id_port));
    until("haproxy", || async { tokio::net::TcpStream::connect(http).await.is_ok() }).await;
    for case in &world.cases {
        let answer = send(case, http, app_id).await;
        // What it says of the one case whose words differ: the same in lower case.
        assert_eq!(shown(&answer), case.expected, "{:?} {} {}", case.at, case.host, case.path);
    }
    let health = get(([127, 0, 0, 1], config.stats_port).into(), "x", "/_haproxy_health_check");
    assert_eq!(health.await.status, 200);
}

/// Values of one label that a combination may have.
type Choice = (&'static str, &'static [&'static str]);

const CHOICES: [Choice; 17] = [
    ("VHOST", &["a.example.com", "a.example.com,b.example.com"]),
    ("PATH", &["/x", "-i /x /Y'z"]),
    ("MODE", &["http", "tcp"]),
    ("BALANCE", &["leastconn", "source", "uri", "hdr(X-User)", "first", "random"]),
    ("STICKY", &["true"]),
    ("REDIRECT_TO_HTTPS", &["true"]),
    ("SSL_CERT", &["CERT"]),
    ("BIND_ADDR", &["127.0.0.1", "*"]),
    ("USE_HSTS", &["true"]),
    ("AUTH", &["the realm:joe:HASH"]),
    ("BACKEND_WEIGHT", &["5", "-1"]),
    ("BACKEND_NETWORK_ALLOWED_ACL", &["10.0.0.0/8 127.0.0.1"]),
    ("HTTP_BACKEND_PROXYPASS_PATH", &["/inner", "/in(ner.*"]),
    ("HTTP_BACKEND_REVPROXY_PATH", &["/outer", "/100%"]),
    ("HTTP_BACKEND_REDIR", &["/start", "/it's"]),
    (
        "BACKEND_HTTP_OPTIONS",
        &[
            "http-response set-header X-A 'b c' \nhttp-request del-header X-B",
            "rspadd X-A:\\ 50%\ntimeout server 90s\ntimeout tunnel 2h",
        ],
    ),
    ("BACKEND_STICKY_OPTIONS", &["cookie SRV insert indirect nocache httponly"]),
];

/// Each pair of labels with each of their values, and all of them together.
fn combinations(certificate: &str) -> Vec<Value> {
    let value = |text: &str| text.replace("CERT", certificate).replace("HASH", &hash());
    let mut all = Vec::new();
    for (at, (name, values)) in CHOICES.iter().enumerate() {
        for first in *values {
            all.push(json!({format!("HAPROXY_0_{name}"): value(first)}));
            for (other, more) in CHOICES.iter().skip(at + 1) {
                for second in *more {
                    all.push(json!({
                        format!("HAPROXY_0_{name}"): value(first),
                        format!("HAPROXY_0_{other}"): value(second),
                        "HAPROXY_0_GROUP": "external",
                    }));
                }
            }
        }
    }
    let every = |pick: fn(&[&'static str]) -> Option<&'static str>| {
        let labels = CHOICES.iter().filter(|(name, _)| *name != "MODE").map(|(name, values)| {
            (format!("HAPROXY_0_{name}"), Value::from(value(pick(values).unwrap())))
        });
        Value::Object(labels.collect())
    };
    all.push(every(|values| values.first().copied()));
    all.push(every(|values| values.last().copied()));
    all
}

#[tokio::test]
async fn it_takes_the_configuration_of_every_combination_of_labels() {
    if !installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = certificate(folder.path());
    let mut config = config(([127, 0, 0, 1], 1).into());
    config.certificates.paths = vec![path.clone()];
    (config.http_port, config.https_port) = (Some(8000), Some(8443));
    (config.app_id_port, config.stats_port) = (Some(9091), 9090);
    let server = Server::start("one").await;
    let combinations = combinations(path.to_str().unwrap());
    assert!(combinations.len() > 300, "{}", combinations.len());
    let mut apps = Vec::new();
    for (number, labels) in combinations.into_iter().enumerate() {
        let port = 10_000 + u16::try_from(number).unwrap();
        let mut app = app(&format!("/apps/a{number}"), port, labels, &[&server]);
        let protocol = ["HTTP", "MESOS_HTTP", "TCP", "COMMAND"][number % 4];
        app["healthChecks"] = json!([{"protocol": protocol, "path": "/h x", "portIndex": 0,
            "intervalSeconds": 2, "timeoutSeconds": 1, "maxConsecutiveFailures": 2}]);
        app["tasks"][0]["healthCheckResults"] = json!([{"alive": true}]);
        apps.push(app);
    }
    let text = json!({"apps": apps}).to_string();
    let rendered = of_json(&config, text.as_bytes()).await.unwrap();
    for section in 0..apps.len() {
        let port = 10_000 + section;
        assert!(rendered.text.contains(&format!("\nbackend apps_a{section}_{port}\n")));
    }
    if let Err(all) = check(&rendered.text, folder.path()) {
        // Which one it is.
        for app in &apps {
            let one = json!({"apps": [app]}).to_string();
            let rendered = of_json(&config, one.as_bytes()).await.unwrap();
            if let Err(error) = check(&rendered.text, folder.path()) {
                panic!("{}: {error}", app["labels"]);
            }
        }
        panic!("each is taken, but not all of them: {all}");
    }
}
