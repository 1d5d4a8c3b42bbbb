//! Measures names and traffic beside others who do the same, in one run, in turns.
//!
//! Every server has one worker on one core and the same data; those who ask have the other cores. A
//! figure counts only beside those of its own run.
//!
//! It is not: a test; nothing here fails for being slow. Targets stand beside the figures, and
//! docs/performance.md says what bounds them.
#![forbid(unsafe_code)]

mod dns;
mod edge;
mod process;
mod table;
mod vip;

use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

/// Measures the name server and virtual addresses, and prints tables.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    run: Run,
}

/// This program is also what it measures, in a process of its own.
#[derive(Subcommand)]
enum Role {
    /// Serves the names that the others serve from a zone file.
    #[command(hide = true)]
    ServeNames(dns::own::Arguments),
    /// Brings traffic to the servers that a Marathon tells of.
    #[command(hide = true)]
    ServeEdge(edge::Arguments),
}

#[derive(Args)]
pub(crate) struct Run {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often each is measured; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only scenarios whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Records of the zone.
    #[arg(long, default_value_t = 100_000)]
    records: usize,
}

// === impl Run ===

impl Run {
    pub(crate) fn wants(&self, scenario: &str) -> bool {
        scenario.contains(&self.only)
    }

    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.role {
        Some(Role::ServeNames(arguments)) => dns::own::serve(&arguments),
        Some(Role::ServeEdge(arguments)) => edge::serve(&arguments),
        None => {
            dns::run(&arguments.run)?;
            vip::run(&arguments.run)?;
            edge::run(&arguments.run)
        }
    }
}
