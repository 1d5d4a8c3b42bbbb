//! The gateway itself, as it runs in a cluster: once open to everybody, and once with an identity
//! service, a token and a permission that are judged with each request.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::process::{Place, Process, free_port, on};
use crate::proxies::{Proxy, Setup};

/// What the measured route needs.
const RID: &str = "dcos:adminrouter:package";
const USER: &str = "bench";
const PASSWORD: &str = "only-for-this-run";

/// Without and with authorization.
pub(crate) fn start_both(setup: &Setup) -> Result<Vec<Proxy>> {
    let open = start(setup, "gateway", &["--authentication=false".to_owned()], None, Vec::new())?;
    let (iam, port, folder) = start_iam(setup)?;
    let token = user(port, &folder)?;
    let account = folder.join("service-accounts/dcos_adminrouter.json");
    let flags = [
        format!("--iam=http://127.0.0.1:{port}"),
        format!("--service_account={}", account.display()),
    ];
    let authorization = Some(format!("token={token}"));
    let closed = start(setup, "gateway+auth", &flags, authorization, vec![iam])?;
    Ok(vec![open, closed])
}

/// The program that was built beside this one.
fn dais() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("dais");
    if !path.exists() {
        bail!("{} is missing; `cargo xtask bench gateway` builds it", path.display());
    }
    Ok(path)
}

/// A process without TLS and one with, since the former would redirect to the latter.
fn start(
    setup: &Setup,
    name: &'static str,
    flags: &[String],
    authorization: Option<String>,
    others: Vec<Process>,
) -> Result<Proxy> {
    let (plain, tls) = (free_port()?, free_port()?);
    let certificate = [
        format!("--certificate={}", setup.files.certificate.display()),
        format!("--key={}", setup.files.key.display()),
    ];
    let cosmos = format!("--cosmos=http://127.0.0.1:{}", setup.backend);
    let mut processes = Vec::new();
    for (kind, port, more) in [("plain", plain, &[][..]), ("tls", tls, &certificate)] {
        let flags = flags.iter().chain(more).chain([&cosmos]);
        processes.push(start_one(setup, &format!("{name}-{kind}"), (kind, port), flags)?);
    }
    Ok(Proxy::new(name, processes, (Some(plain), Some(tls)), authorization, others))
}

fn start_one<'a>(
    setup: &Setup,
    name: &str,
    (kind, port): (&str, u16),
    flags: impl Iterator<Item = &'a String>,
) -> Result<Process> {
    let mut command = on(Place::Proxy, dais()?);
    command.args(["run", "admin-router", "--workers=1", "--names=localhost"]);
    command.arg(format!("--{kind}=127.0.0.1:{port}"));
    command.arg(format!("--data_dir={}", setup.folder.join(name).display()));
    let mut process =
        Process::start(command.args(flags), &setup.folder.join(format!("{name}.log")))?;
    process.wait_for(&[port])?;
    Ok(process)
}

/// Open to everybody and without TLS, with flags that say whom it follows; also its port.
pub(crate) fn start_for_services(setup: &Setup, flags: &[String]) -> Result<(Process, u16)> {
    let (port, open) = (free_port()?, "--authentication=false".to_owned());
    let flags = flags.iter().chain([&open]);
    Ok((start_one(setup, "gateway-services", ("plain", port), flags)?, port))
}

fn start_iam(setup: &Setup) -> Result<(Process, u16, PathBuf)> {
    let (port, folder) = (free_port()?, setup.folder.join("iam"));
    let mut command = on(Place::Other, dais()?);
    command.args(["run", "iam"]).arg(format!("--port={port}"));
    command.arg(format!("--data_dir={}", folder.display()));
    let mut process = Process::start(&mut command, &setup.folder.join("iam.log"))?;
    // It listens before it has made its keys, and answers after it.
    process.wait_for(&[port])?;
    let until = Instant::now() + Duration::from_secs(30);
    while ureq::get(format!("http://127.0.0.1:{port}/health")).call().is_err() {
        if Instant::now() > until {
            bail!("the identity service does not answer");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok((process, port, folder))
}

/// A user who may use the measured route and nothing else; gives a token.
fn user(port: u16, folder: &Path) -> Result<String> {
    let api = format!("http://127.0.0.1:{port}/acs/api/v1");
    let password = std::fs::read_to_string(folder.join("admin-password"))?;
    let admin = login(&api, "admin", password.trim())?;
    let put = |path: &str, body: Value| -> Result<()> {
        let request = ureq::put(format!("{api}/{path}"));
        let request = request.header("Authorization", format!("token={admin}"));
        request.content_type("application/json").send(body.to_string())?;
        Ok(())
    };
    put(&format!("users/{USER}"), json!({"password": PASSWORD}))?;
    put(&format!("acls/{RID}"), json!({"description": "packages"}))?;
    put(&format!("acls/{RID}/users/{USER}/full"), json!({}))?;
    login(&api, USER, PASSWORD)
}

fn login(api: &str, uid: &str, password: &str) -> Result<String> {
    let body = json!({"uid": uid, "password": password}).to_string();
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let request = ureq::post(format!("{api}/auth/login"));
        match request.content_type("application/json").send(&body) {
            Ok(mut answer) => {
                let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
                return Ok(answer["token"].as_str().context("no token")?.to_owned());
            }
            Err(error) if Instant::now() > until => return Err(error).context("login"),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}
