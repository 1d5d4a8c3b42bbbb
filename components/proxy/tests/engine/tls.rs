//! TLS: what is spoken, which certificate is shown, and that certificates change under way.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use proxy::tls::{Certificates, MinimumVersion, Source, TlsOptions};
use proxy::{Address, Protocol, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway::{Everything, Gateway, Pair, certificates, handshake, soon, until};

fn nowhere() -> Everything {
    let address = Address::Tcp(([127, 0, 0, 1], 9).into());
    Everything::new(&Upstream::new("backend", address, Protocol::Http1))
}

/// The certificate that a client of this name is shown.
async fn shown(gateway: &Gateway, name: Option<&str>) -> Vec<u8> {
    let stream = soon(handshake(gateway.tls, name, &[])).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// One request over a connection that stays open.
async fn ask<S: AsyncReadExt + AsyncWriteExt + Unpin>(stream: &mut S) -> std::io::Result<String> {
    stream.write_all(b"GET /local HTTP/1.1\r\nHost: a.test\r\n\r\n").await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"local\n") {
        let mut piece = [0; 1024];
        let count = soon(stream.read(&mut piece)).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&piece[..count]);
    }
    Ok(String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn the_client_chooses_the_protocol() {
    let gateway = Gateway::start(nowhere(), &certificates(&[&["a.test"]]));
    for (offered, chosen) in [
        (vec![&b"h2"[..], b"http/1.1"], Some(&b"h2"[..])),
        (vec![&b"http/1.1"[..]], Some(&b"http/1.1"[..])),
        (vec![], None),
    ] {
        let stream = soon(handshake(gateway.tls, Some("a.test"), &offered)).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
    }
    let nothing_known = soon(handshake(gateway.tls, Some("a.test"), &[b"spdy/3"])).await;
    assert!(nothing_known.is_err());
    let without = Certificates::new(
        vec![Pair::of(&["a.test"]).source()],
        &TlsOptions { http2: false, ..TlsOptions::default() },
    );
    let gateway = Gateway::start(nowhere(), &without.unwrap());
    let offered: [&[u8]; 2] = [b"h2", b"http/1.1"];
    let stream = soon(handshake(gateway.tls, Some("a.test"), &offered)).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn names_choose_certificates() {
    let gateway =
        Gateway::start(nowhere(), &certificates(&[&["default.test"], &["a.test", "*.b.test"]]));
    let (none, named) = (shown(&gateway, None).await, shown(&gateway, Some("a.test")).await);
    assert_ne!(none, named);
    assert_eq!(shown(&gateway, Some("x.b.test")).await, named);
    assert_eq!(shown(&gateway, Some("x.y.b.test")).await, none);
    assert_eq!(shown(&gateway, Some("unknown.test")).await, none);
    let mut stream = soon(handshake(gateway.tls, Some("x.b.test"), &[])).await.unwrap();
    let answer = ask(&mut stream).await.unwrap();
    assert!(answer.to_ascii_lowercase().contains("x-server-name: x.b.test"), "{answer}");
}

#[tokio::test]
async fn a_reload_drops_no_connection() {
    let certificates = certificates(&[&["a.test"]]);
    let gateway = Gateway::start(nowhere(), &certificates);
    let before = shown(&gateway, Some("a.test")).await;
    let mut open = Vec::new();
    for _ in 0..100 {
        open.push(soon(handshake(gateway.tls, Some("a.test"), &[])).await.unwrap());
    }
    for round in 0..5 {
        certificates.reload(vec![Pair::of(&["a.test"]).source()]).unwrap();
        for stream in &mut open {
            ask(stream).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
    }
    assert_ne!(shown(&gateway, Some("a.test")).await, before);
}

#[tokio::test]
async fn files_are_watched_and_bad_ones_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    let write = |pair: &Pair| {
        std::fs::write(&chain, &pair.chain).unwrap();
        std::fs::write(&key, &pair.key).unwrap();
    };
    write(&Pair::of(&["one.test"]));
    let sources = vec![Source::files(&chain, &key)];
    let certificates = Certificates::new(sources, &TlsOptions::default()).unwrap();
    let gateway = Gateway::start(nowhere(), &certificates);
    let watch = Arc::clone(&certificates);
    let watching =
        tokio::spawn(watch.watch(Duration::from_millis(20), gateway.token.child_token()));
    std::fs::write(&key, "this is no key").unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(certificates.names(), ["one.test"]);
    soon(handshake(gateway.tls, Some("one.test"), &[])).await.unwrap();
    write(&Pair::of(&["two.test"]));
    until(|| certificates.names() == ["two.test"], "the new files are not seen").await;
    gateway.token.cancel();
    soon(watching).await.unwrap();
}

/// Whether `openssl s_client` with these options gets a connection; none without openssl.
fn openssl(port: u16, options: &[&str]) -> Option<bool> {
    let mut command = Command::new("openssl");
    command.arg("s_client").arg("-connect").arg(format!("127.0.0.1:{port}")).args(options);
    let done = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    let Ok(output) = done else {
        eprintln!("SKIPPED: openssl is not installed");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    Some(text.contains("BEGIN CERTIFICATE") && !text.contains("Cipher is (NONE)"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_tls_and_weak_ciphers_are_refused() {
    let gateway = Gateway::start(nowhere(), &certificates(&[&["a.test"]]));
    let cases: [(&[&str], bool); 8] = [
        (&["-tls1_3"], true),
        (&["-tls1_2"], true),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], true),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0"], false),
        (&["-tls1_2", "-cipher", "AES256-GCM-SHA384:@SECLEVEL=0"], false),
        (&["-tls1_2", "-cipher", "NULL:@SECLEVEL=0"], false),
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], false),
        (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"], false),
    ];
    for (options, expected) in cases {
        let Some(connected) = openssl(gateway.tls.port(), options) else { return };
        assert_eq!(connected, expected, "{options:?}");
    }
    let only_new = TlsOptions { minimum: MinimumVersion::Tls13, ..TlsOptions::default() };
    let certificates = Certificates::new(vec![Pair::of(&["a.test"]).source()], &only_new).unwrap();
    let gateway = Gateway::start(nowhere(), &certificates);
    assert_eq!(openssl(gateway.tls.port(), &["-tls1_2"]), Some(false));
    assert_eq!(openssl(gateway.tls.port(), &["-tls1_3"]), Some(true));
}

#[tokio::test]
async fn http_on_the_tls_port_is_told_so() {
    let gateway = Gateway::start(nowhere(), &certificates(&[&["a.test"]]));
    let mut socket = TcpStream::connect(gateway.tls).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon(socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}", body.len())));
    assert_eq!(gateway.metric("dais_gateway_refused_total{reason=\"wrong_port\"}"), 1.0);
}

#[tokio::test]
async fn tls_on_the_plain_port_is_closed() {
    let gateway = Gateway::start(nowhere(), &certificates(&[&["a.test"]]));
    let refused = soon(handshake(gateway.plain, Some("a.test"), &[])).await;
    assert!(refused.is_err());
    let mut socket = TcpStream::connect(gateway.plain).await.unwrap();
    assert!(ask(&mut socket).await.is_ok(), "others go on");
}

#[tokio::test]
async fn who_never_greets_is_let_go() {
    let gateway = Gateway::with(nowhere(), &certificates(&[&["a.test"]]), |config| {
        config.timeouts.handshake = Duration::from_millis(200);
    });
    let mut silent = TcpStream::connect(gateway.tls).await.unwrap();
    let mut slow = TcpStream::connect(gateway.tls).await.unwrap();
    slow.write_all(&[0x16, 3, 1, 1, 0]).await.unwrap();
    for socket in [&mut silent, &mut slow] {
        let mut rest = Vec::new();
        // Closed or reset: both are an end.
        let _ = soon(socket.read_to_end(&mut rest)).await;
    }
    until(|| gateway.metric("dais_gateway_connections_open") == 0.0, "they stay").await;
    assert_eq!(gateway.metric("dais_gateway_tls_handshakes_failed_total"), 2.0);
}

#[tokio::test]
async fn sessions_resume() {
    let gateway = Gateway::start(nowhere(), &certificates(&[&["a.test"]]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session");
    let session = file.to_str().unwrap();
    let port = gateway.tls.port();
    let first = tokio::task::spawn_blocking({
        let session = session.to_string();
        move || openssl(port, &["-tls1_2", "-sess_out", &session])
    });
    if first.await.unwrap().is_none() {
        return;
    }
    let session = session.to_string();
    let again = tokio::task::spawn_blocking(move || {
        openssl(port, &["-tls1_2", "-sess_in", &session]);
    });
    again.await.unwrap();
    assert_eq!(gateway.metric("dais_gateway_tls_handshakes_total"), 2.0);
    assert_eq!(gateway.metric("dais_gateway_tls_handshakes_resumed_total"), 1.0);
}
