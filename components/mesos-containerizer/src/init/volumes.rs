//! Puts a container's volumes in place: mounts where there is a mount namespace, else links.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    mount::{MsFlags, mount},
    sys::stat::Mode,
    unistd::symlinkat,
};

use super::{
    Failure, OrFail,
    beneath::{make_dir, make_parent},
    logs::as_user,
};
use crate::plan::{Plan, VolumePlan, VolumeSource};

/// Without a mount namespace: each volume as a link in the sandbox.
pub(super) fn link(plan: &Plan, sandbox: BorrowedFd<'_>) -> Result<(), Failure> {
    let owner = owner(plan);
    for volume in &plan.volumes {
        as_user(owner, || link_one(plan, volume, sandbox))
            .or_fail(|| format!("set up the volume '{}'", volume.container_path.display()))?;
    }
    Ok(())
}

fn link_one(plan: &Plan, volume: &VolumePlan, sandbox: BorrowedFd<'_>) -> io::Result<()> {
    let target = match &volume.source {
        VolumeSource::Host(path) => path.clone(),
        VolumeSource::Sandbox(path) => {
            make_dir(sandbox, path)?;
            plan.sandbox.join(path)
        }
    };
    let (parent, name) = make_parent(sandbox, &volume.container_path)?;
    match symlinkat(&target, &parent, name) {
        Err(Errno::EEXIST)
            if nix::fcntl::readlinkat(&parent, name)
                .is_ok_and(|existing| Path::new(&existing) == target) =>
        {
            Ok(())
        }
        other => Ok(other?),
    }
}

/// In the container's mount namespace: each volume as a mount.
pub(super) fn bind(plan: &Plan) -> Result<(), Failure> {
    if plan.volumes.is_empty() {
        return Ok(());
    }
    // Opened here and not before: descriptors of the host's mounts cannot be mounted on.
    let sandbox = File::open(&plan.sandbox)
        .or_fail(|| format!("open the sandbox '{}'", plan.sandbox.display()))?;
    for volume in &plan.volumes {
        bind_one(plan, volume, sandbox.as_fd())
            .or_fail(|| format!("mount the volume '{}'", volume.container_path.display()))?;
    }
    Ok(())
}

fn bind_one(plan: &Plan, volume: &VolumePlan, sandbox: BorrowedFd<'_>) -> io::Result<()> {
    let owner = owner(plan);
    let (source, is_dir) = match &volume.source {
        VolumeSource::Host(path) => {
            let source = open_path(path)?;
            let is_dir = File::from(source.try_clone()?).metadata()?.is_dir();
            (source, is_dir)
        }
        VolumeSource::Sandbox(path) => (as_user(owner, || make_dir(sandbox, path))?, true),
    };
    let target = || as_user(owner, || open_target(sandbox, &volume.container_path, is_dir));
    let none = None::<&str>;
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(&by_descriptor(&source)), &by_descriptor(&target()?), none, bind, none)?;
    if volume.read_only {
        // Opened once more: the first descriptor is what the mount now covers.
        make_read_only(&target()?)?;
    }
    Ok(())
}

/// What is to be mounted on: made in the sandbox when missing; elsewhere it must exist.
fn open_target(sandbox: BorrowedFd<'_>, path: &Path, is_dir: bool) -> io::Result<OwnedFd> {
    if path.is_absolute() {
        return open_path(path);
    }
    if is_dir {
        return make_dir(sandbox, path);
    }
    let (parent, name) = make_parent(sandbox, path)?;
    let flags = OFlag::O_CREAT | OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mode = Mode::from_bits_truncate(0o644);
    match openat(&parent, name, flags | OFlag::O_EXCL, mode) {
        Ok(_) | Err(Errno::EEXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let target = openat(&parent, name, flags, Mode::empty())?;
    if !File::from(target.try_clone()?).metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(target)
}

fn open_path(path: &Path) -> io::Result<OwnedFd> {
    Ok(nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?)
}

fn by_descriptor(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn owner(plan: &Plan) -> Option<(u32, u32)> {
    plan.identity.as_ref().map(|identity| (identity.uid, identity.gid))
}

/// With all that is mounted below, where the kernel (5.12) can do that.
fn make_read_only(mounted: &OwnedFd) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the descriptor is open, the path a valid empty string, and `attributes` valid for the
    // size given; the call only reads them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mounted.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() != Some(libc::ENOSYS) {
        return Err(error);
    }
    let none = None::<&str>;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    Ok(mount(none, &by_descriptor(mounted), none, flags, none)?)
}
