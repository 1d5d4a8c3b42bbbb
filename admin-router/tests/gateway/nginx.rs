//! The same bytes for the gateway and for nginx: what both have to refuse, what both have to
//! take, and that the upstream is asked for the same path.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use admin_router::{Config, Origin, Role};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::confusion::generate::Random;
use crate::confusion::seed;
use crate::recorder::{Connection, Log, Recorder, Seen};

/// Paths that are made up beside those of the lists.
const GENERATED: usize = 400;

/// What became of the bytes of one connection.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    statuses: Vec<u16>,
    /// What the upstream got, in order: method, decoded path and query, body.
    got: Vec<(String, String, Vec<u8>)>,
}

/// nginx in front of an upstream; ends when dropped.
struct Nginx {
    child: Child,
    socket: PathBuf,
}

// === impl Nginx ===

impl Nginx {
    /// None, said aloud, where there is no nginx.
    async fn start(folder: &Path, upstream: &Recorder) -> Option<Nginx> {
        let program =
            ["/usr/sbin/nginx", "/usr/bin/nginx"].iter().find(|at| Path::new(at).exists());
        let Some(program) = program else {
            assert!(std::env::var_os("DAIS_REQUIRE_TOOLS").is_none(), "nginx is missing");
            println!("skipped: no nginx");
            return None;
        };
        let socket = folder.join("nginx.sock");
        let (place, to) = (folder.display(), upstream.address);
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("{name}_temp_path {place}/{name};\n"))
            .collect();
        let config = format!(
            "daemon off;\nmaster_process off;\npid {place}/nginx.pid;\n\
             error_log {place}/error.log;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}\
             server {{\nlisten unix:{place}/nginx.sock;\n\
             location /pkgpanda/ {{\nproxy_pass http://{to}/;\nproxy_http_version 1.1;\n\
             proxy_set_header Host $http_host;\n}}\nlocation / {{ return 404; }}\n}}\n}}\n"
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(program);
        command.arg("-e").arg(folder.join("error.log")).arg("-p").arg(folder).arg("-c").arg(&file);
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        let mut nginx = Nginx { child, socket };
        for _ in 0..500 {
            if UnixStream::connect(&nginx.socket).await.is_ok() {
                return Some(nginx);
            }
            assert!(nginx.child.try_wait().unwrap().is_none(), "nginx ended");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nginx does not listen");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends the bytes and reads what comes: `expected` answers, and what follows.
async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    bytes: &[u8],
    expected: usize,
    log: &Log,
) -> Outcome {
    let mut connection = Connection::new(stream);
    let head_only = bytes.starts_with(b"HEAD ");
    let mut statuses = Vec::new();
    let _ = connection.send(bytes).await;
    for _ in 0..expected {
        let Some(reply) = connection.reply(head_only).await else { break };
        statuses.push(reply.status);
        if reply.close {
            break;
        }
    }
    connection.finish().await;
    let seen: Vec<Seen> = std::mem::take(&mut *log.lock().unwrap());
    let got = seen.into_iter().filter(|seen| seen.complete).map(|seen| {
        let method = seen.line.split(' ').next().unwrap_or_default().to_owned();
        (method, spelled(seen.target()), seen.body)
    });
    Outcome { statuses, got: got.collect() }
}

/// A target whose path is decoded: which characters of it are encoded is told by no standard.
fn spelled(target: &str) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut decoded = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap();
                decoded.push(u8::try_from(digit(high) * 16 + digit(low)).unwrap());
                rest = after;
            }
            _ => decoded.push(*first),
        }
    }
    format!("{}?{query}", String::from_utf8_lossy(&decoded))
}

/// A gateway and nginx, each in front of an upstream of its own.
struct Pair {
    gateway: std::net::SocketAddr,
    nginx: Nginx,
    logs: [Log; 2],
}

impl Pair {
    async fn ask(&self, bytes: &[u8], expected: usize) -> [Outcome; 2] {
        let stream = TcpStream::connect(self.gateway).await.unwrap();
        let ours = ask(stream, bytes, expected, &self.logs[0]).await;
        let stream = UnixStream::connect(&self.nginx.socket).await.unwrap();
        [ours, ask(stream, bytes, expected, &self.logs[1]).await]
    }

    /// What is not as it should be, when the gateway has to refuse; `theirs` says whether nginx has
    /// to as well.
    async fn refuse(&self, bytes: &[u8], theirs: bool) -> Option<String> {
        let [ours, nginx] = self.ask(bytes, 1).await;
        let fine = refused(&ours) && refused(&nginx) == theirs;
        (!fine).then(|| told(bytes, &ours, &nginx))
    }

    /// The same when both are to take it, and both upstreams to get the same.
    async fn take(&self, bytes: &[u8], count: usize) -> Option<String> {
        let [ours, nginx] = self.ask(bytes, count).await;
        let fine = ours == nginx && ours.got.len() == count && ours.statuses == vec![200; count];
        (!fine).then(|| told(bytes, &ours, &nginx))
    }

    /// The same for what both are to treat alike, however that is. Adds to what was taken and to
    /// what was refused.
    async fn agree(&self, path: &str, counts: &mut [usize; 2]) -> Option<String> {
        let bytes = get(path);
        let [ours, nginx] = self.ask(&bytes, 1).await;
        // Dots with parameters are the one thing among these that the gateway refuses alone.
        if path.contains(";") && refused(&ours) {
            return None;
        }
        counts[usize::from(refused(&ours))] += 1;
        let fine = ours.got == nginx.got && refused(&ours) == refused(&nginx);
        (!fine).then(|| told(&bytes, &ours, &nginx))
    }
}

fn told(bytes: &[u8], ours: &Outcome, nginx: &Outcome) -> String {
    format!("{}\n    gateway {ours:?}\n    nginx   {nginx:?}\n", bytes.escape_ascii())
}

fn refused(outcome: &Outcome) -> bool {
    // A body that ends wrongly may be told by the end of the connection alone.
    outcome.got.is_empty() && outcome.statuses.iter().all(|status| *status >= 400)
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes()
}

fn post(rest: &str) -> Vec<u8> {
    format!("POST /pkgpanda/x HTTP/1.1\r\nHost: h\r\n{rest}").into_bytes()
}

/// Whole requests that nobody may take.
fn malformed() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    let lines = [
        "Host: other",
        "X\0A: b",
        "X-A: b\0c",
        " X-A: b",
        "X-A: b\r\n c: d",
        "X-A: b\r\n\tc",
        "X-A: b\rc",
        ": b",
        "X-A : b",
        "X A: b",
        "Transfer-Encoding : chunked",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: -1",
        "Content-Length: +1",
        "Content-Length: 0x1",
        "Content-Length: 1 1",
        "Content-Length: 1,1",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ];
    all.extend(lines.iter().map(|line| post(&format!("{line}\r\n\r\n0\r\n\r\n"))));
    let chunks = [
        "z\r\n",
        "-1\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        "+1\r\na\r\n0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "fffffffffffffffff\r\na\r\n0\r\n\r\n",
        "\r\n1\r\na\r\n0\r\n\r\n",
    ];
    let coding = "Transfer-Encoding: chunked\r\n\r\n";
    all.extend(chunks.iter().map(|chunk| post(&format!("{coding}{chunk}"))));
    let paths = [
        "/pkgpanda/../../x",
        "/..",
        "/../pkgpanda/x",
        "/pkgpanda/%2e%2e/%2e%2e/x",
        "/pkgpanda/..%2f..%2fx",
        "/pkgpanda/%",
        "/pkgpanda/%4",
        "/pkgpanda/%zz",
        "/pkgpanda/%u002f",
        "/pkgpanda/%00",
        "/pkgpanda/a\tb",
        "/pkgpanda/a b",
        "/pkgpanda/a\0b",
        "/pkgpanda/a\u{7f}b",
        "pkgpanda/x",
        "*",
        "",
        "ftp:/x",
        "http:///pkgpanda/x",
    ];
    all.extend(paths.iter().map(|path| get(path)));
    let heads = [
        "GET /pkgpanda/x HTTP/1.1\r\n\r\n",
        "GET /pkgpanda/x HTTP/1.1\r\nHost:\r\n\r\n",
        "GET /pkgpanda/x HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET /pkgpanda/x HTTP/2.0\r\nHost: h\r\n\r\n",
        "GET /pkgpanda/x HTTP/0.9\r\nHost: h\r\n\r\n",
        "GET /pkgpanda/x HTTP/1\r\nHost: h\r\n\r\n",
        "GET /pkgpanda/x HTTP/11\r\nHost: h\r\n\r\n",
        "GET /pkgpanda/x HTTP/1.1x\r\nHost: h\r\n\r\n",
        "GET /pkgpanda/x http/1.1\r\nHost: h\r\n\r\n",
        "GET /pkgpanda/x HTP/1.1\r\nHost: h\r\n\r\n",
        "G(T /pkgpanda/x HTTP/1.1\r\nHost: h\r\n\r\n",
        " GET /pkgpanda/x HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET\t/pkgpanda/x HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /pkgpanda/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n",
        "TRACE /pkgpanda/x HTTP/1.1\r\nHost: h\r\n\r\n",
    ];
    all.extend(heads.iter().map(|head| head.as_bytes().to_vec()));
    all
}

/// Where the gateway is stricter, and why that is so.
fn stricter() -> Vec<(&'static str, Vec<u8>)> {
    let two = "more than one reading";
    vec![
        ("a protocol without headers", b"GET /pkgpanda/x\r\n".to_vec()),
        ("a version that is not known", b"GET /pkgpanda/x HTTP/1.2\r\nHost: h\r\n\r\n".to_vec()),
        ("lines end in CR LF", b"GET /pkgpanda/x HTTP/1.1\nHost: h\r\n\r\n".to_vec()),
        ("lines end in CR LF", b"GET /pkgpanda/x HTTP/1.1\r\nHost: h\n\n".to_vec()),
        (two, b"GET  /pkgpanda/x HTTP/1.1\r\nHost: h\r\n\r\n".to_vec()),
        (two, post("X-A\r\n\r\n")),
        (two, post("X(A: b\r\n\r\n")),
        (two, post("X-A: b\x01c\r\n\r\n")),
        (two, post("Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n")),
        (two, post("Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n")),
        ("nothing is promised", post("Expect: wonders\r\n\r\n")),
        ("a fragment is the client's own", get("/pkgpanda/x#y")),
        ("characters have to be encoded", get("/pkgpanda/\u{e4}")),
        ("backslashes are slashes to some", get("/pkgpanda/..\\x")),
        ("backslashes are slashes to some", get("/pkgpanda/..%5cx")),
        ("dots, to servlets", get("/pkgpanda/..;/x")),
        ("dots, to servlets", get("/pkgpanda/.;a=b/x")),
        ("not UTF-8", get("/pkgpanda/%c0%ae%c0%ae/x")),
        ("not UTF-8", get("/pkgpanda/%ff")),
        ("control characters", get("/pkgpanda/%0d%0ax")),
        ("two names of one host", get("http://other/pkgpanda/x")),
        ("a host is a name", b"GET /pkgpanda/x HTTP/1.1\r\nHost: u@h\r\n\r\n".to_vec()),
        ("a port is a number", b"GET /pkgpanda/x HTTP/1.1\r\nHost: h:99999\r\n\r\n".to_vec()),
    ]
}

/// What everybody has to take, with the number of requests in it.
fn ordinary() -> Vec<(Vec<u8>, usize)> {
    let mut all: Vec<(Vec<u8>, usize)> = Vec::new();
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "MOVE"] {
        let text = format!("{method} /pkgpanda/x HTTP/1.1\r\nHost: h\r\n\r\n");
        all.push((text.into_bytes(), 1));
    }
    let paths = [
        "/pkgpanda/",
        "/pkgpanda/x/",
        "//pkgpanda//x//y",
        "/pkgpanda/./x/../y",
        "/pkgpanda/x/..",
        "/pkgpanda/x/.",
        "/other/../pkgpanda/x",
        "/other/%2e%2e/pkgpanda/x",
        "/pkgpanda/%78%2D%7e",
        "/pkgpanda/a%2Fb%2fc",
        "/pkgpanda/%2e%2e%2fpkgpanda%2fx",
        "/%70kgpanda/x",
        "/pkgpanda/a%20b%22%3c",
        "/pkgpanda/%25",
        "/pkgpanda/%252e%252e/x",
        "/pkgpanda/%3f%23",
        "/pkgpanda/a;b=c/d,e:f@g!$&'()*+=",
        "/pkgpanda/%c3%a4%e2%82%ac",
        "/pkgpanda/...",
        "/pkgpanda/.x/..y/z.",
        "/pkgpanda/x?",
        "/pkgpanda/x?a=b&c=%2F../..//&d=?&e=%00%zz",
        "/pkgpanda/x?a;b|c\\d{e}\"f",
        "http://h/pkgpanda/x?y",
        "HTTP://H/pkgpanda/x",
    ];
    all.extend(paths.iter().map(|path| (get(path), 1)));
    all.push((get(&format!("/pkgpanda/x?{}", "q".repeat(6000))), 1));
    let lines = [
        "X-Empty:",
        "X-Empty: \t ",
        "X-Spaces:\t a \t",
        "x-lower:y\r\nX-LOWER: z",
        "X-Under_score: y",
        "Accept: */*\r\nUser-Agent: a (b; c) \"d\"",
        "Cookie: a=b; c=d\r\nCookie: e=f",
        "Connection: keep-alive\r\nKeep-Alive: timeout=5",
        "Connection: close",
        "Content-Length: 0",
        "Content-Length: 000",
        "Authorization: Basic eDp5",
        "X-Forwarded-For: 1.2.3.4",
        "X-Bytes: \u{e4}",
    ];
    all.extend(lines.iter().map(|line| (post(&format!("{line}\r\n\r\n")), 1)));
    let bodies = [
        "Content-Length: 3\r\n\r\nabc",
        "Content-Length: 03\r\n\r\nabc",
        "content-LENGTH:3\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "transfer-encoding:CHUNKED\r\n\r\n003\r\nabc\r\n000\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n3;x=y;z=\"w\"\r\nabc\r\n0;last\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Trailer: y\r\n\r\n",
        "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    ];
    all.extend(bodies.iter().map(|body| (post(body), 1)));
    all.push((b"GET /pkgpanda/x HTTP/1.0\r\n\r\n".to_vec(), 1));
    all.push((b"\r\nGET /pkgpanda/x HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), 1));
    let first = post("Content-Length: 3\r\n\r\nabc");
    let second = post("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    all.push(([first, get("/pkgpanda/y"), second, get("/pkgpanda/z")].concat(), 4));
    all
}

/// Paths of pieces about which the two agree, in an order about which nobody thought.
fn made_up(random: &mut Random) -> String {
    const PIECES: [&str; 22] = [
        "/", "/", "//", "/./", "/../", "/..", "%2f", "%2F", "%2e", "%2E%2e", "a", "b", "%61",
        "%25", "%252e", "%zz", ";c", "...", ".d", "%00", "%c3%a4", "%20",
    ];
    let mut path = random.pick(&["/pkgpanda/", "/pkgpanda/x/y/", "/", "/other/"]).to_owned();
    for _ in 0..random.below(8) {
        path += random.pick(&PIECES);
    }
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_and_nginx_take_and_refuse_the_same() {
    let logs = [Log::default(), Log::default()];
    let ours = Recorder::start("ours", &logs[0]).await;
    let theirs = Recorder::start("nginx", &logs[1]).await;
    let folder = tempfile::tempdir().unwrap();
    let Some(nginx) = Nginx::start(folder.path(), &theirs).await else { return };
    let mut config = Config::new(Role::Agent, folder.path().join("data"));
    config.plain = Some(([127, 0, 0, 1], 0).into());
    config.authentication = false;
    config.workers = 1;
    config.upstreams.pkgpanda = Some(Origin::http(ours.address));
    let stop = CancellationToken::new();
    let running = admin_router::start(config, stop.clone()).await.unwrap();
    let pair = Pair { gateway: running.plain.unwrap(), nginx, logs };
    let mut wrong = String::new();
    for bytes in malformed() {
        wrong.extend(pair.refuse(&bytes, true).await);
    }
    for (_, bytes) in stricter() {
        wrong.extend(pair.refuse(&bytes, false).await);
    }
    for (bytes, count) in ordinary() {
        wrong.extend(pair.take(&bytes, count).await);
    }
    let mut random = Random::new(seed());
    let mut counts = [0, 0];
    for _ in 0..GENERATED {
        wrong.extend(pair.agree(&made_up(&mut random), &mut counts).await);
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(counts.iter().all(|count| *count > GENERATED / 10), "{counts:?}");
    stop.cancel();
    running.join.await.unwrap().unwrap();
}
