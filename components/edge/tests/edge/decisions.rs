//! Which request becomes what, as a table; the real HAProxy is asked the same in `haproxy.rs`.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::{Answer, Balancer, Marathon, Server, app, ask, free_port, get, until};

/// Where a request is sent.
#[derive(Clone, Copy, Debug)]
pub enum At {
    Http,
    AppId,
    /// The service's own port.
    Service(u16),
}

/// A request, and what becomes of it.
pub struct Case {
    pub at: At,
    pub host: &'static str,
    pub path: &'static str,
    pub headers: &'static str,
    pub expected: &'static str,
}

pub fn case(
    at: At,
    host: &'static str,
    path: &'static str,
    headers: &'static str,
    expected: &'static str,
) -> Case {
    Case { at, host, path, headers, expected }
}

/// What matters of an answer: its status, who gave it, what that one was asked for, headers that
/// are set on the way.
pub fn shown(answer: &Answer) -> String {
    let mut shown = answer.status.to_string();
    if answer.status == 200 {
        shown.push_str(&format!(" {} {}", answer.server(), answer.target()));
    }
    let location = answer.header("location").filter(|value| *value != "http://a.example.com/x");
    if let Some(location) = location {
        shown.push_str(&format!(" location={location}"));
    }
    for name in ["strict-transport-security", "x-added", "www-authenticate"] {
        if let Some(value) = answer.header(name) {
            shown.push_str(&format!(" {name}={value}"));
        }
    }
    if answer.header("set-cookie").is_some_and(|value| value.starts_with("mesosphere_server_id=")) {
        shown.push_str(" bound");
    }
    shown
}

pub struct World {
    /// They live as long as this.
    pub _servers: Vec<Server>,
    pub apps: Vec<Value>,
    pub cases: Vec<Case>,
}

const NAMES: [&str; 9] =
    ["plain", "deep", "secure", "moved", "guarded", "closed", "sticky", "passed", "root"];

pub async fn world(ports: &[u16]) -> World {
    let mut servers = Vec::new();
    for name in NAMES {
        servers.push(Server::start(name).await);
    }
    let labels = [
        json!({"HAPROXY_0_VHOST": "a.example.com,b.example.com"}),
        json!({"HAPROXY_0_VHOST": "a.example.com", "HAPROXY_0_PATH": "-i /deep /Also"}),
        json!({"HAPROXY_0_VHOST": "secure", "HAPROXY_0_USE_HSTS": "true",
               "HAPROXY_0_BACKEND_HTTP_OPTIONS":
                   "option forwardfor\nhttp-response set-header X-Added yes\n\
                    http-request set-header X-Told yes\n"}),
        json!({"HAPROXY_0_VHOST": "moved", "HAPROXY_0_REDIRECT_TO_HTTPS": "true"}),
        json!({"HAPROXY_0_VHOST": "guarded", "HAPROXY_0_PATH": "/secret",
               "HAPROXY_0_AUTH": format!("my realm:joe:{}", hash())}),
        json!({"HAPROXY_0_VHOST": "closed",
               "HAPROXY_0_BACKEND_NETWORK_ALLOWED_ACL": "10.1.2.0/24 192.0.2.1"}),
        json!({"HAPROXY_0_VHOST": "sticky", "HAPROXY_0_STICKY": "true"}),
        json!({"HAPROXY_0_VHOST": "passed", "HAPROXY_0_HTTP_BACKEND_PROXYPASS_PATH": "/inner"}),
        json!({"HAPROXY_0_VHOST": "root", "HAPROXY_0_HTTP_BACKEND_REDIR": "/start",
               "HAPROXY_0_HTTP_BACKEND_REVPROXY_PATH": "/outer"}),
    ];
    let mut apps = Vec::new();
    for ((server, labels), (name, port)) in servers.iter().zip(labels).zip(NAMES.iter().zip(ports))
    {
        apps.push(app(&format!("/t/{name}"), *port, labels, &[server]));
    }
    use At::{AppId, Http, Service};
    let first = *ports.first().unwrap();
    let cases = vec![
        case(Http, "a.example.com", "/", "", "200 plain /"),
        case(Http, "A.EXAMPLE.com", "/x?y=z", "", "200 plain /x?y=z"),
        case(Http, "b.example.com:8080", "/", "", "200 plain /"),
        case(Http, "c.example.com", "/", "", "503"),
        case(Http, "example.com", "/", "", "503"),
        case(Http, "a.example.com", "/deep", "", "200 deep /deep"),
        case(Http, "a.example.com", "/DEEPer/x", "", "200 deep /DEEPer/x"),
        case(Http, "a.example.com", "/also/x", "", "200 deep /also/x"),
        case(Http, "a.example.com", "/dee", "", "200 plain /dee"),
        case(Http, "b.example.com", "/deep", "", "200 plain /deep"),
        case(
            Http,
            "secure",
            "/",
            "",
            "200 secure / strict-transport-security=max-age=15768000 x-added=yes",
        ),
        case(Http, "moved", "/x?y", "", "301 location=https://moved/x?y"),
        case(Http, "guarded", "/open", "", "503"),
        case(Http, "guarded", "/secret", "", "401 www-authenticate=Basic realm=\"my realm\""),
        // joe:wrong
        case(
            Http,
            "guarded",
            "/secret",
            "Authorization: Basic am9lOndyb25n\r\n",
            "401 www-authenticate=Basic realm=\"my realm\"",
        ),
        // joe:geheim
        case(
            Http,
            "guarded",
            "/secret/x",
            "Authorization: Basic am9lOmdlaGVpbQ==\r\n",
            "200 guarded /secret/x",
        ),
        case(Http, "closed", "/", "", "403"),
        case(Http, "sticky", "/", "", "200 sticky / bound"),
        case(Http, "sticky", "/", "Cookie: mesosphere_server_id=nobody\r\n", "200 sticky / bound"),
        case(Http, "passed", "/inner/x?y", "", "200 passed /x?y"),
        case(Http, "passed", "/INNER", "", "200 passed /"),
        case(Http, "passed", "/innerx", "", "200 passed /x"),
        case(Http, "passed", "/other", "", "200 passed /other"),
        case(Http, "root", "/", "", "301 location=/start"),
        case(Http, "root", "/x", "", "200 root /x"),
        case(AppId, "x", "/", "X-Marathon-App-Id: /t/plain\r\n", "200 plain /"),
        case(
            AppId,
            "x",
            "/y",
            "X-Marathon-App-Id: /T/Secure\r\n",
            "200 secure /y strict-transport-security=max-age=15768000 x-added=yes",
        ),
        case(AppId, "x", "/", "X-Marathon-App-Id: /t/none\r\n", "503"),
        case(AppId, "x", "/", "", "503"),
        case(Service(first), "whoever", "/z", "", "200 plain /z"),
    ];
    World { _servers: servers, apps, cases }
}

/// With few rounds, so that comparing takes no time in a test.
pub fn hash() -> String {
    use sha_crypt::CustomizedPasswordHasher;
    let params = sha_crypt::Params::new(1000).unwrap();
    let hasher = sha_crypt::ShaCrypt::default();
    let made = hasher.hash_password_with_params(b"geheim", b"saltstring", params).unwrap();
    made.as_str().to_owned()
}

/// Sends the request of a case.
pub async fn send(case: &Case, http: SocketAddr, app_id: SocketAddr) -> Answer {
    let at = match case.at {
        At::Http => http,
        At::AppId => app_id,
        At::Service(port) => ([127, 0, 0, 1], port).into(),
    };
    let Case { host, path, headers, .. } = case;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n");
    ask(at, &head).await
}

#[tokio::test]
async fn each_request_becomes_what_the_table_says() {
    let ports: Vec<u16> = (0..NAMES.len()).map(|_| free_port()).collect();
    let world = world(&ports).await;
    let marathon = Marathon::start(world.apps.clone()).await;
    let edge = Balancer::start(&marathon).await;
    until("routes", || async { get(edge.http(), "root", "/x").await.status == 200 }).await;
    let (http, app_id) = (edge.http(), edge.running.app_id.unwrap());
    for case in &world.cases {
        let answer = send(case, http, app_id).await;
        assert_eq!(shown(&answer), case.expected, "{:?} {} {}", case.at, case.host, case.path);
    }
    // What servers see, and what they do not.
    let told = get(http, "secure", "/").await.body.to_lowercase();
    assert!(told.contains("x-told: yes") && told.contains("host: secure"), "{told}");
    let passed = get(http, "passed", "/inner/x").await.body.to_lowercase();
    assert!(passed.contains("host: passed"), "{passed}");
    let root = get(http, "root", "/x").await;
    assert_eq!(root.header("location"), Some("http://a.example.com/x"), "another host's");
    // A client that is bound stays so, and its server does not see the cookie.
    let bound = get(http, "sticky", "/").await;
    let cookie = bound.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(bound.header("cache-control"), Some("private"));
    let head = format!(
        "GET / HTTP/1.1\r\nHost: sticky\r\nCookie: {cookie}; x=y\r\nConnection: close\r\n\r\n"
    );
    let again = ask(http, &head).await;
    assert_eq!(again.header("set-cookie"), None);
    assert!(again.body.contains("x=y") && !again.body.contains("mesosphere"), "{}", again.body);
}

#[tokio::test]
async fn a_request_that_meets_a_dead_server_goes_to_another_one() {
    let (dead, alive) = (Server::start("dead").await, Server::start("alive").await);
    let labels = json!({"HAPROXY_0_VHOST": "a"});
    let marathon = Marathon::start(vec![app("/a", 10_000, labels, &[&dead, &alive])]).await;
    let edge = Balancer::start(&marathon).await;
    until("a route", || async { get(edge.http(), "a", "/").await.status == 200 }).await;
    dead.die();
    for _ in 0..20 {
        let answer = get(edge.http(), "a", "/").await;
        assert_eq!((answer.status, answer.server()), (200, "alive"));
    }
    // Also one that changes something: nothing of it was sent to the dead one.
    for _ in 0..4 {
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        assert_eq!(ask(edge.http(), post).await.status, 200);
    }
}
