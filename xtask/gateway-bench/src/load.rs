//! Load by wrk (HTTP/1.1) and h2load (HTTP/2), and what they say about it.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{Place, on};
use crate::table::percentile;

#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) tls: bool,
    pub(crate) http2: bool,
    /// What the backend is asked for: its size.
    pub(crate) path: &'static str,
    pub(crate) connections: usize,
    /// A connection for each request.
    pub(crate) close: bool,
}

/// Where a proxy takes it.
pub(crate) struct Target {
    pub(crate) url: String,
    /// A file whose first line is the `Authorization` to send, if one is needed.
    pub(crate) authorization: Option<String>,
}

#[derive(Clone, Default)]
pub(crate) struct Sample {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
    /// Seconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) cpu_per_request: f64,
    pub(crate) failed: f64,
}

/// What `timeout` ends with when it had to end something.
const TIMED_OUT: i32 = 124;

impl Sample {
    /// No figure, which the median leaves out.
    fn unknown() -> Sample {
        let unknown = f64::NAN;
        Sample {
            requests: unknown,
            per_second: unknown,
            p50: unknown,
            p99: unknown,
            cpu_per_request: unknown,
            failed: unknown,
        }
    }
}

// === impl Load ===

impl Load {
    pub(crate) fn run(&self, target: &Target, duration: Duration) -> Result<Sample> {
        if self.http2 { self.h2load(target, duration) } else { self.wrk(target, duration) }
    }

    fn wrk(&self, target: &Target, duration: Duration) -> Result<Sample> {
        let mut command = on(Place::Other, "wrk");
        command.args(["--latency", "--threads", "1", "--timeout", "10s"]);
        command.arg("--connections").arg(self.connections.to_string());
        command.arg("--duration").arg(format!("{}s", duration.as_secs()));
        if let Some(value) = &target.authorization {
            command.arg("--header").arg(format!("Authorization: {value}"));
        }
        if self.close {
            command.args(["--header", "Connection: close"]);
        }
        let text = text(command.arg(&target.url).output().context("wrk")?)?;
        parse_wrk(&text).with_context(|| format!("cannot read what wrk said:\n{text}"))
    }

    fn h2load(&self, target: &Target, duration: Duration) -> Result<Sample> {
        let log = tempfile::NamedTempFile::new()?;
        // It sometimes never ends by itself, mostly against nginx.
        let mut command = on(Place::Other, "timeout");
        command.arg((duration.as_secs() + 10).to_string());
        command.args(["h2load", "--threads", "1", "--max-concurrent-streams", "16"]);
        command.arg(format!("--clients={}", self.connections));
        command.arg(format!("--duration={}", duration.as_secs()));
        command.arg(format!("--log-file={}", log.path().display()));
        if let Some(value) = &target.authorization {
            command.arg("--header").arg(format!("authorization: {value}"));
        }
        let output = command.arg(&target.url).output().context("h2load")?;
        if output.status.code() == Some(TIMED_OUT) {
            return Ok(Sample::unknown());
        }
        let text = text(output)?;
        let sample = parse_h2load(&text, log.path());
        sample.with_context(|| format!("cannot read what h2load said:\n{text}"))
    }
}

fn text(output: Output) -> Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}

/// The word behind `label` in a line that begins with it.
fn word<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let mut lines = text.lines().map(str::trim_start);
    lines.find_map(|line| line.strip_prefix(label))?.split_whitespace().next()
}

/// `1.23ms` and the like in seconds.
fn in_seconds(text: &str) -> Option<f64> {
    for (unit, factor) in [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0)] {
        if let Some(number) = text.strip_suffix(unit) {
            return Some(number.parse::<f64>().ok()? * factor);
        }
    }
    None
}

fn parse_wrk(text: &str) -> Option<Sample> {
    let requests_line = text.lines().find(|line| line.contains(" requests in "))?;
    let count = |line: &str, label: &str| {
        let rest = line.split(label).nth(1)?;
        rest.trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse::<f64>().ok()
    };
    let errors = text.lines().find(|line| line.contains("Socket errors")).unwrap_or_default();
    let labels = ["connect", "read", "write", "timeout"];
    let broken: f64 = labels.iter().filter_map(|label| count(errors, label)).sum();
    let refused = word(text, "Non-2xx or 3xx responses:").and_then(|word| word.parse::<f64>().ok());
    Some(Sample {
        requests: requests_line.split_whitespace().next()?.parse().ok()?,
        per_second: word(text, "Requests/sec:")?.parse().ok()?,
        p50: in_seconds(word(text, "50%")?)?,
        p99: in_seconds(word(text, "99%")?)?,
        cpu_per_request: f64::NAN,
        failed: broken + refused.unwrap_or(0.0),
    })
}

/// The log has a line for each request: when it began, its status, its microseconds.
fn parse_h2load(text: &str, log: &Path) -> Option<Sample> {
    let line = text.lines().find(|line| line.starts_with("finished in "))?;
    let per_second = line.split(", ").nth(1)?.split_whitespace().next()?.parse().ok()?;
    let log = std::fs::read_to_string(log).ok()?;
    let mut failed = 0.0;
    let mut times: Vec<f64> = Vec::new();
    for line in log.lines() {
        let mut fields = line.split('\t').skip(1);
        let (status, micros) = (fields.next()?, fields.next()?);
        if !status.starts_with('2') {
            failed += 1.0;
        }
        times.push(micros.parse::<f64>().ok()? / 1e6);
    }
    times.sort_by(f64::total_cmp);
    Some(Sample {
        requests: times.len() as f64,
        per_second,
        p50: percentile(&times, 0.5),
        p99: percentile(&times, 0.99),
        cpu_per_request: f64::NAN,
        failed,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

    use super::*;

    #[test]
    fn what_wrk_says_is_read() {
        let text = "Running 2s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency     1.39ms  110.00us   7.58ms   92.00%\n  Latency Distribution\n     50%    1.38ms\n     75%    1.42ms\n     90%  999.00us\n     99%    1.80ms\n  92231 requests in 2.00s, 110.60MB read\n  Socket errors: connect 0, read 1, write 0, timeout 2\n  Non-2xx or 3xx responses: 4\nRequests/sec:  46071.16\nTransfer/sec:     55.25MB\n";
        let sample = parse_wrk(text).unwrap();
        assert_eq!((sample.requests, sample.per_second, sample.failed), (92231.0, 46071.16, 7.0));
        assert!((sample.p50 - 0.00138).abs() < 1e-9 && (sample.p99 - 0.0018).abs() < 1e-9);
        assert!(parse_wrk("unable to connect").is_none());
    }
}
