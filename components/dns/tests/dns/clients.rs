//! dig, host and dnspython.

use std::time::Duration;

use crate::server::{Server, a, are_there, change};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dig_reads_every_kind_of_record() {
    if !are_there(&["dig"]) {
        return;
    }
    let server = Server::start().await;
    for transport in ["+notcp", "+tcp"] {
        let short = async |words: &str| server.short(&format!("{transport} {words}")).await;
        assert_eq!(short("web.marathon.mesos A").await, ["10.0.0.2", "10.0.0.3"]);
        assert_eq!(short("WEB.Marathon.MESOS AAAA").await, ["fd01::2"]);
        let service = short("_http._web._tcp.marathon.mesos SRV").await;
        assert_eq!(service, ["0 1 31000 web-abcde-s0.marathon.mesos."]);
        assert_eq!(short("text.mesos TXT").await, ["\"of our own\""]);
        assert_eq!(short("mesos NS").await, ["ns1.mesos."]);
        let soa = short("mesos SOA").await;
        assert!(soa[0].starts_with("ns1.mesos. root.ns1.mesos. "), "{soa:?}");
        assert_eq!(short("web.marathon.mesos ANY").await.len(), 3);
        // Over UDP it is cut, and dig asks again.
        assert_eq!(short("many.mesos A").await.len(), 200);
    }
    let dig = async |words: &str, says: &[&str]| {
        let text = server.dig(words).await;
        for one in says {
            assert!(text.contains(one), "{words}: no {one:?} in\n{text}");
        }
    };
    dig("none.mesos A", &["status: NXDOMAIN", "flags: qr aa rd;", "AUTHORITY: 1", "mesos.\t"])
        .await;
    dig("leader.mesos AAAA", &["status: NOERROR", "ANSWER: 0, AUTHORITY: 1"]).await;
    dig("marathon.mesos A", &["status: NOERROR", "ANSWER: 0, AUTHORITY: 1"]).await;
    dig("_web._tcp.marathon.mesos SRV", &["ANSWER: 1", "ADDITIONAL: 2", "10.0.0.2"]).await;
    dig("LeAdEr.mesos A", &["LeAdEr.mesos.", "10.0.0.1"]).await;
    dig("many.mesos A +ignore +noedns", &["flags: qr aa tc rd", "MSG SIZE  rcvd: 50"]).await;
    dig("many.mesos A +ignore +bufsize=4000", &["flags: qr aa tc rd", "MSG SIZE  rcvd: 12"]).await;
    dig("leader.mesos A +edns=1 +noednsneg", &["status: BADVERS"]).await;
    dig("leader.mesos A +nsid +cookie +subnet=10.0.0.0/8", &["status: NOERROR", "10.0.0.1"]).await;
    dig("leader.mesos A +opcode=NOTIFY", &["status: NOTIMP"]).await;
    dig("leader.mesos CH TXT", &["status: REFUSED"]).await;
    dig("example.org A", &["status: REFUSED"]).await;
    assert!(!server.dig("mesos AXFR").await.contains("leader.mesos"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_finds_addresses_services_and_nothing() {
    if !are_there(&["host"]) {
        return;
    }
    let server = Server::start().await;
    let host = async |words: &str| {
        let port = server.address.port().to_string();
        let mut command = tokio::process::Command::new("host");
        command.args(["-p", &port]).args(words.split(' ')).arg("127.0.0.1");
        String::from_utf8_lossy(&command.output().await.unwrap().stdout).into_owned()
    };
    let text = host("leader.mesos").await;
    assert!(text.contains("leader.mesos has address 10.0.0.1"), "{text}");
    let text = host("-t SRV _web._tcp.marathon.mesos").await;
    assert!(text.contains("has SRV record 0 1 31000 web-abcde-s0.marathon.mesos."), "{text}");
    let text = host("none.mesos").await;
    assert!(text.contains("not found: 3(NXDOMAIN)"), "{text}");
    server.stop().await;
}

/// Asks over UDP, falls back to TCP, and pipelines several questions over one connection.
const PYTHON: &str = r#"
import socket, struct, sys
import dns.message, dns.query, dns.rcode, dns.flags, dns.resolver, dns.edns, dns.name

port = int(sys.argv[1])
ask = lambda name, kind, **more: dns.message.make_query(name, kind, **more)
udp = lambda query: dns.query.udp(query, "127.0.0.1", port=port, timeout=10)

resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], port, 20
values = lambda name, kind: sorted(item.to_text() for item in resolver.resolve(name, kind))
assert values("web.marathon.mesos", "A") == ["10.0.0.2", "10.0.0.3"]
assert values("web.marathon.mesos", "AAAA") == ["fd01::2"]
assert values("_web._tcp.marathon.mesos", "SRV") == ["0 1 31000 web-abcde-s0.marathon.mesos."]
assert values("mesos", "NS") == ["ns1.mesos."]
assert len(values("mesos", "SOA")) == 1
assert len(values("many.mesos", "A")) == 200
for name, kind, error in [("none.mesos", "A", dns.resolver.NXDOMAIN),
                          ("none.mesos", "SRV", dns.resolver.NXDOMAIN),
                          ("leader.mesos", "AAAA", dns.resolver.NoAnswer),
                          ("leader.mesos", "MX", dns.resolver.NoAnswer)]:
    try:
        resolver.resolve(name, kind)
        raise SystemExit(f"{name} {kind} was answered")
    except error:
        pass

reply = udp(ask("lEaDeR.mesos", "A", use_edns=0, payload=4096, want_dnssec=True))
assert reply.question[0].name == dns.name.from_text("lEaDeR.mesos")
assert reply.question[0].name.to_text() == "lEaDeR.mesos."
assert reply.flags & dns.flags.AA and reply.edns == 0 and reply.payload == 1232
assert reply.ednsflags & dns.flags.DO
padded = ask("leader.mesos", "A", use_edns=0, options=[dns.edns.GenericOption(65001, b"x" * 40)])
assert udp(padded).rcode() == dns.rcode.NOERROR
assert udp(ask("none.mesos", "A")).authority[0].name.to_text() == "mesos."
answer, was_tcp = dns.query.udp_with_fallback(ask("many.mesos", "A"), "127.0.0.1", port=port, timeout=20)
assert was_tcp and len(answer.answer[0]) == 200

kinds = [("leader.mesos", "A"), ("many.mesos", "A"), ("none.mesos", "A"), ("mesos", "SOA")] * 25
queries = [ask(name, kind) for name, kind in kinds]
with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
    wires = [query.to_wire() for query in queries]
    connection.sendall(b"".join(struct.pack("!H", len(wire)) + wire for wire in wires))
    left = {query.id: query for query in queries}
    while left:
        reply, _ = dns.query.receive_tcp(connection)
        assert left.pop(reply.id).is_response(reply)
print("all well")
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dnspython_reads_every_kind_of_record() {
    let python = "/usr/bin/python3";
    let mut import = std::process::Command::new(python);
    if !import
        .args(["-c", "import dns.resolver"])
        .output()
        .is_ok_and(|output| output.status.success())
    {
        assert!(std::env::var_os("DAIS_REQUIRE_TOOLS").is_none(), "python3-dnspython is missing");
        eprintln!("skipped: python3-dnspython is missing");
        return;
    }
    let server = Server::start().await;
    let mut command = tokio::process::Command::new(python);
    command.args(["-c", PYTHON, &server.address.port().to_string()]);
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    server.stop().await;
}

/// While thousands of other names come and go, one that is there is always answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_stays_is_never_missed_while_others_change() {
    let server = Server::start().await;
    let zones = std::sync::Arc::clone(&server.zones);
    let changing = tokio::task::spawn_blocking(move || {
        for round in 0..200u8 {
            let records = if round % 2 == 0 { vec![a(round)] } else { Vec::new() };
            let changes = (0..50).map(|n| change(&format!("t{n}.marathon.mesos"), records.clone()));
            zones.publish(changes.collect());
            if round % 20 == 0 {
                zones.reload(crate::server::names());
            }
        }
    });
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server.address).await.unwrap();
    let question = b"\0\x01\0\0\0\x01\0\0\0\0\0\0\x06leader\x05mesos\0\0\x01\0\x01";
    let mut asked = 0;
    while !changing.is_finished() || asked == 0 {
        socket.send(question).await.unwrap();
        let mut answer = [0; 512];
        let wait = tokio::time::timeout(Duration::from_secs(20), socket.recv(&mut answer));
        let length = wait.await.unwrap().unwrap();
        assert_eq!((answer[3] & 15, answer[7]), (0, 1), "{:?}", &answer[..length]);
        asked += 1;
    }
    changing.await.unwrap();
    // The thread counts before it sends.
    assert_eq!(server.counts().answered, asked);
    server.stop().await;
}
