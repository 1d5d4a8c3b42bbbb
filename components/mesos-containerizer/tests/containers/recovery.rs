//! An agent that is killed finds its containers again, and how they ended.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Child,
    time::Duration,
};

use mesos_containerizer::{Containerizer, ContainerizerConfig, LauncherChoice};
use mesos_messages::v1;

use super::support::{HELPER, agent, eventually, is_root, make_accessible, marked, unique};

fn container_id(value: &str) -> v1::ContainerId {
    v1::ContainerId { value: value.to_owned(), ..Default::default() }
}

fn launchers() -> Vec<(LauncherChoice, &'static str)> {
    let mut all = vec![(LauncherChoice::Posix, "posix")];
    if is_root() {
        all.push((LauncherChoice::Linux, "linux"));
    } else {
        println!("skipped: the linux launcher needs root");
    }
    all
}

fn containerizer(base: &Path, launcher: LauncherChoice, id: &str) -> Option<Containerizer> {
    let mut config = ContainerizerConfig::new(base.join("run"), HELPER);
    config.launcher = launcher;
    config.cgroups_root = format!("dais-test-{id}");
    config.destroy_timeout = Duration::from_secs(30);
    Containerizer::new(config).map_err(|error| println!("skipped: {error}")).ok()
}

/// An agent that has launched a container, and was killed.
fn killed_agent(base: &Path, launcher: &str, id: &str, script: &str) {
    make_accessible(base);
    let mut child = agent(0, base, launcher, id, &["sh", "-c", script]).spawn().unwrap();
    wait_for_launch(&mut child);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn wait_for_launch(child: &mut Child) {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("launched "), "{line}");
}

#[tokio::test]
async fn a_container_outlives_its_agent_and_is_found_again() {
    for (launcher, name) in launchers() {
        let dir = tempfile::tempdir().unwrap();
        let id = unique("orphaned");
        killed_agent(
            dir.path(),
            name,
            &id,
            "echo one; while [ ! -e go ]; do sleep 0.01; done; echo two; exit 3",
        );
        assert!(!marked(&id).is_empty(), "it died with its agent");
        let Some(containerizer) = containerizer(dir.path(), launcher, &id) else {
            continue;
        };
        let missing = container_id("missing");
        let known = vec![container_id(&id), missing.clone()];
        let recovered = containerizer.recover(known).await.unwrap();
        assert_eq!(recovered.containers, [container_id(&id)]);
        assert_eq!((recovered.missing, recovered.orphans), (vec![missing], vec![]));
        let usage = containerizer.usage(&container_id(&id)).await.unwrap();
        assert!(usage.mem_rss_bytes.is_some() && usage.cpus_user_time_secs.is_some());
        assert!(containerizer.status(&container_id(&id)).unwrap().executor_pid.is_some());
        fs::write(dir.path().join("sandbox/go"), "").unwrap();
        let ended = containerizer.wait(&container_id(&id)).await.unwrap();
        assert_eq!(ended.status, Some(3 << 8));
        let out = fs::read_to_string(dir.path().join("sandbox/stdout")).unwrap();
        assert_eq!(out, "one\ntwo\n");
    }
}

#[tokio::test]
async fn an_end_without_an_agent_is_remembered_until_removed() {
    for (launcher, name) in launchers() {
        let dir = tempfile::tempdir().unwrap();
        let id = unique("unwatched");
        killed_agent(dir.path(), name, &id, "exit 5");
        let record = dir.path().join("run/containers").join(&id);
        let has_ended = || fs::read_to_string(&record).unwrap().contains("{\"ending\"");
        eventually("the end is written down", has_ended).await;
        for _ in 0..2 {
            let Some(containerizer) = containerizer(dir.path(), launcher, &id) else {
                break;
            };
            let recovered = containerizer.recover(vec![container_id(&id)]).await.unwrap();
            assert_eq!(recovered.containers, [container_id(&id)]);
            let ended = containerizer.wait(&container_id(&id)).await.unwrap();
            assert_eq!(ended.status, Some(5 << 8));
        }
        if let Some(containerizer) = containerizer(dir.path(), launcher, &id) {
            containerizer.recover(vec![container_id(&id)]).await.unwrap();
            containerizer.remove(&container_id(&id)).await.unwrap();
            let recovered = containerizer.recover(vec![container_id(&id)]).await.unwrap();
            assert_eq!(recovered.missing, [container_id(&id)]);
        }
    }
}

#[tokio::test]
async fn a_container_nobody_knows_is_destroyed() {
    for (launcher, name) in launchers() {
        let dir = tempfile::tempdir().unwrap();
        let id = unique("unknown");
        killed_agent(dir.path(), name, &id, "(setsid sleep 1000 &); sleep 1000");
        let Some(containerizer) = containerizer(dir.path(), launcher, &id) else {
            continue;
        };
        let recovered = containerizer.recover(Vec::new()).await.unwrap();
        assert_eq!(recovered.orphans, [container_id(&id)]);
        assert_eq!(marked(&id), Vec::<i32>::new());
        assert_eq!(fs::read_dir(dir.path().join("run/containers")).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_supervisor_that_is_killed_takes_its_container_along() {
    for (launcher, name) in launchers() {
        let dir = tempfile::tempdir().unwrap();
        let id = unique("unsupervised");
        killed_agent(dir.path(), name, &id, "sleep 1000 & sleep 1000");
        let Some(containerizer) = containerizer(dir.path(), launcher, &id) else {
            continue;
        };
        containerizer.recover(vec![container_id(&id)]).await.unwrap();
        let record = fs::read_to_string(dir.path().join("run/containers").join(&id)).unwrap();
        let line: serde_json::Value =
            serde_json::from_str(record.lines().find(|line| line.contains("supervisor")).unwrap())
                .unwrap();
        let pid = line["supervisor"]["pid"].as_i64().unwrap();
        let pid = nix::unistd::Pid::from_raw(pid as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        let ended = containerizer.wait(&container_id(&id)).await.unwrap();
        assert_eq!(ended.status, None);
        assert_eq!(ended.message.as_deref(), Some("The container's supervisor died"));
        assert_eq!(marked(&id), Vec::<i32>::new());
    }
}

#[tokio::test]
async fn records_of_another_boot_or_torn_ones_are_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    let containers = dir.path().join("run/containers");
    fs::create_dir_all(&containers).unwrap();
    fs::write(containers.join("torn"), "{\"plan\":{").unwrap();
    fs::write(containers.join("empty"), "").unwrap();
    let id = unique("rebooted");
    killed_agent(dir.path(), "posix", &id, "sleep 1000");
    let record = containers.join(&id);
    let text = fs::read_to_string(&record).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    fs::write(&record, text.replace(boot.trim(), "another")).unwrap();
    let containerizer = containerizer(dir.path(), LauncherChoice::Posix, &id).unwrap();
    let recovered = containerizer.recover(vec![container_id(&id)]).await.unwrap();
    assert_eq!(recovered.missing, [container_id(&id)]);
    assert_eq!(fs::read_dir(containers).unwrap().count(), 0);
    // It is of this boot after all, and not told of by now: it ends here.
    for pid in marked(&id) {
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }
}
