//! A master that answers as it is told.

use mesos_messages::{
    content::{ContentType, decode, encode},
    recordio,
    v1::{
        FrameworkId,
        scheduler::{Call, Event, event},
    },
};
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::timeout,
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Master {
    listener: TcpListener,
}

/// A connection of the client.
pub(crate) struct Peer {
    stream: BufReader<TcpStream>,
}

/// A request that came.
pub(crate) struct Request {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) call: Call,
}

impl Master {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn host(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        Peer { stream: BufReader::new(stream) }
    }

    /// Accepts, reads the subscription and begins the stream with SUBSCRIBED.
    pub(crate) async fn subscribe(&self, heartbeat: f64) -> (Peer, Request) {
        let mut peer = self.accept().await;
        let request = peer.request().await;
        peer.begin_stream("stream-1").await;
        peer.event(&subscribed(heartbeat)).await;
        (peer, request)
    }
}

pub(crate) fn subscribed(heartbeat: f64) -> Event {
    Event {
        r#type: Some(event::Type::Subscribed.into()),
        subscribed: Some(event::Subscribed {
            framework_id: FrameworkId { value: "framework-1".into() },
            heartbeat_interval_seconds: Some(heartbeat),
            master_info: None,
        }),
        ..Default::default()
    }
}

impl Peer {
    pub(crate) async fn request(&mut self) -> Request {
        timeout(PATIENCE, self.read_request()).await.expect("no request came")
    }

    async fn read_request(&mut self) -> Request {
        let mut headers = BTreeMap::new();
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        assert_eq!(line, "POST /api/v1/scheduler HTTP/1.1\r\n");
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await.unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers["content-length"].parse().unwrap()];
        self.stream.read_exact(&mut body).await.unwrap();
        let content = ContentType::from_header(&headers["content-type"]).unwrap();
        let call = decode(content, &body).unwrap();
        Request { headers, call }
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    pub(crate) async fn answer(&mut self, status: &str, extra: &str, body: &str) {
        let length = body.len();
        self.write(&format!("HTTP/1.1 {status}\r\n{extra}Content-Length: {length}\r\n\r\n{body}"))
            .await;
    }

    pub(crate) async fn begin_stream(&mut self, id: &str) {
        self.write(&format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nMesos-Stream-Id: {id}\r\n\
             Content-Type: application/x-protobuf\r\n\r\n"
        ))
        .await;
    }

    /// Sends an event in chunks of a few bytes.
    pub(crate) async fn event(&mut self, event: &Event) {
        let record = recordio::encode(&encode(ContentType::Protobuf, event));
        for piece in record.chunks(7) {
            let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
            chunk.extend_from_slice(piece);
            chunk.extend_from_slice(b"\r\n");
            self.stream.write_all(&chunk).await.unwrap();
        }
    }

    /// Waits until the client closes the connection.
    pub(crate) async fn closed(&mut self) {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest).await;
        assert_eq!(rest, b"");
    }
}
