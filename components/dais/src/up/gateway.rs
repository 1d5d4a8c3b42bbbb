//! The gateway of `dais up`, and the identity service behind its login.

use super::{
    cluster::{Plan, ended, reachable},
    data_dir::make_private,
};
use admin_router::{Origin, Role};
use anyhow::{Context, anyhow};
use http_kit::{
    ClientConfig,
    guard::{FollowConfig, Following, Guard, Mode, TokenSource, TokenSourceConfig, follow},
};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// Until the identity service has told the components who may do what.
const POLICY: Duration = Duration::from_secs(30);
/// How long a stop waits.
const STOP: Duration = Duration::from_secs(5);
/// A machine with more has them for its containers.
const MOST_ADDRESSES: usize = 64;
/// What clients of DC/OS ask for, to know which commands there are.
const DCOS_VERSION: &str = "2.1.1";

/// Where they listen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) iam: u16,
    pub(super) plain: u16,
    pub(super) tls: u16,
}

/// The identity service, and what the other components know from it.
pub(super) struct Identity {
    iam: iam::Running,
    following: Following,
    logins: Vec<JoinHandle<()>>,
    stop_iam: CancellationToken,
    stop_following: CancellationToken,
}

// === impl Identity ===

impl Identity {
    /// Starts it; returns when everybody knows the policy.
    pub(super) async fn start(
        listen: IpAddr,
        port: u16,
        mode: Mode,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let data_dir = folder.join("iam");
        let state = super::services::open(&data_dir)?;
        let mut config = iam::Config::new(data_dir);
        (config.ip, config.port) = (listen, port);
        config.cluster_id = cluster_id(folder)?;
        let stop_iam = CancellationToken::new();
        let iam = iam::start(config, state, stop_iam.clone()).await?;
        let stop_following = CancellationToken::new();
        let following = follow(
            FollowConfig {
                mode,
                iam: url(iam.address),
                account: iam.service_accounts.join("dcos_mesos_master.json"),
                client: within(),
            },
            stop_following.clone(),
        );
        timeout(POLICY, following.guard.ready())
            .await
            .map_err(|_| anyhow!("no policy from the identity service within {POLICY:?}"))?;
        Ok(Self { iam, following, logins: Vec::new(), stop_iam, stop_following })
    }

    /// Judges by what the identity service says.
    pub(super) fn guard(&self) -> Guard {
        self.following.guard.clone()
    }

    /// Tokens for the calls of a component to others.
    pub(super) fn tokens(&mut self, uid: &str) -> TokenSource {
        let config = TokenSourceConfig {
            iam: Some(self.url()),
            account: self.account(uid),
            client: http_kit::Client::new(within()),
        };
        let (tokens, login) = TokenSource::start(config, self.stop_following.child_token());
        self.logins.push(login);
        tokens
    }

    fn account(&self, uid: &str) -> PathBuf {
        self.iam.service_accounts.join(format!("{uid}.json"))
    }

    pub(super) fn url(&self) -> String {
        url(self.iam.address)
    }

    pub(super) fn admin(&self) -> (&str, &Path) {
        (&self.iam.admin_uid, &self.iam.admin_password_file)
    }

    pub(super) fn ca_file(&self) -> &Path {
        &self.iam.ca_file
    }

    /// Resolves when it ends by itself, with why.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        match (&mut self.iam.join).await {
            Ok(Err(error)) => anyhow::Error::new(error).context("the identity service failed"),
            _ => anyhow!("the identity service stopped unexpectedly"),
        }
    }

    pub(super) async fn stop(mut self) {
        self.stop_following.cancel();
        let _ = self.following.join.await;
        for login in self.logins {
            let _ = login.await;
        }
        self.stop_iam.cancel();
        if timeout(STOP, ended(&mut self.iam.join)).await.is_err() {
            eprintln!("dais: the identity service did not end within {STOP:?}");
        }
    }
}

/// What the gateway leads to.
pub(super) struct Behind {
    pub(super) master: SocketAddr,
    pub(super) marathon: SocketAddr,
    pub(super) cosmos: SocketAddr,
    pub(super) mesos_dns: Option<SocketAddr>,
    pub(super) net: Option<SocketAddr>,
}

/// The gateway itself.
pub(super) struct Gateway {
    running: admin_router::Running,
    url: String,
    stop: CancellationToken,
}

// === impl Gateway ===

impl Gateway {
    /// Starts it; returns when it answers.
    pub(super) async fn start(
        plan: &Plan,
        ports: Ports,
        folder: &Path,
        identity: &Identity,
        behind: &Behind,
    ) -> anyhow::Result<Self> {
        let (listen, data_dir) = (plan.listen, folder.join("gateway"));
        make_private(&data_dir).with_context(|| format!("cannot make {}", data_dir.display()))?;
        let mut config = admin_router::Config::new(Role::Master, data_dir.clone());
        config.plain = Some(SocketAddr::new(listen, ports.plain));
        config.tls = Some(SocketAddr::new(listen, ports.tls));
        config.names = names(listen, &own_addresses());
        // The other cores are for the tasks, all of which run on this machine.
        config.workers = std::thread::available_parallelism().map_or(1, usize::from).min(2);
        config.service_account = Some(identity.account("dcos_adminrouter"));
        config.plain_iam = true;
        config.authentication = plan.security != Mode::Disabled;
        config.host_ip = Some(reachable(SocketAddr::new(listen, 0)).ip());
        config.upstreams.iam = Some(Origin::http(reachable(identity.iam.address)));
        config.upstreams.mesos = vec![Origin::http(reachable(behind.master))];
        config.upstreams.marathon = vec![Origin::http(reachable(behind.marathon))];
        config.upstreams.cosmos = Some(Origin::http(reachable(behind.cosmos)));
        let http = |address| Origin::http(reachable(address));
        config.upstreams.mesos_dns = behind.mesos_dns.map(http);
        config.upstreams.net = behind.net.map(http);
        config.site.metadata = Some(metadata(&data_dir)?);
        config.site.build_info = Some(build_info(&data_dir)?);
        config.site.cluster_id = Some(folder.join(CLUSTER_ID));
        config.access_log = Some(data_dir.join("access.jsonl"));
        let stop = CancellationToken::new();
        let running = admin_router::start(config, stop.clone()).await?;
        let address = running.tls.context("the gateway has no port for TLS")?;
        Ok(Self { running, url: https(reachable(address)), stop })
    }

    /// Where browsers and programs go.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Resolves when it ends by itself, with why.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        match (&mut self.running.join).await {
            Ok(Err(error)) => anyhow::Error::new(error).context("the gateway failed"),
            _ => anyhow!("the gateway stopped unexpectedly"),
        }
    }

    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        if timeout(STOP, ended(&mut self.running.join)).await.is_err() {
            eprintln!("dais: the gateway did not end within {STOP:?}");
        }
    }
}

/// For calls to the identity service of this very process, whatever address it listens on.
fn within() -> ClientConfig {
    ClientConfig { plain_iam: true, ..ClientConfig::default() }
}

fn url(address: SocketAddr) -> String {
    format!("http://{}", reachable(address))
}

/// The gateway's URL for people.
fn https(address: SocketAddr) -> String {
    match address.ip() {
        // The other loopback has that name too, but not everywhere.
        IpAddr::V4(ip) if ip.is_loopback() => format!("https://localhost:{}", address.port()),
        _ => format!("https://{address}"),
    }
}

/// What clients on this machine and others call it.
fn names(listen: IpAddr, own: &[IpAddr]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !listen.is_loopback() {
        // IPv4 too reaches what listens on all addresses of IPv6.
        let reached = own.iter().filter(|ip| listen.is_ipv6() || ip.is_ipv4());
        match listen.is_unspecified() {
            true => names.extend(reached.take(MOST_ADDRESSES).map(ToString::to_string)),
            false => names.push(listen.to_string()),
        }
        names.extend(nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()));
    }
    names
}

/// The addresses of this machine by which others reach it, as the kernel lists them.
fn own_addresses() -> Vec<IpAddr> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let mut own = local_ipv4(&read("/proc/net/fib_trie"));
    own.extend(local_ipv6(&read("/proc/net/if_inet6")));
    own.sort_unstable();
    own.dedup();
    own
}

/// Of lines such as `|-- 10.0.0.5`, each followed by what it is.
fn local_ipv4(trie: &str) -> Vec<IpAddr> {
    let (mut own, mut last) = (Vec::new(), None);
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line.starts_with("/32 host LOCAL") {
            own.extend(last.filter(|ip| !ip.is_loopback()).map(IpAddr::V4));
        }
    }
    own
}

/// Of lines such as `20010db8000000000000000000000005 02 40 00 80 eth0`.
fn local_ipv6(list: &str) -> Vec<IpAddr> {
    /// Reachable from everywhere, as opposed to the own link or host.
    const GLOBAL: &str = "00";
    let address = |line: &str| {
        let mut fields = line.split_whitespace();
        let bits = u128::from_str_radix(fields.next()?, 16).ok()?;
        (fields.nth(2)? == GLOBAL).then(|| IpAddr::V6(bits.into()))
    };
    list.lines().filter_map(address).collect()
}

const CLUSTER_ID: &str = "cluster-id";

/// The cluster's id, made at its first start.
fn cluster_id(folder: &Path) -> anyhow::Result<String> {
    let path = folder.join(CLUSTER_ID);
    match fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
        _ => {}
    }
    let id = uuid::Uuid::new_v4().to_string();
    write(&path, &format!("{id}\n"))?;
    Ok(id)
}

/// The folder behind `/dcos-metadata/`.
fn metadata(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("metadata");
    fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    let version = serde_json::json!({
        "version": DCOS_VERSION,
        "dcos-image-commit": "",
        "bootstrap-id": "",
        "dcos-variant": "open",
        "dais-version": env!("CARGO_PKG_VERSION"),
    });
    write(&path.join("dcos-version.json"), &format!("{version}\n"))?;
    Ok(path)
}

/// The list of packages of DC/OS, which has nothing to list here. The CLI of DC/OS asks for it to
/// find out whether a login is needed.
fn build_info(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("buildinfo.json");
    let info = serde_json::json!({"dais": {"version": env!("CARGO_PKG_VERSION")}});
    write(&path, &format!("{info}\n"))?;
    Ok(path)
}

/// Writes a file whole or not at all.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let draft = path.with_extension("draft");
    let written = fs::write(&draft, text).and_then(|()| fs::rename(&draft, path));
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_keeps_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let id = cluster_id(folder.path()).unwrap();
        assert_eq!(cluster_id(folder.path()).unwrap(), id);
        assert!(uuid::Uuid::parse_str(&id).is_ok());
    }

    #[test]
    fn a_gateway_for_others_is_called_by_their_names() {
        let own = ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let named = |listen: &str| {
            let names = names(listen.parse().unwrap(), &own);
            own.map(|ip| names.contains(&ip.to_string()))
        };
        assert_eq!(named("127.0.0.1"), [false, false]);
        assert_eq!(named("192.0.2.1"), [true, false]);
        assert_eq!(named("0.0.0.0"), [true, false]);
        assert_eq!(named("::"), [true, true]);
        assert!(names([0; 4].into(), &own).contains(&"localhost".to_owned()));
    }

    #[test]
    fn the_kernel_lists_the_addresses_of_the_machine() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
                    |-- 10.0.0.5\n        /32 host LOCAL\n     |-- 10.0.0.255\n\
                    /32 link BROADCAST\n     |-- 127.0.0.1\n           /32 host LOCAL\n";
        assert_eq!(local_ipv4(trie), ["10.0.0.5".parse::<IpAddr>().unwrap()]);
        let list = "00000000000000000000000000000001 01 80 10 80       lo\n\
                    20010db8000000000000000000000005 02 40 00 80     eth0\n\
                    fe80000000000000000000000000abcd 02 40 20 80     eth0\nbroken\n";
        assert_eq!(local_ipv6(list), ["2001:db8::5".parse::<IpAddr>().unwrap()]);
        // It is read of this machine, whatever it has.
        assert!(own_addresses().iter().all(|ip| !ip.is_loopback()));
    }

    #[test]
    fn urls_have_brackets_where_they_need_them() {
        for (address, url) in [
            ("127.0.0.1:8443", "https://localhost:8443"),
            ("[::1]:8443", "https://[::1]:8443"),
            ("192.0.2.1:1", "https://192.0.2.1:1"),
            ("[2001:db8::1]:1", "https://[2001:db8::1]:1"),
        ] {
            assert_eq!(https(address.parse().unwrap()), url);
        }
    }
}
