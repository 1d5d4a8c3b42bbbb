//! Foreign names: who is asked, how often, and who may have it asked.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dns::forward::{Forwarder, Forwarding};
use dns::serve::{Rate, Serving};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use crate::server::{Server, serving};

/// A name server of the world outside, and what it was asked.
struct World {
    address: SocketAddr,
    asked: Arc<Mutex<HashMap<String, usize>>>,
    _tasks: JoinSet<()>,
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// `slow.*` takes its time, `big.*` needs TCP, `none.*` does not exist, `broken.*` fails.
fn reply(packet: &[u8], is_tcp: bool, last: u8) -> (String, Vec<u8>) {
    let question = Message::from_vec(packet).unwrap();
    let mut message = Message::response(question.metadata.id, question.metadata.op_code);
    message.metadata.recursion_available = true;
    let query = question.queries[0].clone();
    let text = query.name().to_string();
    message.add_query(query.clone());
    let address =
        |n: u8| Record::from_rdata(query.name().clone(), 300, RData::A(A::new(192, 0, last, n)));
    if text.starts_with("none.") {
        message.metadata.response_code = ResponseCode::NXDomain;
        let soa = SOA::new(name("ns.example."), name("root.example."), 1, 2, 3, 4, 300);
        message.add_authority(Record::from_rdata(name("example."), 300, RData::SOA(soa)));
    } else if text.starts_with("broken.") {
        message.metadata.response_code = ResponseCode::ServFail;
    } else if text.starts_with("big.") && !is_tcp {
        message.metadata.truncation = true;
    } else if text.starts_with("big.") {
        message.add_answers((0..100).map(address));
    } else if query.query_type() == RecordType::A {
        message.add_answer(address(1));
    }
    (text, message.to_vec().unwrap())
}

impl World {
    async fn start(last: u8) -> World {
        // The same port for both: another one where it is taken.
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (Arc::new(udp), tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let asked: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let mut tasks = JoinSet::new();
        let counts = Arc::clone(&asked);
        tasks.spawn(async move {
            let mut answering = JoinSet::new();
            let mut packet = [0; 4096];
            while let Ok((length, from)) = udp.recv_from(&mut packet).await {
                let (text, answer) = reply(&packet[..length], false, last);
                *counts.lock().unwrap().entry(text.clone()).or_default() += 1;
                let udp = Arc::clone(&udp);
                answering.spawn(async move {
                    if text.starts_with("slow.") {
                        tokio::time::sleep(Duration::from_millis(300)).await;
                    }
                    let _ = udp.send_to(&answer, from).await;
                });
            }
        });
        let counts = Arc::clone(&asked);
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                while let Ok(length) = stream.read_u16().await {
                    let mut packet = vec![0; usize::from(length)];
                    stream.read_exact(&mut packet).await.unwrap();
                    let (text, answer) = reply(&packet, true, last);
                    *counts.lock().unwrap().entry(format!("{text} over TCP")).or_default() += 1;
                    stream.write_u16(answer.len() as u16).await.unwrap();
                    stream.write_all(&answer).await.unwrap();
                }
            }
        });
        World { address, asked, _tasks: tasks }
    }

    fn asked(&self, text: &str) -> usize {
        self.asked.lock().unwrap().get(text).copied().unwrap_or_default()
    }
}

/// Nobody answers there: bound, and never read.
async fn silence() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn ask(server: SocketAddr, text: &str) -> Message {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name(text), RecordType::A));
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(&question.to_vec().unwrap()).await.unwrap();
    let mut answer = [0; 4096];
    let wait = tokio::time::timeout(Duration::from_secs(20), socket.recv(&mut answer));
    let length = wait.await.unwrap().unwrap();
    let message = Message::from_vec(&answer[..length]).unwrap();
    assert_eq!((message.metadata.id, &message.queries), (question.metadata.id, &question.queries));
    message
}

fn texts(message: &Message) -> Vec<String> {
    message.answers.iter().map(|record| record.data.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_fetched_once_and_kept() {
    let world = World::start(2).await;
    let server = Server::forwarding_to(vec![world.address]).await;
    for _ in 0..3 {
        let reply = ask(server.address, "www.example.").await;
        assert_eq!(texts(&reply), ["192.0.2.1"]);
        assert!(reply.metadata.recursion_available && !reply.metadata.authoritative);
        let reply = ask(server.address, "none.example.").await;
        assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
        assert_eq!(reply.authorities.len(), 1);
    }
    assert_eq!((world.asked("www.example."), world.asked("none.example.")), (1, 1));
    // Our own names are never asked for, those that we do not have neither.
    assert_eq!(texts(&ask(server.address, "leader.mesos.").await), ["10.0.0.1"]);
    let reply = ask(server.address, "other.mesos.").await;
    assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(world.asked("other.mesos."), 0);
    // A name is complete: there is no search behind it.
    assert_eq!(texts(&ask(server.address, "single.").await), ["192.0.2.1"]);
    assert_eq!(world.asked.lock().unwrap().keys().filter(|n| n.starts_with("single.")).count(), 1);
    let reply = ask(server.address, "broken.example.").await;
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_ask_at_once_is_asked_once() {
    let world = World::start(2).await;
    let server = Server::forwarding_to(vec![world.address]).await;
    let address = server.address;
    let mut asking = JoinSet::new();
    for _ in 0..40 {
        asking.spawn(async move { texts(&ask(address, "slow.example.").await) });
    }
    while let Some(answer) = asking.join_next().await {
        assert_eq!(answer.unwrap(), ["192.0.2.1"]);
    }
    // A packet is repeated where the answer takes long; forty questions are not.
    assert!(world.asked("slow.example.") < 5, "{}", world.asked("slow.example."));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_answer_is_fetched_over_tcp_and_cut_again_for_who_asks_over_udp() {
    let world = World::start(2).await;
    let server = Server::forwarding_to(vec![world.address]).await;
    let reply = ask(server.address, "big.example.").await;
    assert!(reply.metadata.truncation && reply.answers.len() < 100);
    assert!(world.asked("big.example. over TCP") >= 1);
    if crate::server::are_there(&["dig"]) {
        // dig sees that it is cut, and asks over TCP.
        assert_eq!(server.short("big.example A").await.len(), 100);
        assert_eq!(server.short("+tcp www.example A").await, ["192.0.2.1"]);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_is_passed_over_and_avoided_for_a_while() {
    let (_socket, silent) = silence().await;
    let world = World::start(2).await;
    let server = Server::forwarding_to(vec![silent, world.address]).await;
    assert_eq!(texts(&ask(server.address, "one.example.").await), ["192.0.2.1"]);
    assert_eq!(texts(&ask(server.address, "two.example.").await), ["192.0.2.1"]);
    server.stop().await;
    let server = Server::forwarding_to(vec![silent]).await;
    let reply = ask(server.address, "one.example.").await;
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zones_have_servers_of_their_own() {
    let (world, other) = (World::start(2).await, World::start(3).await);
    let forwarding = Forwarding {
        resolvers: vec![world.address],
        zones: vec![
            ("corp.example".into(), vec![other.address]),
            ("nobody.example".into(), vec![]),
        ],
        ..Forwarding::default()
    };
    let server = Server::with(serving(), Some(&forwarding)).await;
    assert_eq!(texts(&ask(server.address, "www.example.").await), ["192.0.2.1"]);
    assert_eq!(texts(&ask(server.address, "www.CORP.example.").await), ["192.0.3.1"]);
    let reply = ask(server.address, "www.nobody.example.").await;
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(world.asked("www.nobody.example."), 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_wait_are_bounded() {
    let world = World::start(2).await;
    let forwarding =
        Forwarding { resolvers: vec![world.address], waiting: 1, ..Forwarding::default() };
    let server = Server::with(serving(), Some(&forwarding)).await;
    let address = server.address;
    let slow = tokio::spawn(async move { ask(address, "slow.example.").await });
    while world.asked("slow.example.") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let reply = ask(address, "www.example.").await;
    // On a busy machine the slow one may be through by now.
    if !slow.is_finished() {
        assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    }
    assert_eq!(texts(&slow.await.unwrap()), ["192.0.2.1"]);
    assert_eq!(texts(&ask(address, "www.example.").await), ["192.0.2.1"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_get_no_recursion_and_few_answers() {
    let world = World::start(2).await;
    let forwarding = Forwarding { resolvers: vec![world.address], ..Forwarding::default() };
    let rate = Rate { answers: 5, slip: 1 };
    let serving = Serving { trusted: Vec::new(), rate, workers: 1, ..serving() };
    let server = Server::with(serving, Some(&forwarding)).await;
    let reply = ask(server.address, "www.example.").await;
    assert_eq!(reply.metadata.response_code, ResponseCode::Refused);
    assert!(!reply.metadata.recursion_available);
    assert_eq!(world.asked("www.example."), 0);
    let mut cut = 0;
    for _ in 0..200 {
        let reply = ask(server.address, "leader.mesos.").await;
        cut += usize::from(reply.metadata.truncation);
        assert_eq!(reply.metadata.truncation, reply.answers.is_empty());
    }
    assert!(cut > 0);
    server.stop().await;
}

#[tokio::test]
async fn we_are_not_asked_by_ourselves() {
    let own = SocketAddr::from((Ipv4Addr::LOCALHOST, 5300));
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5300));
    let elsewhere = SocketAddr::from((IpAddr::from([192, 0, 2, 1]), 5300));
    let to = |resolvers: Vec<SocketAddr>| Forwarding { resolvers, ..Forwarding::default() };
    assert!(Forwarder::new(&to(vec![own]), &[own]).unwrap().is_none());
    assert!(Forwarder::new(&to(vec![own]), &[any]).unwrap().is_none());
    assert!(Forwarder::new(&to(vec![own]), &[]).unwrap().is_some());
    assert!(Forwarder::new(&to(vec![own, elsewhere]), &[any]).unwrap().is_some());
}
