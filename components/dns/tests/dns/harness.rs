//! Servers under test, and questions to them.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use dns::{Config, Running};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use serde_json::Value;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server, stopped when the test is over.
pub(crate) struct Server {
    pub(crate) running: Running,
    stop: CancellationToken,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) fn config(master: &str) -> Config {
    Config { port: 0, http_port: 0, external_on: false, ..Config::new(vec![master.to_owned()]) }
}

impl Server {
    pub(crate) async fn start(config: Config) -> Server {
        let stop = CancellationToken::new();
        Server { running: dns::start(config, stop.clone()).await.unwrap(), stop }
    }

    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.running.join).await.unwrap();
    }

    pub(crate) async fn ask(&self, name: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
        let address: SocketAddr = self.running.udp[0];
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(address).await.unwrap();
        let name = Name::from_str(&format!("{name}.")).unwrap();
        let mut question = Message::new(7, MessageType::Query, OpCode::Query);
        question.add_query(Query::query(name.clone(), kind));
        let mut answer = vec![0; 4096];
        for _ in 0..4 {
            socket.send(&question.to_vec().unwrap()).await.unwrap();
            let read = tokio::time::timeout(Duration::from_secs(5), socket.recv(&mut answer));
            let Ok(length) = read.await else { continue };
            let answer = Message::from_vec(&answer[..length.unwrap()]).unwrap();
            let mut records: Vec<String> =
                answer.answers.iter().map(|record| text(&record.data)).collect();
            records.sort_unstable();
            return (answer.metadata.response_code, records);
        }
        panic!("{name:?} is not answered");
    }

    /// Asks until the answer is that one.
    pub(crate) async fn until(
        &self,
        name: &str,
        kind: RecordType,
        code: ResponseCode,
        records: &[&str],
    ) {
        let wanted = (code, records.iter().map(ToString::to_string).collect::<Vec<_>>());
        let mut last = None;
        let asking = async {
            loop {
                let answer = self.ask(name, kind).await;
                if answer == wanted {
                    return;
                }
                last = Some(answer);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let done = tokio::time::timeout(PATIENCE, asking).await;
        assert!(done.is_ok(), "{name}: {last:?}, not {wanted:?}");
    }

    pub(crate) async fn is(
        &self,
        name: &str,
        kind: RecordType,
        code: ResponseCode,
        records: &[&str],
    ) {
        let wanted: Vec<String> = records.iter().map(ToString::to_string).collect();
        assert_eq!(self.ask(name, kind).await, (code, wanted), "{name}");
    }

    pub(crate) async fn get(&self, path: &str) -> (http::StatusCode, String) {
        let client = http_kit::Client::new(http_kit::ClientConfig::default());
        let url = format!("http://{}{path}", self.running.http);
        let request = http::Request::get(url).body(Default::default()).unwrap();
        let answer = client.fetch(request).await.unwrap();
        let status = answer.status();
        (status, String::from_utf8(answer.into_body().to_vec()).unwrap())
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, http::StatusCode::OK, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }
}

fn text(data: &RData) -> String {
    match data {
        RData::A(ip) => ip.to_string(),
        RData::AAAA(ip) => ip.to_string(),
        RData::SRV(srv) => format!("{}:{}", srv.target, srv.port),
        other => format!("{other:?}"),
    }
}
