//! `dais task run`: one task through the public API.

use std::process::{Command, Output};

use nix::sys::signal::Signal;

use crate::support::cluster::{Cluster, Running, binary};
use crate::support::{processes, unique, wait_until};

fn task_run(cluster: &Cluster, words: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(["task", "run", "--master", cluster.master(), "--cpus", "0.1", "--mem", "32"]);
    command.args(["--name", &unique("run"), "--"]).args(words);
    command
}

fn output(cluster: &Cluster, words: &[&str]) -> Output {
    task_run(cluster, words).output().expect("dais task run starts")
}

#[test]
fn passes_on_output_and_status() {
    let cluster = Cluster::small();
    let done = output(&cluster, &["sh", "-c", "echo to stdout; echo to stderr >&2"]);
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{out}{err}");
    assert!(out.contains("to stdout"), "{out:?}");
    assert!(err.contains("to stderr"), "{err:?}");
    assert!(format!("{out}{err}").contains("TASK_FINISHED"), "{out}{err}");

    let done = output(&cluster, &["sh", "-c", "exit 3"]);
    assert_eq!(done.status.code(), Some(3), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn brings_files_along() {
    let cluster = Cluster::small();
    let file = cluster.folder.path().join("greeting.txt");
    std::fs::write(&file, "brought along").expect("a file");
    let done = Command::new(binary())
        .args(["task", "run", "--master", cluster.master(), "--quiet", "--uri"])
        .arg(&file)
        .args(["--env", "NAME=value", "--", "sh", "-c", "cat greeting.txt; echo \" $NAME\""])
        .output()
        .expect("dais task run starts");
    assert!(done.status.success(), "{done:?}");
    assert_eq!(String::from_utf8_lossy(&done.stdout), "brought along value\n");
}

#[test]
fn an_interrupt_ends_the_task() {
    let cluster = Cluster::small();
    let mut command = task_run(&cluster, &["sleep", "1000"]);
    let mut child = command.spawn().expect("dais task run starts");
    wait_until("the task to run", || sleeps(&cluster) > 0);
    processes::signal(child.id() as i32, Signal::SIGINT);
    let status = child.wait().expect("its end");
    assert!(!status.success(), "an interrupted task has not succeeded");
    wait_until("the task to end", || sleeps(&cluster) == 0);
}

/// Processes of tasks: they work in their sandboxes.
fn sleeps(cluster: &Cluster) -> usize {
    let found = processes::of_folder(&cluster.data_dir());
    found.iter().filter(|process| process.command.starts_with("sleep ")).count()
}

#[test]
fn says_when_there_is_no_master_and_goes_on_trying() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(binary());
    command.args(["task", "run", "--master", "127.0.0.1:1", "--", "true"]);
    let mut running = Running::start(&mut command, folder.path().join("run.log"));
    wait_until("the reason", || running.output().contains("127.0.0.1:1"));
    assert_eq!(running.exit_status(), None);
    running.signal(Signal::SIGINT);
    assert!(!running.wait().success());
}
