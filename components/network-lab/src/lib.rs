//! Machines of a network for tests, as network namespaces: nodes at a switch, containers behind
//! a bridge of a node, links that are cut and mended. Needs root and the program `ip`.
//!
//! All of it is in namespaces of its own, the switch too: nothing of the machine's own network is
//! touched, and what was made goes when the [`Lab`] is dropped.
//!
//! It is not: for anything but tests.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use nix::sched::{CloneFlags, setns};
use nix::unistd::geteuid;

/// Of all nodes: their first three bytes.
const NODES: [u8; 3] = [10, 199, 0];
/// Links are named for what is at their other end, in at most fifteen bytes.
const BRIDGE: &str = "br0";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Why there is no such network.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    #[error("{command}: {reason}")]
    Command { command: String, reason: String },
}

/// A switch and the nodes at it.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    /// Namespaces that were made.
    namespaces: Vec<String>,
    nodes: u8,
}

/// A machine.
#[derive(Clone, Debug)]
pub struct Node {
    namespace: String,
    address: Ipv4Addr,
    /// Its number in the lab.
    number: u8,
}

/// What the machine lacks for a lab: why tests that need one are skipped.
pub fn unavailable() -> Option<String> {
    if !geteuid().is_root() {
        return Some("not root".to_owned());
    }
    let trial = format!("lab-{}-trial", std::process::id());
    let made = ip(&["netns", "add", &trial]).and_then(|()| {
        ip(&["-n", &trial, "link", "add", "left", "type", "veth", "peer", "name", "right"])?;
        ip(&["-n", &trial, "link", "add", BRIDGE, "type", "bridge"])
    });
    let gone = ip(&["netns", "del", &trial]);
    made.and(gone).err().map(|error| error.to_string())
}

fn ip(arguments: &[&str]) -> Result<(), LabError> {
    let failed =
        |reason| LabError::Command { command: format!("ip {}", arguments.join(" ")), reason };
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

// === impl Lab ===

impl Lab {
    /// A switch without nodes.
    pub fn new() -> Result<Lab, LabError> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("lab-{}-{number}", std::process::id());
        let mut lab = Lab { prefix, namespaces: Vec::new(), nodes: 0 };
        let switch = lab.namespace("switch")?;
        ip(&["-n", &switch, "link", "add", BRIDGE, "type", "bridge"])?;
        ip(&["-n", &switch, "link", "set", BRIDGE, "up"])?;
        Ok(lab)
    }

    /// A node at the switch. The address of the first one ends with 1.
    pub fn node(&mut self, name: &str) -> Result<Node, LabError> {
        self.nodes += 1;
        let number = self.nodes;
        let [a, b, c] = NODES;
        let address = Ipv4Addr::new(a, b, c, number);
        let (namespace, switch) = (self.namespace(name)?, self.switch());
        let port = port(number);
        link(&switch, &port, &namespace)?;
        ip(&["-n", &switch, "link", "set", &port, "master", BRIDGE])?;
        ip(&["-n", &switch, "link", "set", &port, "up"])?;
        up(&namespace, &format!("{address}/24"))?;
        Ok(Node { namespace, address, number })
    }

    /// A container of `node`, with an address of its own behind the node's bridge. The address
    /// of the first one of a node ends with 2, its third byte is the node's number.
    pub fn container(&mut self, node: &Node, name: &str, last: u8) -> Result<Node, LabError> {
        let gateway = Ipv4Addr::new(172, 31, node.number, 1);
        let address = Ipv4Addr::new(172, 31, node.number, last);
        let host = &node.namespace;
        if ip(&["-n", host, "link", "show", BRIDGE]).is_err() {
            ip(&["-n", host, "link", "add", BRIDGE, "type", "bridge"])?;
            ip(&["-n", host, "addr", "add", &format!("{gateway}/24"), "dev", BRIDGE])?;
            ip(&["-n", host, "link", "set", BRIDGE, "up"])?;
            node.sysctl("net.ipv4.ip_forward", "1")?;
        }
        let namespace = self.namespace(name)?;
        let port = port(last);
        link(host, &port, &namespace)?;
        ip(&["-n", host, "link", "set", &port, "master", BRIDGE])?;
        ip(&["-n", host, "link", "set", &port, "up"])?;
        up(&namespace, &format!("{address}/24"))?;
        ip(&["-n", &namespace, "route", "add", "default", "via", &gateway.to_string()])?;
        Ok(Node { namespace, address, number: node.number })
    }

    /// A way from `from` to the containers of `to`.
    pub fn route(&self, from: &Node, to: &Node) -> Result<(), LabError> {
        let network = format!("172.31.{}.0/24", to.number);
        ip(&["-n", &from.namespace, "route", "add", &network, "via", &to.address.to_string()])
    }

    /// Pulls a node's cable.
    pub fn cut(&self, node: &Node) -> Result<(), LabError> {
        ip(&["-n", &self.switch(), "link", "set", &port(node.number), "down"])
    }

    /// Plugs it in again.
    pub fn mend(&self, node: &Node) -> Result<(), LabError> {
        ip(&["-n", &self.switch(), "link", "set", &port(node.number), "up"])
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.prefix)
    }

    fn namespace(&mut self, name: &str) -> Result<String, LabError> {
        let namespace = format!("{}-{name}", self.prefix);
        ip(&["netns", "add", &namespace])?;
        self.namespaces.push(namespace.clone());
        ip(&["-n", &namespace, "link", "set", "lo", "up"])?;
        Ok(namespace)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in &self.namespaces {
            if let Err(error) = ip(&["netns", "del", namespace]) {
                eprintln!("network-lab: {error}");
            }
        }
    }
}

fn port(number: u8) -> String {
    format!("port{number}")
}

fn link(from: &str, port: &str, to: &str) -> Result<(), LabError> {
    ip(&["-n", from, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", to])
}

fn up(namespace: &str, address: &str) -> Result<(), LabError> {
    ip(&["-n", namespace, "addr", "add", address, "dev", "eth0"])?;
    ip(&["-n", namespace, "link", "set", "eth0", "up"])
}

// === impl Node ===

impl Node {
    /// As `ip netns` names it.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A program that will run on it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program);
        command
    }

    /// Sets a setting of its kernel.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<(), LabError> {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let write = self.run(move || std::fs::write(&path, value));
        write.map_err(|error| LabError::Command {
            command: format!("sysctl {name}"),
            reason: error.to_string(),
        })
    }

    /// Runs `work` on it, and waits.
    pub fn run<'a, T: Send + 'a>(&self, work: impl FnOnce() -> T + Send + 'a) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter();
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs `work` on it, in a thread of its own. What that thread opens or starts is there, too.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let node = self.clone();
        std::thread::spawn(move || {
            node.enter();
            work()
        })
    }

    #[allow(clippy::panic, reason = "a test that cannot go on says so")]
    fn enter(&self) {
        let path = Path::new("/run/netns").join(&self.namespace);
        let entered = File::open(&path).and_then(|file| Ok(setns(file, CloneFlags::CLONE_NEWNET)?));
        if let Err(error) = entered {
            panic!("cannot enter {}: {error}", self.namespace);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    #[test]
    fn nodes_and_containers_reach_each_other_until_the_cable_is_pulled() {
        if let Some(reason) = unavailable() {
            eprintln!("skipped: {reason}");
            return;
        }
        let mut lab = Lab::new().unwrap();
        let (a, b) = (lab.node("a").unwrap(), lab.node("b").unwrap());
        let inner = lab.container(&b, "inner", 2).unwrap();
        lab.route(&a, &b).unwrap();
        for (there, address) in [(&b, b.address()), (&inner, inner.address())] {
            let listener = there.run(|| TcpListener::bind("0.0.0.0:7000")).unwrap();
            let at = std::net::SocketAddr::from((address, 7000));
            let connect = |patience| a.run(move || TcpStream::connect_timeout(&at, patience));
            let stream = connect(Duration::from_secs(20)).unwrap();
            assert_eq!(listener.accept().unwrap().1.ip(), a.address());
            drop(stream);
        }
        let listener = b.run(|| TcpListener::bind("0.0.0.0:7001")).unwrap();
        let at = std::net::SocketAddr::from((b.address(), 7001));
        let connect = |patience| a.run(move || TcpStream::connect_timeout(&at, patience));
        lab.cut(&b).unwrap();
        assert!(connect(Duration::from_millis(300)).is_err());
        lab.mend(&b).unwrap();
        connect(Duration::from_secs(20)).unwrap();
        listener.accept().unwrap();
        let namespace = a.namespace().to_owned();
        drop(lab);
        assert!(!Path::new("/run/netns").join(namespace).exists());
    }
}
