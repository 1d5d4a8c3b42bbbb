//! Which controllers this machine has, where, and which of them may be used.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::CgroupError;
use crate::plan::{Cgroups, MemoryGroup};

/// The controllers that are used, by the name the kernel gives them.
const WANTED: [&str; 4] = ["cpu", "cpuacct", "memory", "pids"];
/// What version 2 counts without any controller, or has in `cpu`.
const OF_V2: [&str; 3] = ["cpu", "memory", "pids"];

/// Where a container's groups go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hierarchies {
    root: String,
    /// Controllers of version 1 with the directories their hierarchies are mounted at.
    v1: BTreeMap<String, PathBuf>,
    /// The directory of version 2 and the controllers used there.
    v2: Option<(PathBuf, Vec<String>)>,
    /// What is not limited, each with why.
    missing: Vec<String>,
}

/// One mount of cgroups.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    path: PathBuf,
    /// None: version 2.
    controllers: Option<Vec<String>>,
}

impl Hierarchies {
    /// Looks at this machine, and makes the group `root` in each hierarchy to see whether it can.
    pub(crate) fn detect(root: &str) -> Self {
        Self::detect_in(root, &fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
    }

    pub(super) fn detect_in(root: &str, mountinfo: &str) -> Self {
        let mut found = Self { root: root.to_owned(), ..Self::default() };
        for mount in mounts(mountinfo) {
            match mount.controllers {
                Some(controllers) => found.add_v1(&mount.path, &controllers),
                None => found.add_v2(&mount.path),
            }
        }
        for controller in WANTED {
            let named = found.missing.iter().any(|text| text.split(' ').next() == Some(controller));
            if !found.has(controller) && !named {
                found.missing.push(format!("{controller} (no such controller)"));
            }
        }
        found
    }

    fn add_v1(&mut self, mount: &Path, controllers: &[String]) {
        let wanted = controllers.iter().filter(|name| WANTED.contains(&name.as_str()));
        for controller in wanted {
            match fs::create_dir_all(mount.join(&self.root)) {
                Ok(()) => {
                    self.v1.insert(controller.clone(), mount.to_owned());
                }
                Err(error) => self.missing.push(format!("{controller} ({error})")),
            }
        }
    }

    fn add_v2(&mut self, mount: &Path) {
        let available = fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default();
        let controllers: Vec<String> = available
            .split_ascii_whitespace()
            .filter(|name| OF_V2.contains(name))
            .map(str::to_owned)
            .collect();
        // A hybrid machine's version 2 has no controllers and only groups processes.
        if controllers.is_empty() {
            return;
        }
        let path = mount.join(&self.root);
        if let Err(error) = fs::create_dir_all(&path) {
            self.missing.extend(controllers.iter().map(|name| format!("{name} ({error})")));
            return;
        }
        let mut usable = Vec::new();
        for controller in controllers {
            match enable(mount, &controller).and_then(|()| enable(&path, &controller)) {
                Ok(()) => usable.push(controller),
                Err(error) => self.missing.push(format!("{controller} ({error})")),
            }
        }
        if !usable.is_empty() {
            self.v2 = Some((mount.to_owned(), usable));
        }
    }

    /// Version 2 counts a group's cpu time in any case.
    fn has(&self, controller: &str) -> bool {
        self.v1.contains_key(controller)
            || self.v2.as_ref().is_some_and(|(_, names)| {
                controller == "cpuacct" || names.iter().any(|name| name == controller)
            })
    }

    /// What is limited, and what is not with why; for the log.
    pub(crate) fn describe(&self) -> (Vec<&'static str>, &[String]) {
        (WANTED.into_iter().filter(|name| self.has(name)).collect(), &self.missing)
    }

    /// The groups of one container, whether they exist or not.
    pub(super) fn groups_of(&self, id: &str, pids: bool) -> Cgroups {
        let at = |mount: &PathBuf| mount.join(&self.root).join(id);
        let v1 = |name: &str| self.v1.get(name).map(at);
        let v2 = self.v2.as_ref().map(|(mount, _)| at(mount));
        let of_v2 = |name: &str| {
            let used = self.v2.as_ref().is_some_and(|(_, names)| names.iter().any(|n| n == name));
            v2.clone().filter(|_| used)
        };
        let mut paths: Vec<PathBuf> = WANTED
            .iter()
            .filter(|name| pids || **name != "pids")
            .filter_map(|name| v1(name))
            .collect();
        // Controllers may share a hierarchy.
        paths.sort();
        paths.dedup();
        let memory = v1("memory").map(MemoryGroup::V1);
        Cgroups {
            v1: paths,
            memory: memory.or_else(|| of_v2("memory").map(MemoryGroup::V2)),
            cpu: v1("cpu").or_else(|| of_v2("cpu")),
            cpuacct: v1("cpuacct").or_else(|| v2.clone()),
            pids: v1("pids").filter(|_| pids).or_else(|| of_v2("pids")),
            v2,
        }
    }

    /// The controllers stay enabled for the containers' groups even if the group that holds them
    /// was removed meanwhile.
    pub(super) fn prepare_v2(&self) -> Result<(), CgroupError> {
        let Some((mount, controllers)) = &self.v2 else {
            return Ok(());
        };
        let path = mount.join(&self.root);
        super::make_group(&path)?;
        controllers.iter().try_for_each(|controller| {
            enable(&path, controller).map_err(|source| CgroupError {
                action: format!("enable the controller '{controller}' in"),
                path: path.clone(),
                source,
            })
        })
    }

    fn roots(&self) -> impl Iterator<Item = PathBuf> {
        let mounts = self.v1.values().chain(self.v2.as_ref().map(|(mount, _)| mount));
        mounts.map(|mount| mount.join(&self.root))
    }

    /// Removes the groups that hold the containers' groups, where those are gone.
    pub(crate) fn remove_roots(&self) {
        for root in self.roots() {
            let _ = fs::remove_dir(root);
        }
    }

    /// Removes containers' groups that nobody will: those of supervisors that were killed, of
    /// whom no record is left either. Younger ones may be those of containers that are starting;
    /// the kernel keeps those with processes.
    pub(crate) fn sweep(&self, older_than: Duration) {
        for root in self.roots() {
            for entry in fs::read_dir(root).into_iter().flatten().flatten() {
                let age = entry.metadata().and_then(|meta| meta.modified()).map(|at| at.elapsed());
                if matches!(age, Ok(Ok(age)) if age >= older_than) {
                    let _ = fs::remove_dir(entry.path());
                }
            }
        }
    }
}

fn enable(group: &Path, controller: &str) -> std::io::Result<()> {
    let file = group.join("cgroup.subtree_control");
    if fs::read_to_string(&file)?.split_ascii_whitespace().any(|name| name == controller) {
        return Ok(());
    }
    fs::write(file, format!("+{controller}"))
}

/// The mounts of cgroups in a `mountinfo`, the first of each hierarchy.
fn mounts(mountinfo: &str) -> Vec<Mount> {
    let mut found: Vec<Mount> = Vec::new();
    for mount in mountinfo.lines().filter_map(mount) {
        if !found.iter().any(|known| known.controllers == mount.controllers) {
            found.push(mount);
        }
    }
    found
}

/// Fields before ` - ` vary in number; after it come type, source and options.
fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let path = PathBuf::from(unescape(before.split(' ').nth(4)?));
    let mut after = after.split(' ');
    let kind = after.next()?;
    let options = after.nth(1)?;
    match kind {
        "cgroup2" => Some(Mount { path, controllers: None }),
        "cgroup" => {
            Some(Mount { path, controllers: Some(options.split(',').map(str::to_owned).collect()) })
        }
        _ => None,
    }
}

/// Spaces and the like stand as `\040`.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:32 / /other\\040place rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
garbage";

    fn hybrid() -> Hierarchies {
        let mut v1 = BTreeMap::new();
        v1.insert("cpu".to_owned(), PathBuf::from("/c/both"));
        v1.insert("cpuacct".to_owned(), PathBuf::from("/c/both"));
        v1.insert("pids".to_owned(), PathBuf::from("/c/pids"));
        let v2 = Some((PathBuf::from("/c/unified"), vec!["memory".to_owned()]));
        Hierarchies { root: "mesos".to_owned(), v1, v2, missing: Vec::new() }
    }

    #[test]
    fn mounts_are_read_once_for_each_hierarchy() {
        let found = mounts(HYBRID);
        let paths: Vec<&str> = found.iter().map(|mount| mount.path.to_str().unwrap()).collect();
        assert_eq!(
            paths,
            ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"]
        );
        assert_eq!(found[2].controllers, None);
        assert_eq!(unescape("/other\\040place"), "/other place");
    }

    #[test]
    fn a_container_has_one_group_in_each_hierarchy() {
        let groups = hybrid().groups_of("a", true);
        let path = |text: &str| PathBuf::from(text);
        assert_eq!(groups.v1, [path("/c/both/mesos/a"), path("/c/pids/mesos/a")]);
        assert_eq!(groups.v2, Some(path("/c/unified/mesos/a")));
        assert_eq!(groups.memory, Some(MemoryGroup::V2(path("/c/unified/mesos/a"))));
        assert_eq!(groups.cpu, Some(path("/c/both/mesos/a")));
        assert_eq!(hybrid().groups_of("a", false).v1, [path("/c/both/mesos/a")]);
    }

    #[test]
    fn a_machine_without_cgroups_has_no_groups() {
        let none = Hierarchies { root: "mesos".to_owned(), ..Hierarchies::default() };
        assert_eq!(none.groups_of("a", true), Cgroups::default());
        assert_eq!(none.describe().0, Vec::<&str>::new());
    }
}
