//! Virtual addresses: connections through one beside direct ones, and how soon the kernel has a
//! change.
//!
//! Two machines, which are network namespaces, ask a third: one with all the rules of a large
//! cluster, through a virtual address and directly; the other with no rules at all, so that the
//! kernel does not even remember connections.

mod load;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

use anyhow::{Context, Result};
use load_balancer::kernel::{Kernel, Targets, Vip, Wanted};
use load_balancer::vips::label::Protocol;
use load_balancer::{Config, NodeConfig, Role};
use network_lab::Lab;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::Run;
use crate::table::{self, Better, Column, Row};
use load::{Kind, Load, Session};

/// Through the address; directly from the same machine; directly from one without any rules.
const NAMES: [&str; 3] = ["virtual", "direct", "no rules"];
const SCENARIO: &str = "virtual address, one connection";
const FRESH: &str = "virtual address, new connections";
const CHANGES: &str = "virtual address, changes";
/// Services beside the one that is measured, each with three backends.
const SERVICES: u16 = 10_000;
/// The promise is a tenth of a second, from the event to the kernel.
const CHANGE_SECONDS: f64 = 0.1;
/// Changes of each size.
const TRIES: usize = 50;

pub(crate) fn run(run: &Run) -> Result<()> {
    if ![SCENARIO, FRESH, CHANGES].iter().any(|scenario| run.wants(scenario)) {
        return Ok(());
    }
    if let Some(reason) = network_lab::unavailable() {
        println!("virtual addresses are not measured: {reason}");
        return Ok(());
    }
    on_one_core()?;
    let mut lab = Lab::new()?;
    let (ours, other, server) = (lab.node("ours")?, lab.node("other")?, lab.node("server")?);
    // Two ports: connections that end are remembered, and must not stand in others' way.
    let (direct, behind) = (load::serve(&server, 7000)?, load::serve(&server, 7001)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let config = NodeConfig {
        namespace: Some(ours.namespace().to_owned()),
        address: Some(ours.address()),
        ..NodeConfig::default()
    };
    let range = Config::new(Role::Both { masters: Vec::new() }).range;
    let kernel = runtime.block_on(Kernel::start(&config, range)).map_err(anyhow::Error::msg);
    let mut kernel = kernel.context("the kernel does not balance")?;
    let through = SocketAddrV4::new(Ipv4Addr::new(11, 200, 0, 1), 80);
    let mut wanted: Wanted = (0..SERVICES).map(|number| service(number, 0)).collect();
    wanted.insert(
        Vip { protocol: Protocol::Tcp, address: *through.ip(), port: through.port() },
        Some(Targets { open: vec![behind], closed: Vec::new() }),
    );
    runtime.block_on(kernel.change(wanted))?;

    table::title(&NAMES);
    let loads = [
        Load { node: ours.clone(), to: through },
        Load { node: ours, to: direct },
        Load { node: other, to: direct },
    ];
    if run.wants(SCENARIO) {
        let figures = [
            column("bytes/s", Kind::Stream, table::megabytes, &loads, run)?,
            column("questions/s", Kind::Questions, table::whole, &loads, run)?,
        ];
        table::print(SCENARIO, &figures);
    }
    if run.wants(FRESH) {
        let figures = [column("connections/s", Kind::Connections, table::whole, &loads, run)?];
        table::print(FRESH, &figures);
    }
    if run.wants(CHANGES) {
        changes(&runtime, &mut kernel)?;
    }
    runtime.block_on(kernel.stop());
    Ok(())
}

/// Both ends, and the kernel between them: where the scheduler puts them matters more than any
/// rule, and so what is measured is all the work of both.
fn on_one_core() -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(0)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}

/// Step by step in turn, for as long as the rounds of all would take; the median of steps counts.
fn column(
    name: &'static str,
    kind: Kind,
    print: fn(f64) -> String,
    loads: &[Load; 3],
    run: &Run,
) -> Result<Column> {
    let mut sessions: Vec<(Session<'_>, Vec<f64>)> = Vec::new();
    for load in loads {
        sessions.push((load.begin(kind)?, Vec::new()));
    }
    let rounds = u32::try_from(run.rounds).unwrap_or(u32::MAX);
    let (begun, duration) = (Instant::now(), run.duration().saturating_mul(rounds));
    // More connections than a machine has ports would measure that.
    let most = if kind == Kind::Connections { 1000 } else { usize::MAX };
    let mut turns = 0..most;
    while begun.elapsed() < duration && turns.next().is_some() {
        for (session, steps) in &mut sessions {
            steps.push(session.step()?);
        }
    }
    let values = sessions.into_iter().map(|(_, steps)| table::median(steps.into_iter()));
    Ok(Column { name, better: Better::More, values: values.collect(), print })
}

/// A service of which nobody asks; with another turn it has another backend.
fn service(number: u16, turn: u8) -> (Vip, Option<Targets>) {
    let [high, low] = number.to_be_bytes();
    let address = Ipv4Addr::new(11, 0, high, low);
    let open = (0..3).map(|n| SocketAddrV4::new(Ipv4Addr::new(10, turn, n, low), 31000 + number));
    let targets = Targets { open: open.collect(), closed: Vec::new() };
    (Vip { protocol: Protocol::Tcp, address, port: 80 }, Some(targets))
}

/// With all services there, so many change at once.
fn changes(runtime: &tokio::runtime::Runtime, kernel: &mut Kernel) -> Result<()> {
    let mut rows = Vec::new();
    for (services, median, worst) in [
        (1, "1 service, median", "1 service, 99 %"),
        (100, "100 services at once, median", "100 services at once, 99 %"),
    ] {
        let mut taken = Vec::new();
        for turn in 1..=TRIES {
            let turn = u8::try_from(turn).unwrap_or(u8::MAX);
            let wanted: BTreeMap<_, _> =
                (0..services).map(|number| service(number, turn)).collect();
            let begun = Instant::now();
            runtime.block_on(kernel.change(wanted))?;
            taken.push(begun.elapsed().as_secs_f64());
        }
        taken.sort_by(f64::total_cmp);
        for (name, share) in [(median, 0.5), (worst, 0.99)] {
            let value = table::percentile(&taken, share);
            rows.push(Row { name, value, at_most: Some(CHANGE_SECONDS), print: table::seconds });
        }
    }
    table::print_rows(CHANGES, &rows);
    Ok(())
}
