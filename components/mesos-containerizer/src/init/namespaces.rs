//! What a container sees of its own: mounts, processes, host name, shared memory.

use std::{io, path::Path};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::ForkResult,
};

use super::{Failure, OrFail, volumes};
use crate::plan::{Namespaces, Plan};

/// Leaves the host's namespaces for new ones and mounts in them what the container is to see. A
/// pid namespace has been made by whoever forked this process.
pub(super) fn enter(wanted: &Namespaces, plan: &Plan) -> Result<(), Failure> {
    let mut flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS;
    flags.set(CloneFlags::CLONE_NEWIPC, wanted.ipc);
    unshare(flags).or_fail(|| "make namespaces".to_owned())?;
    seclude_mounts()?;
    volumes::bind(plan)?;
    if let Some(size) = wanted.shm {
        mount_shm(size)?;
    }
    if let Some(hostname) = &wanted.hostname {
        nix::unistd::sethostname(hostname).or_fail(|| "set the host name".to_owned())?;
    }
    if wanted.pid {
        mount_proc()?;
    }
    Ok(())
}

/// What is mounted here must not appear on the host; what the host unmounts must go here too, or
/// its devices would stay busy.
fn seclude_mounts() -> Result<(), Failure> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)
        .or_fail(|| "seclude the mounts".to_owned())
}

fn mount_proc() -> Result<(), Failure> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>)
        .or_fail(|| "mount /proc".to_owned())
}

fn mount_shm(size: Option<u64>) -> Result<(), Failure> {
    if !Path::new("/dev/shm").is_dir() {
        return Ok(());
    }
    let options =
        size.map_or_else(|| "mode=1777".to_owned(), |size| format!("mode=1777,size={size}"));
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), "/dev/shm", Some("tmpfs"), flags, Some(options.as_str()))
        .or_fail(|| "mount /dev/shm".to_owned())
}

/// Tries in this process, which ends afterwards, all that the linux launcher needs.
pub(super) fn probe() -> Result<(), Failure> {
    unshare(
        CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS,
    )
    .or_fail(|| "make namespaces".to_owned())?;
    seclude_mounts()?;
    // SAFETY: this process has one thread, so the child may do anything.
    match unsafe { nix::unistd::fork() }.or_fail(|| "fork".to_owned())? {
        ForkResult::Child => {
            let code = i32::from(mount_proc().is_err());
            // SAFETY: ends this process at once.
            unsafe { libc::_exit(code) }
        }
        ForkResult::Parent { .. } => match super::child::wait_any(0) {
            Ok(Some((_, 0))) => Ok(()),
            _ => Err(io::ErrorKind::PermissionDenied).or_fail(|| "mount /proc".to_owned()),
        },
    }
}
