//! A server with names of every kind.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use dns::forward::{Forwarder, Forwarding};
use dns::record::{Change, Data};
use dns::serve::{Served, Serving};
use dns::zone::{Zone, Zones};
use tokio_util::sync::CancellationToken;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) zones: Arc<Zones>,
    served: Served,
    token: CancellationToken,
}

pub(crate) fn a(last: u8) -> Data {
    Data::A([10, 0, 0, last].into())
}

pub(crate) fn change(name: &str, records: Vec<Data>) -> Change {
    Change { name: name.into(), records }
}

pub(crate) fn names() -> Vec<Change> {
    let srv =
        |port, target: &str| Data::Srv { priority: 0, weight: 1, port, target: target.into() };
    vec![
        change("leader.mesos", vec![a(1)]),
        change("ns1.mesos", vec![a(1)]),
        change("web.marathon.mesos", vec![a(2), a(3), Data::Aaaa("fd01::2".parse().unwrap())]),
        change("web-abcde-s0.marathon.mesos", vec![a(2)]),
        change("_web._tcp.marathon.mesos", vec![srv(31000, "web-abcde-s0.marathon.mesos")]),
        change("_http._web._tcp.marathon.mesos", vec![srv(31000, "web-abcde-s0.marathon.mesos")]),
        change("many.mesos", (0..200).map(a).collect()),
        change("text.mesos", vec![Data::Txt("of our own".into())]),
    ]
}

pub(crate) fn serving() -> Serving {
    Serving {
        addresses: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
        workers: 2,
        ..Serving::default()
    }
}

// === impl Server ===

impl Server {
    pub(crate) async fn start() -> Server {
        Server::with(serving(), None).await
    }

    pub(crate) async fn forwarding_to(resolvers: Vec<SocketAddr>) -> Server {
        let forwarding =
            Forwarding { resolvers, timeout: Duration::from_millis(500), ..Forwarding::default() };
        Server::with(serving(), Some(&forwarding)).await
    }

    pub(crate) async fn with(serving: Serving, forwarding: Option<&Forwarding>) -> Server {
        let zones = vec![Zone::new("mesos", 60), Zone::new("thisdcos.directory", 5)];
        let zones = Arc::new(Zones::new(zones, Vec::new()));
        zones.reload(names());
        let token = CancellationToken::new();
        let forwarder =
            forwarding.and_then(|config| Forwarder::new(config, &[]).unwrap()).map(Arc::new);
        let served =
            dns::serve::start(serving, Arc::clone(&zones), forwarder, token.clone()).await.unwrap();
        assert_eq!(served.udp, served.tcp);
        Server { address: served.udp[0], zones, served, token }
    }

    pub(crate) fn counts(&self) -> dns::serve::Counts {
        self.served.counters.now()
    }

    pub(crate) async fn stop(self) {
        self.token.cancel();
        tokio::time::timeout(Duration::from_secs(20), self.served.join).await.unwrap().unwrap();
    }

    /// What dig prints; `words` is the question and what else it takes.
    pub(crate) async fn dig(&self, words: &str) -> String {
        let fixed = format!("@{} -p {} +time=5 +tries=3", self.address.ip(), self.address.port());
        let words: Vec<&str> = fixed.split(' ').chain(words.split(' ')).collect();
        let output = tokio::process::Command::new("dig").args(&words).output().await.unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The lines of a short answer, sorted.
    pub(crate) async fn short(&self, words: &str) -> Vec<String> {
        let text = self.dig(&format!("+short {words}")).await;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

/// Whether these programs are there; a run that has to have them fails where not.
pub(crate) fn are_there(programs: &[&str]) -> bool {
    let is_absent = |program: &&&str| {
        !Command::new("which").arg(program).output().is_ok_and(|which| which.status.success())
    };
    let absent: Vec<_> = programs.iter().filter(is_absent).collect();
    if absent.is_empty() {
        return true;
    }
    assert!(std::env::var_os("DAIS_REQUIRE_TOOLS").is_none(), "missing: {absent:?}");
    eprintln!("skipped: missing: {absent:?}");
    false
}
