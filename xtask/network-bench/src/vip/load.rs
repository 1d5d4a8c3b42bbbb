//! A server that takes bytes and answers questions, and clients whose work comes in short steps:
//! those who are compared take turns so quickly that what disturbs the machine disturbs all.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::time::Instant;

use anyhow::Result;
use network_lab::Node;

const PIECE: usize = 1 << 16;
/// A question, and its answer.
const QUESTION: usize = 64;
/// The first byte of a connection says what it is for.
const STREAM: u8 = b's';
const QUESTIONS: u8 = b'q';
/// In one step.
const PIECES: u16 = 64;
const ASKED: u16 = 50;
const CONNECTIONS: u16 = 5;

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

/// A load at work.
pub(super) struct Session<'a> {
    load: &'a Load,
    kind: Kind,
    stream: TcpStream,
}

/// Serves until this program ends.
pub(super) fn serve(node: &Node, port: u16) -> Result<SocketAddrV4> {
    let listener = node.run(|| TcpListener::bind(("0.0.0.0", port)))?;
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            std::thread::spawn(move || answer(stream));
        }
    });
    Ok(SocketAddrV4::new(node.address(), port))
}

/// Until the client has had enough, which is not an error.
fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    if kind == [STREAM] {
        let mut piece = vec![0; PIECE];
        loop {
            for _ in 0..PIECES {
                stream.read_exact(&mut piece)?;
            }
            stream.write_all(&[STREAM])?;
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
    pub(super) fn begin(&self, kind: Kind) -> Result<Session<'_>> {
        let first = if kind == Kind::Stream { STREAM } else { QUESTIONS };
        let stream = self.node.run(|| connect(self.to, first))?;
        Ok(Session { load: self, kind, stream })
    }
}

fn connect(to: SocketAddrV4, kind: u8) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.write_all(&[kind])?;
    Ok(stream)
}

fn ask(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut question = [7; QUESTION];
    stream.write_all(&question)?;
    stream.read_exact(&mut question)
}

// === impl Session ===

impl Session<'_> {
    /// Does one step, and how much that was a second.
    pub(super) fn step(&mut self) -> Result<f64> {
        let (to, kind, stream) = (self.load.to, self.kind, &mut self.stream);
        let rate = self.load.node.run(move || -> std::io::Result<f64> {
            let begun = Instant::now();
            let done = match kind {
                Kind::Stream => {
                    let piece = vec![1; PIECE];
                    for _ in 0..PIECES {
                        stream.write_all(&piece)?;
                    }
                    stream.read_exact(&mut [0])?;
                    f64::from(PIECES) * PIECE as f64
                }
                Kind::Questions => {
                    for _ in 0..ASKED {
                        ask(stream)?;
                    }
                    f64::from(ASKED)
                }
                Kind::Connections => {
                    for _ in 0..CONNECTIONS {
                        ask(&mut connect(to, QUESTIONS)?)?;
                    }
                    f64::from(CONNECTIONS)
                }
            };
            Ok(done / begun.elapsed().as_secs_f64())
        })?;
        Ok(rate)
    }
}
