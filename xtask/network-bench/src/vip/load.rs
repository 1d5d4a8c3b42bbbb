//! A server that takes bytes and answers questions, and clients that count.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Result;
use network_lab::Node;

const PORT: u16 = 7000;
const PIECE: usize = 1 << 16;
/// A question, and its answer.
const QUESTION: usize = 64;
/// The first byte of a connection says what it is for.
const STREAM: u8 = b's';
const QUESTIONS: u8 = b'q';

/// What is counted a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes of one connection.
    Stream,
    /// Questions of one connection, each after the answer to the one before.
    Questions,
    /// Connections with one question each, one after the other.
    Connections,
}

/// Asks from a node.
pub(super) struct Load {
    pub(super) node: Node,
    pub(super) to: SocketAddrV4,
}

/// Serves until this program ends.
pub(super) fn serve(node: &Node) -> Result<SocketAddrV4> {
    let listener = node.run(|| TcpListener::bind(("0.0.0.0", PORT)))?;
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            std::thread::spawn(move || answer(stream));
        }
    });
    Ok(SocketAddrV4::new(node.address(), PORT))
}

/// Until the client has had enough, which is not an error.
fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    if kind == [STREAM] {
        let mut piece = vec![0; PIECE];
        let mut taken = 0u64;
        loop {
            match stream.read(&mut piece)? {
                0 => return stream.write_all(&taken.to_be_bytes()),
                length => taken += length as u64,
            }
        }
    }
    let mut question = [0; QUESTION];
    loop {
        stream.read_exact(&mut question)?;
        stream.write_all(&question)?;
    }
}

// === impl Load ===

impl Load {
    pub(super) fn run(&self, kind: Kind, duration: Duration) -> Result<f64> {
        let (to, begun) = (self.to, Instant::now());
        let done = self.node.run(move || -> std::io::Result<f64> {
            match kind {
                Kind::Stream => stream(to, duration),
                Kind::Questions => {
                    let (mut stream, mut asked) = (connect(to, QUESTIONS)?, 0.0);
                    while begun.elapsed() < duration {
                        ask(&mut stream)?;
                        asked += 1.0;
                    }
                    Ok(asked)
                }
                Kind::Connections => {
                    let mut asked = 0.0;
                    while begun.elapsed() < duration {
                        ask(&mut connect(to, QUESTIONS)?)?;
                        asked += 1.0;
                    }
                    Ok(asked)
                }
            }
        })?;
        Ok(done / begun.elapsed().as_secs_f64())
    }
}

fn connect(to: SocketAddrV4, kind: u8) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.write_all(&[kind])?;
    Ok(stream)
}

/// Bytes that have arrived.
fn stream(to: SocketAddrV4, duration: Duration) -> std::io::Result<f64> {
    let (mut stream, begun) = (connect(to, STREAM)?, Instant::now());
    let piece = vec![1; PIECE];
    while begun.elapsed() < duration {
        stream.write_all(&piece)?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut taken = [0; 8];
    stream.read_exact(&mut taken)?;
    Ok(u64::from_be_bytes(taken) as f64)
}

fn ask(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut question = [7; QUESTION];
    stream.write_all(&question)?;
    stream.read_exact(&mut question)
}
