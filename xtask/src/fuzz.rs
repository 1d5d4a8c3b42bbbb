//! `cargo xtask fuzz`: libFuzzer on the stable toolchain.
//!
//! The coverage instrumentation is an LLVM pass that stable rustc can run; the
//! sanitizers are not, which costs little in code that forbids `unsafe`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::process::{cargo, program, root, run, target_dir};
use crate::tools::Tools;

const INSTRUMENT: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks";
const DEFAULT_SECONDS: u64 = 20;
/// What one input may cost before it counts as a finding.
const LIMITS: [&str; 3] = ["-timeout=10", "-rss_limit_mb=2048", "-malloc_limit_mb=512"];

pub(crate) fn run_fuzz(tools: &Tools, arguments: &[String]) -> Result<()> {
    let targets = targets()?;
    let Some((first, rest)) = arguments.split_first() else {
        bail!("--smoke, or one of: {}", targets.join(" "));
    };
    if first != "--smoke" && !targets.contains(first) {
        bail!("no fuzz target is called {first:?}; there are: {}", targets.join(" "));
    }
    let seconds = match (first.as_str(), rest.first()) {
        ("--smoke", Some(word)) => word.parse().context("the seconds for each target")?,
        _ => DEFAULT_SECONDS,
    };
    // libFuzzer itself is C++.
    tools.apt("c++", &["g++"])?;
    let binaries = build()?;
    if first != "--smoke" {
        return start(&binaries, first, rest);
    }
    let limit = [
        format!("-max_total_time={seconds}"),
        "-verbosity=0".to_owned(),
        "-print_final_stats=1".to_owned(),
    ];
    for target in &targets {
        start(&binaries, target, &limit)?;
    }
    eprintln!("\nxtask fuzz: {} targets, {seconds} s each, found nothing", targets.len());
    Ok(())
}

/// The targets are the files in `fuzz/fuzz_targets`.
fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for item in std::fs::read_dir(root().join("fuzz/fuzz_targets"))? {
        let path = item?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

fn build() -> Result<PathBuf> {
    let host = host()?;
    let folder = target_dir().join("fuzz");
    // With a target named, build scripts and macros stay without the instrumentation.
    run(cargo()
        .args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", &host])
        .env("RUSTFLAGS", INSTRUMENT)
        .env("CARGO_TARGET_DIR", &folder))?;
    Ok(folder.join(host).join("release"))
}

fn host() -> Result<String> {
    let output = program("rustc").arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not name its host")?.to_owned())
}

/// Runs one target. What it learns stays in the target folder; the seeds are in the repository.
fn start(binaries: &std::path::Path, target: &str, arguments: &[String]) -> Result<()> {
    let corpus = target_dir().join("fuzz/corpus").join(target);
    let findings = target_dir().join("fuzz/findings").join(target);
    std::fs::create_dir_all(&corpus)?;
    std::fs::create_dir_all(&findings)?;
    let mut command = program(&binaries.join(target).to_string_lossy());
    command.args(LIMITS).args(arguments);
    command.arg(format!("-artifact_prefix={}/", findings.display())).arg(corpus);
    let seeds = root().join("fuzz/seeds").join(target);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    run(&mut command)
}
