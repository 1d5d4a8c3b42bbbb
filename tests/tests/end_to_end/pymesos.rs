//! PyPI's pymesos, unmodified, as scheduler and as executor.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::cluster::{Cluster, Running};
use crate::support::eventually;

/// The interpreter with pymesos, which `cargo xtask test` prepares. Without it a
/// bare `cargo test` passes over these tests, and says so.
pub(crate) fn python() -> Option<PathBuf> {
    let chosen = std::env::var_os("DAIS_PYMESOS_PYTHON").map(PathBuf::from);
    let prepared = std::env::current_exe().ok().and_then(|test| {
        let target = test.ancestors().nth(3)?.to_owned();
        Some(target.join("end-to-end/pymesos/bin/python"))
    });
    let found = chosen.or(prepared).filter(|path| path.exists());
    if found.is_none() {
        assert!(std::env::var_os("DAIS_REQUIRE_TOOLS").is_none(), "pymesos is missing");
        println!("skipped: no pymesos; `cargo xtask test e2e` installs it");
    }
    found
}

pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn scheduler_and_executor_run_every_scenario() {
    let Some(python) = python() else { return };
    let cluster = Cluster::small();
    let executor = script("pymesos/executor.py");
    let executor = format!("exec {} {}", python.display(), executor.display());
    let mut command = Command::new(python);
    command.arg(script("pymesos/scheduler.py")).arg(cluster.master()).arg(executor);
    let mut scheduler = Running::start(&mut command, cluster.folder.path().join("pymesos.log"));
    // The scenarios have deadlines of their own; together they take longer than one.
    let status = (0..5).find_map(|_| scheduler.wait_a_while()).expect("the scenarios to end");
    assert!(status.success(), "{}", scheduler.output());
    assert!(scheduler.output().contains("all scenarios passed"));

    let frameworks = eventually("the framework to be completed", || {
        let frameworks = crate::support::http::get(cluster.master(), "/frameworks").json();
        (frameworks["completed_frameworks"][0]["name"] == "pymesos").then_some(frameworks)
    });
    assert_eq!(frameworks["frameworks"], serde_json::json!([]), "its teardown removed it");
}
