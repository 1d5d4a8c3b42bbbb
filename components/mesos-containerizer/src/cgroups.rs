//! The groups that limit and count what a container uses: both versions, each controller optional.
//!
//! A container's group is `<hierarchy>/<root>/<container id>`; nothing else is ever touched. The
//! agent makes it and sets its limits, the container's main process joins it, and the supervisor
//! removes it.

mod detect;
mod numbers;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub(crate) use detect::Hierarchies;
pub(crate) use numbers::Settings;

use crate::{
    plan::{Cgroups, MemoryGroup},
    procfs::{self, Stat},
};

/// A group whose processes have just died stays busy for a moment.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(2);

/// What went wrong with one of a group's files.
#[derive(Debug, thiserror::Error)]
#[error("Failed to {action} '{}': {source}", path.display())]
pub(crate) struct CgroupError {
    action: String,
    path: PathBuf,
    source: io::Error,
}

/// Makes a container's groups; when one cannot be made, none is left.
pub(crate) fn create(
    hierarchies: &Hierarchies,
    id: &str,
    settings: &Settings,
) -> Result<Cgroups, CgroupError> {
    let groups = hierarchies.groups_of(id, settings.pids_limit.is_some());
    let made = make(hierarchies, &groups).and_then(|()| initialize(&groups, settings));
    if let Err(error) = made {
        let _ = remove(&groups);
        return Err(error);
    }
    Ok(groups)
}

fn make(hierarchies: &Hierarchies, groups: &Cgroups) -> Result<(), CgroupError> {
    for path in &groups.v1 {
        make_group(path)?;
    }
    if let Some(path) = &groups.v2 {
        hierarchies.prepare_v2()?;
        make_group(path)?;
    }
    Ok(())
}

fn make_group(path: &Path) -> Result<(), CgroupError> {
    fs::create_dir_all(path).map_err(|source| CgroupError {
        action: "make the cgroup".to_owned(),
        path: path.to_owned(),
        source,
    })
}

fn initialize(groups: &Cgroups, settings: &Settings) -> Result<(), CgroupError> {
    set_cpu(groups, settings)?;
    match &groups.memory {
        Some(MemoryGroup::V1(path)) => {
            write(path, "memory.soft_limit_in_bytes", settings.mem_soft)?;
            write_limits_v1(path, settings)?;
        }
        Some(MemoryGroup::V2(path)) => {
            write(path, "memory.low", settings.mem_soft)?;
            write_limits_v2(path, settings)?;
        }
        None => {}
    }
    if let (Some(path), Some(limit)) = (&groups.pids, settings.pids_limit) {
        write(path, "pids.max", limit)?;
    }
    Ok(())
}

/// Changes the limits of a container that runs: the soft ones always, the hard memory limit only
/// upwards, for lowering it could kill the container at once.
pub(crate) fn update(groups: &Cgroups, settings: &Settings) -> Result<(), CgroupError> {
    set_cpu(groups, settings)?;
    match &groups.memory {
        Some(MemoryGroup::V1(path)) => {
            write(path, "memory.soft_limit_in_bytes", settings.mem_soft)?;
            if settings.raises(read_number(&path.join("memory.limit_in_bytes"))) {
                // The limit with swap may never be the lower one.
                if settings.limit_swap {
                    write_optional(path, "memory.memsw.limit_in_bytes", settings.mem_hard_v1())?;
                }
                write(path, "memory.limit_in_bytes", settings.mem_hard_v1())?;
            }
        }
        Some(MemoryGroup::V2(path)) => {
            write(path, "memory.low", settings.mem_soft)?;
            if settings.raises(read_number(&path.join("memory.max"))) {
                write_limits_v2(path, settings)?;
            }
        }
        None => {}
    }
    Ok(())
}

fn set_cpu(groups: &Cgroups, settings: &Settings) -> Result<(), CgroupError> {
    let Some(path) = &groups.cpu else {
        return Ok(());
    };
    if groups.v2.as_ref() == Some(path) {
        write(path, "cpu.weight", settings.cpu_weight())?;
        if let Some(quota) = settings.cpu_max() {
            write(path, "cpu.max", quota)?;
        }
        return Ok(());
    }
    write(path, "cpu.shares", settings.cpu_shares())?;
    if let Some(quota) = settings.cfs_quota_us() {
        write(path, "cpu.cfs_period_us", numbers::CFS_PERIOD_US)?;
        write(path, "cpu.cfs_quota_us", quota)?;
    }
    Ok(())
}

fn write_limits_v1(path: &Path, settings: &Settings) -> Result<(), CgroupError> {
    write(path, "memory.limit_in_bytes", settings.mem_hard_v1())?;
    if settings.limit_swap {
        write_optional(path, "memory.memsw.limit_in_bytes", settings.mem_hard_v1())?;
    }
    Ok(())
}

fn write_limits_v2(path: &Path, settings: &Settings) -> Result<(), CgroupError> {
    write(path, "memory.max", settings.mem_hard_v2())?;
    if settings.limit_swap {
        write_optional(path, "memory.swap.max", "0")?;
    }
    Ok(())
}

fn write(group: &Path, file: &str, value: impl ToString) -> Result<(), CgroupError> {
    let (path, value) = (group.join(file), value.to_string());
    fs::write(&path, &value).map_err(|source| CgroupError {
        action: format!("write '{value}' to"),
        path,
        source,
    })
}

/// Kernels without accounting of swap have no such file.
fn write_optional(group: &Path, file: &str, value: impl ToString) -> Result<(), CgroupError> {
    if group.join(file).exists() { write(group, file, value) } else { Ok(()) }
}

/// None: no number, which in a limit means none.
pub(crate) fn read_number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The value of `key` in lines of `key value`.
pub(crate) fn find_key(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find_map(|(name, value)| (name == key).then(|| value.trim().parse().ok())?)
}

fn all_groups(groups: &Cgroups) -> impl Iterator<Item = &PathBuf> {
    groups.v1.iter().chain(groups.v2.as_ref())
}

/// The processes that are in any of the groups.
pub(crate) fn processes(groups: &Cgroups) -> Vec<Stat> {
    let mut pids: Vec<i32> = all_groups(groups)
        .filter_map(|path| fs::read_to_string(path.join("cgroup.procs")).ok())
        .flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<_>>())
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids.into_iter().filter_map(|pid| procfs::stat(pid).ok()).collect()
}

/// Lets the kernel kill all that are in the group of version 2, where it can.
pub(crate) fn kill(groups: &Cgroups) {
    if let Some(path) = &groups.v2 {
        let _ = fs::write(path.join("cgroup.kill"), "1");
    }
}

/// Removes a container's groups, which must be empty.
pub(crate) fn remove(groups: &Cgroups) -> io::Result<()> {
    let deadline = Instant::now() + REMOVE_TIMEOUT;
    // One that stays is no reason to leave the others.
    all_groups(groups).map(|path| remove_group(path, deadline)).fold(Ok(()), Result::and)
}

fn remove_group(path: &Path, deadline: Instant) -> io::Result<()> {
    let mut pause = Duration::from_micros(200);
    loop {
        match fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if Instant::now() >= deadline => return Err(error),
            // A container of root may have made groups of its own.
            Err(_) => remove_below(path, deadline),
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn remove_below(path: &Path, deadline: Instant) {
    let Ok(entries) = fs::read_dir(path) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = remove_group(&entry.path(), deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ContainerizerConfig, ResourceLimits};

    fn settings(mem_megabytes: u64) -> Settings {
        let mut config = ContainerizerConfig::new("/run", "/bin/true");
        config.cgroups_enable_cfs = true;
        config.pids_limit = Some(7);
        let resources = ResourceLimits {
            cpus: 0.5,
            mem_bytes: mem_megabytes << 20,
            ..ResourceLimits::default()
        };
        Settings::new(&config, &resources)
    }

    /// A hierarchy made of plain files, as far as version 2 has them.
    fn plain_v2(dir: &Path) -> Hierarchies {
        fs::create_dir(dir.join("mesos")).unwrap();
        for group in [dir.to_owned(), dir.join("mesos")] {
            fs::write(group.join("cgroup.controllers"), "cpu io memory pids").unwrap();
            fs::write(group.join("cgroup.subtree_control"), "cpu memory pids").unwrap();
        }
        Hierarchies::detect_in("mesos", &format!("1 1 0:1 / {} rw - cgroup2 x rw", dir.display()))
    }

    #[test]
    fn version_2_gets_its_own_files_and_units() {
        let dir = tempfile::tempdir().unwrap();
        let hierarchies = plain_v2(dir.path());
        assert_eq!(hierarchies.describe().0, ["cpu", "cpuacct", "memory", "pids"]);
        let groups = create(&hierarchies, "a", &settings(64)).unwrap();
        let group = dir.path().join("mesos/a");
        assert_eq!((groups.v2.as_ref(), groups.v1.len()), (Some(&group), 0));
        let read = |file: &str| fs::read_to_string(group.join(file)).unwrap();
        assert_eq!((read("cpu.weight"), read("cpu.max")), ("50".into(), "50000 100000".into()));
        assert_eq!(
            (read("memory.low"), read("memory.max")),
            ("67108864".into(), "67108864".into())
        );
        assert_eq!(read("pids.max"), "7");
        update(&groups, &settings(32)).unwrap();
        assert_eq!(
            (read("memory.low"), read("memory.max")),
            ("33554432".into(), "67108864".into())
        );
        update(&groups, &settings(128)).unwrap();
        assert_eq!(read("memory.max"), "134217728");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cgroup.controllers"), "memory").unwrap();
        let hierarchies = Hierarchies::detect_in(
            "mesos",
            &format!("1 1 0:1 / {} rw - cgroup2 x rw", dir.path().display()),
        );
        let (limited, missing) = hierarchies.describe();
        assert_eq!(limited, Vec::<&str>::new());
        assert!(missing.iter().any(|text| text.starts_with("memory (")), "{missing:?}");
        assert!(missing.contains(&"cpu (no such controller)".to_owned()), "{missing:?}");
        let groups = create(&hierarchies, "a", &settings(64)).unwrap();
        assert_eq!(groups, Cgroups::default());
        update(&groups, &settings(64)).unwrap();
        remove(&groups).unwrap();
    }

    #[test]
    fn old_groups_without_a_container_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let hierarchies = plain_v2(dir.path());
        let group = dir.path().join("mesos/left");
        fs::create_dir(&group).unwrap();
        hierarchies.sweep(Duration::from_secs(600));
        assert!(group.exists(), "its container may be starting");
        hierarchies.sweep(Duration::ZERO);
        assert!(!group.exists());
    }

    #[test]
    fn keys_are_found_in_lines() {
        let text = "nr_periods 5\nthrottled_time 7\nodd\n";
        assert_eq!(find_key(text, "throttled_time"), Some(7));
        assert_eq!(find_key(text, "odd"), None);
    }
}
