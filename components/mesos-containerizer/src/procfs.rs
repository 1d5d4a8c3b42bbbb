//! What `/proc` says about processes, and who descends from whom.

use std::{collections::HashMap, fs, io};

/// Of `/proc/<pid>/stat`, what is needed here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) pid: i32,
    pub(crate) state: u8,
    pub(crate) ppid: i32,
    pub(crate) session: i32,
    /// In clock ticks, as are the next three.
    pub(crate) utime: u64,
    pub(crate) stime: u64,
    pub(crate) cutime: u64,
    pub(crate) cstime: u64,
    pub(crate) threads: u64,
    pub(crate) start_time: u64,
    pub(crate) rss_pages: u64,
}

impl Stat {
    /// Ended, and perhaps not yet reaped.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// The name of a process may hold anything, parentheses and spaces too: the last closing one
    /// ends it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (pid, _) = text.split_once(' ')?;
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let signed = |index: usize| fields.get(index)?.parse::<i32>().ok();
        Some(Self {
            pid: pid.parse().ok()?,
            state: *fields.first()?.as_bytes().first()?,
            ppid: signed(1)?,
            session: signed(3)?,
            utime: number(11)?,
            stime: number(12)?,
            cutime: number(13)?,
            cstime: number(14)?,
            threads: number(17)?,
            start_time: number(19)?,
            rss_pages: number(21)?,
        })
    }
}

pub(crate) fn stat(pid: i32) -> io::Result<Stat> {
    let bytes = fs::read(format!("/proc/{pid}/stat"))?;
    Stat::parse(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a process's stat"))
}

/// All processes; those that end meanwhile are left out.
pub(crate) fn all() -> io::Result<Vec<Stat>> {
    Ok(fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| stat(pid).ok())
        .collect())
}

/// Those of `processes` that descend from one of `roots`, the roots left out.
pub(crate) fn descendants(processes: &[Stat], roots: &[i32]) -> Vec<Stat> {
    let mut children: HashMap<i32, Vec<&Stat>> = HashMap::new();
    for process in processes {
        children.entry(process.ppid).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut queue = roots.to_vec();
    // Each list of children is taken once, so a cycle in a table torn by time ends too.
    while let Some(pid) = queue.pop() {
        for child in children.remove(&pid).unwrap_or_default() {
            if !roots.contains(&child.pid) {
                found.push(*child);
            }
            queue.push(child.pid);
        }
    }
    found
}

/// The processes below `root`, by the kernel's own lists of children where it keeps them: cheaper
/// than reading all of `/proc`, and for statistics good enough.
pub(crate) fn tree(root: i32) -> io::Result<Vec<Stat>> {
    if !fs::exists(format!("/proc/{root}/task/{root}/children"))? {
        return Ok(descendants(&all()?, &[root]));
    }
    let mut found = Vec::new();
    let mut queue = vec![root];
    while let Some(pid) = queue.pop() {
        for child in children(pid) {
            if let Ok(stat) = stat(child) {
                found.push(stat);
                queue.push(child);
            }
        }
    }
    Ok(found)
}

fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok())
        .flat_map(|list| {
            list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}", tail in "[0-9 ()A-Z-]{0,120}") {
            let _ = Stat::parse(&format!("{text}{tail}"));
        }

        #[test]
        fn descendants_are_those_from_whom_a_way_leads_to_the_root(
            parents in proptest::collection::vec(1_i32..20, 0..20)
        ) {
            let table: Vec<Stat> =
                (2..).zip(&parents).map(|(pid, ppid)| process(pid, *ppid)).collect();
            let mut found: Vec<i32> = descendants(&table, &[2]).iter().map(|p| p.pid).collect();
            found.sort_unstable();
            let leads_to_root = |pid: i32| {
                let mut at = pid;
                (0..table.len()).any(|_| {
                    at = table.iter().find(|p| p.pid == at).map_or(0, |p| p.ppid);
                    at == 2
                })
            };
            let expected: Vec<i32> =
                table.iter().map(|p| p.pid).filter(|pid| *pid != 2 && leads_to_root(*pid)).collect();
            prop_assert_eq!(found, expected);
        }
    }

    fn process(pid: i32, ppid: i32) -> Stat {
        Stat { pid, ppid, ..Stat::default() }
    }

    #[test]
    fn reads_itself() {
        let own = stat(std::process::id() as i32).unwrap();
        assert_eq!(own.pid, std::process::id() as i32);
        assert!(own.threads >= 1 && own.rss_pages > 0 && own.start_time > 0);
        assert!(all().unwrap().iter().any(|stat| stat.pid == own.pid));
    }

    #[test]
    fn a_name_may_hold_anything() {
        let text = "42 (a) R 1 (b) S 7 42 43 0 -1 4194560 1 0 0 0 10 20 30 40 20 0 3 0 999 1 55 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.pid, stat.state, stat.ppid, stat.session), (42, b'S', 7, 43));
        assert_eq!((stat.utime, stat.stime, stat.cutime, stat.cstime), (10, 20, 30, 40));
        assert_eq!((stat.threads, stat.start_time, stat.rss_pages), (3, 999, 55));
        assert_eq!(Stat::parse("42 (x"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn descent_is_followed_to_any_depth_and_ends_in_a_cycle() {
        let table = [process(2, 1), process(3, 2), process(4, 3), process(5, 1), process(6, 6)];
        let mut found: Vec<i32> = descendants(&table, &[2]).iter().map(|p| p.pid).collect();
        found.sort_unstable();
        assert_eq!(found, [3, 4]);
        let cycle = [process(2, 3), process(3, 2)];
        assert_eq!(descendants(&cycle, &[2]).len(), 1);
    }

    #[test]
    fn a_child_is_in_the_tree() {
        let mut child = std::process::Command::new("sleep").arg("5").spawn().unwrap();
        let pid = child.id() as i32;
        let own = std::process::id() as i32;
        assert!(tree(own).unwrap().iter().any(|stat| stat.pid == pid));
        assert!(descendants(&all().unwrap(), &[own]).iter().any(|stat| stat.pid == pid));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
