//! The long run: how everything grows with the number of apps and instances.
use std::{path::Path, time::Instant};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    services::{Bench, app, app_id, portless},
    table::{Row, megabytes, percentile, seconds},
};

const STEPS: usize = 10;

/// Up to `apps` apps with `each` instances, in ten steps; a line for each.
pub(crate) async fn run(state: &Path, apps: usize, each: usize) -> Result<Vec<Row>> {
    let mut bench = Bench::start(state, 1_000).await?;
    println!(
        "\n{:>9} {:>10} {:>12} {:>12} {:>12} {:>14} {:>12}",
        "apps", "instances", "POST median", "POST p99", "scaled", "GET one app", "resident"
    );
    let step = (apps / STEPS).max(1);
    for done in (0..apps).step_by(step) {
        let numbers = done..(done + step).min(apps);
        let posted = bench.post(numbers.clone().map(|n| portless(app(n, 0)))).await?;
        bench.no_deployments().await?;
        let started = Instant::now();
        let updates: Vec<Value> =
            numbers.clone().map(|n| json!({"id": app_id(n), "instances": each})).collect();
        bench.client.expect("PUT", "/v2/apps", &Value::from(updates).to_string()).await?;
        bench.settled((numbers.end * each) as u64).await?;
        let scaled = started.elapsed().as_secs_f64();
        let started = Instant::now();
        bench.client.get(&format!("/v2/apps/{}", app_id(done))).await?;
        let one = started.elapsed().as_secs_f64();
        println!(
            "{:>9} {:>10} {:>12} {:>12} {:>12} {:>14} {:>12}",
            numbers.end,
            numbers.end * each,
            seconds(percentile(&posted, 0.5)),
            seconds(percentile(&posted, 0.99)),
            seconds(scaled),
            seconds(one),
            megabytes(bench.service.resident()?),
        );
    }
    bench.read("all apps", "/v2/apps").await?;
    bench.restart(&format!("{apps} apps, {} instances", apps * each), "").await?;
    Ok(bench.rows)
}
