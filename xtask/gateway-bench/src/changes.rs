//! Ten thousand idle connections while a thousand routes a second change: whether a request
//! fails, and whether the gateway grows.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cluster::{Cluster, SERVICES};
use crate::gateway;
use crate::idle::Connection;
use crate::process::{Place, Process, free_ports};
use crate::proxies::{Setup, nginx_head};
use crate::services::{BACKENDS, Verdict, name};
use crate::table::{self, Row};

pub(crate) const NAME: &str = "idle connections and route changes";

const IDLE: usize = 10_000;
const CHANGES_PER_SECOND: u32 = 1_000;
const CLIENTS: usize = 4;
/// The gateway closes a connection that did nothing for 75 seconds.
const REST: Duration = Duration::from_secs(40);
/// What was just said or closed has its effect within that.
const SETTLE: Duration = Duration::from_secs(3);

/// What clients met.
#[derive(Default)]
struct Requests {
    made: usize,
    failed: usize,
    /// Answered by a task that had ended, and how long before the request at most.
    late: usize,
    latest: Duration,
    first_failure: Option<String>,
}

/// What the gateway holds.
#[derive(Clone, Copy)]
struct Held {
    memory: f64,
    files: f64,
    cpu: f64,
}

// === impl Requests ===

impl Requests {
    fn note(&mut self, outcome: Result<Verdict>) {
        self.made += 1;
        let failure = match outcome {
            Ok(Verdict::Current) => return,
            Ok(Verdict::Late(late)) => {
                self.late += 1;
                self.latest = self.latest.max(late);
                return;
            }
            Ok(Verdict::Wrong) => "the answer of a task that is not current".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        self.failed += 1;
        self.first_failure.get_or_insert(failure);
    }

    fn add(&mut self, other: Requests) {
        self.made += other.made;
        self.failed += other.failed;
        self.late += other.late;
        self.latest = self.latest.max(other.latest);
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }
}

// === impl Held ===

impl Held {
    fn of(gateway: &Process) -> Result<Held> {
        std::thread::sleep(SETTLE);
        let (memory, cpu) = (gateway.memory()?, gateway.cpu_seconds()?);
        Ok(Held { memory, files: gateway.open_files()? as f64, cpu })
    }
}

/// Runs for so long, and prints what came of it.
pub(crate) fn run(setup: &Setup, duration: Duration) -> Result<()> {
    let ports = free_ports(BACKENDS)?;
    let mut backends = setup.nginx("backends", Place::Other, &backends(setup, &ports)?)?;
    backends.wait_for(&ports)?;
    let cluster = Cluster::start(ports)?;
    let flags = ["mesos", "marathon"].map(|flag| format!("--{flag}=http://{}", cluster.address));
    let (gateway, port) = gateway::start_for_services(setup, &flags)?;
    wait_for_services(port)?;
    let mut idle = open(port)?;
    let before = Held::of(&gateway)?;
    let opened = cluster.streams_opened();
    let (requests, changes, rested) = change(&cluster, port, &mut idle, duration)?;
    let after = Held::of(&gateway)?;
    let last = ask_all(&mut idle);
    let seconds = duration.as_secs_f64();
    let cpu = (after.cpu - before.cpu) / seconds;
    // The last may still be due when time is over.
    let rate = (changes as f64 / seconds).round();
    let rows = [
        Row::at_least(
            "route changes a second",
            rate,
            f64::from(CHANGES_PER_SECOND),
            table::thousands,
        ),
        Row::new("requests meanwhile, a second", requests.made as f64 / seconds, table::thousands),
        Row::at_most("failed", requests.failed as f64, 0.0, table::thousands),
        Row::new("answered by a task that had ended", requests.late as f64, table::thousands),
        Row::at_most("longest ago", requests.latest.as_secs_f64(), 1.0, table::seconds),
        Row::new("idle connections", idle.len() as f64, table::thousands),
        Row::at_most("failed at their next request", (rested + last) as f64, 0.0, table::thousands),
        Row::new("private memory before", before.memory, table::megabytes),
        Row::new("private memory after", after.memory, table::megabytes),
        Row::at_most("growth", growth(before.memory, after.memory), 0.05, table::percent),
        Row::new("open files before", before.files, table::thousands),
        Row::new("open files after", after.files, table::thousands),
        Row::new("gateway's processor", cpu, table::percent),
        Row::at_most(
            "streams that broke",
            cluster.streams_opened().saturating_sub(opened) as f64,
            0.0,
            table::thousands,
        ),
    ];
    table::print_rows(&format!("{NAME}, {seconds} s"), &rows);
    if let Some(failure) = requests.first_failure {
        println!("  the first that failed: {failure}");
    }
    Ok(())
}

fn growth(before: f64, after: f64) -> f64 {
    after / before - 1.0
}

/// Each answers with its port.
fn backends(setup: &Setup, ports: &[u16]) -> Result<String> {
    let mut configuration = nginx_head(&setup.folder.join("backends"));
    configuration.push_str("\n  server {\n");
    for port in ports {
        writeln!(configuration, "    listen 127.0.0.1:{port};")?;
    }
    configuration.push_str("    location / { return 200 \"$server_port\"; }\n  }\n}\n");
    Ok(configuration)
}

fn path(service: usize) -> String {
    format!("/service/{}/", name(service))
}

/// Until the gateway has read of all of them.
fn wait_for_services(port: u16) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(30);
    for service in 0..SERVICES {
        while let Err(error) = request(&mut None, port, service) {
            if Instant::now() > until {
                return Err(error).with_context(|| format!("{} is not led to", name(service)));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

fn open(port: u16) -> Result<Vec<Connection>> {
    let mut idle = Vec::with_capacity(IDLE);
    for number in 0..IDLE {
        let mut connection = Connection::open(port, None)?;
        connection.request(&path(number % SERVICES), None)?;
        idle.push(connection);
    }
    Ok(idle)
}

/// Lets every connection make a request; how many could not.
fn ask_all(idle: &mut [Connection]) -> usize {
    let asked = idle.iter_mut().enumerate();
    asked.filter_map(|(at, one)| one.request(&path(at % SERVICES), None).err()).count()
}

/// Changes routes and makes requests; what clients met, how many changes there were, and how many
/// of the idle connections failed when they were to show that they live.
fn change(
    cluster: &Cluster,
    port: u16,
    idle: &mut [Connection],
    duration: Duration,
) -> Result<(Requests, usize, usize)> {
    let until = Instant::now() + duration;
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| cluster.keep_changing(CHANGES_PER_SECOND, until));
        let clients: Vec<_> = (1..=CLIENTS as u64)
            .map(|seed| scope.spawn(move || client(cluster, port, seed, until)))
            .collect();
        let mut failed = 0;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            std::thread::sleep(left.min(REST));
            if left > REST {
                failed += ask_all(idle);
            }
        }
        let mut requests = Requests::default();
        for client in clients {
            let Ok(met) = client.join() else { bail!("a client broke") };
            requests.add(met);
        }
        let Ok(changes) = changing.join() else { bail!("the changes broke") };
        Ok((requests, changes, failed))
    })
}

/// Requests of services at random over one connection.
fn client(cluster: &Cluster, port: u16, seed: u64, until: Instant) -> Requests {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut connection = None;
    let mut met = Requests::default();
    while Instant::now() < until {
        // xorshift
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let service = (random % SERVICES as u64) as usize;
        let began = Instant::now();
        let answer = request(&mut connection, port, service);
        let answered = Instant::now();
        met.note(answer.map(|answer| cluster.judge(service, &answer, began, answered)));
    }
    met
}

/// Over the connection if there is one; after a failure there is none.
fn request(connection: &mut Option<Connection>, port: u16, service: usize) -> Result<String> {
    let mut used = match connection.take() {
        Some(used) => used,
        None => Connection::open(port, None)?,
    };
    let answer = used.request(&path(service), None)?;
    *connection = Some(used);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_met_adds_up() {
        let mut one = Requests::default();
        one.note(Ok(Verdict::Current));
        one.note(Ok(Verdict::Late(Duration::from_millis(3))));
        let mut other = Requests::default();
        other.note(Ok(Verdict::Late(Duration::from_millis(2))));
        other.note(Ok(Verdict::Wrong));
        other.note(Err(anyhow::anyhow!("closed")));
        one.add(other);
        assert_eq!((one.made, one.failed, one.late), (5, 2, 2));
        assert_eq!(one.latest, Duration::from_millis(3));
        assert_eq!(one.first_failure.as_deref(), Some("the answer of a task that is not current"));
    }

    #[test]
    fn growth_is_relative() {
        assert!((growth(200.0, 210.0) - 0.05).abs() < 1e-9);
        assert!(growth(200.0, 190.0) < 0.0);
    }
}
