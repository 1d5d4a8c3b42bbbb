//! (b) launches accepted to TASK_RUNNING acknowledged, through HTTP, with simulated agents; (f) memory in the master.
use std::{net::SocketAddr, sync::atomic::Ordering, time::Instant};

use anyhow::{Context, Result};
use mesos_messages::v1;
use tokio::sync::mpsc;

use crate::{
    http::{Calls, Events},
    master_process::MasterProcess,
    simulated::{Agents, Plan, agent_resources, scalar},
    table::Row,
};

const AGENTS: usize = 1_000;
const TASKS_PER_ACCEPT: usize = 100;
const CALL_CONNECTIONS: usize = 2;

/// Launches `total` tasks; a row for each tenth, one for the whole.
pub(crate) async fn run(total: usize) -> Result<Vec<Row>> {
    let state = tempfile::tempdir()?;
    let master = MasterProcess::start(&state.path().join("state"))?;
    let plan = Plan {
        master: master.address,
        hosts: 4,
        agents: AGENTS,
        resources: agent_resources(2_000.0, 1_000_000.0),
    };
    let agents = Agents::start(&plan).await?;
    agents.register(&plan).await?;
    let before = master.resident()?;
    let framework = v1::FrameworkInfo {
        user: "root".into(),
        name: "bench".into(),
        failover_timeout: Some(60.0),
        ..Default::default()
    };
    let mut scheduler = Scheduler::start(master.address, framework).await?;
    let started = Instant::now();
    let mut rows = Vec::new();
    let mut rates = Vec::new();
    let step = (total / 10).max(1);
    let mut last = (started, 0_u64);
    while scheduler.acknowledged < total as u64 {
        scheduler.step(total).await?;
        if scheduler.acknowledged - last.1 >= step as u64 {
            let rate = (scheduler.acknowledged - last.1) as f64 / last.0.elapsed().as_secs_f64();
            rows.push(Row::new(
                format!("launches/s up to {} tasks", scheduler.acknowledged),
                format!("{rate:.0}"),
            ));
            rates.push(rate);
            last = (Instant::now(), scheduler.acknowledged);
        }
    }
    wait_acknowledged(&agents, total as u64).await;
    let rate = total as f64 / started.elapsed().as_secs_f64();
    let seen = agents.seen.acknowledged.load(Ordering::Relaxed);
    rows.push(
        Row::new(
            format!("launches/s, all {seen} acknowledged at the agents"),
            format!("{rate:.0}"),
        )
        .target(">= 20000/s", rate >= 20_000.0),
    );
    if let (Some(first), Some(last)) = (rates.first(), rates.last()) {
        rows.push(Row::new("last tenth against the first", format!("{:.2}x", last / first)));
    }
    let per_task = (master.resident()?.saturating_sub(before)) as f64 / total as f64;
    rows.push(
        Row::new("(f) master memory a running task", format!("{per_task:.0} B"))
            .target("<= 1.2 KB", per_task <= 1_229.0),
    );
    Ok(rows)
}

async fn wait_acknowledged(agents: &Agents, total: u64) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let changed = agents.seen.changed.notified();
        if agents.seen.acknowledged.load(Ordering::Relaxed) >= total
            || tokio::time::timeout_at(deadline, changed).await.is_err()
        {
            return;
        }
    }
}

struct Scheduler {
    events: Events,
    calls: Vec<mpsc::Sender<Vec<v1::scheduler::Call>>>,
    next: usize,
    framework_id: v1::FrameworkId,
    launched: usize,
    acknowledged: u64,
}

impl Scheduler {
    async fn start(address: SocketAddr, framework: v1::FrameworkInfo) -> Result<Self> {
        let mut events = Events::subscribe(address, framework).await?;
        let subscribed = events.next().await?.subscribed.context("SUBSCRIBED expected")?;
        let mut calls = Vec::new();
        for _ in 0..CALL_CONNECTIONS {
            let (sender, mut queue) = mpsc::channel::<Vec<v1::scheduler::Call>>(256);
            let mut connection = Calls::connect(address).await?;
            let stream_id = events.stream_id.clone();
            tokio::spawn(async move {
                let mut out = Vec::new();
                while let Some(batch) = queue.recv().await {
                    for call in &batch {
                        connection.append(&mut out, &stream_id, call);
                    }
                    while let Ok(more) = queue.try_recv() {
                        for call in &more {
                            connection.append(&mut out, &stream_id, call);
                        }
                    }
                    if let Err(error) = connection.flush(&mut out).await {
                        eprintln!("call failed: {error:#}");
                        return;
                    }
                }
            });
            calls.push(sender);
        }
        let framework_id = subscribed.framework_id;
        Ok(Self { events, calls, next: 0, framework_id, launched: 0, acknowledged: 0 })
    }

    /// Handles one event.
    async fn step(&mut self, total: usize) -> Result<()> {
        let event = self.events.next().await?;
        if let Some(offers) = event.offers {
            for offer in offers.offers {
                let call = self.accept(offer, total);
                self.call(call).await?;
            }
        }
        if let Some(update) = event.update {
            let call = self.acknowledge(update.status)?;
            self.call(call).await?;
        }
        Ok(())
    }

    async fn call(&mut self, call: v1::scheduler::Call) -> Result<()> {
        self.next = (self.next + 1) % self.calls.len();
        self.calls[self.next].send(vec![call]).await.context("call connection closed")
    }

    fn accept(&mut self, offer: v1::Offer, total: usize) -> v1::scheduler::Call {
        let count = TASKS_PER_ACCEPT.min(total - self.launched);
        let task = |number: usize| v1::TaskInfo {
            name: "bench".into(),
            task_id: v1::TaskId { value: format!("task-{}", self.launched + number) },
            agent_id: offer.agent_id.clone(),
            resources: vec![scalar("cpus", 0.1, Some("*")), scalar("mem", 32.0, Some("*"))],
            command: Some(Box::new(v1::CommandInfo {
                value: Some("true".into()),
                ..Default::default()
            })),
            ..Default::default()
        };
        let launch = v1::offer::operation::Launch { task_infos: (0..count).map(task).collect() };
        self.launched += count;
        v1::scheduler::Call {
            framework_id: Some(self.framework_id.clone()),
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

    fn acknowledge(&mut self, status: v1::TaskStatus) -> Result<v1::scheduler::Call> {
        anyhow::ensure!(
            status.state() == v1::TaskState::TaskRunning,
            "task not running: {status:?}"
        );
        self.acknowledged += 1;
        Ok(v1::scheduler::Call {
            framework_id: Some(self.framework_id.clone()),
            r#type: Some(v1::scheduler::call::Type::Acknowledge.into()),
            acknowledge: Some(v1::scheduler::call::Acknowledge {
                agent_id: status.agent_id.context("agent_id")?,
                task_id: status.task_id,
                uuid: status.uuid.context("uuid")?,
            }),
            ..Default::default()
        })
    }
}
