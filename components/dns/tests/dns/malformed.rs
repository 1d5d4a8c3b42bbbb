//! Packets that are no questions, among those that are.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::server::{Server, are_there};

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    /// A question with something wrong in it, or bytes that never were one.
    fn packet(&mut self) -> Vec<u8> {
        let mut packet =
            b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x03web\x08marathon\x05mesos\0\0\x01\0\x01\
            \0\0\x29\x10\0\0\0\0\0\0\x04\xff\xee\0\0"
                .to_vec();
        match self.below(5) {
            0 => packet.truncate(self.below(packet.len())),
            1 => packet = (0..self.below(600)).map(|_| self.below(256) as u8).collect(),
            2 => packet.extend((0..=self.below(900)).map(|_| 0)),
            _ => {
                for _ in 0..=self.below(3) {
                    let at = self.below(packet.len());
                    packet[at] = self.below(256) as u8;
                }
            }
        }
        packet
    }
}

/// A tenth of what dnsperf sends, so long until it has ended; says how many were sent.
fn disturb(server: SocketAddr, a_second: u32, is_over: &AtomicBool) -> usize {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut sent = 0;
    let mut reply = [0; 4096];
    while !is_over.load(Ordering::Relaxed) {
        for _ in 0..a_second.div_ceil(100) {
            let packet = random.packet();
            let _ = socket.send(&packet);
            sent += 1;
        }
        // Whatever comes back is an answer, and no longer than answers may be.
        while let Ok(length) = socket.recv(&mut reply) {
            assert!((12..=1232).contains(&length) && reply[2] & 0x80 != 0);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dnsperf_loses_nothing_among_malformed_packets() {
    const A_SECOND: u32 = 4000;
    if !are_there(&["dnsperf"]) {
        return;
    }
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let questions = folder.path().join("questions");
    let text =
        "web.marathon.mesos A\n_web._tcp.marathon.mesos SRV\nnone.mesos A\nLEADER.mesos AAAA\n";
    std::fs::write(&questions, text).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let disturbing = {
        let (is_over, address) = (Arc::clone(&is_over), server.address);
        std::thread::spawn(move || disturb(address, A_SECOND / 10, &is_over))
    };
    let port = server.address.port().to_string();
    let rate = A_SECOND.to_string();
    let mut command = tokio::process::Command::new("dnsperf");
    command.args(["-s", "127.0.0.1", "-p", &port, "-Q", &rate, "-l", "3", "-t", "20", "-d"]);
    let output = command.arg(&questions).output().await.unwrap();
    is_over.store(true, Ordering::Relaxed);
    let sent = disturbing.join().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let number = |label: &str| -> u64 {
        let line = said.lines().find_map(|line| line.trim().strip_prefix(label));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
    };
    let completed = number("Queries completed:");
    assert!(completed > 0 && number("Queries lost:") == 0, "{said}");
    assert!(sent > 100);
    let codes = said.lines().find(|line| line.contains("Response codes")).unwrap();
    assert!(codes.contains("NOERROR") && codes.contains("NXDOMAIN"), "{said}");
    assert!(!codes.contains("SERVFAIL") && !codes.contains("FORMERR"), "{said}");
    let counts = server.counts();
    assert!(counts.answered + counts.unknown >= completed);
    assert!(counts.refused > 0 && counts.dropped > 0, "{counts:?}");
    server.stop().await;
}
