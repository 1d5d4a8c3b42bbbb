//! Real sockets on loopback.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn v4(address: SocketAddr) -> SocketAddrV4 {
    let SocketAddr::V4(address) = address else { panic!("{address}") };
    address
}

/// Answers each line with its own name.
async fn tcp_server(name: &'static str) -> (SocketAddrV4, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = v4(listener.local_addr().unwrap());
    let join = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut byte = [0];
                while stream.read_exact(&mut byte).await.is_ok() {
                    stream.write_all(name.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (address, join)
}

async fn udp_server(name: &'static str) -> SocketAddrV4 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = v4(socket.local_addr().unwrap());
    tokio::spawn(async move {
        let mut packet = [0; 16];
        while let Ok((_, from)) = socket.recv_from(&mut packet).await {
            socket.send_to(name.as_bytes(), from).await.unwrap();
        }
    });
    address
}

async fn said(stream: &mut TcpStream) -> String {
    stream.write_all(b"?").await.unwrap();
    let mut answer = [0; 1];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn open(targets: &[SocketAddrV4]) -> Option<Targets> {
    Some(Targets { open: targets.to_vec(), closed: Vec::new() })
}

fn vip(protocol: Protocol, last: u8) -> Vip {
    Vip { protocol, address: Ipv4Addr::new(11, 77, 3, last), port: 18080 }
}

#[tokio::test]
async fn connections_are_balanced_and_outlive_their_backends_place() {
    let ((a, _), (b, _)) = (tcp_server("a").await, tcp_server("b").await);
    let listening = Arc::new(Listening::default());
    let mut user_space = UserSpace::new(UserSpaceLimits::default(), Arc::clone(&listening));
    let vip = vip(Protocol::Tcp, 1);
    user_space.change([(vip, open(&[a, b]))].into()).await;
    let at = listening.get(vip).unwrap();
    assert_eq!(at.ip(), stand_in(vip.address));
    let mut first = TcpStream::connect(at).await.unwrap();
    let mut second = TcpStream::connect(at).await.unwrap();
    let (one, other) = (said(&mut first).await, said(&mut second).await);
    assert_ne!(one, other, "one after the other");
    // `a` takes no new connections; the old one lives on.
    let targets = Targets { open: vec![b], closed: vec![a] };
    user_space.change([(vip, Some(targets))].into()).await;
    for _ in 0..4 {
        assert_eq!(said(&mut TcpStream::connect(at).await.unwrap()).await, "b");
    }
    assert_eq!((said(&mut first).await, said(&mut second).await), (one.clone(), other));
    user_space.change([(vip, None)].into()).await;
    assert_eq!(listening.get(vip), None);
    assert_eq!(said(&mut first).await, one);
    timeout(PATIENCE, user_space.stop()).await.unwrap();
    assert!(TcpStream::connect(at).await.is_err());
}

#[tokio::test]
async fn a_backend_that_refuses_is_passed_over() {
    let (a, _) = tcp_server("a").await;
    let gone = v4(TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap());
    let listening = Arc::new(Listening::default());
    let mut user_space = UserSpace::new(UserSpaceLimits::default(), Arc::clone(&listening));
    let vip = vip(Protocol::Tcp, 2);
    user_space.change([(vip, open(&[gone, a]))].into()).await;
    for _ in 0..3 {
        let mut stream = TcpStream::connect(listening.get(vip).unwrap()).await.unwrap();
        assert_eq!(said(&mut stream).await, "a");
    }
    user_space.stop().await;
}

#[tokio::test]
async fn a_client_of_udp_stays_until_its_backend_goes() {
    let (a, b) = (udp_server("a").await, udp_server("b").await);
    let listening = Arc::new(Listening::default());
    let mut user_space = UserSpace::new(UserSpaceLimits::default(), Arc::clone(&listening));
    let vip = vip(Protocol::Udp, 3);
    user_space.change([(vip, open(&[a, b]))].into()).await;
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(listening.get(vip).unwrap()).await.unwrap();
    let ask = async || {
        client.send(b"?").await.unwrap();
        let mut packet = [0; 16];
        let length = timeout(PATIENCE, client.recv(&mut packet)).await.unwrap().unwrap();
        String::from_utf8_lossy(&packet[..length]).into_owned()
    };
    let first = ask().await;
    for _ in 0..4 {
        assert_eq!(ask().await, first);
    }
    let (stays, goes) = if first == "a" { (b, a) } else { (a, b) };
    let closed = Targets { open: vec![stays], closed: vec![goes] };
    user_space.change([(vip, Some(closed))].into()).await;
    assert_eq!(ask().await, first, "established");
    user_space.change([(vip, open(&[stays]))].into()).await;
    assert_ne!(ask().await, first, "gone");
    timeout(PATIENCE, user_space.stop()).await.unwrap();
}

#[tokio::test]
async fn what_may_be_used_is_bounded() {
    let (a, _) = tcp_server("a").await;
    let limits = UserSpaceLimits { listeners: 1, ..UserSpaceLimits::default() };
    let listening = Arc::new(Listening::default());
    let mut user_space = UserSpace::new(limits, Arc::clone(&listening));
    let (one, other) = (vip(Protocol::Tcp, 4), vip(Protocol::Tcp, 5));
    user_space.change([(one, open(&[a])), (other, open(&[a]))].into()).await;
    assert!(listening.get(one).is_some() && listening.get(other).is_none());
    user_space.stop().await;
}

#[tokio::test]
async fn another_port_is_taken_where_its_own_is_not_to_be_had() {
    let (a, _) = tcp_server("a").await;
    let vip = vip(Protocol::Tcp, 6);
    let _squatter = std::net::TcpListener::bind((stand_in(vip.address), vip.port)).unwrap();
    let listening = Arc::new(Listening::default());
    let mut user_space = UserSpace::new(UserSpaceLimits::default(), Arc::clone(&listening));
    user_space.change([(vip, open(&[a]))].into()).await;
    let at = listening.get(vip).unwrap();
    assert_ne!(at.port(), vip.port);
    assert_eq!(said(&mut TcpStream::connect(at).await.unwrap()).await, "a");
    user_space.stop().await;
}
