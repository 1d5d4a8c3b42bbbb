//! `cargo xtask test`: everything that must hold before a change lands.

use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::process::{cargo, run, succeeds, target_dir};
use crate::tools::Tools;

type Part = fn(&Tools) -> Result<()>;

/// Cheap checks first.
const PARTS: [(&str, Part); 6] =
    [("fmt", fmt), ("clippy", clippy), ("deny", deny), ("unit", unit), ("doc", doc), ("e2e", e2e)];

pub(crate) fn run_tests(tools: &Tools, wanted: &[String]) -> Result<()> {
    for name in wanted {
        if !PARTS.iter().any(|(part, _)| part == name) {
            bail!("no part is called {name:?}");
        }
    }
    let mut times = Vec::new();
    for (name, part) in PARTS {
        if !wanted.is_empty() && !wanted.iter().any(|word| word == name) {
            continue;
        }
        let begun = Instant::now();
        part(tools)?;
        times.push(format!("{name} {} s", begun.elapsed().as_secs()));
    }
    eprintln!("\nxtask test: all passed ({})", times.join(", "));
    Ok(())
}

fn fmt(tools: &Tools) -> Result<()> {
    tools.rust_components()?;
    run(cargo().args(["fmt", "--all", "--check"]))
}

fn clippy(tools: &Tools) -> Result<()> {
    tools.rust_components()?;
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn deny(tools: &Tools) -> Result<()> {
    tools.cargo_deny()?;
    run(cargo().args(["deny", "--workspace", "check", "bans", "licenses", "sources"]))?;
    // The advisories live in a git repository that not every machine reaches.
    if succeeds(cargo().args(["deny", "fetch", "db"])) {
        run(cargo().args(["deny", "--workspace", "check", "--disable-fetch", "advisories"]))
    } else {
        eprintln!("xtask: the advisory database cannot be reached; advisories are NOT checked");
        Ok(())
    }
}

/// Unit and integration tests of every crate, the tidy test among them.
fn unit(tools: &Tools) -> Result<()> {
    // Crates are tested beside the programs that they must agree with.
    tools.catalog_software()?;
    tools.network_software()?;
    run(test_command()
        .args(["--workspace", "--exclude", "end-to-end"])
        .env("DAIS_REQUIRE_TOOLS", "1"))
}

/// Nextest does not run documentation tests.
fn doc(_: &Tools) -> Result<()> {
    run(cargo().args(["test", "--workspace", "--doc"]))
}

/// Whole clusters, on the binary as users get it.
fn e2e(tools: &Tools) -> Result<()> {
    let (pymesos, marathon) = (tools.pymesos()?, tools.marathon_python()?);
    let gateway = tools.gateway_python()?;
    tools.catalog_software()?;
    tools.gateway_software()?;
    tools.network_software()?;
    match tools.oidc_provider() {
        Ok(provider) => run(test_command()
            .args(["--package", "iam", "real_provider"])
            .env("DAIS_OIDC_PROVIDER", provider))?,
        Err(error) => eprintln!("xtask: logins at a provider of PyPI are NOT tested: {error:#}"),
    }
    run(cargo().args(["build", "--package", "dais"]))?;
    run(test_command()
        .args(["--package", "end-to-end"])
        .env("DAIS_BINARY", target_dir().join("debug/dais"))
        .env("DAIS_PYMESOS_PYTHON", pymesos)
        .env("DAIS_MARATHON_PYTHON", marathon)
        .env("DAIS_GATEWAY_PYTHON", gateway)
        .env("DAIS_REQUIRE_TOOLS", "1"))
}

fn test_command() -> Command {
    let mut command = cargo();
    if succeeds(cargo().args(["nextest", "--version"])) {
        command.args(["nextest", "run", "--no-fail-fast", "--no-tests=pass"]);
    } else {
        command.args(["test", "--no-fail-fast", "--all-targets"]);
    }
    command
}
