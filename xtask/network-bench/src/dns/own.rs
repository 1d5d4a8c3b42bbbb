//! Our own name server, in a process of its own, with the names that the others read from a file.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use dns::serve::{Network, Serving, TcpLimits};
use dns::zone::Zones;
use tokio_util::sync::CancellationToken;

use super::zone::{Task, Zone};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    port: u16,
    #[arg(long)]
    records: usize,
}

/// Serves until it is ended from outside.
pub(crate) fn serve(arguments: &Arguments) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
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

/// In pieces, as they would come; nothing else is left on the heap afterwards.
pub(crate) fn fill(zones: &Zones, zone: &Zone) {
    zones.reload(Vec::new());
    let mut changes = Vec::new();
    for task in zone.tasks() {
        changes.extend(task.changes());
        if changes.len() > 30_000 {
            zones.publish(std::mem::take(&mut changes));
        }
    }
    zones.publish(changes);
}

/// Tasks go and come, at a steady rate, until it is over; says how many changes a second it were.
pub(crate) fn change(zones: &Zones, zone: &Zone, a_second: u32, is_over: &AtomicBool) -> f64 {
    let step = Duration::from_secs(1) / a_second;
    let begun = Instant::now();
    let mut next = begun;
    let mut count = 0.0;
    for number in (0..zone.tasks).cycle() {
        for is_there in [false, true] {
            if is_over.load(Ordering::Relaxed) {
                return count / begun.elapsed().as_secs_f64();
            }
            let mut changes = Task::new(number).changes();
            if !is_there {
                changes.iter_mut().for_each(|change| change.records.clear());
            }
            zones.publish(changes.into());
            count += 1.0;
            next += step;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
    count
}
