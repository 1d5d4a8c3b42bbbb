//! Upstreams that speak TLS: the name in their certificate counts.

use std::sync::Arc;

use proxy::{Address, Limits, Protocol, Upstream};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::gateway::{Pair, soon};
use crate::raw::{Plain, Raw};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

/// Both sides' configurations for a server that is called `u.test`.
fn configurations() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let pair = Pair::of(&["u.test"]);
    let certificate = CertificateDer::from_pem_slice(pair.chain.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

#[tokio::test]
async fn connections_to_them_are_kept_too() {
    let (server, config) = configurations();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    let upstream = Upstream::new("tls", address, Protocol::Tls { config, name: "u.test".into() });
    let gateway = Plain::start(upstream, Limits::default(), |_| {});
    let serve = async {
        let (socket, _) = soon(listener.accept()).await.unwrap();
        let stream = soon(TlsAcceptor::from(server).accept(socket)).await.unwrap();
        let mut upstream = Raw::new(stream);
        for _ in 0..3 {
            let request = upstream.message().await;
            assert_eq!(request.text(), "body");
            upstream.send(OK).await;
        }
        upstream
    };
    let ask = async {
        let mut client = gateway.connect().await;
        for _ in 0..3 {
            client.send("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody").await;
            assert_eq!(client.answer().await.text(), "ok");
        }
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn one_with_another_name_gets_no_request() {
    let (server, config) = configurations();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    let upstream = Upstream::new("tls", address, Protocol::Tls { config, name: "v.test".into() });
    let gateway = Plain::start(upstream, Limits::default(), |_| {});
    let serve = async {
        let (socket, _) = soon(listener.accept()).await.unwrap();
        soon(TlsAcceptor::from(server).accept(socket)).await.is_err()
    };
    let (refused, answer) = tokio::join!(serve, gateway.ask(GET));
    assert!(refused);
    assert_eq!(answer.status(), 502);
}
