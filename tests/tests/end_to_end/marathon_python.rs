//! PyPI's marathon-python, unmodified, on the services of a whole cluster.

use std::path::PathBuf;
use std::process::Command;

use crate::pymesos::script;
use crate::support::cluster::{Cluster, Running};

/// The interpreter with marathon-python, which `cargo xtask test` prepares. Without it a bare
/// `cargo test` passes over this test, and says so.
fn python() -> Option<PathBuf> {
    let chosen = std::env::var_os("DAIS_MARATHON_PYTHON").map(PathBuf::from);
    let prepared = std::env::current_exe().ok().and_then(|test| {
        let target = test.ancestors().nth(3)?.to_owned();
        Some(target.join("end-to-end/marathon-python/bin/python"))
    });
    let found = chosen.or(prepared).filter(|path| path.exists());
    if found.is_none() {
        assert!(std::env::var_os("DAIS_REQUIRE_TOOLS").is_none(), "marathon-python is missing");
        println!("skipped: no marathon-python; `cargo xtask test e2e` installs it");
    }
    found
}

#[test]
fn every_method_of_the_client_does_what_it_says() {
    let Some(python) = python() else { return };
    let mut cluster = Cluster::with_services(&[]);
    let marathon = cluster.endpoints["marathon"].as_str().expect("Marathon's URL").to_owned();
    let mut command = Command::new(python);
    command.arg("-B").arg(script("marathon_python/main.py")).arg(marathon).arg(cluster.master());
    let log = cluster.folder.path().join("marathon-python.log");
    let mut client = Running::start(&mut command, log);
    // The scenarios have deadlines of their own; together they take longer than one.
    let status = (0..4).find_map(|_| client.wait_a_while()).expect("the scenarios to end");
    assert!(status.success(), "{}", client.output());
    assert!(client.output().contains("all scenarios passed"));
    cluster.assert_alive();
}
