//! (e) a real cluster: `dais up`, real processes; and small reads at sixteen connections.
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use mesos_messages::v1;
use tokio::net::TcpStream;

use crate::{
    http::{self, Calls, Events},
    master_process::resident,
    simulated::scalar,
    table::{Row, median},
};

struct Cluster {
    child: Child,
    data: tempfile::TempDir,
    master: SocketAddr,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SIGINT stops the tasks too; SIGKILL would leave them.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        let _ = self.child.wait();
    }
}

/// Runs `tasks` tasks of `true`, times `dais task run`, reads small endpoints.
pub(crate) async fn run(dais: &Path, tasks: usize) -> Result<Vec<Row>> {
    let started = Instant::now();
    let cluster = start(dais).await?;
    let ready = started.elapsed().as_secs_f64();
    let memory = resident(cluster.child.id())? as f64 / 1e6;
    let mut rows = vec![
        Row::new("dais up until both agents are registered", format!("{ready:.2} s"))
            .target("< 1 s", ready < 1.0),
        Row::new("dais up resident", format!("{memory:.0} MB")).target("< 60 MB", memory < 60.0),
    ];
    rows.push(launch_true(cluster.master, tasks).await?);
    rows.push(task_run(dais, &cluster)?);
    for (path, target, limit) in
        [("/health", ">= 60000/s", 60_000.0), ("/state-summary", ">= 13500/s", 13_500.0)]
    {
        let rate = read_rate(cluster.master, path).await?;
        rows.push(
            Row::new(format!("{path} at 16 connections"), format!("{rate:.0}/s"))
                .target(target, rate >= limit),
        );
    }
    Ok(rows)
}

async fn start(dais: &Path) -> Result<Cluster> {
    let data = tempfile::tempdir()?;
    let child = Command::new(dais)
        .args(["up", "--ports", "auto", "--data-dir"])
        .arg(data.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut cluster = Cluster { child, data, master: SocketAddr::from(([127, 0, 0, 1], 0)) };
    let endpoints = cluster.data.path().join("endpoints.json");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(master) = ready(&endpoints).await {
            cluster.master = master;
            return Ok(cluster);
        }
        if Instant::now() > deadline {
            bail!("dais up is not ready after 30 s");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The master's address once two agents are active.
async fn ready(endpoints: &PathBuf) -> Option<SocketAddr> {
    let text = std::fs::read(endpoints).ok()?;
    let value: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let master: SocketAddr = value["mesos_master"].as_str()?.parse().ok()?;
    let mut connection = TcpStream::connect(master).await.ok()?;
    let body = http::get_body(&mut connection, master, "/slaves").await.ok()?;
    let slaves: serde_json::Value = serde_json::from_slice(&body).ok()?;
    let active =
        slaves["slaves"].as_array()?.iter().filter(|agent| agent["active"] == true).count();
    (active >= 2).then_some(master)
}

async fn launch_true(master: SocketAddr, total: usize) -> Result<Row> {
    let framework =
        v1::FrameworkInfo { user: "root".into(), name: "bench-true".into(), ..Default::default() };
    let mut events = Events::subscribe(master, framework).await?;
    let subscribed = events.next().await?.subscribed.context("SUBSCRIBED expected")?;
    let mut calls = Calls::connect(master).await?;
    let mut out = Vec::new();
    let (mut launched, mut finished) = (0, 0);
    let started = Instant::now();
    while finished < total {
        let event = events.next().await?;
        for offer in event.offers.map(|offers| offers.offers).unwrap_or_default() {
            let call = accept(&subscribed.framework_id, offer, &mut launched, total);
            calls.append(&mut out, &events.stream_id, &call);
        }
        if let Some(update) = event.update {
            let status = update.status;
            match status.state() {
                v1::TaskState::TaskFinished => finished += 1,
                v1::TaskState::TaskStarting | v1::TaskState::TaskRunning => {}
                other => bail!("task ended as {other:?}: {:?}", status.message),
            }
            let acknowledge = v1::scheduler::Call {
                framework_id: Some(subscribed.framework_id.clone()),
                r#type: Some(v1::scheduler::call::Type::Acknowledge.into()),
                acknowledge: Some(v1::scheduler::call::Acknowledge {
                    agent_id: status.agent_id.context("agent_id")?,
                    task_id: status.task_id,
                    uuid: status.uuid.context("uuid")?,
                }),
                ..Default::default()
            };
            calls.append(&mut out, &events.stream_id, &acknowledge);
        }
        calls.flush(&mut out).await?;
    }
    let rate = total as f64 / started.elapsed().as_secs_f64();
    Ok(Row::new(format!("{total} tasks of `true`, offer to TASK_FINISHED"), format!("{rate:.0}/s"))
        .target(">= 300/s", rate >= 300.0))
}

/// Accepts an offer with as many small tasks as fit; what comes back is offered again.
fn accept(
    framework_id: &v1::FrameworkId,
    offer: v1::Offer,
    launched: &mut usize,
    total: usize,
) -> v1::scheduler::Call {
    let amount = |name: &str| {
        let resource = offer.resources.iter().filter(|resource| resource.name == name);
        resource.filter_map(|resource| resource.scalar.map(|scalar| scalar.value)).sum::<f64>()
    };
    let role = offer.allocation_info.as_ref().and_then(|info| info.role.clone());
    let fits = ((amount("cpus") / 0.001).min(amount("mem") / 1.0)) as usize;
    let count = fits.min(total - *launched).min(400);
    let tasks = (0..count).map(|number| v1::TaskInfo {
        name: "true".into(),
        task_id: v1::TaskId { value: format!("true-{}", *launched + number) },
        agent_id: offer.agent_id.clone(),
        resources: vec![
            scalar("cpus", 0.001, role.as_deref()),
            scalar("mem", 1.0, role.as_deref()),
        ],
        command: Some(Box::new(v1::CommandInfo {
            value: Some("true".into()),
            ..Default::default()
        })),
        ..Default::default()
    });
    let launch = v1::offer::operation::Launch { task_infos: tasks.collect() };
    *launched += count;
    v1::scheduler::Call {
        framework_id: Some(framework_id.clone()),
        r#type: Some(v1::scheduler::call::Type::Accept.into()),
        accept: Some(v1::scheduler::call::Accept {
            offer_ids: vec![offer.id],
            operations: vec![v1::offer::Operation {
                r#type: Some(v1::offer::operation::Type::Launch.into()),
                launch: Some(launch),
                ..Default::default()
            }],
            filters: Some(v1::Filters { refuse_seconds: Some(0.0) }),
        }),
        ..Default::default()
    }
}

fn task_run(dais: &Path, cluster: &Cluster) -> Result<Row> {
    let mut times = Vec::new();
    for _ in 0..15 {
        let started = Instant::now();
        let status = Command::new(dais)
            .args(["task", "run", "--name", "bench", "--cpus", "0.1", "--mem", "32", "--master"])
            .arg(cluster.master.to_string())
            .args(["--", "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        anyhow::ensure!(status.success(), "dais task run: {status}");
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let time = median(times);
    Ok(Row::new("dais task run -- true, median of 15", format!("{time:.0} ms"))
        .target("<= 50 ms", time <= 50.0))
}

async fn read_rate(master: SocketAddr, path: &'static str) -> Result<f64> {
    const SECONDS: u64 = 3;
    let deadline = Instant::now() + Duration::from_secs(SECONDS);
    let mut readers = Vec::new();
    for _ in 0..16 {
        readers.push(tokio::spawn(async move {
            let mut connection = TcpStream::connect(master).await?;
            let mut count = 0_u64;
            while Instant::now() < deadline {
                http::get(&mut connection, master, path).await?;
                count += 1;
            }
            anyhow::Ok(count)
        }));
    }
    let mut total = 0;
    for reader in readers {
        total += reader.await??;
    }
    Ok(total as f64 / SECONDS as f64)
}
