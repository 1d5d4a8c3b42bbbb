//! What upstreams get to see of a client's request.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::*;
use crate::config::{HeadLimits, ServerConfig};
use crate::{Limits, Peer, Protocol, RouteId, Upstream};

const HEAD: &str = "GET /a HTTP/1.1\r\nHost: h\r\n";

fn client(trusted: bool) -> Client {
    let peer = Peer {
        address: "10.1.1.1:5000".parse().unwrap(),
        local: "10.0.0.1:8443".parse().unwrap(),
        scheme: Scheme::Https,
        server_name: None,
    };
    let trusted_proxies = if trusted { vec!["10.0.0.0/8".parse().unwrap()] } else { Vec::new() };
    Client::new(peer, None, &ServerConfig { trusted_proxies, ..ServerConfig::default() })
}

fn forward() -> Forward {
    let address = Address::Tcp("127.0.0.1:80".parse().unwrap());
    Forward {
        upstream: Upstream::new("u", address, Protocol::Http1),
        target: bytes::Bytes::from_static(b"/b?c"),
        host: Host::Keep,
        route: RouteId(0),
        user: None,
        request: HeaderEdits::default(),
        response: None,
        limits: Arc::new(Limits::default()),
        upgrade: Upgrade::Allow,
        follow: None,
    }
}

fn written(lines: &str, forward: &Forward, client: &Client) -> Vec<String> {
    let text = format!("{HEAD}{lines}\r\n");
    let parsed = crate::wire::request::parse(text.as_bytes(), &HeadLimits::default());
    let parsed = parsed.unwrap().unwrap();
    let outgoing = Outgoing {
        request: &parsed.head,
        forward,
        client,
        request_id: b"id",
        expects: parsed.expects,
    };
    let mut out = Vec::new();
    outgoing.write(&mut out, parsed.length);
    let text = String::from_utf8(out).unwrap();
    text.strip_suffix("\r\n\r\n").unwrap().split("\r\n").map(str::to_string).collect()
}

fn has(lines: &[String], start: &str) -> bool {
    lines.iter().any(|line| line.to_lowercase().starts_with(&start.to_lowercase()))
}

#[test]
fn the_target_is_the_policys_and_the_origin_the_engines() {
    let lines = written(
        "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n\
        X-Forwarded-Proto: http\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nAccept: x\r\n",
        &forward(),
        &client(false),
    );
    assert_eq!(
        lines,
        [
            "GET /b?c HTTP/1.1",
            "Host: h",
            "Accept: x",
            "X-Forwarded-For: 10.1.1.1",
            "X-Real-IP: 10.1.1.1",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Port: 8443",
            "X-Forwarded-Host: h",
            "Forwarded: for=10.1.1.1;host=\"h\";proto=https",
            "X-Request-Id: id",
        ]
    );
}

#[test]
fn what_proxies_tell_is_taken_from_trusted_ones_only() {
    let told = "X-Forwarded-Prefix: /evil\r\nX-FORWARDED-SCHEME: http\r\nX-Forwarded: evil\r\n\
        X-Forwarded-User: root\r\nX-Client-IP: 6.6.6.6\r\nTrue-Client-IP: 6.6.6.6\r\n\
        X-Original-Host: evil\r\nX-Original-URL: /evil\r\nX-Rewrite-URL: /evil\r\n";
    let evil = |lines: &[String]| {
        let of = |line: &&String| line.contains("evil") || line.contains("6.6.6.6");
        lines.iter().filter(of).count() + usize::from(has(lines, "x-forwarded-user"))
    };
    let lines = written(told, &forward(), &client(false));
    assert_eq!(evil(&lines), 0, "{lines:?}");
    let lines = written(told, &forward(), &client(true));
    assert!(has(&lines, "X-Forwarded-Prefix: /evil") && has(&lines, "True-Client-IP: 6.6.6.6"));
    assert!(!has(&lines, "X-Original-URL") && !has(&lines, "X-Rewrite-URL"), "{lines:?}");
    // A policy is not a client.
    let mut forward = forward();
    let prefix = HeaderName::from_static("x-forwarded-prefix");
    forward.request.set.push((prefix, HeaderValue::from_static("/good")));
    let lines = written(told, &forward, &client(false));
    assert!(has(&lines, "x-forwarded-prefix: /good"), "{lines:?}");
}

#[test]
fn an_id_is_taken_from_trusted_proxies_only() {
    let given = |id: &str, trusted| {
        let text = format!("{HEAD}X-Request-Id: {id}\r\n\r\n");
        let parsed = crate::wire::request::parse(text.as_bytes(), &HeadLimits::default());
        let head = parsed.unwrap().unwrap().head;
        given_id(&head, &client(trusted)).map(<[u8]>::to_vec)
    };
    assert_eq!(given("a-1", true), Some(b"a-1".to_vec()));
    assert_eq!(given("a-1", false), None);
    assert!(given("a-b_c.1", true).is_some() && given(&"a".repeat(128), true).is_some());
    for odd in ["", "a b", "a\"b", &"a".repeat(129)] {
        assert_eq!(given(odd, true), None, "{odd}");
    }
}

#[test]
fn what_a_policy_edits_does_not_trail() {
    let mut forward = forward();
    forward.request.remove.push(HeaderName::from_static("x-secret"));
    let user = HeaderName::from_static("x-user");
    forward.request.set.push((user, HeaderValue::from_static("somebody")));
    let text = format!("{HEAD}\r\n");
    let parsed = crate::wire::request::parse(text.as_bytes(), &HeadLimits::default());
    let (request, client) = (&parsed.unwrap().unwrap().head, &client(false));
    let outgoing =
        Outgoing { request, forward: &forward, client, request_id: b"id", expects: false };
    let lines = b"X-Sum: 1\r\nX-SECRET: 2\r\nx-user: root\r\nx-users: 3\r\n";
    let kept = trailing(lines, &outgoing.kept_back());
    assert_eq!(&*kept, b"X-Sum: 1\r\nx-users: 3\r\n");
}

#[test]
fn trusted_proxies_are_believed() {
    let lines = written(
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nForwarded: for=6.6.6.6\r\n\
         X-Real-IP: 6.6.6.6\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: outside\r\n",
        &forward(),
        &client(true),
    );
    assert!(has(&lines, "X-Forwarded-For: 6.6.6.6, 7.7.7.7, 10.1.1.1"), "{lines:?}");
    assert!(has(&lines, "Forwarded: for=6.6.6.6, for=10.1.1.1;host"), "{lines:?}");
    assert!(has(&lines, "X-Real-IP: 6.6.6.6"), "{lines:?}");
    assert!(has(&lines, "X-Forwarded-Proto: http"), "{lines:?}");
    assert!(has(&lines, "X-Forwarded-Host: outside"), "{lines:?}");
}

#[test]
fn what_is_about_the_connection_stays() {
    let lines = written(
        "Connection: keep-alive, X-Mine, Host\r\nX-Mine: 1\r\nX-Other: 2\r\nKeep-Alive: 5\r\n\
         Proxy-Connection: x\r\nProxy-Authorization: secret\r\nUpgrade: websocket\r\n\
         HTTP2-Settings: x\r\nTrailer: a\r\nTE: gzip\r\n",
        &forward(),
        &client(false),
    );
    for gone in ["connection", "x-mine", "keep-alive", "proxy-", "upgrade", "http2", "te:"] {
        assert!(!has(&lines, gone), "{gone} in {lines:?}");
    }
    assert!(has(&lines, "X-Other: 2") && has(&lines, "Host: h"), "{lines:?}");
}

#[test]
fn upgrades_go_on_only_as_such() {
    let ask = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let lines = written(ask, &forward(), &client(false));
    assert!(has(&lines, "Upgrade: websocket") && has(&lines, "Connection: Upgrade"), "{lines:?}");
    let stripped = Forward { upgrade: Upgrade::Strip, ..forward() };
    assert!(!has(&written(ask, &stripped, &client(false)), "upgrade"));
    for wrong in [
        "Connection: Upgrade\r\nUpgrade: h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: H2C, websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n",
        "Upgrade: websocket\r\n",
        "Connection: Upgrade\r\n",
    ] {
        let lines = written(wrong, &forward(), &client(false));
        assert!(!has(&lines, "upgrade") && !has(&lines, "connection"), "{lines:?}");
    }
}

#[test]
fn bodies_are_framed_anew() {
    let lines =
        written("Content-Length: 5\r\nExpect: 100-continue\r\n", &forward(), &client(false));
    assert!(has(&lines, "Content-Length: 5") && has(&lines, "Expect: 100-continue"));
    let lines =
        written("Transfer-Encoding: chunked\r\nTE: trailers\r\n", &forward(), &client(false));
    assert!(has(&lines, "Transfer-Encoding: chunked") && has(&lines, "TE: trailers"));
    assert!(has(&lines, "Connection: TE"));
}

#[test]
fn the_policy_edits() {
    let mut forward = Forward { host: Host::Set("other".into()), ..forward() };
    forward.request.remove.push(HeaderName::from_static("authorization"));
    let value = HeaderValue::from_static("new");
    forward.request.set.push((HeaderName::from_static("x-set"), value));
    forward.request.remove_cookies = &["secret"];
    let lines = written(
        "Authorization: t\r\nX-Set: old\r\nx-set: older\r\n\
         Cookie: a=1; secret=2;secret =3; b=4\r\nCookie: secret=5\r\nConnection: X-Set\r\n",
        &forward,
        &client(false),
    );
    assert!(has(&lines, "Host: other") && !has(&lines, "Authorization"), "{lines:?}");
    let set: Vec<_> = lines.iter().filter(|line| line.starts_with("x-set")).collect();
    assert_eq!(set, ["x-set: new"]);
    let cookies: Vec<_> = lines.iter().filter(|line| line.starts_with("Cookie")).collect();
    assert_eq!(cookies, ["Cookie: a=1; b=4"]);
}

#[test]
fn the_client_behind_proxies_is_found() {
    let find = |lines: &str, trusted| {
        let text = format!("{HEAD}{lines}\r\n");
        let parsed = crate::wire::request::parse(text.as_bytes(), &HeadLimits::default());
        let head = parsed.unwrap().unwrap().head;
        let ten = |address: IpAddr| address.to_string().starts_with("10.");
        origin(&head, &client(trusted), ten).to_string()
    };
    let chain = "X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nX-Forwarded-For: 10.2.2.2\r\n";
    assert_eq!(find(chain, true), "2.2.2.2");
    assert_eq!(find(chain, false), "10.1.1.1");
    assert_eq!(find("X-Forwarded-For: nonsense\r\n", true), "10.1.1.1");
    assert_eq!(find("", true), "10.1.1.1");
}
