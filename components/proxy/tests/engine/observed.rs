//! What is written and counted about requests, over both protocols.

use proxy::{AccessLog, Address, Protocol, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway::{Everything, Gateway, call, certificates, request, soon, until};
use crate::strict::Backend;

#[tokio::test]
async fn each_request_is_a_line_and_a_count() {
    let backend = Backend::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let log = AccessLog::file(&file).unwrap();
    let upstream = Upstream::new("backend", Address::Tcp(backend.address), Protocol::Http1);
    let policy = Everything::new(&upstream);
    let gateway = Gateway::with(policy, &certificates(&[&["a.test"]]), |config| {
        config.access_log = Some(log);
    });
    let client = gateway.h2().await;
    let over_h2 = request("POST", "/echo?token=secret&b=1");
    call(&client, over_h2, Some(b"12345")).await.unwrap();
    let mut plain = TcpStream::connect(gateway.plain).await.unwrap();
    let text = "GET /bytes?1000 HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    plain.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    soon(plain.read_to_end(&mut answer)).await.unwrap();
    let mut broken = TcpStream::connect(gateway.plain).await.unwrap();
    broken.write_all(b"GET  HTTP/1.1\r\n\r\n").await.unwrap();
    soon(broken.read_to_end(&mut answer)).await.unwrap();
    let lines = || std::fs::read_to_string(&file).unwrap();
    until(|| lines().lines().count() == 3, "the lines do not come").await;
    let text = lines();
    assert!(!text.contains("secret"));
    let lines: Vec<&str> = text.lines().collect();
    for (line, parts) in [
        (
            lines[0],
            &[
                "\"protocol\":\"HTTP/2.0\"",
                "\"path\":\"/echo?token=***&b=1\"",
                "\"method\":\"POST\"",
                "\"status\":200",
                "\"received\":5",
                "\"sent\":5",
                "\"tls\":\"TLSv1.3\"",
                "\"user\":\"tester\"",
                "\"route\":\"backend\"",
                "\"upstream\":\"backend\"",
                "\"client\":\"127.0.0.1\"",
                "\"upstream_ms\":",
            ][..],
        ),
        (
            lines[1],
            &[
                "\"protocol\":\"HTTP/1.1\"",
                "\"path\":\"/bytes?1000\"",
                "\"received\":0",
                "\"sent\":1000",
                "\"status\":200",
                "\"route\":\"backend\"",
            ][..],
        ),
        (lines[2], &["\"status\":400"][..]),
    ] {
        for part in parts {
            assert!(line.contains(part), "{part} is not in {line}");
        }
        assert!(line.starts_with("{\"time\":\"") && line.ends_with('}'));
    }
    assert!(!lines[1].contains("\"tls\""));
    let expected = [
        ("dais_gateway_requests_total{route=\"backend\",code=\"2xx\"}", 2.0),
        ("dais_gateway_requests_total{route=\"own\",code=\"4xx\"}", 1.0),
        ("dais_gateway_bytes_total{route=\"backend\",direction=\"in\"}", 5.0),
        ("dais_gateway_bytes_total{route=\"backend\",direction=\"out\"}", 1005.0),
        ("dais_gateway_refused_total{reason=\"malformed\"}", 1.0),
        ("dais_gateway_upstream_requests_total{upstream=\"backend\",code=\"2xx\"}", 2.0),
        ("dais_gateway_upstream_connects_total{upstream=\"backend\"}", 1.0),
        ("dais_gateway_upstream_reused_total{upstream=\"backend\"}", 1.0),
        ("dais_gateway_tls_handshakes_total", 1.0),
        ("dais_gateway_connections_total", 3.0),
        ("nginx_vts_main_connections{status=\"requests\"}", 3.0),
    ];
    for (series, value) in expected {
        assert_eq!(gateway.metric(series), value, "{series}");
    }
    drop(client);
    let none_open = || gateway.metric("dais_gateway_connections_open") == 0.0;
    until(none_open, "connections stay open").await;
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_counted() {
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let upstream = Upstream::new("gone", Address::Tcp(nowhere), Protocol::Http1);
    let gateway = Gateway::start(Everything::new(&upstream), &certificates(&[&["a.test"]]));
    let client = gateway.h2().await;
    let answer = call(&client, request("GET", "/"), None).await.unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(gateway.metric("dais_gateway_refused_total{reason=\"unavailable\"}"), 1.0);
    let failed = "dais_gateway_upstream_connects_failed_total{upstream=\"gone\"}";
    assert_eq!(gateway.metric(failed), 1.0);
}
