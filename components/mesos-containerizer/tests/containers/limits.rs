//! Limits hold, and exceeding one is told.

use std::{fs, path::PathBuf};

use mesos_containerizer::{LauncherChoice, ResourceLimits};
use mesos_messages::v1::task_status::Reason;

use super::support::{Bench, HELPER, benches, eventually, output, unique};

/// The container's group in the hierarchy of `controller`, version 1; none is said.
fn group(bench: &Bench, controller: &str, id: &str) -> Option<PathBuf> {
    let path =
        PathBuf::from("/sys/fs/cgroup").join(controller).join(&bench.config.cgroups_root).join(id);
    if !path.exists() {
        println!("skipped: no cgroup of version 1 for {controller}");
        return None;
    }
    Some(path)
}

fn read(group: &std::path::Path, file: &str) -> String {
    fs::read_to_string(group.join(file)).unwrap().trim().to_owned()
}

#[tokio::test]
async fn memory_beyond_the_limit_ends_the_container_with_its_reason() {
    let Some(bench) = Bench::new(LauncherChoice::Linux) else {
        return;
    };
    // The hog is not the main process: the whole container ends all the same.
    let script = format!("{HELPER} hog 200 & sleep 1000");
    let mut container = bench.shell(&script);
    container.resources.mem_bytes = 48 << 20;
    let id = container.container_id.clone();
    bench.containerizer.launch(container.clone()).await.unwrap();
    let Some(group) = group(&bench, "memory", &id.value) else {
        bench.containerizer.destroy(&id).await.unwrap();
        return;
    };
    let ended = bench.containerizer.wait(&id).await.unwrap();
    assert_eq!(ended.reason, Some(Reason::ContainerLimitationMemory));
    let limitation = ended.limitation.unwrap();
    assert!(
        limitation.message.starts_with("Memory limit exceeded: Requested: 48MB Maximum Used: "),
        "{}",
        limitation.message
    );
    let resource = &limitation.resources[0];
    let used = resource.scalar.as_ref().unwrap().value;
    assert!(resource.name == "mem" && used > 40.0 && used <= 48.0, "{resource:?}");
    assert!(!group.exists(), "the group is left");
    assert!(!output(&container, "stdout").contains("hogged"));
}

#[tokio::test]
async fn requests_and_limits_reach_the_kernel() {
    let bench = Bench::with(LauncherChoice::Linux, |config| {
        config.cgroups_enable_cfs = true;
        config.pids_limit = Some(50);
    });
    let Some(bench) = bench else {
        return;
    };
    let mut container = bench.shell("cat /proc/self/cgroup; sleep 1000");
    container.resources =
        ResourceLimits { cpus: 0.5, mem_bytes: 64 << 20, ..ResourceLimits::default() };
    let id = container.container_id.clone();
    bench.containerizer.launch(container.clone()).await.unwrap();
    eventually("it runs", || output(&container, "stdout").contains("memory")).await;
    if let Some(cpu) = group(&bench, "cpu", &id.value) {
        assert_eq!(read(&cpu, "cpu.shares"), "512");
        assert_eq!(read(&cpu, "cpu.cfs_quota_us"), "50000");
        assert!(!read(&cpu, "cgroup.procs").is_empty());
        assert!(output(&container, "stdout").contains(&id.value));
    }
    if let Some(pids) = group(&bench, "pids", &id.value) {
        assert_eq!(read(&pids, "pids.max"), "50");
    }
    let memory = group(&bench, "memory", &id.value);
    let mebibytes = |count: u64| (count << 20).to_string();
    if let Some(memory) = &memory {
        assert_eq!(read(memory, "memory.soft_limit_in_bytes"), mebibytes(64));
        assert_eq!(read(memory, "memory.limit_in_bytes"), mebibytes(64));
    }
    let update = |cpus, mem: u64| {
        let resources = ResourceLimits { cpus, mem_bytes: mem << 20, ..ResourceLimits::default() };
        bench.containerizer.update(&id, resources)
    };
    update(2.0, 96).await.unwrap();
    update(1.0, 80).await.unwrap();
    if let Some(memory) = &memory {
        assert_eq!(read(memory, "memory.soft_limit_in_bytes"), mebibytes(80));
        assert_eq!(read(memory, "memory.limit_in_bytes"), mebibytes(96), "it was lowered");
    }
    if let Some(cpu) = group(&bench, "cpu", &id.value) {
        assert_eq!(read(&cpu, "cpu.shares"), "1024");
    }
    let usage = bench.containerizer.usage(&id).await.unwrap();
    assert_eq!(usage.cpus_soft_limit, Some(1.0));
    if memory.is_some() {
        assert!(usage.mem_total_bytes.unwrap() > 0);
    }
    bench.containerizer.destroy(&id).await.unwrap();
    for controller in ["cpu", "cpuacct", "memory", "pids"] {
        let path = PathBuf::from("/sys/fs/cgroup")
            .join(controller)
            .join(&bench.config.cgroups_root)
            .join(&id.value);
        assert!(!path.exists(), "{} is left", path.display());
    }
}

#[tokio::test]
async fn usage_is_that_of_the_container() {
    for launcher in [LauncherChoice::Posix, LauncherChoice::Linux] {
        let Some(bench) = Bench::with(launcher, |config| config.count_processes = true) else {
            continue;
        };
        let mut container = bench.shell(&format!("{HELPER} hog 50 & {HELPER} hog 1"));
        container.resources.mem_bytes = 256 << 20;
        let id = container.container_id.clone();
        bench.containerizer.launch(container.clone()).await.unwrap();
        eventually("both have their memory", || {
            output(&container, "stdout").matches("hogged").count() == 2
        })
        .await;
        let usage = bench.containerizer.usage(&id).await.unwrap();
        assert!(usage.timestamp > 0.0);
        assert!(usage.mem_rss_bytes.unwrap() > 50 << 20, "{usage:?}");
        assert_eq!(usage.mem_limit_bytes, Some(256 << 20));
        assert!(usage.processes.unwrap() >= 3 && usage.threads.unwrap() >= 3, "{usage:?}");
        assert!(usage.cpus_user_time_secs.is_some() && usage.cpus_system_time_secs.is_some());
        bench.containerizer.destroy(&id).await.unwrap();
        assert!(bench.containerizer.usage(&id).await.is_err());
    }
}

#[tokio::test]
async fn an_unknown_container_has_no_usage() {
    for bench in benches() {
        let id = mesos_messages::v1::ContainerId { value: "x".to_owned(), ..Default::default() };
        assert_eq!(
            bench.containerizer.usage(&id).await.unwrap_err().to_string(),
            "Unknown container 'x'"
        );
        assert!(bench.containerizer.update(&id, ResourceLimits::default()).await.is_err());
        assert!(bench.containerizer.status(&id).is_err());
    }
}

/// Where version 2 is mounted; none is said.
fn version_2() -> Option<PathBuf> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let found = mountinfo.lines().find(|line| line.contains(" - cgroup2 "));
    let path = found.and_then(|line| line.split(' ').nth(4)).map(PathBuf::from);
    if path.is_none() {
        println!("skipped: cgroups of version 2 are not mounted");
    }
    path
}

/// The supervisor alone, with a configuration that this machine's agent would not have made: its
/// version 2 may have no controllers.
#[tokio::test]
async fn a_group_of_version_2_is_entered_and_removed() {
    let (Some(bench), Some(mount)) = (Bench::new(LauncherChoice::Linux), version_2()) else {
        return;
    };
    let container = bench.shell("cat /proc/self/cgroup; sleep 0.2");
    let id = container.container_id.clone();
    bench.containerizer.launch(container.clone()).await.unwrap();
    let record = fs::read_to_string(bench.dir.path().join("run/containers").join(&id.value));
    let mut plan: serde_json::Value =
        serde_json::from_str(record.unwrap().lines().next().unwrap()).unwrap();
    bench.containerizer.wait(&id).await.unwrap();

    let group = mount.join(unique("dais-test"));
    if let Err(error) = fs::create_dir(&group) {
        println!("skipped: {error}");
        return;
    }
    plan["plan"]["cgroups"] = serde_json::json!({
        "v1": [], "v2": group, "memory": null, "cpu": null, "cpuacct": null, "pids": null,
    });
    let copy = bench.dir.path().join("copy");
    fs::write(&copy, format!("{plan}\n")).unwrap();
    fs::remove_file(container.sandbox.join("stdout")).unwrap();
    let supervisor =
        std::process::Command::new(HELPER).arg("containerizer-init").arg(&copy).output().unwrap();
    let report = String::from_utf8(supervisor.stdout).unwrap();
    assert!(report.starts_with("ok "), "{report}");
    // The pipe closes when the container runs, not when it has ended.
    eventually("it has ended", || fs::read_to_string(&copy).unwrap().contains("{\"ending\"")).await;
    let out = output(&container, "stdout");
    let name = group.file_name().unwrap().to_str().unwrap();
    assert!(out.contains(&format!("0::/{name}\n")), "{out}");
    assert!(!group.exists(), "the group is left");
}
