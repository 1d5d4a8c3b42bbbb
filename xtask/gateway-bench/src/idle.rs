//! Connections that do nothing, and what each costs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::proxies::{Proxy, Setup};
use crate::table::{self, Better, Column};

/// How many connections are held, to see what one costs.
const MEMORY_CONNECTIONS: usize = 4_000;

pub(crate) const NAME: &str = "memory of an idle connection";

/// A connection that has made one request and may make others.
pub(crate) enum Connection {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

// === impl Connection ===

impl Connection {
    pub(crate) fn open(port: u16, tls: Option<&Arc<ClientConfig>>) -> Result<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        // Otherwise a request waits for the acknowledgement of the last flight of a handshake.
        stream.set_nodelay(true)?;
        Ok(match tls {
            None => Connection::Plain(stream),
            Some(config) => {
                let name = ServerName::try_from("localhost")?;
                let client = ClientConnection::new(Arc::clone(config), name)?;
                Connection::Tls(Box::new(StreamOwned::new(client, stream)))
            }
        })
    }

    /// Makes a request of a small answer, and gives its text.
    pub(crate) fn request(&mut self, path: &str, authorization: Option<&str>) -> Result<String> {
        let header = authorization.map(|value| format!("Authorization: {value}\r\n"));
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", header.unwrap_or_default());
        match self {
            Connection::Plain(stream) => exchange(stream, &request),
            Connection::Tls(stream) => exchange(stream.as_mut(), &request),
        }
    }
}

fn exchange(stream: &mut (impl Read + Write), request: &str) -> Result<String> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            bail!("the connection was closed within an answer");
        }
        answer.extend_from_slice(piece.get(..count).unwrap_or_default());
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if !head.starts_with("HTTP/1.1 200") {
            bail!("not 200: {}", head.lines().next().unwrap_or_default());
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())?.ok()
        });
        if body.len() >= length.context("an answer without a length")? {
            return Ok(body.to_owned());
        }
    }
}

/// A client that trusts the one certificate, and says HTTP/1.1.
pub(crate) fn client(setup_certificate: &std::path::Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(setup_certificate)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// What a connection costs that has made one request and now waits.
pub(crate) fn memory(setup: &Setup, proxies: &mut [Proxy], tls: bool) -> Result<()> {
    let config = client(&setup.files.certificate)?;
    let mut values = Vec::new();
    for proxy in proxies.iter() {
        let Some(port) = (if tls { proxy.tls } else { proxy.plain }) else {
            values.push(f64::NAN);
            continue;
        };
        let before = proxy.memory()?;
        let mut connections = Vec::new();
        for _ in 0..MEMORY_CONNECTIONS {
            let mut connection = Connection::open(port, tls.then_some(&config))?;
            connection.request("/package/1k", proxy.authorization())?;
            connections.push(connection);
        }
        std::thread::sleep(Duration::from_secs(2));
        let grown = proxy.memory()? - before;
        values.push(grown / MEMORY_CONNECTIONS as f64);
    }
    let kind = if tls { "TLS" } else { "plain" };
    table::print(
        &format!("{NAME}, {kind}"),
        &[Column { name: "private memory", better: Better::Less, values, print: table::kilobytes }],
    );
    Ok(())
}
