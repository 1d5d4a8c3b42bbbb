//! A container whose supervisor is no more: what is left of it on disk, and of its processes.

use std::{io, time::Duration};

use mesos_messages::v1::{self, task_status::Reason};

use crate::{
    cgroups,
    containerizer::{Limitation, Termination},
    kill,
    plan::{Ending, MemoryExceeded, Plan},
    procfs::{self, Stat},
    record::{Contents, Process, Record},
};

const KILL_TIMEOUT: Duration = Duration::from_secs(30);

/// How the container ended. Where its supervisor could not write that down, whatever it left is
/// killed and removed first.
pub(crate) fn termination(record: &Record) -> Termination {
    match record.read() {
        Ok(Contents { ending: Some(ending), .. }) => ending.into(),
        Ok(contents) => Termination {
            message: Some(clean_up(&contents).map_or_else(
                || "The container's supervisor died".to_owned(),
                |left| format!("The container's supervisor died, and {left}"),
            )),
            ..Termination::default()
        },
        Err(error) => Termination {
            message: Some(format!("The container's record cannot be read: {error}")),
            ..Termination::default()
        },
    }
}

/// Returns what could not be cleaned up.
fn clean_up(contents: &Contents) -> Option<String> {
    let plan = contents.plan.as_ref()?;
    cgroups::kill(&plan.cgroups);
    let find = || leftovers(plan, contents.main);
    let outcome = kill::all(find, |living| living.is_empty(), KILL_TIMEOUT);
    if outcome.survivors > 0 {
        return Some(format!("{} of its processes could not be killed", outcome.survivors));
    }
    let error = cgroups::remove(&plan.cgroups).err()?;
    Some(format!("its cgroups could not be removed: {error}"))
}

/// The members of the main process's session and of the container's groups, and all below them. A
/// process that left both before the supervisor died cannot be told from others any more.
fn leftovers(plan: &Plan, main: Option<Process>) -> io::Result<Vec<Stat>> {
    let all = procfs::all()?;
    let mut found = cgroups::processes(&plan.cgroups);
    if let Some(main) = main
        && all.iter().all(|stat| stat.pid != main.pid || stat.start_time == main.start_time)
    {
        let of_session = |stat: &&Stat| {
            stat.pid == main.pid || (stat.session == main.pid && stat.start_time >= main.start_time)
        };
        found.extend(all.iter().filter(of_session));
    }
    let roots: Vec<i32> = found.iter().map(|stat| stat.pid).collect();
    found.extend(procfs::descendants(&all, &roots));
    let own = std::process::id().cast_signed();
    found.retain(|stat| stat.pid != own);
    Ok(found)
}

// === impl Termination ===

impl From<Ending> for Termination {
    fn from(ending: Ending) -> Self {
        let limitation = ending.memory.map(Limitation::from);
        Self {
            status: ending.status,
            reason: limitation.as_ref().map(|limitation| limitation.reason),
            message: limitation
                .as_ref()
                .map(|limitation| limitation.message.clone())
                .or(ending.message),
            limitation,
        }
    }
}

impl From<MemoryExceeded> for Limitation {
    fn from(exceeded: MemoryExceeded) -> Self {
        let megabytes = exceeded.max_usage_bytes as f64 / f64::from(1 << 20);
        Self {
            reason: Reason::ContainerLimitationMemory,
            message: exceeded.message,
            resources: vec![v1::Resource {
                name: "mem".to_owned(),
                r#type: v1::value::Type::Scalar as i32,
                scalar: Some(v1::value::Scalar { value: megabytes }),
                ..v1::Resource::default()
            }],
        }
    }
}
