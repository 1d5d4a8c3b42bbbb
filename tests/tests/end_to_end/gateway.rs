//! The gateway of a whole cluster, by the clients that its users have: DC/OS's command line as
//! its HTTP calls, PyJWT, Chromium, curl, and programs that look for weak TLS.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::pymesos::script;
use crate::support::cluster::{Cluster, Running};

/// The interpreter with the clients' packages, which `cargo xtask test` prepares. Without it a
/// bare `cargo test` passes over these tests, and says so.
fn python() -> Option<PathBuf> {
    let chosen = std::env::var_os("DAIS_GATEWAY_PYTHON").map(PathBuf::from);
    let prepared = std::env::current_exe().ok().and_then(|test| {
        let target = test.ancestors().nth(3)?.to_owned();
        Some(target.join("end-to-end/gateway/bin/python"))
    });
    let found = chosen.or(prepared).filter(|path| path.exists());
    if found.is_none() {
        assert!(std::env::var_os("DAIS_REQUIRE_TOOLS").is_none(), "the clients are missing");
        println!("skipped: no clients of the gateway; `cargo xtask test e2e` installs them");
    }
    found
}

fn has(program: &str) -> bool {
    let found =
        ["/usr/bin", "/usr/sbin"].iter().any(|folder| Path::new(folder).join(program).exists());
    if !found {
        assert!(std::env::var_os("DAIS_REQUIRE_TOOLS").is_none(), "{program} is missing");
        println!("skipped: no {program}; `cargo xtask test e2e` installs it");
    }
    found
}

fn run_script(name: &str, cluster: &mut Cluster) {
    let Some(python) = python() else { return };
    let mut command = Command::new(python);
    command.arg("-B").arg(script(&format!("gateway_clients/{name}.py")));
    command.arg(cluster.data_dir().join("endpoints.json"));
    let log = cluster.folder.path().join(format!("{name}.log"));
    let mut client = Running::start(&mut command, log);
    let status = (0..4).find_map(|_| client.wait_a_while()).expect("the scenarios to end");
    assert!(status.success(), "{}", client.output());
    assert!(client.output().contains("all scenarios passed"));
    cluster.assert_alive();
    // The components' own accounts may do what the components do.
    let told = cluster.process().output();
    for refused in ["401 Unauthorized", "403 Forbidden"] {
        assert!(!told.contains(refused), "a component was refused:\n{told}");
    }
}

#[test]
fn the_calls_of_the_command_line_go_through() {
    let mut cluster = Cluster::with_services(&["--agents", "1", "--public-agents", "0"]);
    run_script("dcoscli", &mut cluster);
}

#[test]
fn tokens_open_what_they_may_and_nothing_else() {
    let mut cluster = Cluster::with_services(&["--agents", "0", "--public-agents", "0"]);
    run_script("tokens", &mut cluster);
}

/// The same where nobody gets anywhere without a token, the components included.
#[test]
fn a_strict_cluster_works_as_well() {
    let arguments = ["--agents", "1", "--public-agents", "0", "--security", "strict"];
    // The harness asks the components themselves, as nobody; here that is refused.
    let mut cluster = Cluster::with_services_unwatched(&arguments);
    run_script("dcoscli", &mut cluster);
    for (name, path) in [("mesos_master", "/state"), ("marathon", "/v2/apps")] {
        let address = endpoint(&cluster, name).trim_start_matches("http://").to_owned();
        assert_eq!(crate::support::http::get(&address, path).status, 401, "{name}");
    }
}

#[test]
fn a_browser_logs_in_and_talks_over_a_websocket() {
    if !has("chromium") || !has("chromedriver") {
        return;
    }
    let mut cluster = Cluster::with_services(&["--agents", "1", "--public-agents", "0"]);
    run_script("browser", &mut cluster);
}

fn endpoint<'a>(cluster: &'a Cluster, name: &str) -> &'a str {
    cluster.endpoints[name].as_str().unwrap_or_else(|| panic!("no {name}"))
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// `curl` with the cluster's authority; its arguments are those of a test, not secrets.
fn curl(cluster: &Cluster, arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "30", "--cacert"]);
    output(command.arg(endpoint(cluster, "ca_file")).args(arguments))
}

#[test]
fn curl_logs_in_and_follows() {
    if !has("curl") {
        return;
    }
    let cluster = Cluster::with_services(&["--agents", "0", "--public-agents", "0"]);
    let gateway = endpoint(&cluster, "gateway");
    let password = std::fs::read_to_string(endpoint(&cluster, "admin_password_file"));
    let password = password.expect("the first password").trim().to_owned();
    let jar = cluster.folder.path().join("cookies");
    let jar = jar.to_str().expect("a path of text");

    let page = curl(
        &cluster,
        &[
            "--location",
            "--header",
            "Accept: text/html",
            "--write-out",
            "\n%{url_effective}",
            &format!("{gateway}/service/marathon/v2/info"),
        ],
    );
    assert!(page.contains("type=\"password\""), "{page}");
    assert!(page.lines().last().is_some_and(|url| url.contains("/login")), "{page}");

    let form = [
        format!("uid={}", endpoint(&cluster, "admin_user")),
        format!("password={password}"),
        "redirect=/service/marathon/v2/info".to_owned(),
    ];
    // As a browser says it of the page with the form.
    let origin = format!("Origin: {gateway}");
    let mut arguments = vec!["--location", "--cookie-jar", jar, "--header", &origin];
    for field in &form {
        arguments.extend(["--data-urlencode", field]);
    }
    let login = format!("{gateway}/login");
    arguments.push(&login);
    let answer = curl(&cluster, &arguments);
    let info: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{answer}"));
    assert_eq!(info["name"], "marathon", "{answer}");

    for version in ["--http1.1", "--http2"] {
        let answer = curl(
            &cluster,
            &[
                version,
                "--cookie",
                jar,
                "--write-out",
                "\n%{http_code}",
                &format!("{gateway}/mesos/state-summary"),
            ],
        );
        assert!(answer.ends_with("\n200"), "{version}: {answer}");
    }
    for target in ["//evil.example/", "https://evil.example/", "/\\evil.example", "evil"] {
        let mut arguments = vec![
            "--header",
            &origin,
            "--data-urlencode",
            form[0].as_str(),
            "--data-urlencode",
            form[1].as_str(),
            "--data-urlencode",
        ];
        let redirect = format!("redirect={target}");
        arguments.extend([redirect.as_str(), "--write-out", "\n%{redirect_url}", login.as_str()]);
        let answer = curl(&cluster, &arguments);
        let last = answer.lines().last().unwrap_or_default();
        assert!(last.is_empty() || last.starts_with(gateway), "{target}: {answer}");
    }

    // Without TLS there is only the way to TLS.
    let plain = gateway_plain_port(&cluster);
    let answer = curl(&cluster, &["--head", &format!("http://localhost:{plain}/mesos/?x=1")]);
    assert!(answer.starts_with("HTTP/1.1 308") || answer.starts_with("HTTP/1.1 301"), "{answer}");
    assert!(answer.to_lowercase().contains(&format!("location: {gateway}/mesos/?x=1")), "{answer}");
}

/// The ports are chosen in the order iam, plain, TLS.
fn gateway_plain_port(cluster: &Cluster) -> u16 {
    let text = std::fs::read(cluster.data_dir().join("gateway-ports.json")).expect("the ports");
    let ports: Vec<u16> = serde_json::from_slice(&text).expect("a list of ports");
    ports[1]
}

#[test]
fn scanners_find_no_weak_tls() {
    if !has("openssl") || !has("sslscan") {
        return;
    }
    let cluster = Cluster::with_services(&["--agents", "0", "--public-agents", "0"]);
    let address = endpoint(&cluster, "gateway").trim_start_matches("https://").to_owned();
    let connect = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &address, "-servername", "localhost", "-CAfile"]);
        command.arg(endpoint(&cluster, "ca_file")).args(["-verify_return_error", "-brief"]);
        output(command.args(arguments).stdin(std::process::Stdio::null()))
    };
    for (flag, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let told = connect(&[flag]);
        assert!(told.contains(&format!("Protocol version: {version}")), "{told}");
        assert!(told.contains("Verification: OK"), "{told}");
    }
    for refused in [
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AES128-SHA:AES256-GCM-SHA384:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA:ECDHE-ECDSA-AES128-SHA256"],
        &["-tls1_2", "-cipher", "aNULL:eNULL:@SECLEVEL=0"],
    ] {
        let told = connect(refused);
        assert!(!told.contains("CONNECTION ESTABLISHED"), "{refused:?}: {told}");
    }

    let told = output(Command::new("sslscan").args(["--no-colour", &address]));
    for version in ["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"] {
        let line = told.lines().find(|line| line.starts_with(version));
        assert!(line.is_some_and(|line| line.contains("disabled")), "{version}:\n{told}");
    }
    let ciphers: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("Accepted") || line.starts_with("Preferred"))
        .collect();
    assert!(!ciphers.is_empty(), "{told}");
    for line in ciphers {
        let fine = ["ECDHE-ECDSA-AES", "ECDHE-ECDSA-CHACHA20", "TLS_AES_", "TLS_CHACHA20_"];
        assert!(fine.iter().any(|name| line.contains(name)), "{line}");
        assert!(!line.contains("-SHA ") && !line.contains("CBC"), "{line}");
    }
    assert!(!told.contains("Compression enabled"), "{told}");
    assert!(
        !told
            .lines()
            .any(|line| line.ends_with("vulnerable to heartbleed") && !line.contains("not"))
    );
}
