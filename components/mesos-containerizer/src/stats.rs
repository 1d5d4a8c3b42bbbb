//! What a container uses, from its groups where it has some, else from its processes.

use std::{
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use mesos_messages::v1::ResourceStatistics;

use crate::{
    cgroups::{Settings, find_key, read_number},
    config::ResourceLimits,
    plan::{MemoryGroup, Plan},
    procfs::{self, Stat},
};

/// `supervisor` is the process all of the container's descend from.
pub(crate) fn usage(
    plan: &Plan,
    resources: &ResourceLimits,
    settings: &Settings,
    supervisor: i32,
    count_processes: bool,
) -> ResourceStatistics {
    let mut usage = ResourceStatistics {
        timestamp: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64()),
        cpus_soft_limit: Some(resources.cpus),
        cpus_limit: settings.cpus_limit().filter(|_| plan.cgroups.cpu.is_some()),
        ..ResourceStatistics::default()
    };
    let groups = &plan.cgroups;
    if groups.memory.is_some() {
        usage.mem_soft_limit_bytes = Some(settings.mem_soft);
        usage.mem_limit_bytes = settings.mem_hard;
    } else {
        let limit = resources.mem_limit_bytes.unwrap_or(resources.mem_bytes);
        usage.mem_soft_limit_bytes = Some(resources.mem_bytes);
        usage.mem_limit_bytes = Some(limit).filter(|limit| *limit != u64::MAX);
    }
    let needs_processes = count_processes || groups.cpuacct.is_none() || groups.memory.is_none();
    let processes =
        if needs_processes { procfs::tree(supervisor).unwrap_or_default() } else { Vec::new() };
    if count_processes {
        usage.processes = Some(processes.len() as u32);
        usage.threads = Some(processes.iter().map(|stat| stat.threads as u32).sum());
    }
    match &groups.cpuacct {
        Some(group) => cpu_of_group(&mut usage, group),
        None => cpu_of_processes(&mut usage, &processes, supervisor),
    }
    if let Some(group) = &groups.cpu {
        throttling(&mut usage, group);
    }
    match &groups.memory {
        Some(MemoryGroup::V1(group)) => memory_v1(&mut usage, group),
        Some(MemoryGroup::V2(group)) => memory_v2(&mut usage, group),
        None => {
            let pages: u64 = processes.iter().map(|stat| stat.rss_pages).sum();
            usage.mem_rss_bytes = Some(pages * system(libc::_SC_PAGESIZE, 4096));
        }
    }
    usage
}

/// In seconds; a process's children count once it has waited for them, the supervisor's too.
fn cpu_of_processes(usage: &mut ResourceStatistics, processes: &[Stat], supervisor: i32) {
    let own = procfs::stat(supervisor).unwrap_or_default();
    let sum = |of: fn(&Stat) -> u64| processes.iter().map(of).sum::<u64>();
    let user = sum(|stat| stat.utime + stat.cutime) + own.cutime;
    let system = sum(|stat| stat.stime + stat.cstime) + own.cstime;
    usage.cpus_user_time_secs = Some(seconds(user));
    usage.cpus_system_time_secs = Some(seconds(system));
}

fn cpu_of_group(usage: &mut ResourceStatistics, group: &Path) {
    if let Ok(text) = fs::read_to_string(group.join("cpuacct.stat")) {
        usage.cpus_user_time_secs = find_key(&text, "user").map(seconds);
        usage.cpus_system_time_secs = find_key(&text, "system").map(seconds);
    } else if let Ok(text) = fs::read_to_string(group.join("cpu.stat")) {
        let microseconds = |key| find_key(&text, key).map(|value| value as f64 / 1e6);
        usage.cpus_user_time_secs = microseconds("user_usec");
        usage.cpus_system_time_secs = microseconds("system_usec");
    }
}

/// Only when a quota is set: without one there are no periods.
fn throttling(usage: &mut ResourceStatistics, group: &Path) {
    let Ok(text) = fs::read_to_string(group.join("cpu.stat")) else {
        return;
    };
    let count = |key| find_key(&text, key).and_then(|value| u32::try_from(value).ok());
    if count("nr_periods").is_none_or(|periods| periods == 0) {
        return;
    }
    usage.cpus_nr_periods = count("nr_periods");
    usage.cpus_nr_throttled = count("nr_throttled");
    usage.cpus_throttled_time_secs = find_key(&text, "throttled_time")
        .map(|nanoseconds| nanoseconds as f64 / 1e9)
        .or_else(|| find_key(&text, "throttled_usec").map(|value| value as f64 / 1e6));
}

fn memory_v1(usage: &mut ResourceStatistics, group: &Path) {
    usage.mem_total_bytes = read_number(&group.join("memory.usage_in_bytes"));
    usage.mem_total_memsw_bytes = read_number(&group.join("memory.memsw.usage_in_bytes"));
    usage.mem_kmem_usage_bytes = read_number(&group.join("memory.kmem.usage_in_bytes"));
    usage.mem_kmem_tcp_usage_bytes = read_number(&group.join("memory.kmem.tcp.usage_in_bytes"));
    let Ok(text) = fs::read_to_string(group.join("memory.stat")) else {
        return;
    };
    let of = |key| find_key(&text, key);
    usage.mem_cache_bytes = of("total_cache");
    usage.mem_file_bytes = of("total_cache");
    usage.mem_rss_bytes = of("total_rss");
    usage.mem_anon_bytes = of("total_rss");
    usage.mem_mapped_file_bytes = of("total_mapped_file");
    usage.mem_swap_bytes = of("total_swap");
    usage.mem_unevictable_bytes = of("total_unevictable");
}

fn memory_v2(usage: &mut ResourceStatistics, group: &Path) {
    usage.mem_total_bytes = read_number(&group.join("memory.current"));
    usage.mem_swap_bytes = read_number(&group.join("memory.swap.current"));
    let Ok(text) = fs::read_to_string(group.join("memory.stat")) else {
        return;
    };
    let of = |key| find_key(&text, key);
    usage.mem_cache_bytes = of("file");
    usage.mem_file_bytes = of("file");
    usage.mem_rss_bytes = of("anon");
    usage.mem_anon_bytes = of("anon");
    usage.mem_mapped_file_bytes = of("file_mapped");
    usage.mem_unevictable_bytes = of("unevictable");
    usage.mem_kmem_usage_bytes = of("kernel");
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / system(libc::_SC_CLK_TCK, 100) as f64
}

fn system(name: i32, default: u64) -> u64 {
    // SAFETY: takes an integer and touches no memory of ours.
    let value = unsafe { libc::sysconf(name) };
    u64::try_from(value).ok().filter(|value| *value > 0).unwrap_or(default)
}
