//! UDP: worker threads, each with its own socket on the same address, many packets a system call.
//!
//! What is ours is answered on the thread that read the question. What is to be forwarded goes to
//! the async side through a bounded queue, with the socket that has to answer.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6,
    SockaddrLike, SockaddrStorage, recvmmsg, sendmsg, sendto, setsockopt, sockopt,
};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};
use smallvec::SmallVec;
use tokio::sync::mpsc;

use super::Shared;
use super::answer::{Bare, Outcome, Read, Via, answer, bare, read};
use super::limits::{Limiter, Verdict};
use super::query::Code;

/// So many packets a system call at most.
const BATCH: usize = 32;
/// A question is never longer, whatever options it carries.
const LONGEST_QUESTION: usize = 1500;
/// A thread that nothing comes to looks so often whether it is to end; being told is faster.
const LOOK: Duration = Duration::from_millis(500);

/// A question for somebody else, and the way its answer takes.
pub(crate) struct Job {
    pub(crate) packet: Vec<u8>,
    pub(crate) from: SocketAddr,
    reply: Reply,
}

/// Where an answer is sent from: the address that was asked.
struct Reply {
    socket: Arc<Socket>,
    local: Option<IpAddr>,
}

pub(super) struct Socket {
    socket: UdpSocket,
    /// Bound to no address in particular: each answer has to say where it comes from.
    is_wildcard: bool,
}

// === impl Socket ===

impl Socket {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Socket> {
        use socket2::{Domain, Protocol, Type};
        let socket =
            socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_port(true)?;
        socket.set_read_timeout(Some(LOOK))?;
        // Bursts wait here; the kernel may grant less.
        let _ = socket.set_recv_buffer_size(4 << 20);
        let is_wildcard = address.ip().is_unspecified();
        match (is_wildcard, address) {
            (false, _) => {}
            (true, SocketAddr::V4(_)) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
            (true, SocketAddr::V6(_)) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
        socket.bind(&address.into())?;
        Ok(Socket { socket: socket.into(), is_wildcard })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Wakes whoever reads: an unconnected socket cannot be shut down, but those who wait are told.
    pub(super) fn wake(&self) {
        let _ = socket2::SockRef::from(&self.socket).shutdown(std::net::Shutdown::Both);
    }

    fn send(&self, answer: &[u8], to: SocketAddr, local: Option<IpAddr>) -> io::Result<()> {
        let slices = [IoSlice::new(answer)];
        let fd = self.socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        match (to, local) {
            (SocketAddr::V4(to), Some(IpAddr::V4(local))) => {
                let source = libc::in_addr { s_addr: u32::from_ne_bytes(local.octets()) };
                let any = libc::in_addr { s_addr: 0 };
                let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: any };
                let control = [ControlMessage::Ipv4PacketInfo(&info)];
                sendmsg(fd, &slices, &control, flags, Some(&SockaddrIn::from(to)))?;
            }
            (SocketAddr::V6(to), Some(IpAddr::V6(local))) => {
                let source = libc::in6_addr { s6_addr: local.octets() };
                let info = libc::in6_pktinfo { ipi6_addr: source, ipi6_ifindex: 0 };
                let control = [ControlMessage::Ipv6PacketInfo(&info)];
                sendmsg(fd, &slices, &control, flags, Some(&SockaddrIn6::from(to)))?;
            }
            (to, _) => {
                sendto(fd, answer, &SockaddrStorage::from(to), flags)?;
            }
        }
        Ok(())
    }
}

// === impl Job ===

impl Job {
    /// Sends the answer. One that cannot be sent is lost, as packets are.
    pub(crate) fn answer(&self, answer: &[u8]) {
        let Reply { socket, local } = &self.reply;
        if let Err(error) = socket.send(answer, self.from, *local) {
            tracing::debug!(%error, to = %self.from, "an answer could not be sent");
        }
    }
}

/// IPv4 or IPv6: what differs in the system calls.
trait Family: SockaddrLike + Copy {
    fn address(&self) -> SocketAddr;
    fn local(message: &ControlMessageOwned) -> Option<IpAddr>;
    /// Room for a message that says which address a packet came to.
    fn room() -> Vec<u8>;
}

impl Family for SockaddrIn {
    fn address(&self) -> SocketAddr {
        SocketAddr::V4(SocketAddrV4::from(*self))
    }

    fn local(message: &ControlMessageOwned) -> Option<IpAddr> {
        match message {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some(IpAddr::V4(info.ipi_spec_dst.s_addr.to_ne_bytes().into()))
            }
            _ => None,
        }
    }

    fn room() -> Vec<u8> {
        nix::cmsg_space!(libc::in_pktinfo)
    }
}

impl Family for SockaddrIn6 {
    fn address(&self) -> SocketAddr {
        SocketAddr::V6(SocketAddrV6::from(*self))
    }

    fn local(message: &ControlMessageOwned) -> Option<IpAddr> {
        match message {
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                Some(IpAddr::V6(info.ipi6_addr.s6_addr.into()))
            }
            _ => None,
        }
    }

    fn room() -> Vec<u8> {
        nix::cmsg_space!(libc::in6_pktinfo)
    }
}

/// One packet that came in.
#[derive(Clone, Copy)]
struct Packet {
    length: usize,
    from: SocketAddr,
    local: Option<IpAddr>,
}

/// Answers until the token is cancelled; blocks its thread.
pub(super) fn run(socket: &Arc<Socket>, shared: &Shared, lane: usize, seed: u64) {
    let worker = Worker::new(socket, shared, lane, seed);
    match socket.address() {
        Ok(SocketAddr::V4(_)) => worker.run::<SockaddrIn>(),
        Ok(SocketAddr::V6(_)) => worker.run::<SockaddrIn6>(),
        Err(error) => tracing::error!(%error, "a socket without an address"),
    }
}

struct Worker<'a> {
    socket: &'a Arc<Socket>,
    shared: &'a Shared,
    /// Its own place among the counters.
    lane: usize,
    forward: Option<mpsc::Sender<Job>>,
    limiter: Limiter,
    begun: Instant,
    turn: u32,
    packets: Vec<Packet>,
    /// One for each packet; empty: no answer.
    answers: Vec<Vec<u8>>,
}

// === impl Worker ===

impl<'a> Worker<'a> {
    fn new(socket: &'a Arc<Socket>, shared: &'a Shared, lane: usize, seed: u64) -> Worker<'a> {
        Worker {
            socket,
            shared,
            lane,
            forward: shared.jobs.clone(),
            limiter: Limiter::new(shared.rate, seed),
            begun: Instant::now(),
            turn: seed as u32,
            packets: Vec::with_capacity(BATCH),
            answers: (0..BATCH).map(|_| Vec::with_capacity(shared.rules.udp_size)).collect(),
        }
    }

    fn run<F: Family>(mut self) {
        let room = self.socket.is_wildcard.then(F::room);
        let mut headers = MultiHeaders::<F>::preallocate(BATCH, room);
        let mut buffer = vec![0; BATCH * LONGEST_QUESTION];
        while !self.shared.token.is_cancelled() {
            match self.receive(&mut headers, &mut buffer) {
                Ok(()) => {
                    self.answer(&buffer);
                    self.send();
                }
                // Nothing came, or an earlier answer could not be delivered.
                Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => {}
                Err(error) => {
                    tracing::debug!(%error, "cannot read from a socket");
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        }
    }

    /// Waits for one packet, and takes what has come by then.
    fn receive<F: Family>(
        &mut self,
        headers: &mut MultiHeaders<F>,
        buffer: &mut [u8],
    ) -> Result<(), Errno> {
        let mut chunks = buffer.chunks_exact_mut(LONGEST_QUESTION);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(chunks.next().unwrap_or_default())]);
        self.packets.clear();
        let fd = self.socket.socket.as_raw_fd();
        let flags = MsgFlags::MSG_WAITFORONE;
        for message in recvmmsg(fd, headers, slices.iter_mut(), flags, None)? {
            let local = match self.socket.is_wildcard {
                true => message.cmsgs().ok().and_then(|mut all| all.find_map(|one| F::local(&one))),
                false => None,
            };
            let from = message.address.map(|address| address.address());
            // A cut packet, or one without a way back, is no question: its length says so.
            let is_whole = !message.flags.contains(MsgFlags::MSG_TRUNC);
            let from = from.filter(|from| is_whole && from.port() != 0);
            let length = if from.is_some() { message.bytes } else { 0 };
            let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
            self.packets.push(Packet { length, from: from.unwrap_or(nobody), local });
        }
        Ok(())
    }

    fn answer(&mut self, buffer: &[u8]) {
        let now = self.begun.elapsed().as_millis() as u32;
        let Shared { zones, rules, .. } = self.shared;
        let packets = self.packets.iter().zip(buffer.chunks_exact(LONGEST_QUESTION));
        let whole = packets.map(|(packet, chunk)| chunk.get(..packet.length).unwrap_or_default());
        let whole: SmallVec<[(&[u8], Read<'_>); BATCH]> =
            whole.map(|bytes| (bytes, read(zones, bytes))).collect();
        let slots = self.packets.iter().zip(&mut self.answers);
        for ((&Packet { from, local, .. }, to), (bytes, read)) in slots.zip(whole) {
            let via = Via { is_tcp: false, is_trusted: self.shared.trusts(from.ip()) };
            self.turn = self.turn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let outcome = answer(zones, rules, read, via, self.turn >> 8, to);
            self.shared.counters.count(self.lane, &outcome);
            match outcome {
                Outcome::Foreign => {
                    let reply = Reply { socket: Arc::clone(self.socket), local };
                    let job = Job { packet: bytes.to_vec(), from, reply };
                    let is_taken =
                        self.forward.as_ref().is_some_and(|jobs| jobs.try_send(job).is_ok());
                    if !is_taken {
                        bare(bytes, rules, via, Bare::Code(Code::ServFail), to);
                    }
                }
                Outcome::Answered(_) if !via.is_trusted => {
                    match self.limiter.take(from.ip(), now) {
                        Verdict::Send => {}
                        Verdict::Truncate => {
                            bare(bytes, rules, via, Bare::Truncated, to);
                        }
                        Verdict::Drop => to.clear(),
                    }
                }
                Outcome::Answered(_) | Outcome::Dropped => {}
            }
        }
    }

    fn send(&mut self) {
        let pairs = self.packets.iter().zip(&self.answers).filter(|(_, answer)| !answer.is_empty());
        if self.socket.is_wildcard {
            for (packet, answer) in pairs {
                // One that cannot be sent must not take the others with it.
                let _ = self.socket.send(answer, packet.from, packet.local);
            }
            return;
        }
        let slices: Vec<([IoSlice<'_>; 1], SocketAddrAny)> = pairs
            .map(|(packet, answer)| ([IoSlice::new(answer)], SocketAddrAny::from(packet.from)))
            .collect();
        let mut controls: [SendAncillaryBuffer<'_, '_, '_>; BATCH] = Default::default();
        let mut messages: Vec<MMsgHdr<'_>> = slices
            .iter()
            .zip(&mut controls)
            .map(|((slice, to), control)| MMsgHdr::new_with_addr(to, slice, control))
            .collect();
        let mut rest = messages.as_mut_slice();
        while !rest.is_empty() {
            let sent = sendmmsg(&self.socket.socket, rest, SendFlags::DONTWAIT).unwrap_or(0).max(1);
            rest = rest.get_mut(sent..).unwrap_or_default();
        }
    }
}
