//! Marathon over its REST API, with simulated agents.
use std::{
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    client::Client,
    master::Master,
    service::Service,
    table::{Row, megabytes, percentile, seconds},
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(600);

/// A Marathon with its agents, and what is measured of it.
pub(crate) struct Bench {
    state: PathBuf,
    pub(crate) master: Master,
    pub(crate) service: Service,
    pub(crate) client: Client,
    pub(crate) rows: Vec<Row>,
}

/// Groups of 100 apps, so that none is too big to look at.
pub(crate) fn app_id(number: usize) -> String {
    format!("/g{}/app-{number}", number / 100)
}

pub(crate) fn app(number: usize, instances: usize) -> Value {
    json!({
        "id": app_id(number),
        "cmd": "exec sleep 100000",
        "cpus": 0.01,
        "mem": 16,
        "instances": instances,
        "labels": {"owner": "bench", "number": number.to_string()},
        "env": {"MODE": "production", "NUMBER": number.to_string()},
    })
}

/// Without ports of its own: there are only 10,001 service ports.
pub(crate) fn portless(mut app: Value) -> Value {
    app["portDefinitions"] = json!([]);
    app
}

// === impl Bench ===

impl Bench {
    pub(crate) async fn start(state: &Path, agents: usize) -> Result<Self> {
        let master = Master::start(agents).await?;
        let service = Service::start(state, master.address)?;
        let client = Client::connect(service.address).await?;
        let mut bench = Self { state: state.to_owned(), master, service, client, rows: Vec::new() };
        bench.subscribed(1).await?;
        bench.rows.push(Row::new("resident, nothing there", megabytes(bench.service.resident()?)));
        Ok(bench)
    }

    async fn subscribed(&mut self, times: u64) -> Result<()> {
        let counts = self.master.counts.clone();
        wait("the subscription", || counts.subscribed.load(Ordering::SeqCst) >= times).await
    }

    /// The seconds of each POST. One that has to wait for deployments is made again.
    pub(crate) async fn post(&mut self, apps: impl Iterator<Item = Value>) -> Result<Vec<f64>> {
        let mut times = Vec::new();
        for app in apps {
            let body = app.to_string();
            loop {
                let started = Instant::now();
                let answer = self.client.request("POST", "/v2/apps", &body).await?;
                match answer.status {
                    201 => {
                        times.push(started.elapsed().as_secs_f64());
                        break;
                    }
                    403 => sleep(Duration::from_millis(2)).await,
                    status => bail!("POST: {status} {}", String::from_utf8_lossy(&answer.body)),
                }
            }
        }
        Ok(times)
    }

    /// Waits until so many instances run and nothing is being deployed.
    pub(crate) async fn settled(&mut self, running: u64) -> Result<()> {
        let counts = self.master.counts.clone();
        wait("instances", || counts.running.load(Ordering::SeqCst) == running).await?;
        self.no_deployments().await
    }

    pub(crate) async fn no_deployments(&mut self) -> Result<()> {
        let started = Instant::now();
        while self.client.get("/v2/deployments").await? != b"[]" {
            if started.elapsed() > PATIENCE {
                bail!("deployments do not end");
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    pub(crate) async fn many_apps(&mut self, count: usize) -> Result<()> {
        let busy = self.service.processor()?;
        let times = self.post((0..count).map(|number| app(number, 1))).await?;
        let tenth = (times.len() / 10).max(1);
        let (first, last) = (&times[..tenth], &times[times.len() - tenth..]);
        let what = format!("{count} apps posted one by one");
        self.rows.push(Row::new(format!("{what}, median"), seconds(percentile(&times, 0.5))));
        self.rows.push(Row::new(format!("{what}, p99"), seconds(percentile(&times, 0.99))));
        let slope = percentile(last, 0.5) / percentile(first, 0.5);
        self.rows.push(
            Row::new("the last tenth against the first, median", format!("{slope:.2} times"))
                .target("no slope", slope < 1.25),
        );
        let slope = percentile(last, 0.99) / percentile(first, 0.99);
        self.rows.push(Row::new("the same, p99", format!("{slope:.2} times")));
        self.settled(count as u64).await?;
        let busy = (self.service.processor()? - busy) / times.len() as f64;
        self.rows.push(Row::new("processor time for each, until its instance runs", seconds(busy)));
        let resident = megabytes(self.service.resident()?);
        self.rows
            .push(Row::new(format!("resident with {count} apps, one instance each"), resident));
        Ok(())
    }

    /// Ten instances of each app, in one request.
    pub(crate) async fn fill(&mut self, apps: usize, each: usize) -> Result<()> {
        let updates: Vec<Value> =
            (0..apps).map(|n| json!({"id": app_id(n), "instances": each})).collect();
        let (started, busy) = (Instant::now(), self.service.processor()?);
        self.client.expect("PUT", "/v2/apps", &Value::from(updates).to_string()).await?;
        let answered = started.elapsed().as_secs_f64();
        self.settled((apps * each) as u64).await?;
        let all = started.elapsed().as_secs_f64();
        let total = apps * each;
        self.rows.push(Row::new(
            format!("{apps} apps scaled to {each} in one PUT, answered"),
            seconds(answered),
        ));
        self.rows.push(Row::new(format!("... until {total} instances run"), seconds(all)));
        let busy = self.service.processor()? - busy;
        self.rows.push(Row::new("... processor time of Marathon", seconds(busy)));
        let resident = megabytes(self.service.resident()?);
        self.rows.push(Row::new(format!("resident with {total} instances"), resident));
        Ok(())
    }

    pub(crate) async fn read(&mut self, what: &str, path: &str) -> Result<()> {
        let mut times = Vec::new();
        let mut size = 0;
        for _ in 0..5 {
            let started = Instant::now();
            size = self.client.get(path).await?.len();
            times.push(started.elapsed().as_secs_f64());
        }
        let figure = format!("{} ({})", seconds(percentile(&times, 0.5)), megabytes(size as u64));
        self.rows.push(Row::new(format!("GET {path}, {what}"), figure));
        Ok(())
    }

    /// One app from no instance to many.
    pub(crate) async fn one_app(&mut self, instances: usize) -> Result<()> {
        let before = self.master.counts.running.load(Ordering::SeqCst);
        let mut app = portless(app(0, 0));
        app["id"] = json!("/one");
        self.client.expect("POST", "/v2/apps", &app.to_string()).await?;
        self.no_deployments().await?;
        let (started, busy) = (Instant::now(), self.service.processor()?);
        let body = json!({"instances": instances}).to_string();
        self.client.expect("PUT", "/v2/apps//one", &body).await?;
        self.settled(before + instances as u64).await?;
        let took = started.elapsed().as_secs_f64();
        self.rows.push(
            Row::new(
                format!("one app from 0 to {instances} instances, all running"),
                seconds(took),
            )
            .target("2 s", took <= 2.0),
        );
        let busy = self.service.processor()? - busy;
        self.rows.push(Row::new("... processor time of Marathon", seconds(busy)));
        let resident = megabytes(self.service.resident()?);
        self.rows
            .push(Row::new(format!("resident with {instances} instances of one app"), resident));
        Ok(())
    }

    /// Killed and started again on the same state.
    pub(crate) async fn restart(&mut self, what: &str, target: &'static str) -> Result<()> {
        let running = self.master.counts.running.load(Ordering::SeqCst);
        let launched = self.master.counts.launched.load(Ordering::SeqCst);
        let subscribed = self.master.counts.subscribed.load(Ordering::SeqCst);
        self.service.kill();
        let started = Instant::now();
        self.service = Service::start(&self.state, self.master.address)?;
        self.client = Client::connect(self.service.address).await?;
        self.client.get(&format!("/v2/apps/{}", app_id(1))).await?;
        let took = started.elapsed().as_secs_f64();
        let mut row = Row::new(format!("restart with {what} to serving"), seconds(took));
        if !target.is_empty() {
            row = row.target(target, took <= 1.0);
        }
        self.rows.push(row);
        let busy = seconds(self.service.processor()?);
        self.rows.push(Row::new("... processor time of Marathon", busy));
        let counts = self.master.counts.clone();
        wait("the subscription", || counts.subscribed.load(Ordering::SeqCst) > subscribed).await?;
        let again = started.elapsed().as_secs_f64();
        self.rows.push(Row::new("... until it has subscribed again", seconds(again)));
        sleep(Duration::from_secs(2)).await;
        let resident = megabytes(self.service.resident()?);
        self.rows.push(Row::new("resident after the restart", resident));
        let now = counts.running.load(Ordering::SeqCst);
        let more = counts.launched.load(Ordering::SeqCst) - launched;
        let lost = format!("{} lost, {more} launched", running.saturating_sub(now));
        self.rows.push(Row::new("instances after the restart", lost));
        Ok(())
    }
}

async fn wait(what: &str, mut done: impl FnMut() -> bool) -> Result<()> {
    let started = Instant::now();
    while !done() {
        if started.elapsed() > PATIENCE {
            bail!("waited {PATIENCE:?} for {what}");
        }
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
