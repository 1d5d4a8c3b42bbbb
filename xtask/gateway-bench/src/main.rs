//! Measures the gateway beside nginx, haproxy and caddy, in one run, in turns.
//!
//! Every proxy has one worker on one core, the same certificate and the same backend; clients and
//! the backend have the other cores. A figure counts only beside those of its own run.
//!
//! It is not: a test; nothing here fails for being slow. Targets stand beside the figures, and
//! docs/performance.md says what bounds them.
#![forbid(unsafe_code)]

mod certificate;
mod changes;
mod cluster;
mod gateway;
mod idle;
mod load;
mod original;
mod process;
mod proxies;
mod services;
mod table;

use std::time::Duration;

use anyhow::Result;
use clap::Parser;

use load::{Load, Sample};
use proxies::{Proxy, Setup};
use table::{Better, Column};

/// Route changes last as long as so many measurements: half a minute if nothing else is said.
const CHANGES_LAST: u64 = 6;

/// Measures the gateway and others, and prints a table.
#[derive(Parser)]
struct Arguments {
    /// Seconds of each measurement; that of route changes takes six times as long.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often each is measured; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only scenarios whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// A folder with the original's Admin Router (packages/adminrouter/extra/src of dcos/dcos), to
    /// be measured too. Needs Debian's libnginx-mod-http-lua, lua-cjson and lua-nginx-string.
    #[arg(long, value_name = "FOLDER")]
    original: Option<std::path::PathBuf>,
}

// === impl Arguments ===

impl Arguments {
    fn wants(&self, scenario: &str) -> bool {
        scenario.contains(&self.only)
    }
}

/// One kind of load, put on every proxy in turn.
struct Scenario {
    name: &'static str,
    load: Load,
}

fn scenarios() -> Vec<Scenario> {
    let load = |tls, path, connections| Load { tls, http2: false, path, connections, close: false };
    let mut all = Vec::new();
    for (name, connections) in
        [("1 KB, 1 connection", 1), ("1 KB, 64 connections", 64), ("1 KB, 1,000 connections", 1000)]
    {
        all.push(Scenario { name, load: load(false, "1k", connections) });
    }
    for (name, connections) in [
        ("100 KB, 1 connection", 1),
        ("100 KB, 64 connections", 64),
        ("100 KB, 1,000 connections", 1000),
    ] {
        all.push(Scenario { name, load: load(false, "100k", connections) });
    }
    for (name, path) in
        [("TLS, 1 KB, 64 connections", "1k"), ("TLS, 100 KB, 64 connections", "100k")]
    {
        all.push(Scenario { name, load: load(true, path, 64) });
    }
    let handshakes = Load { close: true, ..load(true, "1k", 32) };
    all.push(Scenario { name: "TLS, a full handshake each", load: handshakes });
    for (name, path) in
        [("HTTP/2, 1 KB, 16 x 16 streams", "1k"), ("HTTP/2, 100 KB, 16 x 16 streams", "100k")]
    {
        let load = Load { http2: true, ..load(true, path, 16) };
        all.push(Scenario { name, load });
    }
    all
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    process::raise_open_files()?;
    let folder = tempfile::Builder::new().prefix("gateway-bench-").tempdir()?;
    let setup = Setup::prepare(folder.path(), arguments.original.clone())?;
    if arguments.wants(changes::NAME) {
        changes::run(&setup, Duration::from_secs(arguments.seconds * CHANGES_LAST))?;
    }
    let scenarios: Vec<Scenario> =
        scenarios().into_iter().filter(|scenario| arguments.wants(scenario.name)).collect();
    if scenarios.is_empty() && !arguments.wants(idle::NAME) {
        return Ok(());
    }
    let backend = setup.start_backend()?;
    let mut proxies = setup.start_proxies()?;
    table::title(&proxies.iter().map(Proxy::name).collect::<Vec<_>>());
    if arguments.wants(idle::NAME) {
        for tls in [false, true] {
            idle::memory(&setup, &mut proxies, tls)?;
        }
    }
    for scenario in &scenarios {
        measure(scenario, &mut proxies, &arguments)?;
    }
    drop(backend);
    Ok(())
}

/// All proxies in turn, several rounds, so that what disturbs the machine disturbs all.
fn measure(scenario: &Scenario, proxies: &mut [Proxy], arguments: &Arguments) -> Result<()> {
    let duration = Duration::from_secs(arguments.seconds);
    let mut samples: Vec<Vec<Sample>> = proxies.iter().map(|_| Vec::new()).collect();
    for _ in 0..arguments.rounds {
        for (proxy, samples) in proxies.iter().zip(&mut samples) {
            if let Some(target) = proxy.target(&scenario.load) {
                let before = proxy.cpu_seconds()?;
                let mut sample = scenario.load.run(&target, duration)?;
                sample.cpu_per_request = (proxy.cpu_seconds()? - before) / sample.requests;
                samples.push(sample);
            }
        }
    }
    let column = |name, better, figure: fn(&Sample) -> f64, print| {
        let values = samples.iter().map(|rounds| table::median(rounds.iter().map(figure)));
        Column { name, better, values: values.collect(), print }
    };
    table::print(
        scenario.name,
        &[
            column("requests/s", Better::More, |sample| sample.per_second, table::thousands),
            column("p50", Better::Less, |sample| sample.p50, table::seconds),
            column("p99", Better::Less, |sample| sample.p99, table::seconds),
            column("CPU a request", Better::Less, |sample| sample.cpu_per_request, table::seconds),
            column("failed", Better::Less, |sample| sample.failed, table::thousands),
        ],
    );
    Ok(())
}
