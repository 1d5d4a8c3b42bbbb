//! A peer that speaks v0 messages, written from the wire facts: it listens on
//! its own port, is called back there, and keeps what it received, head and all.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use prost::Message;

use super::PATIENCE;

/// A message as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    /// Request line and headers, without line ends.
    pub(crate) head: Vec<String>,
    pub(crate) from: String,
    pub(crate) name: String,
    pub(crate) body: Vec<u8>,
}

impl Arrived {
    pub(crate) fn decode<M: Message + Default>(&self) -> M {
        M::decode(self.body.as_slice()).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

/// One process of the v0 protocol, with its id.
pub(crate) struct Peer {
    id: String,
    address: String,
    arrived: Receiver<Arrived>,
    /// Everything taken from `arrived`, in order.
    pub(crate) seen: Vec<Arrived>,
    /// Up to here `seen` was handed out by `expect`.
    next: usize,
    connections: HashMap<String, TcpStream>,
    /// What others opened to this process, and whether it still listens.
    accepted: Arc<Mutex<Accepted>>,
}

#[derive(Default)]
struct Accepted {
    streams: Vec<TcpStream>,
    closed: bool,
}

impl Peer {
    pub(crate) fn listen(id: &str) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address").to_string();
        let (sender, arrived) = sync_channel(10_000);
        let accepted: Arc<Mutex<Accepted>> = Arc::default();
        let shared = Arc::clone(&accepted);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut accepted = shared.lock().expect("the streams");
                if accepted.closed {
                    break;
                }
                accepted.streams.push(stream.try_clone().expect("a second handle"));
                let sender = sender.clone();
                std::thread::spawn(move || serve(stream, &sender));
            }
        });
        Peer {
            id: id.to_owned(),
            address,
            arrived,
            seen: Vec::new(),
            next: 0,
            connections: HashMap::new(),
            accepted,
        }
    }

    /// `id@ip:port`.
    pub(crate) fn upid(&self) -> String {
        format!("{}@{}", self.id, self.address)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Sends one message to `id@ip:port`, in one segment, on a kept connection.
    pub(crate) fn send(&mut self, to: &str, name: &str, body: &impl Message) {
        let own = self.id.clone();
        self.send_as(&own, to, name, body);
    }

    /// The same, from another actor that shares this one's address.
    pub(crate) fn send_as(&mut self, own: &str, to: &str, name: &str, body: &impl Message) {
        let (id, address) = to.split_once('@').expect("id@ip:port");
        let upid = format!("{own}@{}", self.address);
        let bytes = encode(&upid, id, address, name, &body.encode_to_vec());
        let stream = self.connections.entry(address.to_owned()).or_insert_with(|| {
            let stream = TcpStream::connect(address).expect("a connection");
            discard_answers(&stream);
            stream
        });
        stream.write_all(&bytes).expect("sending a message");
    }

    /// The next message of that name; others stay in `seen`.
    pub(crate) fn expect(&mut self, name: &str) -> Arrived {
        let begun = Instant::now();
        loop {
            while let Some(message) = self.seen.get(self.next) {
                self.next += 1;
                if message.name == name {
                    return message.clone();
                }
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match self.arrived.recv_timeout(left) {
                Ok(message) => self.seen.push(message),
                Err(_) => panic!("waited in vain for {name}; came: {:?}", self.names()),
            }
        }
    }

    fn names(&self) -> Vec<&str> {
        self.seen.iter().map(|message| message.name.as_str()).collect()
    }

    /// Closes every connection and stops listening, as the end of a process does.
    pub(crate) fn exit(&mut self) {
        for (_, stream) in self.connections.drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let mut accepted = self.accepted.lock().expect("the streams");
        accepted.closed = true;
        for stream in accepted.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(accepted);
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(&self.address);
    }
}

/// The bytes the original's own processes send.
pub(crate) fn encode(from: &str, id: &str, address: &str, name: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "POST /{id}/{name} HTTP/1.1\r\nUser-Agent: libprocess/{from}\r\n\
         Libprocess-From: {from}\r\nConnection: Keep-Alive\r\nHost: {address}\r\n"
    )
    .into_bytes();
    if body.is_empty() {
        bytes.extend(b"\r\n");
    } else {
        bytes.extend(format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len()).bytes());
        bytes.extend(body);
        bytes.extend(b"\r\n0\r\n\r\n");
    }
    bytes
}

fn discard_answers(stream: &TcpStream) {
    let mut reader = stream.try_clone().expect("a second handle");
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while reader.read(&mut buffer).is_ok_and(|count| count > 0) {}
    });
}

fn serve(stream: TcpStream, sender: &SyncSender<Arrived>) {
    let mut answers = stream.try_clone().expect("a second handle");
    let mut reader = BufReader::new(stream);
    while let Some(message) = receive(&mut reader) {
        if sender.send(message).is_err() {
            return;
        }
        let answer = b"HTTP/1.1 202 Accepted\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n";
        if answers.write_all(answer).is_err() {
            return;
        }
    }
}

fn receive(reader: &mut impl BufRead) -> Option<Arrived> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.strip_suffix("\r\n").expect("lines end with CR LF").to_owned();
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let header = |name: &str| {
        head.iter().find_map(|line| line.strip_prefix(name)).map(str::trim).map(str::to_owned)
    };
    let from = header("Libprocess-From:").unwrap_or_default();
    let target = head.first()?.split(' ').nth(1)?.to_owned();
    let name = target.rsplit('/').next()?.to_owned();
    let mut body = Vec::new();
    if header("Transfer-Encoding:").is_some() {
        while let Some(chunk) = chunk(reader) {
            body.extend(chunk);
        }
    } else if let Some(length) = header("Content-Length:") {
        body.resize(length.parse().expect("a length"), 0);
        reader.read_exact(&mut body).ok()?;
    }
    Some(Arrived { head, from, name, body })
}

fn chunk(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let size = usize::from_str_radix(line.trim(), 16).expect("a chunk's size");
    let mut bytes = vec![0; size + 2];
    reader.read_exact(&mut bytes).ok()?;
    bytes.truncate(size);
    (size > 0).then_some(bytes)
}
