//! The kernel's memory of connections: a UDP client's packets go where its first one went for as
//! long as it keeps sending, also when nobody is there any more. Those entries are deleted.

mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket, sockopt::ReceiveTimeout,
};
use nix::sys::time::TimeVal;

pub(super) use wire::Flow;
use wire::Told;

/// The kernel answers at once, or not at all.
const PATIENCE_SECONDS: i64 = 10;
/// Entries are told in pieces of at most this size.
const PIECE: usize = 1 << 16;

/// A connection to the kernel about connections. Opened in the namespace of its thread.
#[derive(Debug)]
pub(super) struct Conntrack {
    socket: OwnedFd,
    sequence: u32,
}

// === impl Conntrack ===

impl Conntrack {
    pub(super) fn open() -> io::Result<Conntrack> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkNetFilter,
        )?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::new(PATIENCE_SECONDS, 0))?;
        Ok(Conntrack { socket, sequence: 0 })
    }

    /// Whether the kernel speaks about connections at all.
    pub(super) fn probe(&mut self) -> io::Result<()> {
        let request = wire::count(self.next());
        self.ask(&request, |_| {})
    }

    /// Forgets the flows of UDP that `is_gone` says: how many those were.
    pub(super) fn forget(&mut self, is_gone: impl Fn(&Flow) -> bool) -> io::Result<usize> {
        let mut gone = Vec::new();
        let request = wire::dump(self.next());
        self.ask(&request, |flow| {
            if is_gone(&flow) {
                gone.push(flow);
            }
        })?;
        let mut forgotten = 0;
        for flow in gone {
            let request = wire::delete(self.next(), &flow);
            match self.ask(&request, |_| {}) {
                Ok(()) => forgotten += 1,
                // It ended by itself.
                Err(error) if error.raw_os_error() == Some(nix::libc::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(forgotten)
    }

    fn next(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn ask(&mut self, request: &[u8], mut flow: impl FnMut(Flow)) -> io::Result<()> {
        send(self.socket.as_raw_fd(), request, MsgFlags::empty())?;
        let mut piece = vec![0; PIECE];
        loop {
            let length = recv(self.socket.as_raw_fd(), &mut piece, MsgFlags::empty())?;
            for told in wire::messages(piece.get(..length).unwrap_or_default(), self.sequence) {
                match told {
                    Told::Flow(one) => flow(one),
                    Told::End => return Ok(()),
                    Told::Error(code) => return Err(io::Error::from_raw_os_error(code)),
                    Told::Other => {}
                }
            }
        }
    }
}

/// The flows that lead to none of the targets that their service has: of services in `known`
/// only.
pub(super) fn astray(known: &BTreeMap<SocketAddrV4, Vec<SocketAddrV4>>, flow: &Flow) -> bool {
    known.get(&flow.to).is_some_and(|targets| !targets.contains(&flow.answered_by))
}
