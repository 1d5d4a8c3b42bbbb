//! Where supervisors come from: a process that is forked for each.
//!
//! Executing and linking a program takes longer than all else a supervisor does at its start, so
//! one process does it once. It is made when the first container is, forks whatever it is asked
//! for, and ends when its agent does; the supervisors go on. Without it each supervisor is executed.

use std::{
    io::{self, Cursor, IoSlice, IoSliceMut, PipeReader, Read},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::{
        signal::Signal,
        socket::{
            AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
            recvmsg, sendmsg, setsockopt, socketpair, sockopt,
        },
        time::{TimeVal, TimeValLike},
    },
    unistd::Pid,
};

use crate::{
    init,
    launch::{Spawned, Supervisor},
    record::{Process, Record},
};

/// Longer than any fork takes.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// Paths are shorter.
pub(crate) const MAX_REQUEST_BYTES: usize = 4096;
/// A process's number and start time.
pub(crate) const REPLY_BYTES: usize = 12;

#[derive(Debug)]
pub(crate) struct Nursery {
    socket: OwnedFd,
    child: Child,
}

impl Nursery {
    /// `helper` is the program that can become one.
    pub(crate) fn start(mut helper: Command) -> io::Result<Self> {
        let (socket, other) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        let timeout = TimeVal::seconds(REPLY_TIMEOUT.as_secs().cast_signed());
        setsockopt(&socket, sockopt::ReceiveTimeout, &timeout)?;
        setsockopt(&socket, sockopt::SendTimeout, &timeout)?;
        let child = helper.arg(init::NURSERY).stdin(Stdio::from(other)).spawn()?;
        Ok(Self { socket, child })
    }

    /// A supervisor for the container of `record`.
    pub(crate) fn fork(&self, record: &Record) -> io::Result<Spawned> {
        let (mut reader, writer) = io::pipe()?;
        let path = record.path().as_os_str().as_bytes();
        send(self.socket.as_raw_fd(), path, Some(writer.as_raw_fd()))?;
        drop(writer);
        match self.reply() {
            Ok(supervisor) => Ok(Spawned::new(supervisor, reader, None)),
            Err(error) => {
                // Or it would hold the pipe open.
                self.kill();
                adopt(record, &mut reader).ok_or(error)
            }
        }
    }

    fn kill(&self) {
        // It has not been waited for, so the number is its own.
        let pid = Pid::from_raw(self.child.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
    }

    fn reply(&self) -> io::Result<Supervisor> {
        let mut reply = [0; REPLY_BYTES];
        let (length, handle) = receive(self.socket.as_raw_fd(), &mut reply)?;
        let (pid, start_time) =
            decode(&reply).filter(|_| length == REPLY_BYTES).ok_or(io::ErrorKind::BrokenPipe)?;
        if pid < 0 {
            return Err(io::Error::from_raw_os_error(-pid));
        }
        Ok(Supervisor { process: Process { pid, start_time }, handle })
    }
}

/// The nursery died and did not answer, but may have forked: then the supervisor speaks, and stands
/// in the record.
fn adopt(record: &Record, report: &mut PipeReader) -> Option<Spawned> {
    let mut words = String::new();
    report.read_to_string(&mut words).ok().filter(|length| *length > 0)?;
    let supervisor = record.read().ok()?.supervisor.and_then(Supervisor::find)?;
    Some(Spawned::new(supervisor, Cursor::new(words), None))
}

impl Drop for Nursery {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

/// A negative number: the error why there is no process.
pub(crate) fn encode(pid: i32, start_time: u64) -> [u8; REPLY_BYTES] {
    let mut reply = [0; REPLY_BYTES];
    let (first, second) = reply.split_at_mut(4);
    first.copy_from_slice(&pid.to_le_bytes());
    second.copy_from_slice(&start_time.to_le_bytes());
    reply
}

fn decode(reply: &[u8; REPLY_BYTES]) -> Option<(i32, u64)> {
    let (pid, start_time) = reply.split_first_chunk::<4>()?;
    Some((i32::from_le_bytes(*pid), u64::from_le_bytes(*start_time.first_chunk::<8>()?)))
}

/// One message, with a descriptor or without.
pub(crate) fn send(socket: RawFd, bytes: &[u8], fd: Option<RawFd>) -> io::Result<()> {
    let fds: Vec<RawFd> = fd.into_iter().collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let rights = if fds.is_empty() { &[][..] } else { &rights[..] };
    sendmsg::<()>(socket, &[IoSlice::new(bytes)], rights, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// One message; of no length when the other end is gone.
pub(crate) fn receive(socket: RawFd, bytes: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let mut slices = [IoSliceMut::new(bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket, &mut slices, Some(&mut space), flags)?;
    let mut received = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            for fd in fds {
                // SAFETY: the kernel has just made this descriptor for the message; nobody else
                // knows it.
                received = Some(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
    }
    Ok((message.bytes, received))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_come_out_as_they_went_in() {
        for (pid, start_time) in [(1, 0), (-11, 0), (i32::MAX, u64::MAX)] {
            assert_eq!(decode(&encode(pid, start_time)), Some((pid, start_time)));
        }
    }
}
