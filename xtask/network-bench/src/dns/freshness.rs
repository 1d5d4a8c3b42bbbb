//! How soon what a master tells is answered: our whole server at a hundred thousand tasks, told of
//! a thousand changes a second.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio_util::sync::CancellationToken;

use super::master::{self, Master};
use super::servers::{Server, Setup};
use crate::Run;
use crate::table::{self, Row};

pub(crate) const NAME: &str = "freshness";
const TASKS: usize = 100_000;
const CHANGES: u32 = 1000;
const TARGET: f64 = 0.05;

pub(crate) fn run(setup: &Setup, run: &Run) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let token = CancellationToken::new();
    let idle = Fed::start(setup, &runtime, 0, &token)?.server.process.memory()?;
    let fed = Fed::start(setup, &runtime, TASKS, &token)?;
    let full = fed.server.process.memory()?;
    let names = fed.metric("dns_names")?;

    let is_over = AtomicBool::new(false);
    let begun = fed.server.process.cpu_seconds()?;
    let watched = Instant::now();
    let (told, seen) = std::thread::scope(|scope| {
        let telling = scope.spawn(|| tell(&fed.master, &is_over));
        let seen = watch(&fed, run.duration());
        is_over.store(true, Ordering::Relaxed);
        (telling.join().unwrap_or(Ok(0.0)), seen)
    });
    let busy = (fed.server.process.cpu_seconds()? - begun) / watched.elapsed().as_secs_f64();
    token.cancel();
    let (mut comes, mut goes) = seen?;
    comes.sort_by(f64::total_cmp);
    goes.sort_by(f64::total_cmp);
    let row = |name, value, at_most| Row { name, value, at_most, print: table::seconds };
    let bytes = |name, value| Row { name, value, at_most: None, print: table::bytes };
    table::print_rows(
        "freshness at 100,000 tasks and 1,000 changes/s, from the event on",
        &[
            row("there, p50", table::percentile(&comes, 0.5), None),
            row("there, p99", table::percentile(&comes, 0.99), Some(TARGET)),
            row("gone, p50", table::percentile(&goes, 0.5), None),
            row("gone, p99", table::percentile(&goes, 0.99), Some(TARGET)),
            Row { name: "changes/s", value: told?, at_most: None, print: table::whole },
            Row {
                name: "of a core",
                value: busy,
                at_most: None,
                print: |busy| format!("{:.1} %", busy * 100.0),
            },
            Row { name: "names", value: names, at_most: None, print: table::whole },
            bytes("memory of all, a name", (full - idle) / names),
            bytes("memory of all, a task", (full - idle) / TASKS as f64),
        ],
    );
    Ok(())
}

/// Our server, and the master that feeds it.
struct Fed {
    master: Arc<Master>,
    server: Server,
    http: u16,
}

// === impl Fed ===

impl Fed {
    /// Started, and told of so many tasks.
    fn start(
        setup: &Setup,
        runtime: &tokio::runtime::Runtime,
        tasks: usize,
        token: &CancellationToken,
    ) -> Result<Fed> {
        let master = Arc::new(Master::with_tasks(tasks)?);
        let (address, _) = runtime.block_on(master.serve(token.clone()))?;
        let (server, http) = setup.start_fed(address)?;
        let fed = Fed { master, server, http };
        let begun = Instant::now();
        while fed.metric("dns_tasks")? < tasks as f64 || fed.metric("dns_follows_master")? < 1.0 {
            if begun.elapsed() > Duration::from_secs(120) {
                bail!("the server never follows its master");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(fed)
    }

    fn metric(&self, name: &str) -> Result<f64> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.http))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.with_context(|| format!("no {name} in\n{text}"))?.trim().parse().context("a number")
    }
}

/// Tasks begin and end, at a steady rate, until it is over; says how many changes a second.
fn tell(master: &Master, is_over: &AtomicBool) -> Result<f64> {
    let step = Duration::from_secs(1) / CHANGES;
    let begun = Instant::now();
    let mut next = begun;
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        let number = count / 2;
        let event = if count % 2 == 0 {
            master::begins("noise", number)?
        } else {
            master::ends("noise", number)
        };
        if !master.tell(&event) {
            bail!("the server does not listen");
        }
        count += 1;
        next += step;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// Begins a task and asks for its name until it is there, ends it and asks until it is gone, again
/// and again.
fn watch(fed: &Fed, duration: Duration) -> Result<(Vec<f64>, Vec<f64>)> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, fed.server.port)))?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let (mut comes, mut goes) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    for number in 0.. {
        if begun.elapsed() > duration {
            break;
        }
        let question = question(&master::label("probe", number));
        let event = master::begins("probe", number)?;
        comes.push(until(&socket, &question, 0, || fed.master.tell(&event))?);
        let event = master::ends("probe", number);
        goes.push(until(&socket, &question, 3, || fed.master.tell(&event))?);
        std::thread::sleep(Duration::from_millis(3));
    }
    Ok((comes, goes))
}

/// An A question for the task of this label.
fn question(label: &str) -> Vec<u8> {
    let mut packet = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in [label, "marathon", "mesos"] {
        packet.push(u8::try_from(label.len()).unwrap_or(63));
        packet.extend(label.bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    packet
}

/// Seconds from the event until the answer has this code.
fn until(socket: &UdpSocket, question: &[u8], code: u8, tell: impl Fn() -> bool) -> Result<f64> {
    let begun = Instant::now();
    if !tell() {
        bail!("the server does not listen");
    }
    while begun.elapsed() < Duration::from_secs(10) {
        let mut answer = [0; 512];
        socket.send(question)?;
        let length = socket.recv(&mut answer)?;
        if answer.get(..length).and_then(|answer| answer.get(3)).is_some_and(|b| b & 15 == code) {
            return Ok(begun.elapsed().as_secs_f64());
        }
        // Who asks all the time takes the time from who is to answer.
        std::thread::sleep(Duration::from_micros(200));
    }
    bail!("a change is never seen")
}
