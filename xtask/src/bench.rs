//! `cargo xtask bench`: measures and prints a table; no test depends on it.

use anyhow::{Result, bail};

use crate::process::{cargo, run};

pub(crate) fn run_bench(arguments: &[String]) -> Result<()> {
    match arguments.split_first() {
        Some((what, rest)) if what == "kernel" => {
            run(cargo().args(["build", "--release", "--package", "dais"]))?;
            run(cargo().args(["run", "--release", "--package", "kernel-bench", "--"]).args(rest))?;
            run(cargo().args(["bench", "--package", "mesos-master", "--bench", "core"]))
        }
        Some((what, rest)) if what == "services" => {
            run(cargo().args(["run", "--release", "--package", "services-bench", "--"]).args(rest))
        }
        Some((what, rest)) if what == "gateway" => {
            run(cargo().args(["build", "--release", "--package", "dais"]))?;
            run(cargo().args(["run", "--release", "--package", "gateway-bench", "--"]).args(rest))
        }
        Some((what, rest)) if what == "network" => {
            run(cargo().args(["run", "--release", "--package", "network-bench", "--"]).args(rest))
        }
        _ => bail!("there are four benchmarks: kernel, services, gateway and network"),
    }
}
