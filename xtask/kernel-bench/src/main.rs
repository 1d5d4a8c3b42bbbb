//! Benchmarks of the kernel: allocator, master and agent, with cores only and with sockets.
//!
//! It is not: a test; nothing here passes or fails. Targets stand beside the
//! figures, and docs/performance.md says what bounds those that are missed.
#![forbid(unsafe_code)]

mod allocator;
mod http;
mod launches;
mod master_process;
mod real;
mod reregister;
mod simulated;
mod table;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

/// Measures the kernel and prints a table.
#[derive(Parser)]
struct Arguments {
    /// Which parts to run; all by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Smaller sizes, for a quick look.
    #[arg(long)]
    quick: bool,
    /// The `dais` binary to measure.
    #[arg(long, default_value = "target/release/dais")]
    dais: PathBuf,
    #[command(subcommand)]
    command: Option<Internal>,
}

#[derive(Subcommand)]
enum Internal {
    /// A master alone, for this program's own use.
    #[command(hide = true)]
    ServeMaster { state: PathBuf },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Allocator,
    Launches,
    Reregister,
    Real,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Internal::ServeMaster { state }) = arguments.command {
        return master_process::serve(&state).await;
    }
    let wanted = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    let quick = arguments.quick;
    if wanted(Part::Allocator) {
        table::print("(a) one allocation cycle, the core alone", &allocator::run());
    }
    if wanted(Part::Reregister) {
        let (agents, tasks) = if quick { (1_000, 10) } else { (10_000, 10) };
        let rows = reregister::run(agents, tasks).await?;
        table::print("(c) agents come back, (d) large reads", &rows);
    }
    if wanted(Part::Launches) {
        let rows = launches::run(if quick { 100_000 } else { 1_000_000 }).await?;
        table::print("(b) launches over HTTP, simulated agents", &rows);
    }
    if wanted(Part::Real) {
        let rows = real::run(&arguments.dais, if quick { 300 } else { 3_000 }).await?;
        table::print("(e) a real cluster", &rows);
    }
    Ok(())
}
