//! Our own name server, in a process of its own, with the names that the others read from a file.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use dns::Config;
use dns::serve::{Network, Serving, TcpLimits};
use dns::zone::Zones;
use tokio_util::sync::CancellationToken;

use super::zone::Zone;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    port: u16,
    /// What the others read from a file.
    #[arg(long, default_value_t = 0)]
    records: usize,
    /// Follows this master instead, as our name server does.
    #[arg(long)]
    master: Option<String>,
    /// Where its API is, then.
    #[arg(long, default_value_t = 0)]
    http_port: u16,
}

/// Serves until it is ended from outside.
pub(crate) fn serve(arguments: &Arguments) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    if let Some(master) = &arguments.master {
        return runtime.block_on(follow(master, arguments));
    }
    runtime.block_on(async {
        let zones = Arc::new(Zones::new(vec![dns::zone::Zone::new("mesos", 60)], Vec::new()));
        let zone = Zone::with_records(arguments.records);
        fill(&zones, &zone);
        let serving = Serving {
            addresses: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port))],
            workers: 1,
            trusted: Network::private(),
            tcp: TcpLimits::default(),
            ..Serving::default()
        };
        let token = CancellationToken::new();
        let served = dns::serve::start(serving, Arc::clone(&zones), None, token).await?;
        served.join.await.context("the server ended")
    })
}

async fn follow(master: &str, arguments: &Arguments) -> Result<()> {
    let config = Config {
        port: arguments.port,
        http_port: arguments.http_port,
        external_on: false,
        ..Config::new(vec![master.to_owned()])
    };
    let running = dns::start(config, CancellationToken::new()).await?;
    running.join.await.context("the server ended")
}

/// In pieces, as they would come; nothing else is left on the heap afterwards.
fn fill(zones: &Zones, zone: &Zone) {
    zones.reload(Vec::new());
    let mut changes = Vec::new();
    for task in zone.tasks() {
        changes.extend(task.changes());
        if changes.len() > 3000 {
            zones.publish(std::mem::take(&mut changes));
        }
    }
    zones.publish(changes);
}
