//! Benchmarks of the services: Marathon over real HTTP with simulated agents, packages on the
//! whole Universe.
//!
//! It is not: a test; nothing here fails for being slow. Targets stand beside the figures, and
//! docs/performance.md says what bounds them.
#![forbid(unsafe_code)]

mod agents;
mod client;
mod curve;
mod master;
mod packages;
mod service;
mod services;
mod table;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use services::Bench;

/// Measures the services and prints a table.
#[derive(Parser)]
struct Arguments {
    /// Which parts to run; all by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Smaller sizes, for a quick look.
    #[arg(long)]
    quick: bool,
    /// How many apps, instead of 10,000.
    #[arg(long)]
    apps: Option<usize>,
    /// 100,000 apps and 1,000,000 instances instead, as a curve.
    #[arg(long)]
    long: bool,
    #[command(subcommand)]
    command: Option<Internal>,
}

#[derive(Subcommand)]
enum Internal {
    /// A Marathon alone, for this program's own use.
    #[command(hide = true)]
    ServeMarathon { state: PathBuf, master: String },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Apps,
    Scale,
    Packages,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Internal::ServeMarathon { state, master }) = arguments.command {
        return service::serve(&state, &master).await;
    }
    let wanted = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    let directory = tempfile::tempdir()?;
    if arguments.long {
        let apps = arguments.apps.unwrap_or(100_000);
        let each = 10;
        let rows = curve::run(&directory.path().join("long"), apps, each).await?;
        table::print("at the end of the curve", &rows);
        return Ok(());
    }
    let small = arguments.quick;
    if wanted(Part::Scale) {
        let mut bench = Bench::start(&directory.path().join("scale"), 1_000).await?;
        eprintln!("marathon is process {}", bench.service.pid());
        bench.one_app(if small { 1_000 } else { 10_000 }).await?;
        table::print("(a) one app", &bench.rows);
    }
    if wanted(Part::Apps) {
        let apps = arguments.apps.unwrap_or(if small { 500 } else { 10_000 });
        let mut bench = Bench::start(&directory.path().join("apps"), 1_000).await?;
        eprintln!("marathon is process {}", bench.service.pid());
        bench.many_apps(apps).await?;
        bench.read("one instance each", "/v2/apps").await?;
        bench.restart(&format!("{apps} apps"), "1 s").await?;
        bench.fill(apps, 10).await?;
        bench.read("ten instances each", "/v2/apps").await?;
        bench.read("ten instances each", "/v2/apps?embed=apps.tasks").await?;
        bench.read("ten instances each", "/v2/tasks").await?;
        bench.read("ten instances each", "/v2/groups").await?;
        bench.restart(&format!("{apps} apps, ten instances each"), "").await?;
        table::print("(b) many apps, simulated agents, over HTTP", &bench.rows);
    }
    if wanted(Part::Packages) {
        table::print("(c) packages, the whole Universe", &packages::run()?);
    }
    Ok(())
}
