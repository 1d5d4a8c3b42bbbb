//! The resolver of the C library, in a network and a file system of its own: the server is what
//! /etc/resolv.conf names, on port 53.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;

use dns::serve::Serving;

use crate::server::{Server, are_there, serving};

/// What getent prints, or that it finds nothing; `$1` is a folder with both files.
const LOOK: &str = r#"
mount --bind "$1/resolv.conf" /etc/resolv.conf
mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf
getent ahostsv4 web.marathon.mesos | sort -u
getent ahostsv6 web.marathon.mesos | sort -u
getent hosts leader
getent hosts none.mesos || echo nothing: $?
# dig takes an answer only from the address that it asked.
for server in 127.0.0.1 10.9.9.9 ::1 fd09::9; do
    echo "$server: $(dig +short +time=5 "@$server" leader.mesos A)"
done
"#;

#[test]
fn getent_finds_names_with_the_search_domain_and_without() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for a network of its own");
        return;
    }
    if !are_there(&["dig", "getent", "ip", "unshare"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("resolv.conf"), "nameserver 127.0.0.1\nsearch mesos\n")
        .unwrap();
    std::fs::write(folder.path().join("nsswitch.conf"), "hosts: dns\n").unwrap();
    // Threads and programs that this thread starts are in its network.
    let text = std::thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        // Without an address beside loopback's, the library looks for none of its kind.
        for words in
            ["link set lo up", "addr add 10.9.9.9/32 dev lo", "addr add fd09::9/128 dev lo"]
        {
            assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success());
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let serving = Serving {
            addresses: vec![
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, 53)),
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, 53)),
            ],
            ..serving()
        };
        let server = runtime.block_on(Server::with(serving, None));
        let mut look = Command::new("unshare");
        look.args(["--mount", "sh", "-ec", LOOK, "sh"]).arg(folder.path());
        let output = look.output().unwrap();
        runtime.block_on(server.stop());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    let text = text.join().unwrap();
    let servers = ["127.0.0.1", "10.9.9.9", "::1", "fd09::9"].map(|ip| format!("{ip}: 10.0.0.1"));
    let lines = ["10.0.0.2 ", "10.0.0.3 ", "fd01::2 ", "10.0.0.1 ", "nothing: 2"];
    for line in lines.into_iter().chain(servers.iter().map(String::as_str)) {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
}
