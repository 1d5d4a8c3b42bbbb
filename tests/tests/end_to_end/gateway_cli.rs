//! The command line of somebody new, on a whole cluster behind its gateway: logging in, using
//! packages, letting others in and out again, and what a crash leaves of it.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::cluster::{Cluster, binary};
use crate::support::{eventually, wait_until};

const APP: &str = "hello-world";
const OTHER_AUTHORITY: &[u8] =
    include_bytes!("../../../components/cli/tests/commands/keys/authority.pem");
const PASSWORD: &str = "correct horse battery staple";

fn cluster() -> Cluster {
    let resources = "cpus:4;mem:2048;disk:4096;ports:[31000-31999]";
    Cluster::with_services(&["--agents", "1", "--public-agents", "0", "--resources", resources])
}

fn endpoint<'a>(cluster: &'a Cluster, name: &str) -> &'a str {
    cluster.endpoints[name].as_str().unwrap_or_else(|| panic!("no {name}"))
}

/// Somebody with a home, and a configuration in it.
struct Person {
    home: TempDir,
    /// Where they find a `dais up` of their own machine; nowhere for those who come from afar.
    data_dir: Option<PathBuf>,
}

/// How a command ended, and what it said.
struct Told {
    status: Option<i32>,
    out: String,
    err: String,
}

// === impl Person ===

impl Person {
    fn new() -> Person {
        let home = tempfile::Builder::new().prefix("dais-home-").tempdir().expect("a home");
        Person { home, data_dir: None }
    }

    fn on_the_machine_of(cluster: &Cluster) -> Person {
        Person { data_dir: Some(cluster.data_dir()), ..Person::new() }
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).to_str().expect("a path of text").to_owned()
    }

    /// A file that nobody else can read.
    fn secret(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        let mut options = std::fs::File::options();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("writing a secret");
        path
    }

    /// Runs a command with this standard input.
    fn answering(&self, words: &[&str], input: &str) -> Told {
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("DAIS_") || text.starts_with("DCOS_") || text.starts_with("XDG_") {
                command.env_remove(&name);
            }
        }
        command.args(words).env("HOME", self.home.path()).env("DCOS_DIR", self.path("dcos"));
        if let Some(folder) = &self.data_dir {
            command.env("DAIS_DATA_DIR", folder);
        }
        command.current_dir(self.home.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        // Whoever asks nothing may have ended before this.
        let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
        Told::by(&child.wait_with_output().expect("its end"))
    }

    fn try_to(&self, words: &[&str]) -> Told {
        self.answering(words, "")
    }

    /// The output of a command that must go well.
    fn run(&self, words: &[&str]) -> String {
        let told = self.try_to(words);
        assert_eq!(told.status, Some(0), "{words:?}:\n{}\n{}", told.out, told.err);
        told.out
    }

    /// The complaint of a command that must not.
    fn refused(&self, words: &[&str]) -> String {
        let told = self.try_to(words);
        assert_eq!(told.status, Some(1), "{words:?}:\n{}\n{}", told.out, told.err);
        assert!(told.err.starts_with("dais: "), "{words:?}: {}", told.err);
        assert_eq!(told.out, "", "{words:?} prints something all the same");
        told.err
    }

    /// Sets up the cluster from afar, with its authority and a password.
    fn set_up(&self, cluster: &Cluster, uid: &str, password_file: &str) {
        let (gateway, authority) = (endpoint(cluster, "gateway"), endpoint(cluster, "ca_file"));
        let words = ["cluster", "setup", gateway, "--ca-certs", authority, "--username", uid];
        self.run(&[&words[..], &["--password-file", password_file]].concat());
    }

    /// Files of the configuration, with their modes.
    fn files(&self) -> Vec<(PathBuf, u32)> {
        let mut found = Vec::new();
        collect(Path::new(&self.path("dcos")), &mut found);
        found
    }
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, u32)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        let mode = mode(&path);
        if path.is_dir() {
            collect(&path, found);
        }
        found.push((path, mode));
    }
}

fn mode(path: &Path) -> u32 {
    let metadata = std::fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    metadata.permissions().mode() & 0o777
}

// === impl Told ===

impl Told {
    fn by(output: &Output) -> Told {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        Told { status: output.status.code(), out, err }
    }
}

/// The gateway's own record of who asked for what.
struct AccessLog {
    file: PathBuf,
    seen: usize,
}

// === impl AccessLog ===

impl AccessLog {
    fn of(cluster: &Cluster) -> AccessLog {
        AccessLog { file: cluster.data_dir().join("gateway/access.jsonl"), seen: 0 }
    }

    /// Entries since the last look, once one of them is a request of this path.
    fn wait_for(&mut self, user: &str, path: &str) {
        let fits = |entry: &Value| {
            entry["user"] == user
                && entry["status"].as_u64().is_some_and(|status| status < 300)
                && entry["path"].as_str().is_some_and(|asked| asked.starts_with(path))
        };
        self.seen = eventually(&format!("{path} of {user} in the access log"), || {
            let text = std::fs::read_to_string(&self.file).unwrap_or_default();
            let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
            let new = whole.lines().skip(self.seen);
            let mut entries = new.map(|line| serde_json::from_str::<Value>(line).expect("a line"));
            entries.any(|entry| fits(&entry)).then(|| whole.lines().count())
        });
    }
}

#[test]
fn somebody_new_logs_in_and_runs_a_package_through_the_gateway() {
    let cluster = cluster();
    let gateway = endpoint(&cluster, "gateway");
    let mut log = AccessLog::of(&cluster);
    let admin = Person::on_the_machine_of(&cluster);
    let ways = admin.run(&["auth", "list-providers"]);
    assert!(ways.contains("standard user account (username and password)"), "{ways}");

    let login = admin.try_to(&["auth", "login"]);
    assert_eq!(login.status, Some(0), "{}", login.err);
    assert!(
        login.err.contains(gateway) && login.err.contains("logged in as admin"),
        "{}",
        login.err
    );
    assert_eq!(login.out, "");
    let again = admin.try_to(&["auth", "login"]);
    assert_eq!(again.status, Some(0), "{}", again.err);
    let listed = admin.run(&["cluster", "list"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(listed.contains("AVAILABLE") && listed.contains(gateway), "{listed}");
    assert!(listed.lines().any(|line| line.trim_start().starts_with('*')), "{listed}");

    let steps: [(&[&str], &str, &str); 4] = [
        (&["node", "list"], "agent", "/mesos/"),
        (&["marathon", "app", "list"], "ID", "/service/marathon/v2/apps"),
        (&["package", "search", "hello"], APP, "/package/search"),
        (&["package", "install", APP, "--yes"], "", "/package/install"),
    ];
    for (words, expected, path) in steps {
        let out = admin.run(words);
        assert!(out.contains(expected), "{words:?}: {out}");
        log.wait_for("admin", path);
    }
    wait_until("the task", || admin.run(&["task", "list"]).contains(APP));
    log.wait_for("admin", "/mesos/");
    wait_until("its output", || admin.try_to(&["task", "log", APP]).out.contains("listens on"));
    log.wait_for("admin", "/agent/");
    admin.run(&["package", "uninstall", APP, "--yes"]);
    log.wait_for("admin", "/package/uninstall");
    wait_until("the end of the task", || admin.run(&["task", "list", "--quiet"]).is_empty());
}

#[test]
fn a_cluster_is_set_up_from_afar_once_its_authority_is_trusted() {
    let cluster = Cluster::with_services(&["--agents", "0", "--public-agents", "0"]);
    let gateway = endpoint(&cluster, "gateway");
    let password = endpoint(&cluster, "admin_password_file");
    fn words<'a>(gateway: &'a str, password: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let login = ["--username", "admin", "--password-file", password];
        [&["cluster", "setup", gateway][..], more, &login].concat()
    }

    let doubter = Person::new();
    for answer in ["n\n", ""] {
        let told = doubter.answering(&words(gateway, password, &[]), answer);
        assert_eq!(told.status, Some(1), "{}", told.err);
        assert!(told.err.contains("SHA256 fingerprint: "), "{}", told.err);
        assert!(told.err.contains("authority is not trusted"), "{}", told.err);
        assert_eq!(doubter.files(), [], "nothing is kept of a cluster that is not trusted");
    }
    let told = doubter.answering(&words(gateway, password, &[]), "y\n");
    assert_eq!(told.status, Some(0), "{}", told.err);
    let trusting = Person::new();
    trusting.run(&words(gateway, password, &["--no-check"]));
    let careful = Person::new();
    careful.set_up(&cluster, "admin", password);

    let mut log = AccessLog::of(&cluster);
    for person in [&doubter, &trusting, &careful] {
        assert!(person.run(&["cluster", "list"]).contains("AVAILABLE"));
        person.run(&["marathon", "app", "list"]);
        log.wait_for("admin", "/service/marathon/v2/apps");
        let files = person.files();
        let secret = |name: &str| files.iter().find(|(path, _)| path.ends_with(name));
        for name in ["dcos.toml", "dcos_ca.crt"] {
            assert_eq!(secret(name).map(|(_, mode)| *mode), Some(0o600), "{files:?}");
        }
        let open = files.iter().any(|(path, mode)| path.is_dir() && mode & 0o077 != 0);
        assert!(!open, "{files:?}");
        let config = person.run(&["config", "show"]);
        assert!(!config.contains("eyJ"), "the token is shown: {config}");
    }
    // Another cluster's authority says nothing of this one.
    let other = Person::new();
    let authority = other.path("other.crt");
    std::fs::write(&authority, OTHER_AUTHORITY).expect("writing");
    let refusal = other.refused(&words(gateway, password, &["--ca-certs", &authority]));
    assert!(refusal.contains("certificate") && refusal.contains("vouches"), "{refusal}");
    assert_eq!(other.files(), []);
}

#[test]
fn somebody_may_what_they_were_granted_until_it_is_taken_back() {
    let cluster = cluster();
    let mut log = AccessLog::of(&cluster);
    let admin = Person::on_the_machine_of(&cluster);
    admin.run(&["auth", "login"]);
    let password = &*admin.secret("password", PASSWORD);
    let words = ["security", "user", "create", "ada", "--description", "Ada", "--password-file"];
    admin.run(&[&words[..], &[password]].concat());
    log.wait_for("admin", "/acs/api/v1/users/ada");
    let refusal = admin.refused(&[&words[..], &[password]].concat());
    assert!(refusal.contains("ada"), "{refusal}");
    admin.run(&["security", "group", "create", "dev"]);
    admin.run(&["security", "group", "add", "dev", "ada"]);
    const GATE: [&str; 2] = ["dcos:adminrouter:service:marathon", "full"];
    const APPS: [&str; 2] = ["dcos:service:marathon:marathon:services:/", "read"];
    let change = |word: &'static str, [rid, action]: [&'static str; 2]| {
        ["security", "permission", word, rid, action, "--group", "dev"]
    };
    admin.run(&change("grant", GATE));
    admin.run(&change("grant", APPS));
    let shown = admin.run(&["security", "user", "show", "ada"]);
    for part in ["ada", "Ada", "dev", "full on dcos:adminrouter:service:marathon"] {
        assert!(shown.contains(part), "{shown}");
    }
    let listed = admin.run(&["security", "permission", "list", GATE[0]]);
    assert!(listed.contains("dev") && listed.contains("full"), "{listed}");

    let app = &*admin.path("app.json");
    let text = r#"{"id": "/sleeper", "cmd": "sleep 1000", "cpus": 0.01, "mem": 16}"#;
    std::fs::write(app, text).expect("an app");
    admin.run(&["marathon", "app", "add", app]);

    let ada = Person::new();
    ada.set_up(&cluster, "ada", password);
    assert!(ada.run(&["marathon", "app", "list"]).contains("/sleeper"));
    log.wait_for("ada", "/service/marathon/v2/apps");
    for words in [
        &["node", "list"][..],
        &["security", "user", "list"],
        &["security", "permission", "grant", "dcos:superuser", "full", "--user", "ada"],
        &["package", "list"],
        &["marathon", "app", "remove", "sleeper"],
    ] {
        let refusal = ada.refused(words).to_lowercase();
        let clear =
            ["permission", "forbidden", "not authorized"].map(|word| refusal.contains(word));
        assert!(clear.contains(&true), "{words:?}: {refusal}");
        assert!(refusal.contains("dais security permission grant"), "{words:?}: {refusal}");
        assert!(!refusal.contains("<html"), "{words:?}: {refusal}");
    }
    assert!(admin.run(&["marathon", "app", "list"]).contains("/sleeper"));

    admin.run(&change("revoke", GATE));
    ada.refused(&["marathon", "app", "list"]);
    admin.run(&change("grant", GATE));
    ada.run(&["marathon", "app", "list"]);
    admin.run(&["security", "group", "remove", "dev", "ada"]);
    ada.refused(&["marathon", "app", "list"]);
    admin.run(&["security", "group", "add", "dev", "ada"]);
    admin.run(&["security", "user", "revoke-tokens", "ada"]);
    let refusal = ada.refused(&["marathon", "app", "list"]);
    assert!(refusal.contains("dais auth login"), "{refusal}");
    let login = ["auth", "login", "--username", "ada", "--password-file", password];
    ada.run(&login);
    ada.run(&["marathon", "app", "list"]);
    admin.run(&["security", "user", "update", "ada", "--disable"]);
    ada.refused(&["marathon", "app", "list"]);
    ada.refused(&login);
}

#[test]
fn a_service_account_logs_in_with_its_key() {
    let cluster = Cluster::with_services(&["--agents", "0", "--public-agents", "0"]);
    let mut log = AccessLog::of(&cluster);
    let admin = Person::on_the_machine_of(&cluster);
    admin.run(&["auth", "login"]);
    let (gateway, authority) = (endpoint(&cluster, "gateway"), endpoint(&cluster, "ca_file"));
    for kind in ["rsa", "ec"] {
        let uid = format!("ci-{kind}");
        let robot = Person::new();
        let (uid, private) = (uid.as_str(), &*robot.path("key.pem"));
        let public = &*robot.path("key.pub.pem");
        robot.run(&["security", "account", "keypair", private, public, "--type", kind]);
        assert_eq!(mode(Path::new(private)), 0o600);
        let words = ["security", "account", "create", uid, "--public-key"];
        // The private key stays where it is, even if somebody mistakes one for the other.
        admin.refused(&[&words[..], &[private]].concat());
        admin.run(&[&words[..], &[public]].concat());
        let rid = "dcos:adminrouter:service:marathon";
        admin.run(&["security", "permission", "grant", rid, "full", "--user", uid]);

        let login = ["--username", uid, "--service-account", private];
        let words = ["cluster", "setup", gateway, "--ca-certs", authority];
        robot.run(&[&words[..], &login].concat());
        robot.run(&["auth", "logout"]);
        robot.refused(&["marathon", "app", "list"]);
        robot.run(&[&["auth", "login"][..], &login].concat());
        robot.run(&["marathon", "app", "list"]);
        log.wait_for(uid, "/service/marathon/v2/apps");
        // The key of another opens nothing.
        let own = robot.path("other.pem");
        let unused = robot.path("other.pub.pem");
        robot.run(&["security", "account", "keypair", &own, &unused, "--type", kind]);
        robot.refused(&["auth", "login", "--username", uid, "--service-account", &own]);
        let listed = admin.run(&["security", "account", "list"]);
        assert!(listed.contains(uid), "{listed}");
    }
}

#[test]
fn what_goes_wrong_with_a_login_is_said_clearly() {
    let cluster = Cluster::with_services(&["--agents", "0", "--public-agents", "0"]);
    let person = Person::new();
    let wrong = &*person.secret("wrong", "not the password\n");
    let (gateway, authority) = (endpoint(&cluster, "gateway"), endpoint(&cluster, "ca_file"));
    let setup = ["cluster", "setup", gateway, "--ca-certs", authority, "--username"];
    for uid in ["admin", "nobody-of-that-name"] {
        let refusal = person.refused(&[&setup[..], &[uid, "--password-file", wrong]].concat());
        let expected = format!("cannot log in as {uid}: Invalid credentials");
        assert!(refusal.contains(&expected), "{refusal}");
        assert!(!refusal.contains("not the password"), "{refusal}");
        assert_eq!(person.files(), []);
    }
    std::fs::set_permissions(wrong, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    let refusal = person.refused(&[&setup[..], &["admin", "--password-file", wrong]].concat());
    assert!(refusal.contains("too open"), "{refusal}");

    // The failed logins may have to be waited for.
    let password = endpoint(&cluster, "admin_password_file");
    let words = [&setup[..], &["admin", "--password-file", password]].concat();
    wait_until("the login", || person.try_to(&words).status == Some(0));
    person.run(&["marathon", "app", "list"]);
    person.run(&["auth", "logout"]);
    let refusal = person.refused(&["marathon", "app", "list"]);
    assert!(refusal.contains("dais auth login"), "{refusal}");
    let told = person.answering(&["auth", "login", "--provider", "dcos-users"], "");
    assert_eq!(told.status, Some(1), "{}", told.err);
    assert!(told.err.contains("--username"), "{}", told.err);
}

/// What an audit log's check says.
fn verify(person: &Person, file: &Path) -> Told {
    person.try_to(&["run", "iam", &format!("--verify_audit={}", file.display())])
}

#[test]
fn who_there_is_and_who_may_what_outlives_a_crash() {
    let mut cluster = Cluster::with_services(&["--agents", "0", "--public-agents", "0"]);
    let mut admin = Person::on_the_machine_of(&cluster);
    admin.run(&["auth", "login"]);
    let password = &*admin.secret("password", PASSWORD);
    admin.run(&["security", "user", "create", "ada", "--password-file", password]);
    let rid = "dcos:adminrouter:service:marathon";
    admin.run(&["security", "permission", "grant", rid, "full", "--user", "ada"]);
    let ada = Person::new();
    ada.set_up(&cluster, "ada", password);
    let gateway = endpoint(&cluster, "gateway").to_owned();
    let first = std::fs::read(endpoint(&cluster, "admin_password_file")).expect("a password");

    // The very last change counts as well.
    admin.run(&["security", "group", "create", "last"]);
    cluster.kill();
    let refusal = ada.refused(&["marathon", "app", "list"]);
    assert!(refusal.contains("cannot reach") && refusal.contains(&gateway), "{refusal}");
    cluster.start_again();
    assert_eq!(endpoint(&cluster, "gateway"), gateway);
    assert_eq!(std::fs::read(endpoint(&cluster, "admin_password_file")).unwrap(), first);
    ada.run(&["marathon", "app", "list"]);
    ada.refused(&["node", "list"]);
    let mut log = AccessLog::of(&cluster);
    assert!(admin.run(&["security", "user", "list"]).contains("ada"));
    log.wait_for("admin", "/acs/api/v1/users");
    assert!(admin.run(&["security", "group", "list"]).contains("last"));
    ada.run(&["auth", "login", "--username", "ada", "--password-file", password]);
    assert_eq!(mode(&cluster.data_dir().join("iam/admin-password")), 0o600);
    assert_eq!(mode(&cluster.data_dir().join("iam/node.key")), 0o600);
    assert_eq!(mode(&cluster.data_dir().join("iam")), 0o700);

    let audit = cluster.data_dir().join("iam/audit.jsonl");
    admin.data_dir = None;
    let told = verify(&admin, &audit);
    assert_eq!(told.status, Some(0), "{}", told.err);
    assert!(told.out.contains("lines are whole, from its beginning"), "{}", told.out);
    let text = std::fs::read_to_string(&audit).expect("the audit log");
    let changed = text.lines().position(|line| line.contains("\"ada\"")).expect("a line of ada");
    for secret in [PASSWORD, String::from_utf8_lossy(&first).trim()] {
        assert!(!text.contains(secret), "a password is in the audit log");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let forged = folder.path().join("audit.jsonl");
    std::fs::write(&forged, text.replacen("\"ada\"", "\"adb\"", 1)).expect("writing");
    let told = verify(&admin, &forged);
    assert_eq!(told.status, Some(1), "{}", told.out);
    assert!(told.err.contains(&format!("line {}:", changed + 1)), "{}", told.err);
}

/// Versions before there was a gateway left a folder with everything but the files of it.
#[test]
fn a_cluster_of_an_earlier_version_gets_a_gateway() {
    let mut cluster = cluster();
    let admin = Person::on_the_machine_of(&cluster);
    let app = &*admin.path("app.json");
    let text = r#"{"id": "/older", "cmd": "sleep 1000", "cpus": 0.01, "mem": 16}"#;
    std::fs::write(app, text).expect("an app");
    admin.run(&["marathon", "app", "add", "--wait", app]);
    admin.run(&["auth", "login"]);
    assert!(cluster.interrupt().success());
    for folder in ["iam", "gateway"] {
        std::fs::remove_dir_all(cluster.data_dir().join(folder)).expect(folder);
    }
    // The ports stay as they are, so that there is a login of a gateway that is gone.
    std::fs::remove_file(cluster.data_dir().join("cluster-id")).expect("the cluster's id");

    cluster.start_again();
    let refusal = admin.refused(&["marathon", "app", "list"]);
    assert!(refusal.contains("dais auth login"), "{refusal}");
    admin.run(&["auth", "login"]);
    let newcomer = Person::on_the_machine_of(&cluster);
    for person in [&admin, &newcomer] {
        // Whoever is on the machine is let in without a login, too.
        assert!(person.run(&["marathon", "app", "list"]).contains("/older"));
    }
    AccessLog::of(&cluster).wait_for("admin", "/service/marathon/v2/apps");
    wait_until("the task", || admin.run(&["task", "list"]).contains("older"));
}
