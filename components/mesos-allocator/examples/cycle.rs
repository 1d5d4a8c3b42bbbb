//! Prints how long one full allocation cycle takes, by the size of the cluster.
use mesos_allocator::bench_support::{Cycle, cycle};

fn main() {
    println!("agents  frameworks  |  first: allocate + decline = sum  |  repeated, median  | ms");
    let mut before: Option<(f64, f64)> = None;
    for agents in [1_000u32, 5_000, 10_000, 20_000, 50_000] {
        let report = cycle(agents, agents / 10, 21);
        let median = report.median();
        let sum = median.total().as_secs_f64();
        let size = f64::from(agents);
        let growth = before.map_or(String::new(), |(old_size, old_sum)| {
            format!("n^{:.2}", (sum / old_sum).ln() / (size / old_size).ln())
        });
        before = Some((size, sum));
        println!(
            "{agents:6}  {:10}  |  {}  |  {}  | {growth}",
            report.frameworks,
            show(report.first),
            show(median)
        );
    }
}

fn show(cycle: Cycle) -> String {
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
    format!(
        "{:7.2} + {:6.2} = {:7.2} ({} offers)",
        ms(cycle.allocate),
        ms(cycle.decline),
        ms(cycle.total()),
        cycle.offers
    )
}
