//! Ten thousand requests that try to be judged as one thing and forwarded as another.

mod flaws;
pub(crate) mod generate;
mod model;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use admin_router::{Agent, Cluster, Known, Leader, Origin, Resolution, Service};
use proxy::{Address, Protocol, Scheme, Upstream};
use tokio::net::TcpStream;

use crate::fakes::Gate;
use crate::recorder::{Connection, Log, Recorder, Relay, Reply, Seen};
use flaws::FLAWS;
use generate::{Plan, Random};
use model::{AGENT, ERRORS, End, Need, SERVICES, USERS};

const REQUESTS: usize = 10_000;
/// Clients at once, each with its own part of the requests.
const CLIENTS: usize = 4;

/// The upstreams apart from IAM; nothing ever goes to the last.
const UPSTREAMS: [&str; 9] =
    ["mesos", "agent", "app", "other", "db", "marathon", "cosmos", "exhibitor", "nobody"];

/// Where the test's requests come from: `DAIS_TEST_SEED=<number>` repeats a run.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("DAIS_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        u64::from(now.subsec_nanos())
    });
    println!("DAIS_TEST_SEED={seed}");
    seed
}

/// A cluster in which everything is a server of its own.
struct Distinct(BTreeMap<&'static str, Arc<Upstream>>);

impl Distinct {
    fn get(&self, name: &str) -> Arc<Upstream> {
        Arc::clone(&self.0[name])
    }
}

impl Cluster for Distinct {
    fn leader(&self) -> Known<Arc<Leader>> {
        Known::Found(Arc::new(Leader {
            upstream: self.get("mesos"),
            host: [127, 0, 0, 1].into(),
            is_local: Some(false),
            gateway: self.get("nobody"),
        }))
    }

    fn agent(&self, id: &str) -> Known<Agent> {
        match id {
            AGENT => {
                Known::Found(Agent { upstream: self.get("agent"), gateway: self.get("nobody") })
            }
            _ => Known::Missing,
        }
    }

    fn marathon_leader(&self) -> Known<Arc<Leader>> {
        Known::Missing
    }

    fn service(&self, segments: &[Cow<'_, str>]) -> Resolution {
        for depth in 1..=segments.len().min(2) {
            let asked = segments[..depth].join("/");
            let Some((name, upstream, rewrite)) = SERVICES.iter().find(|(name, ..)| *name == asked)
            else {
                continue;
            };
            return Resolution::Found(Arc::new(Service {
                path: Arc::from(*name),
                depth,
                rid: Arc::from(format!("dcos:adminrouter:service:{name}")),
                upstream: self.get(upstream),
                scheme: Scheme::Http,
                base: Arc::from(""),
                rewrite: *rewrite,
                buffering: true,
            }));
        }
        Resolution::Missing
    }
}

/// What became of requests.
#[derive(Default)]
struct Counts(Mutex<BTreeMap<String, usize>>);

impl Counts {
    fn add(&self, what: impl Into<String>) {
        *self.0.lock().unwrap().entry(what.into()).or_default() += 1;
    }

    fn get(&self, what: &str) -> usize {
        self.0.lock().unwrap().get(what).copied().unwrap_or_default()
    }
}

/// One of those who send.
struct Client {
    address: SocketAddr,
    tokens: Arc<BTreeMap<&'static str, String>>,
    log: Log,
    counts: Arc<Counts>,
    /// Bodies that ended wrongly after their head may have gone on: where to.
    begun: Arc<Mutex<BTreeMap<String, End>>>,
    connection: Option<Connection<TcpStream>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_judged_as_one_path_and_forwarded_as_another() {
    let seed = seed();
    let (log, relay) = (Log::default(), Relay::default());
    let iam = Recorder::relaying("iam", &log, &relay).await;
    let mut recorders = BTreeMap::new();
    for name in UPSTREAMS {
        recorders.insert(name, Recorder::start(name, &log).await);
    }
    let upstream = |(name, recorder): (&&'static str, &Recorder)| {
        (*name, Upstream::new(name, Address::Tcp(recorder.address), Protocol::Http1))
    };
    let cluster = Distinct(recorders.iter().map(upstream).collect());
    let gate = Gate::over(Arc::new(cluster), |config| {
        let Some(Origin::Http { host, port }) = config.upstreams.iam.take() else { panic!() };
        relay.set(SocketAddr::new(host.parse().unwrap(), port)).unwrap();
        config.plain = Some(([127, 0, 0, 1], 0).into());
        config.upstreams.iam = Some(Origin::http(iam.address));
        config.upstreams.cosmos = Some(Origin::http(recorders["cosmos"].address));
        config.upstreams.exhibitor = Some(Origin::http(recorders["exhibitor"].address));
    })
    .await;
    let tokens = Arc::new(USERS.map(|user| (user, gate.iam.token(user))).into());
    let (counts, begun) = (Arc::<Counts>::default(), Arc::default());
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let mut client = Client {
            address: gate.address(),
            tokens: Arc::clone(&tokens),
            log: Arc::clone(&log),
            counts: Arc::clone(&counts),
            begun: Arc::clone(&begun),
            connection: None,
        };
        clients.spawn(async move {
            let mut random = Random::new(seed.wrapping_mul(CLIENTS as u64) + number as u64);
            let address = client.address.to_string();
            for at in 0..REQUESTS / CLIENTS {
                let marker = format!("{number}-{at}");
                let plan = generate::plan(&mut random, marker, &client.tokens, &address);
                client.send(&plan).await;
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.expect("a client to find nothing wrong");
    }
    check_rest(&log, &begun.lock().unwrap());
    check_counts(&counts);
    gate.end().await;
}

impl Client {
    async fn send(&mut self, plan: &Plan) {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::new(TcpStream::connect(self.address).await.unwrap()),
        };
        if plan.flaw == Some("a bad chunk") {
            self.begun.lock().unwrap().insert(plan.marker.clone(), plan.end.clone());
        }
        assert!(connection.send(&plan.bytes).await, "{}", told(plan));
        let reply = connection.reply(plan.head_only).await;
        let reply = reply.unwrap_or_else(|| panic!("no answer: {}", told(plan)));
        let seen: Vec<Seen> = {
            let mut log = self.log.lock().unwrap();
            log.extract_if(.., |seen| seen.marker() == plan.marker && seen.complete).collect()
        };
        let outcome = format!("{}\n{reply:?}\n{seen:#?}", told(plan));
        assert!(connection.is_quiet(reply.close).await, "two answers: {outcome}");
        match (&plan.flaw, &plan.end) {
            (None, End::Upstream { name, path, need }) => {
                let kept = plan.cached && seen.is_empty();
                assert!(kept && reply.status == 200 || seen.len() == 1, "not once: {outcome}");
                assert_eq!(reply.status, 200, "{outcome}");
                if let Some(seen) = seen.first() {
                    assert_eq!(seen.upstream, *name, "{outcome}");
                    assert_eq!(decoded(seen), *path, "{outcome}");
                    self.check(plan, seen, *need, &outcome);
                    self.counts.add("reached");
                    self.counts.add(*name);
                }
            }
            (flaw, end) => {
                assert!(seen.is_empty(), "it was to be refused: {outcome}");
                assert!(refused_well(&reply, *flaw, end), "{outcome}");
                self.counts.add(flaw.unwrap_or_else(|| class(end)));
                self.counts.add(format!("status {}", reply.status));
            }
        }
        self.connection = (!reply.close).then_some(connection);
    }

    /// What an upstream may get to see.
    fn check(&self, plan: &Plan, seen: &Seen, need: Need, outcome: &str) {
        let (path, query) = match seen.target().split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (seen.target(), None),
        };
        assert_eq!(query, plan.query.as_deref(), "{outcome}");
        assert!(is_normal(path), "{outcome}");
        assert!(seen.line.ends_with(" HTTP/1.1"), "{outcome}");
        if plan.cached {
            // The gateway asked that itself, as the user.
            return self.check_tokens(plan, seen, outcome);
        }
        assert_eq!(seen.body, plan.body, "{outcome}");
        for (name, value) in &seen.headers {
            let fine = match name.as_str() {
                "connection" => value == "TE",
                "te" => value == "trailers",
                "transfer-encoding" => {
                    value == "chunked" && seen.header("content-length").is_none()
                }
                "keep-alive"
                | "proxy-authorization"
                | "proxy-connection"
                | "trailer"
                | "upgrade"
                | "http2-settings"
                | "x-hop" => false,
                "cookie" => !value.contains("dcos-acs-"),
                name => !name.contains('_'),
            };
            assert!(fine, "{name}: {outcome}");
        }
        let exactly = |name: &str, expected: &str| {
            let all: Vec<&str> = seen.all(name).collect();
            assert_eq!(all, [expected], "{name}: {outcome}");
        };
        exactly("x-forwarded-for", "127.0.0.1");
        exactly("x-real-ip", "127.0.0.1");
        exactly("x-forwarded-proto", "http");
        exactly("x-forwarded-host", &plan.host);
        exactly("x-forwarded-port", &self.address.port().to_string());
        assert_eq!(seen.all("host").count(), 1, "{outcome}");
        assert_eq!(seen.all("forwarded").count(), 1, "{outcome}");
        if need != Need::Public {
            self.check_tokens(plan, seen, outcome);
        }
    }

    /// The token is that of who was judged, and nobody else's is to be seen.
    fn check_tokens(&self, plan: &Plan, seen: &Seen, outcome: &str) {
        let caller = plan.caller.unwrap_or_else(|| panic!("nobody is allowed: {outcome}"));
        let all: Vec<&str> = seen.all("authorization").collect();
        assert!(all.len() <= 1, "{outcome}");
        assert!(all.iter().all(|value| value.ends_with(&self.tokens[caller])), "{outcome}");
        for (_, token) in self.tokens.iter().filter(|(user, _)| **user != caller) {
            let leaked = seen.headers.iter().any(|(_, value)| value.contains(token));
            assert!(!leaked, "{outcome}");
        }
    }
}

fn told(plan: &Plan) -> String {
    let text = plan.bytes.escape_ascii().to_string().replace("\\r\\n", "\r\n    ");
    format!("{:?} {:?} {:?}\n    {text}", plan.flaw, plan.caller, plan.end)
}

fn decoded(seen: &Seen) -> String {
    let path = seen.target().split('?').next().unwrap_or_default();
    let bytes = model::decode(path.as_bytes()).expect("an encoding that is one");
    String::from_utf8(bytes).expect("a path of characters")
}

/// Whether nobody could read a path as another one.
fn is_normal(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    path.starts_with('/')
        && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\#\"<>^`{|}".contains(&byte))
        && !path.contains("//")
        && !["%2f", "%5c", "%2e", "%00", "%0", "%1", "%7f"].iter().any(|bad| lower.contains(bad))
        && !path.split('/').any(|part| matches!(part.split(';').next(), Some("." | "..")))
}

fn class(end: &End) -> &'static str {
    match end {
        End::Upstream { .. } => "reached",
        End::Wrong(error) => error,
        End::Unauthenticated => "unauthenticated",
        End::Forbidden => "forbidden",
        End::Own => "own",
    }
}

fn refused_well(reply: &Reply, flaw: Option<&str>, end: &End) -> bool {
    let by_gateway = !reply.headers.iter().any(|(name, _)| name == "x-seen");
    let status = reply.status;
    by_gateway
        && match (flaw, end) {
            // Pages of the gateway do not wait for a body; nothing may follow it either way.
            (Some("a bad chunk"), End::Own) => reply.close && (200..500).contains(&status),
            (Some("a bad chunk"), _) => reply.close && (400..500).contains(&status),
            (Some("an unknown coding" | "CONNECT"), _) => matches!(status, 400 | 501),
            (Some("TRACE"), _) => matches!(status, 400 | 405),
            (Some("a bad version"), _) => matches!(status, 400 | 505),
            (Some("an unknown expectation"), _) => matches!(status, 400 | 417),
            (Some("too many headers"), _) => matches!(status, 400 | 431),
            (Some(_), _) => status == 400,
            (None, End::Wrong(_)) => status == 400,
            (None, End::Unauthenticated) => status == 401,
            (None, End::Forbidden) => status == 403,
            (None, _) => (200..500).contains(&status),
        }
}

/// What is left was asked for by nobody, or is the beginning of something that was allowed.
fn check_rest(log: &Log, begun: &BTreeMap<String, End>) {
    for seen in log.lock().unwrap().iter() {
        assert!(!seen.complete, "nobody sent it: {seen:#?}");
        let allowed = match begun.get(seen.marker()) {
            Some(End::Upstream { name, path, .. }) => {
                seen.upstream == *name && decoded(seen) == *path
            }
            _ => false,
        };
        assert!(allowed, "it should not have begun: {seen:#?}");
    }
}

/// The requests were worth it: many got through, and each way to be refused was taken.
fn check_counts(counts: &Counts) {
    let all = counts.0.lock().unwrap().clone();
    println!("{all:#?}");
    assert!(counts.get("reached") > REQUESTS / 5, "{all:#?}");
    let upstreams = UPSTREAMS.iter().filter(|name| **name != "nobody").chain(&["iam"]);
    let others = ["unauthenticated", "forbidden", "own", "status 301", "status 404"];
    for what in upstreams.chain(&others).chain(&FLAWS).chain(&ERRORS) {
        assert!(counts.get(what) >= 5, "{what}: {all:#?}");
    }
    assert_eq!(counts.get("nobody"), 0);
}
