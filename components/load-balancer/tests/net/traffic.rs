//! Servers that say who they are and who asks, and clients of them.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use network_lab::Node;

const PATIENCE: Duration = Duration::from_secs(5);

/// Answers each line with its name and whom it sees asking. Ends with the test's process.
pub(crate) fn tcp_server(node: &Node, name: &'static str, port: u16) {
    let listener = node.run(move || TcpListener::bind(("0.0.0.0", port))).unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, from)) = listener.accept() {
            std::thread::spawn(move || answer(&stream, name, from));
        }
    });
}

fn answer(stream: &TcpStream, name: &str, from: SocketAddr) {
    for _ in BufReader::new(stream).lines().map_while(Result::ok) {
        let mut stream = stream;
        if writeln!(stream, "{name} {}", from.ip()).is_err() {
            return;
        }
    }
}

/// The same for packets.
pub(crate) fn udp_server(node: &Node, name: &'static str, port: u16) -> UdpServer {
    let socket = node.run(move || UdpSocket::bind(("0.0.0.0", port))).unwrap();
    let served = socket.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut packet = [0; 64];
        while let Ok((length, from)) = served.recv_from(&mut packet) {
            if &packet[..length] == b"end" {
                return;
            }
            let _ = served.send_to(format!("{name} {}", from.ip()).as_bytes(), from);
        }
    });
    UdpServer { _socket: socket }
}

pub(crate) struct UdpServer {
    _socket: UdpSocket,
}

/// A connection that was made on a node.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(node: &Node, to: SocketAddrV4) -> std::io::Result<Connection> {
        let stream = node.run(move || TcpStream::connect_timeout(&to.into(), PATIENCE))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection(BufReader::new(stream)))
    }

    /// Who answers, and whom it sees.
    pub(crate) fn ask(&mut self) -> std::io::Result<(String, String)> {
        self.0.get_mut().write_all(b"?\n")?;
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let (name, from) = line.trim().split_once(' ').unwrap_or((&line, ""));
        Ok((name.to_owned(), from.to_owned()))
    }
}

/// Who answers a new connection, and whom it sees.
pub(crate) fn ask(node: &Node, to: SocketAddrV4) -> std::io::Result<(String, String)> {
    Connection::open(node, to)?.ask()
}

/// The names of those who answered so many new connections.
pub(crate) fn who(node: &Node, to: SocketAddrV4, times: usize) -> Vec<String> {
    let mut names: Vec<String> = (0..times).map(|_| ask(node, to).unwrap().0).collect();
    names.sort();
    names.dedup();
    names
}

/// A client of UDP that keeps its port.
pub(crate) struct UdpClient(UdpSocket);

impl UdpClient {
    pub(crate) fn new(node: &Node, to: SocketAddrV4) -> UdpClient {
        let socket = node.run(move || {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect(to)?;
            Ok::<_, std::io::Error>(socket)
        });
        let socket = socket.unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        UdpClient(socket)
    }

    /// Who answers, if anybody does at once.
    pub(crate) fn ask(&self) -> Option<String> {
        self.0.send(b"?").ok()?;
        let mut packet = [0; 64];
        let length = self.0.recv(&mut packet).ok()?;
        let text = String::from_utf8_lossy(&packet[..length]).into_owned();
        Some(text.split(' ').next()?.to_owned())
    }
}
