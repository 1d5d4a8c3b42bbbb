//! Handles on processes that a reused number cannot fool.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// Fails with `ENOSYS` on kernels before 5.3, with `ESRCH` when there is no such process.
pub(crate) fn open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes two integers and touches no memory of ours.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(result).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so this is a new descriptor nobody else owns. The kernel sets
    // close-on-exec on it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(crate) fn send_signal(fd: &OwnedFd, signal: i32) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as it is borrowed; a null siginfo asks for the
    // default one.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            fd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process::Command};

    use super::*;

    #[test]
    fn signals_the_process_and_only_while_it_lives() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let handle = open(child.id() as i32).unwrap();
        send_signal(&handle, libc::SIGKILL).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        let gone = send_signal(&handle, libc::SIGKILL).unwrap_err();
        assert_eq!(gone.raw_os_error(), Some(libc::ESRCH));
    }
}
