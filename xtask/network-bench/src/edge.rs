//! The public edge beside HAProxy and nginx as reverse proxies, and a thousand changes of its
//! servers a second under load.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::Run;
use crate::process::{Place, Process, on};
use crate::table::{self, Better, Column, Row};

const NAMES: [&str; 3] = ["edge", "haproxy", "nginx"];
const CHANGES: &str = "edge: changes under load";
/// Servers behind, of which some come and go.
const SERVERS: u16 = 4;
/// Changes a second.
const PACE: u64 = 1000;

/// The edge, told by a Marathon at this address.
#[derive(Args)]
pub(crate) struct Arguments {
    marathon: SocketAddr,
    port: u16,
}

/// Runs the edge until it is ended.
pub(crate) fn serve(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let flags = [
        "--group=external".to_owned(),
        format!("--marathon=http://{}", arguments.marathon),
        "--bind=127.0.0.1".to_owned(),
        format!("--http-port={}", arguments.port),
        "--https-port=0".to_owned(),
        "--app-id-port=0".to_owned(),
        "--stats-port=0".to_owned(),
        "--service-ports=none".to_owned(),
        "--workers=1".to_owned(),
    ];
    let settings = edge::settings::from(flags, |_| None)?;
    runtime.block_on(async {
        let running = edge::start(settings.config, Default::default()).await?;
        running.join.await.context("the edge ended")
    })
}

/// What one run of wrk tells.
#[derive(Clone, Copy, Default)]
struct Sample {
    per_second: f64,
    latency: f64,
    failed: f64,
    cpu: f64,
}

pub(crate) fn run(run: &Run) -> Result<()> {
    let scenarios = [
        ("edge: small answers, 32 connections", "/small", 32),
        ("edge: 64 KiB, 32 connections", "/large", 32),
    ];
    let wanted: Vec<_> = scenarios.into_iter().filter(|(name, ..)| run.wants(name)).collect();
    if wanted.is_empty() && !run.wants(CHANGES) {
        return Ok(());
    }
    let missing = missing();
    if !missing.is_empty() {
        bail!("not installed: {}", missing.join(", "));
    }
    let folder = tempfile::Builder::new().prefix("network-bench-").tempdir()?;
    let world = World::start(folder.path())?;
    if !wanted.is_empty() {
        table::title(&NAMES);
    }
    for (name, path, connections) in wanted {
        let mut samples: Vec<Vec<Sample>> = NAMES.iter().map(|_| Vec::new()).collect();
        for _ in 0..run.rounds {
            for ((port, process), samples) in world.proxies.iter().zip(&mut samples) {
                let before = process.cpu_seconds()?;
                let mut sample = wrk(*port, path, connections, run.duration())?;
                let requests = sample.per_second * run.duration().as_secs_f64();
                sample.cpu = (process.cpu_seconds()? - before) / requests.max(1.0);
                samples.push(sample);
            }
        }
        let column = |name, better, figure: fn(&Sample) -> f64, print| {
            let values = samples.iter().map(|rounds| table::median(rounds.iter().map(figure)));
            Column { name, better, values: values.collect(), print }
        };
        table::print(
            name,
            &[
                column("requests/s", Better::More, |sample| sample.per_second, table::whole),
                column("a second of CPU", Better::More, |sample| 1.0 / sample.cpu, table::whole),
                column("average latency", Better::Less, |sample| sample.latency, table::seconds),
                column("failed", Better::Less, |sample| sample.failed, table::whole),
            ],
        );
    }
    if run.wants(CHANGES) {
        world.changes(run)?;
    }
    Ok(())
}

struct World {
    marathon: Marathon,
    ports: Vec<u16>,
    proxies: Vec<(u16, Process)>,
    _backend: Process,
}

// === impl World ===

impl World {
    fn start(folder: &Path) -> Result<World> {
        let ports: Vec<u16> = (0..SERVERS).map(|_| free_port()).collect::<Result<_>>()?;
        let mut backend = nginx(folder, "backend", &backend_config(folder, &ports)?, Place::Other)?;
        backend.wait_for(&ports)?;
        let marathon = Marathon::start(&ports)?;
        let mut proxies = Vec::new();
        let own = free_port()?;
        let program = std::env::current_exe()?;
        let mut command = on(Place::Server, program);
        command.arg("serve-edge").arg(marathon.address.to_string()).arg(own.to_string());
        proxies.push((own, Process::start(&mut command, &folder.join("edge.log"))?));
        let haproxy = free_port()?;
        let file = folder.join("haproxy.cfg");
        fs::write(&file, haproxy_config(haproxy, &ports))?;
        let mut command = on(Place::Server, "haproxy");
        command.arg("-db").arg("-f").arg(&file);
        proxies.push((haproxy, Process::start(&mut command, &folder.join("haproxy.log"))?));
        let port = free_port()?;
        let process = nginx(folder, "proxy", &nginx_config(folder, port, &ports), Place::Server)?;
        proxies.push((port, process));
        for (port, process) in &mut proxies {
            process.wait_for(&[*port])?;
            let begun = Instant::now();
            while !answers(*port) {
                if begun.elapsed() > Duration::from_secs(30) {
                    bail!("port {port} does not serve");
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(World { marathon, ports, proxies, _backend: backend })
    }

    /// All servers but the first come and go, while requests are made.
    fn changes(&self, run: &Run) -> Result<()> {
        let (stop, made) = (AtomicBool::new(false), AtomicU64::new(0));
        let Some((port, _)) = self.proxies.first() else { return Ok(()) };
        let sample = std::thread::scope(|scope| {
            scope.spawn(|| {
                let begun = Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    let due = begun.elapsed().as_millis() as u64 * PACE / 1000;
                    for number in made.load(Ordering::Relaxed)..due {
                        let others = self.ports.len() as u64 - 1;
                        let at = 1 + usize::try_from(number % others).unwrap_or_default();
                        // Each is there for one round, and away for the next.
                        let here = number / others % 2 == 1;
                        let Some(port) = self.ports.get(at) else { continue };
                        self.marathon.tell(*port, number / (2 * others), here);
                    }
                    made.fetch_max(due, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let sample = wrk(*port, "/small", 32, run.duration());
            stop.store(true, Ordering::Relaxed);
            sample
        })?;
        let per_second = made.load(Ordering::Relaxed) as f64 / run.duration().as_secs_f64();
        let row = |name, value, at_most| Row { name, value, at_most, print: table::whole };
        table::print_rows(
            CHANGES,
            &[
                row("changes a second", per_second, None),
                row("requests/s meanwhile", sample.per_second, None),
                row("failed requests", sample.failed, Some(0.0)),
            ],
        );
        Ok(())
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let asked = stream.write_all(b"GET /small HTTP/1.0\r\nHost: bench\r\n\r\n");
    let mut line = String::new();
    asked.is_ok() && BufReader::new(stream).read_line(&mut line).is_ok() && line.contains(" 200 ")
}

fn nginx(folder: &Path, name: &str, text: &str, place: Place) -> Result<Process> {
    let file = folder.join(format!("{name}.conf"));
    fs::write(&file, text)?;
    let mut command = on(place, "nginx");
    command.arg("-p").arg(folder).arg("-c").arg(&file);
    Process::start(&mut command, &folder.join(format!("{name}.log")))
}

fn nginx_head(folder: &Path, name: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off;\nworker_processes 1;\npid {folder}/{name}.pid;\nerror_log stderr error;\n\
         events {{ worker_connections 4096; }}\nhttp {{\naccess_log off;\nkeepalive_requests \
         1000000000;\nclient_body_temp_path {folder}/{name}-body;\nproxy_temp_path \
         {folder}/{name}-proxy;\nfastcgi_temp_path {folder}/{name}-f;\nuwsgi_temp_path \
         {folder}/{name}-u;\nscgi_temp_path {folder}/{name}-s;\n"
    )
}

fn backend_config(folder: &Path, ports: &[u16]) -> Result<String> {
    fs::write(folder.join("large"), vec![b'x'; 64 * 1024])?;
    let mut text = nginx_head(folder, "backend");
    text.push_str("server {\n");
    for port in ports {
        text.push_str(&format!("listen 127.0.0.1:{port};\n"));
    }
    let folder = folder.display();
    text.push_str(&format!(
        "location /small {{ return 200 \"a small answer\\n\"; }}\nlocation /large {{ alias \
         {folder}/large; }}\n}}\n}}\n"
    ));
    Ok(text)
}

fn nginx_config(folder: &Path, port: u16, ports: &[u16]) -> String {
    let mut text = nginx_head(folder, "proxy");
    text.push_str("upstream servers {\n");
    for server in ports {
        text.push_str(&format!("server 127.0.0.1:{server};\n"));
    }
    text.push_str(&format!(
        "keepalive 256;\nkeepalive_requests 1000000000;\n}}\nserver {{\nlisten 127.0.0.1:{port};\n\
         location / {{\nproxy_pass http://servers;\nproxy_http_version 1.1;\nproxy_set_header \
         Connection \"\";\nproxy_set_header Host $host;\nproxy_set_header X-Forwarded-For \
         $remote_addr;\n}}\n}}\n}}\n"
    ));
    text
}

fn haproxy_config(port: u16, ports: &[u16]) -> String {
    let mut text = format!(
        "global\n  nbthread 1\n  maxconn 10000\ndefaults\n  mode http\n  timeout connect 3s\n  \
         timeout client 30s\n  timeout server 30s\n  option http-keep-alive\n  http-reuse always\n\
         frontend f\n  bind 127.0.0.1:{port}\n  acl bench req.hdr(host) -m found\n  use_backend b \
         if bench\nbackend b\n  balance roundrobin\n  option forwardfor\n  http-request \
         set-header X-Forwarded-Port %[dst_port]\n"
    );
    for (at, server) in ports.iter().enumerate() {
        text.push_str(&format!("  server s{at} 127.0.0.1:{server}\n"));
    }
    text
}

fn wrk(port: u16, path: &str, connections: u32, duration: Duration) -> Result<Sample> {
    let output = on(Place::Other, "wrk")
        .args(["-t1", "-H", "Host: 127.0.0.1"])
        .arg(format!("-c{connections}"))
        .arg(format!("-d{}s", duration.as_secs()))
        .arg(format!("http://127.0.0.1:{port}{path}"))
        .stdin(Stdio::null())
        .output()
        .context("wrk")?;
    let report = String::from_utf8_lossy(&output.stdout);
    let mut sample = Sample::default();
    for line in report.lines().map(str::trim) {
        let mut words = line.split_whitespace();
        let mut number = || words.find_map(|word| word.parse::<f64>().ok()).unwrap_or_default();
        if line.starts_with("Requests/sec") {
            sample.per_second = number();
        } else if line.starts_with("Latency") {
            sample.latency = line.split_whitespace().nth(1).and_then(seconds).unwrap_or_default();
        } else if line.starts_with("Socket errors") || line.starts_with("Non-2xx") {
            let digits = line.split(|one: char| !one.is_ascii_digit());
            let numbers: Vec<f64> = digits.filter_map(|word| word.parse().ok()).collect();
            // "Non-2xx or 3xx responses: 5" has two numbers before the one that counts.
            let skipped = if line.starts_with("Non") { numbers.len().saturating_sub(1) } else { 0 };
            sample.failed += numbers.iter().skip(skipped).sum::<f64>();
        }
    }
    if sample.per_second == 0.0 {
        bail!("wrk told nothing:\n{report}");
    }
    Ok(sample)
}

/// As wrk writes them.
fn seconds(text: &str) -> Option<f64> {
    let unit = text.find(|one: char| one.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let factor = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

/// Marathon as far as the edge asks it.
struct Marathon {
    address: SocketAddr,
    followers: Arc<Mutex<Vec<SyncSender<String>>>>,
}

// === impl Marathon ===

impl Marathon {
    fn start(ports: &[u16]) -> Result<Marathon> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let followers: Arc<Mutex<Vec<SyncSender<String>>>> = Arc::default();
        let tasks: Vec<String> = ports.iter().map(|port| task(*port, 0, true)).collect();
        let apps = format!(
            "{{\"apps\":[{{\"id\":\"/bench\",\"labels\":{{\"HAPROXY_GROUP\":\"external\",\
             \"HAPROXY_0_VHOST\":\"127.0.0.1,bench\"}},\"instances\":{},\"portDefinitions\":\
             [{{\"port\":10000}}],\"tasks\":[{}]}}]}}",
            tasks.len(),
            tasks.join(",")
        );
        let known = Arc::clone(&followers);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (apps, known) = (apps.clone(), Arc::clone(&known));
                // Who does not understand the answer asks again.
                std::thread::spawn(move || serve_marathon(stream, address, &apps, &known).is_ok());
            }
        });
        Ok(Marathon { address, followers })
    }

    /// A server is there, or is about to stop.
    fn tell(&self, port: u16, turn: u64, here: bool) {
        let data = match here {
            true => format!(
                "event: status_update_event\r\ndata: {}\r\n\r\n",
                task(port, turn + 1, true)
            ),
            false => {
                format!("event: status_update_event\r\ndata: {}\r\n\r\n", task(port, turn, false))
            }
        };
        let followers = self.followers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for follower in followers.iter() {
            // One that is gone hears nothing.
            let _ = follower.send(data.clone());
        }
    }
}

fn task(port: u16, turn: u64, here: bool) -> String {
    let state = if here { "TASK_RUNNING" } else { "TASK_KILLED" };
    let id = format!("bench.instance-{port}._app.{turn}");
    format!(
        "{{\"id\":\"{id}\",\"taskId\":\"{id}\",\"appId\":\"/bench\",\"host\":\"127.0.0.1\",\
         \"ports\":[{port}],\"state\":\"{state}\",\"taskStatus\":\"{state}\"}}"
    )
}

fn serve_marathon(
    stream: TcpStream,
    address: SocketAddr,
    apps: &str,
    followers: &Mutex<Vec<SyncSender<String>>>,
) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        let target = first.split(' ').nth(1).unwrap_or_default();
        let body = match target.split('?').next().unwrap_or_default() {
            "/v2/events" => break,
            "/v2/info" => "{\"frameworkId\":\"f\"}".to_owned(),
            "/v2/leader" => format!("{{\"leader\":\"{address}\"}}"),
            _ => apps.to_owned(),
        };
        write!(writer, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    }
    let (sender, events) = sync_channel(1 << 16);
    followers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(sender);
    writer
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\r\n\r\n")?;
    for event in events {
        writer.write_all(event.as_bytes())?;
    }
    Ok(())
}

/// Whether the programs are there.
pub(crate) fn missing() -> Vec<&'static str> {
    let there = |program: &&str| {
        let mut command = Command::new(program);
        command.arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    ["haproxy", "nginx", "wrk"].into_iter().filter(|program| !there(program)).collect()
}
