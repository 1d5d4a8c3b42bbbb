//! An IAM that does what it is told, a cluster with fixed contents, and a gateway in front.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use admin_router::{
    Agent, Cluster, Config, Known, Leader, Origin, Resolution, Role, Running, Service,
};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_kit::{Body, Reply, Request, ServeConfig, read_body};
use identity::wire::{Change, Everything, Line, Permission, UserEntry};
use identity::{Action, Actions, Claims, SigningKey, wire};
use proxy::{Address, Protocol, Scheme, Upstream};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::wire::Echo;

/// An IAM in miniature: `admin` with the password `pass;word&`, a policy, an authority.
pub(crate) struct Iam {
    key: SigningKey,
    authority: Issuer<'static, KeyPair>,
    pub(crate) authority_pem: String,
    users: Mutex<BTreeMap<String, UserEntry>>,
    permissions: Mutex<Vec<Permission>>,
    /// The lines of the stream so far, the snapshot not among them.
    changes: watch::Sender<Vec<Line>>,
    pub(crate) logins: Mutex<Vec<String>>,
}

/// A gateway, what it talks to, and where it keeps things.
pub(crate) struct Gate {
    pub(crate) iam: Arc<Iam>,
    /// Ends with the gate.
    _upstream: Option<Echo>,
    pub(crate) running: Running,
    pub(crate) stop: CancellationToken,
    pub(crate) folder: TempDir,
}

/// A cluster whose leader, agent and services are all the same server.
struct Fixed(Arc<Upstream>);

impl Iam {
    fn new() -> Iam {
        let key = SigningKey::from_pkcs8(&SigningKey::generate_es256().unwrap()).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pair = KeyPair::generate().unwrap();
        let authority_pem = params.self_signed(&pair).unwrap().pem();
        let service = UserEntry { service: true, ..UserEntry::default() };
        let users = [
            ("admin", UserEntry::default()),
            ("dev", UserEntry::default()),
            ("ops", UserEntry::default()),
            ("gate", service),
        ];
        let mut actions = Actions::NONE;
        actions.insert(Action::Full);
        let grant = |rid: &str, uid: &str| Permission {
            rid: rid.to_owned(),
            users: [(uid.to_owned(), actions)].into(),
            groups: BTreeMap::new(),
        };
        Iam {
            key,
            authority: Issuer::new(params, pair),
            authority_pem,
            users: Mutex::new(users.map(|(uid, user)| (uid.to_owned(), user)).into()),
            permissions: Mutex::new(vec![
                grant("dcos:superuser", "admin"),
                grant("dcos:adminrouter:service:app", "dev"),
                grant("dcos:adminrouter:ops:mesos", "ops"),
            ]),
            changes: watch::Sender::new(Vec::new()),
            logins: Mutex::default(),
        }
    }

    pub(crate) fn token(&self, uid: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        self.key.sign(&Claims::new(uid, Some(i64::try_from(now).unwrap() + 600), 0)).unwrap()
    }

    /// `Authorization` of a user.
    pub(crate) fn header(&self, uid: &str) -> String {
        format!("token={}", self.token(uid))
    }

    /// Tells those who follow of a change.
    pub(crate) fn change(&self, change: Change) {
        self.changes.send_modify(|lines| {
            let version = lines.len() as u64 + 2;
            lines.push(Line::changes(version, vec![change]));
        });
    }

    async fn serve(self: &Arc<Iam>, stop: CancellationToken) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let iam = Arc::clone(self);
        let service = move |request: Request, _: SocketAddr| {
            let iam = Arc::clone(&iam);
            Reply::later(async move { iam.answer(request).await })
        };
        tokio::spawn(http_kit::serve(listener, Arc::new(service), ServeConfig::default(), stop));
        address
    }

    async fn answer(self: Arc<Iam>, request: Request) -> http_kit::Response {
        let (head, body) = request.into_parts();
        let authorization = head.headers.get("authorization").cloned();
        let body = read_body(body, 65536).await.unwrap_or_default();
        let value: Value = serde_json::from_slice(&body).unwrap_or_default();
        match head.uri.path() {
            "/acs/api/v1/auth/login" => {
                self.logins.lock().unwrap().push(format!("{:?} {value}", head.headers));
                self.log_in(&value)
            }
            "/acs/api/v1/auth/providers" => answer(
                StatusCode::OK,
                &json!({"corp": {"description": "Corp <SSO>", "config": {
                    "start_flow_url": "/acs/api/v1/auth/login?oidc-provider=corp"}}}),
            ),
            wire::PATH => {
                let wanted = format!("token={}", self.token_of("gate"));
                let same =
                    authorization.is_some_and(|value| value.as_bytes().len() == wanted.len());
                assert!(same, "the stream is for the gateway");
                self.stream()
            }
            "/ca/dcos-ca.crt" => Response::new(Body::Full(self.authority_pem.clone().into())),
            "/ca/api/v2/sign" => {
                assert!(authorization.is_some(), "signing needs a token");
                let request = value["certificate_request"].as_str().unwrap();
                let request = rcgen::CertificateSigningRequestParams::from_pem(request).unwrap();
                let certificate = request.signed_by(&self.authority).unwrap().pem();
                let result = json!({"certificate": certificate});
                answer(StatusCode::OK, &json!({"success": true, "result": result}))
            }
            _ => answer(StatusCode::OK, &json!({"path": head.uri.to_string()})),
        }
    }

    fn token_of(&self, uid: &str) -> String {
        self.token(uid)
    }

    fn log_in(&self, value: &Value) -> http_kit::Response {
        let uid = value["uid"].as_str().unwrap_or_default();
        let by_service = uid == "gate" && value["token"].is_string();
        match (uid, value["password"].as_str()) {
            ("slow", _) => return answer(StatusCode::TOO_MANY_REQUESTS, &json!({})),
            ("admin", Some("pass;word&")) => {}
            _ if by_service => {}
            _ => {
                return answer(
                    StatusCode::UNAUTHORIZED,
                    &json!({"code": "ERR_INVALID_CREDENTIALS"}),
                );
            }
        }
        let token = self.token(uid);
        let mut response = answer(StatusCode::OK, &json!({"token": token}));
        for cookie in [
            format!("dcos-acs-auth-cookie={token}; Path=/; HttpOnly; Secure; SameSite=Lax"),
            "dcos-acs-info-cookie=e30=; Path=/; Secure".to_owned(),
        ] {
            response.headers_mut().append("set-cookie", cookie.parse().unwrap());
        }
        response
    }

    fn stream(&self) -> http_kit::Response {
        let (sender, receiver) = mpsc::channel(64);
        let mut changes = self.changes.subscribe();
        let everything = Everything {
            keys: json!({"keys": [self.key.public_jwk()]}),
            users: self.users.lock().unwrap().clone(),
            permissions: self.permissions.lock().unwrap().clone(),
        };
        tokio::spawn(async move {
            let first = Line::snapshot(1, everything).to_bytes();
            let mut sent = 0;
            let mut pieces = vec![first];
            loop {
                for piece in pieces.drain(..) {
                    if sender.send(Bytes::from(piece)).await.is_err() {
                        return;
                    }
                }
                let lines = changes.borrow_and_update().clone();
                pieces.extend(lines[sent..].iter().map(Line::to_bytes));
                sent = lines.len();
                if pieces.is_empty() && changes.changed().await.is_err() {
                    return;
                }
            }
        });
        let mut response = Response::new(Body::Stream(receiver));
        response.headers_mut().insert("content-type", wire::CONTENT_TYPE.parse().unwrap());
        response
    }
}

fn answer(status: StatusCode, value: &Value) -> http_kit::Response {
    let mut response = Response::new(Body::Full(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

impl Cluster for Fixed {
    fn leader(&self) -> Known<Arc<Leader>> {
        Known::Found(Arc::new(Leader {
            upstream: Arc::clone(&self.0),
            host: [127, 0, 0, 1].into(),
            is_local: Some(false),
            gateway: Arc::clone(&self.0),
        }))
    }

    fn agent(&self, id: &str) -> Known<Agent> {
        match id {
            "a1-S0" => {
                Known::Found(Agent { upstream: Arc::clone(&self.0), gateway: Arc::clone(&self.0) })
            }
            _ => Known::Missing,
        }
    }

    fn marathon_leader(&self) -> Known<Arc<Leader>> {
        self.leader()
    }

    fn service(&self, segments: &[Cow<'_, str>]) -> Resolution {
        match segments.first().map(AsRef::as_ref) {
            Some(name @ ("app" | "other")) => Resolution::Found(Arc::new(Service {
                path: Arc::from(name),
                depth: 1,
                rid: Arc::from(format!("dcos:adminrouter:service:{name}")),
                upstream: Arc::clone(&self.0),
                scheme: Scheme::Http,
                base: Arc::from(""),
                rewrite: true,
                buffering: true,
            })),
            _ => Resolution::Missing,
        }
    }
}

impl Gate {
    /// A gateway without TLS.
    pub(crate) async fn plain() -> Gate {
        Gate::start(|config| config.plain = Some(([127, 0, 0, 1], 0).into())).await
    }

    /// One in front of a server that is everything.
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Gate {
        let upstream = Echo::start().await;
        let origin = Origin::http(upstream.address);
        let cluster = Fixed(Upstream::new("all", Address::Tcp(upstream.address), Protocol::Http1));
        let gate = Gate::over(Arc::new(cluster), |config| {
            config.upstreams.cosmos = Some(origin.clone());
            config.upstreams.exhibitor = Some(origin);
            change(config);
        });
        Gate { _upstream: Some(upstream), ..gate.await }
    }

    /// One in front of a cluster.
    pub(crate) async fn over(cluster: Arc<dyn Cluster>, change: impl FnOnce(&mut Config)) -> Gate {
        let iam = Arc::new(Iam::new());
        let stop = CancellationToken::new();
        let iam_address = iam.serve(stop.clone()).await;
        let folder = tempfile::tempdir().unwrap();
        let account = folder.path().join("gate.json");
        let key = SigningKey::pkcs8_pem(&SigningKey::generate_es256().unwrap());
        let text = json!({"uid": "gate", "private_key": key, "scheme": "ES256"}).to_string();
        std::fs::write(&account, text).unwrap();
        std::fs::set_permissions(&account, std::fs::Permissions::from_mode(0o600)).unwrap();
        let mut config = Config::new(Role::Master, folder.path().join("data"));
        config.workers = 1;
        config.service_account = Some(account);
        config.upstreams.iam = Some(Origin::http(iam_address));
        change(&mut config);
        let started = admin_router::start_with(config, Some(cluster), stop.clone()).await;
        Gate { iam, _upstream: None, running: started.unwrap(), stop, folder }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.plain.unwrap()
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.running.join.await.unwrap().unwrap();
    }
}
