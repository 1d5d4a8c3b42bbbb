//! Prints how long one full allocation cycle takes, by the size of the cluster.
//!
//! `cycle [--cpu] [agents...]`: `--cpu` counts the thread's processor time instead of the clock's,
//! for machines that do other things at the same time.
use std::time::{Duration, Instant};

use mesos_allocator::bench_support::{Cycle, cycle};
use nix::time::{ClockId, clock_gettime};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let start = Instant::now();
    let wall = || start.elapsed();
    let cpu =
        || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from);
    let by_cpu = arguments.iter().any(|argument| argument == "--cpu");
    let clock: &dyn Fn() -> Duration = if by_cpu { &cpu } else { &wall };
    let chosen: Vec<u32> = arguments.iter().filter_map(|size| size.parse().ok()).collect();
    let usual = vec![1_000, 5_000, 10_000, 20_000, 50_000];

    println!("agents  frameworks |  first: allocate + decline = sum |  median  |  best  | in ms");
    let mut before: Option<(f64, f64)> = None;
    for agents in if chosen.is_empty() { usual } else { chosen } {
        let report = cycle(agents, agents / 10, 21, clock);
        let sum = report.best().total().as_secs_f64();
        let size = f64::from(agents);
        let growth = before.map_or(String::new(), |(old_size, old_sum)| {
            format!("n^{:.2}", (sum / old_sum).ln() / (size / old_size).ln())
        });
        before = Some((size, sum));
        println!(
            "{agents:6}  {:10} | {} | {} | {} | {growth}",
            report.frameworks,
            show(report.first),
            show(report.median()),
            show(report.best())
        );
    }
}

fn show(cycle: Cycle) -> String {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    format!("{:7.2} + {:6.2} = {:7.2}", ms(cycle.allocate), ms(cycle.decline), ms(cycle.total()))
}
