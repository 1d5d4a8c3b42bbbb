//! How soon a change is answered: published among a thousand others a second, asked for over UDP
//! until the answer has it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use dns::record::{Change, Data};
use dns::serve::Serving;
use dns::zone::Zones;
use tokio_util::sync::CancellationToken;

use super::own;
use super::zone::Zone;
use crate::Run;
use crate::table::{self, Row};

pub(crate) const NAME: &str = "freshness";
const TASKS: usize = 100_000;
const CHANGES: u32 = 1000;
/// From the event on; what the feed takes is measured by its own tests.
const TARGET: f64 = 0.05;

pub(crate) fn run(run: &Run) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let zones = Arc::new(Zones::new(vec![dns::zone::Zone::new("mesos", 60)], Vec::new()));
    let zone = Zone::with_records(3 * TASKS);
    own::fill(&zones, &zone);
    let token = CancellationToken::new();
    let serving = Serving {
        addresses: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
        ..Serving::default()
    };
    let served =
        runtime.block_on(dns::serve::start(serving, Arc::clone(&zones), None, token.clone()))?;
    let address = *served.udp.first().context("an address")?;
    let is_over = Arc::new(AtomicBool::new(false));
    let noise = {
        let (zones, is_over) = (Arc::clone(&zones), Arc::clone(&is_over));
        std::thread::spawn(move || own::change(&zones, &zone, CHANGES, &is_over))
    };
    let seen = watch(&zones, address, run.duration());
    is_over.store(true, Ordering::Relaxed);
    let changes = noise.join().ok().unwrap_or_default();
    token.cancel();
    runtime.block_on(served.join)?;
    let mut seen = seen?;
    seen.sort_by(f64::total_cmp);
    let row = |name, value, at_most| Row { name, value, at_most, print: table::seconds };
    table::print_rows(
        "freshness at 100,000 tasks and 1,000 changes/s",
        &[
            row("p50", table::percentile(&seen, 0.5), None),
            row("p99", table::percentile(&seen, 0.99), Some(TARGET)),
            row("longest", table::percentile(&seen, 1.0), None),
            Row { name: "changes/s meanwhile", value: changes, at_most: None, print: table::whole },
        ],
    );
    Ok(())
}

/// Publishes a name with another address again and again, and asks until it is answered.
fn watch(zones: &Zones, server: SocketAddr, duration: Duration) -> Result<Vec<f64>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut question = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    question.extend(b"\x08freshly1\x08marathon\x05mesos\0\0\x01\0\x01");
    let begun = Instant::now();
    let mut seen = Vec::new();
    let mut number = 0u32;
    while begun.elapsed() < duration {
        number += 1;
        let address = Ipv4Addr::from_bits(0x0b00_0000 + number);
        let records = vec![Data::A(address)];
        let published = Instant::now();
        zones.publish(vec![Change { name: "freshly1.marathon.mesos".into(), records }]);
        loop {
            socket.send(&question)?;
            let mut answer = [0; 512];
            let length = socket.recv(&mut answer)?;
            if answer.get(..length).is_some_and(|answer| answer.ends_with(&address.octets())) {
                break;
            }
            if published.elapsed() > Duration::from_secs(5) {
                bail!("a change is never seen");
            }
        }
        seen.push(published.elapsed().as_secs_f64());
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(seen)
}
