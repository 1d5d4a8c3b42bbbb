//! dnsperf, and what it says.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{Place, on};

/// One kind of load.
pub(crate) struct Load {
    pub(crate) is_tcp: bool,
    pub(crate) clients: u32,
    /// Questions that may be without an answer at once, of all clients together.
    pub(crate) under_way: u32,
}

/// What one measurement gave.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) completed: f64,
    pub(crate) lost: f64,
    pub(crate) per_second: f64,
    pub(crate) latency: f64,
    /// Filled in by who knows the server.
    pub(crate) cpu: f64,
}

// === impl Load ===

impl Load {
    pub(crate) fn run(&self, port: u16, questions: &Path, duration: Duration) -> Result<Sample> {
        let mut command = on(Place::Other, "dnsperf");
        command.args(["-s", "127.0.0.1", "-T", "1", "-t", "2", "-p"]).arg(port.to_string());
        command.arg("-m").arg(if self.is_tcp { "tcp" } else { "udp" });
        command.arg("-c").arg(self.clients.to_string()).arg("-q").arg(self.under_way.to_string());
        command.arg("-l").arg(duration.as_secs().to_string()).arg("-d").arg(questions);
        let text = text(command.output().context("dnsperf")?)?;
        parse(&text).with_context(|| format!("cannot read what dnsperf said:\n{text}"))
    }
}

fn text(output: Output) -> Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}

fn parse(text: &str) -> Option<Sample> {
    let number = |label: &str| {
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix(label))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    Some(Sample {
        completed: number("Queries completed:")?,
        lost: number("Queries lost:")?,
        per_second: number("Queries per second:")?,
        latency: number("Average Latency (s):")?,
        cpu: f64::NAN,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

    use super::*;

    #[test]
    fn what_dnsperf_says_is_read() {
        let text = "Statistics:\n\n  Queries sent:         100\n  Queries completed:    98 (98.00%)\n  Queries lost:         2 (2.00%)\n\n  Response codes:       NOERROR 98 (100.00%)\n  Run time (s):         1.5\n  Queries per second:   65.333333\n\n  Average Latency (s):  0.000123 (min 0.000010, max 0.001)\n";
        let sample = parse(text).unwrap();
        assert_eq!((sample.completed, sample.lost, sample.latency), (98.0, 2.0, 0.000123));
        assert!((sample.per_second - 65.333333).abs() < 1e-9);
        assert!(parse("nothing").is_none());
    }
}
