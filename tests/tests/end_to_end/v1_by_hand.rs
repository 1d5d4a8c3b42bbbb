//! The v1 scheduler flow by an independent HTTP client: a script on Python's
//! standard library, which knows the public documentation only.

use std::process::Command;

use crate::pymesos::{python, script};
use crate::support::cluster::{Cluster, Running};

#[test]
fn the_documented_flow() {
    let on_path = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    let found = ["python3", "pypy3"].into_iter().find(on_path).map(Into::into);
    let Some(python) = found.or_else(python) else { return };
    let cluster = Cluster::small();
    let mut command = Command::new(python);
    command.arg(script("v1_by_hand.py")).arg(cluster.master());
    let mut client = Running::start(&mut command, cluster.folder.path().join("client.log"));
    assert!(client.wait().success(), "{}", client.output());
    assert!(client.output().ends_with("done\n"), "{}", client.output());
}
