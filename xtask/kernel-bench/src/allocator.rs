//! (a) one full allocation cycle, the core alone: every agent offered, every offer declined.
use std::time::{Duration, Instant};

use mesos_allocator::bench_support::{CycleReport, cycle};

use crate::table::Row;

const REPEATS: u32 = 21;
/// Sizes the growth is taken over.
const SIZES: [u32; 5] = [1_000, 5_000, 10_000, 20_000, 50_000];

pub(crate) fn run() -> Vec<Row> {
    let start = Instant::now();
    let clock = || start.elapsed();
    let reports: Vec<CycleReport> =
        SIZES.iter().map(|agents| cycle(*agents, agents / 10, REPEATS, &clock)).collect();
    let mut rows: Vec<Row> = reports.iter().map(row).collect();
    if let (Some(first), Some(last)) = (reports.first(), reports.last()) {
        let growth = (seconds(last) / seconds(first)).ln()
            / (f64::from(last.agents) / f64::from(first.agents)).ln();
        rows.push(
            Row::new("growth in agents from the smallest to the largest", format!("n^{growth:.2}"))
                .target("<= n^1.1", growth <= 1.1),
        );
    }
    rows
}

fn row(report: &CycleReport) -> Row {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let median = report.median();
    let what = format!(
        "{} agents, {} frameworks: offer {:.2} ms, decline {:.2} ms",
        report.agents,
        report.frameworks,
        milliseconds(median.allocate),
        milliseconds(median.decline)
    );
    let total = milliseconds(median.total());
    let row = Row::new(what, format!("{total:.2} ms"));
    if report.agents == 10_000 { row.target("<= 10 ms", total <= 10.0) } else { row }
}

fn seconds(report: &CycleReport) -> f64 {
    report.median().total().as_secs_f64()
}
