//! Names: our server beside knot, nsd, bind and dnsmasq, and how soon changes are seen.

mod freshness;
mod load;
mod master;
pub(crate) mod own;
mod servers;
mod zone;

use anyhow::Result;

use crate::Run;
use crate::process;
use crate::table::{self, Better, Column, Row};
use load::{Load, Sample};
use servers::{NAMES, Server, Setup};

/// The target of the roadmap, beyond the name itself.
const BYTES_A_RECORD: f64 = 150.0;

struct Scenario {
    name: &'static str,
    load: Load,
}

fn scenarios() -> Vec<Scenario> {
    let load = |is_tcp, clients, under_way| Load { is_tcp, clients, under_way };
    vec![
        Scenario { name: "UDP, 64 under way", load: load(false, 8, 64) },
        Scenario { name: "UDP, 512 under way", load: load(false, 32, 512) },
        Scenario { name: "TCP, 16 connections, 64 under way", load: load(true, 16, 64) },
        Scenario { name: "TCP, 16 connections, 512 under way", load: load(true, 16, 512) },
    ]
}

pub(crate) fn run(run: &Run) -> Result<()> {
    process::raise_open_files()?;
    let folder = tempfile::Builder::new().prefix("network-bench-").tempdir()?;
    let setup = Setup::prepare(folder.path(), run.records)?;
    let scenarios: Vec<Scenario> =
        scenarios().into_iter().filter(|scenario| run.wants(scenario.name)).collect();
    let wants_memory = run.wants("memory");
    if !scenarios.is_empty() || wants_memory {
        let servers = setup.start()?;
        table::title(&NAMES);
        for scenario in &scenarios {
            measure(scenario, &servers, &setup, run)?;
        }
        if wants_memory {
            memory(&setup, &servers)?;
        }
    }
    if run.wants(freshness::NAME) {
        freshness::run(&setup, run)?;
    }
    Ok(())
}

/// All servers in turn, several rounds, so that what disturbs the machine disturbs all.
fn measure(scenario: &Scenario, servers: &[Server], setup: &Setup, run: &Run) -> Result<()> {
    let mut samples: Vec<Vec<Sample>> = servers.iter().map(|_| Vec::new()).collect();
    for _ in 0..run.rounds {
        for (server, samples) in servers.iter().zip(&mut samples) {
            let before = server.process.cpu_seconds()?;
            let mut sample = scenario.load.run(server.port, &setup.questions, run.duration())?;
            sample.cpu = (server.process.cpu_seconds()? - before) / sample.completed.max(1.0);
            samples.push(sample);
        }
    }
    let column = |name, better, figure: fn(&Sample) -> f64, print| {
        let values = samples.iter().map(|rounds| table::median(rounds.iter().map(figure)));
        Column { name, better, values: values.collect(), print }
    };
    table::print(
        scenario.name,
        &[
            column("questions/s", Better::More, |sample| sample.per_second, table::whole),
            column("a second of CPU", Better::More, |sample| 1.0 / sample.cpu, table::whole),
            column("CPU a question", Better::Less, |sample| sample.cpu, table::seconds),
            column("average latency", Better::Less, |sample| sample.latency, table::seconds),
            column("lost", Better::Less, |sample| sample.lost, table::whole),
        ],
    );
    Ok(())
}

/// Each with the zone, and ours without it too: the difference is what records take.
fn memory(setup: &Setup, servers: &[Server]) -> Result<()> {
    let all: Vec<f64> =
        servers.iter().map(|server| server.process.memory()).collect::<Result<_>>()?;
    let own = all.first().copied().unwrap_or(f64::NAN);
    let column =
        Column { name: "all of it", better: Better::Less, values: all, print: table::megabytes };
    table::print("memory", &[column]);
    let empty = setup.start_own(0)?.process.memory()?;
    let records = setup.zone.records() as f64;
    let each = (own - empty) / records;
    let beyond = each - setup.zone.name_bytes() as f64 / records;
    table::print_rows(
        "memory of our server, a record",
        &[
            Row { name: "with its name", value: each, at_most: None, print: table::bytes },
            Row {
                name: "beyond its name",
                value: beyond,
                at_most: Some(BYTES_A_RECORD),
                print: table::bytes,
            },
        ],
    );
    Ok(())
}
