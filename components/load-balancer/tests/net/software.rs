//! Real servers behind virtual addresses.

use std::process::{Child, Command, Stdio};

use network_lab::Node;

use crate::cluster::{Control, lab, vip, wait};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn has(program: &str) -> bool {
    let known =
        Command::new(program).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if known.is_err() {
        eprintln!("skipped: {program} is missing");
    }
    known.is_ok()
}

fn start(mut command: Command) -> Running {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Running(quiet.spawn().unwrap())
}

fn nginx(node: &Node, folder: &std::path::Path, name: &str) -> Running {
    let root = folder.join(name);
    std::fs::create_dir_all(&root).unwrap();
    let path = root.join("nginx.conf");
    let root = root.display();
    let text = format!(
        "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;\n\
         events {{}}\nhttp {{ access_log off; client_body_temp_path {root}/1; proxy_temp_path {root}/2;\n\
         fastcgi_temp_path {root}/3; uwsgi_temp_path {root}/4; scgi_temp_path {root}/5;\n\
         server {{ listen 31080; location / {{ return 200 '{name} $remote_addr\\n'; }} }} }}\n"
    );
    std::fs::write(&path, text).unwrap();
    let mut command = node.command("nginx");
    command.arg("-c").arg(&path).arg("-p").arg(folder);
    start(command)
}

fn output(mut command: Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[test]
fn nginx_behind_a_virtual_address() {
    if !has("nginx") || !has("curl") {
        return;
    }
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.node("a").unwrap(), lab.node("b").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let control = Control::start(&mut lab, &[&a, &b]);
    let _daemons = [control.node(&a), control.node(&b)];
    let _servers = [nginx(&a, folder.path(), "one"), nginx(&b, folder.path(), "two")];
    control.add("one", &a, 31080, "/nginx:80");
    control.add("two", &b, 31080, "/nginx:80");
    let url = format!("http://{}/", vip("nginx.marathon", 80).ip());
    let curl = |node: &Node| {
        let mut command = node.command("curl");
        command.args(["-sf", "--max-time", "5", &url]);
        output(command)
    };
    let mut seen = std::collections::BTreeSet::new();
    wait("both", || {
        seen.extend(curl(&a));
        seen.len() == 2
    });
    let wanted = ["one", "two"].map(|name| format!("{name} {}", a.address()));
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), wanted);
}

#[test]
fn redis_behind_a_virtual_address() {
    if !has("redis-server") || !has("redis-cli") {
        return;
    }
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.node("a").unwrap(), lab.node("b").unwrap());
    let control = Control::start(&mut lab, &[&a, &b]);
    let _daemon = control.node(&a);
    let mut server = b.command("redis-server");
    server.args(["--port", "31637", "--save", "", "--protected-mode", "no"]);
    let _server = start(server);
    control.add("redis", &b, 31637, "/redis:6379");
    let host = vip("redis.marathon", 6379).ip().to_string();
    let redis = |arguments: &[&str]| {
        let mut command = a.command("redis-cli");
        command.args(["-h", &host]).args(arguments);
        output(command)
    };
    wait("redis", || redis(&["ping"]).as_deref() == Some("PONG"));
    assert_eq!(redis(&["set", "key", "value"]).as_deref(), Some("OK"));
    assert_eq!(redis(&["get", "key"]).as_deref(), Some("value"));
}
