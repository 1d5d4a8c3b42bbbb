//! A provider for tests: as strict as the standard allows, and a liar on demand.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{Method, StatusCode};
use http_body_util::Full;
use http_kit::{Body, Client, ClientConfig, Params, Reply, Request, Response, ServeConfig};
use identity::SigningKey;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

pub(super) const CLIENT: &str = "dcos client";
pub(super) const SECRET: &str = "s3cr:t/+&%";

#[derive(Clone, Debug)]
pub(super) enum Behaviour {
    Good,
    /// Says something else in the token.
    Claim(&'static str, Value),
    /// Does not sign; says this in the signature's place.
    AlgNone(&'static str),
    /// Signs with what everybody knows.
    Hs256,
    /// Signs with another key under its own key's name.
    OtherKey,
    UnknownKid,
    NoToken,
    /// Sends the code elsewhere.
    Redirect,
    /// Answers more than anybody wants to read.
    Endless,
    Away,
    /// Has a configuration, but no keys at the moment.
    NoKeys,
    /// Knows the client without a secret.
    PublicClient,
}

pub(super) struct Idp {
    inner: Arc<Inner>,
    stop: CancellationToken,
}

struct Inner {
    issuer: String,
    redirect_uri: String,
    now: i64,
    key: Mutex<SigningKey>,
    behaviour: Mutex<Behaviour>,
    codes: Mutex<HashMap<String, Code>>,
    key_requests: AtomicUsize,
    exchanges: AtomicUsize,
    discoveries: AtomicUsize,
}

struct Code {
    challenge: String,
    nonce: String,
}

impl Drop for Idp {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn new_key() -> SigningKey {
    SigningKey::es256(&SigningKey::generate_es256().unwrap()).unwrap()
}

impl Idp {
    pub(super) async fn start(redirect_uri: String, now: i64) -> Idp {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            issuer: format!("http://{address}/realm"),
            redirect_uri,
            now,
            key: Mutex::new(new_key()),
            behaviour: Mutex::new(Behaviour::Good),
            codes: Mutex::default(),
            key_requests: AtomicUsize::new(0),
            exchanges: AtomicUsize::new(0),
            discoveries: AtomicUsize::new(0),
        });
        let stop = CancellationToken::new();
        let served = Arc::clone(&inner);
        let service = Arc::new(move |request: Request, _: SocketAddr| {
            let inner = Arc::clone(&served);
            Reply::later(async move { inner.answer(request).await })
        });
        tokio::spawn(http_kit::serve(listener, service, ServeConfig::default(), stop.clone()));
        Idp { inner, stop }
    }

    pub(super) fn issuer(&self) -> String {
        self.inner.issuer.clone()
    }

    pub(super) fn behave(&self, behaviour: Behaviour) {
        *self.inner.behaviour.lock().unwrap() = behaviour;
    }

    pub(super) fn rotate(&self) {
        *self.inner.key.lock().unwrap() = new_key();
    }

    pub(super) fn key_requests(&self) -> usize {
        self.inner.key_requests.load(Ordering::SeqCst)
    }

    pub(super) fn exchanges(&self) -> usize {
        self.inner.exchanges.load(Ordering::SeqCst)
    }

    pub(super) fn discoveries(&self) -> usize {
        self.inner.discoveries.load(Ordering::SeqCst)
    }

    /// What a browser does with the address it was sent to; gives the query it returns with.
    pub(super) async fn browse(&self, location: &str) -> String {
        let client = Client::new(ClientConfig::default());
        let request = http::Request::builder().uri(location).body(Full::default()).unwrap();
        let answer = client.fetch(request).await.unwrap();
        assert_eq!(answer.status(), 302, "{:?}", answer.body());
        let back = answer.headers()["location"].to_str().unwrap().to_owned();
        let (address, query) = back.split_once('?').unwrap();
        assert_eq!(address, self.inner.redirect_uri);
        query.to_owned()
    }

    /// A token with some claims changed.
    pub(super) fn token(&self, change: Value) -> String {
        let mut claims = self.inner.claims("");
        for (name, value) in change.as_object().unwrap() {
            claims.insert(name.clone(), value.clone());
        }
        let key = self.inner.key.lock().unwrap();
        key.sign_payload(&claims, Some(key.kid())).unwrap()
    }
}

impl Inner {
    async fn answer(&self, request: Request) -> Response {
        let path = request.uri().path().to_owned();
        match (request.method(), path.as_str()) {
            (&Method::GET, "/realm/.well-known/openid-configuration") => self.discovery(),
            (&Method::GET, "/jwks") => {
                self.key_requests.fetch_add(1, Ordering::SeqCst);
                if matches!(*self.behaviour.lock().unwrap(), Behaviour::NoKeys) {
                    return json_answer(StatusCode::BAD_GATEWAY, &json!({}));
                }
                let jwk = self.key.lock().unwrap().public_jwk();
                json_answer(StatusCode::OK, &json!({"keys": [jwk]}))
            }
            (&Method::GET, "/authorize") => self.authorize(&Params::of(request.uri())),
            (&Method::POST, "/token") => {
                self.exchanges.fetch_add(1, Ordering::SeqCst);
                let header = request.headers().get("authorization").cloned();
                let header = header.map(|value| value.to_str().unwrap().to_owned());
                let body = http_kit::read_body(request.into_body(), 10_000).await.unwrap();
                self.exchange(
                    header.as_deref(),
                    &Params::parse(std::str::from_utf8(&body).unwrap()),
                )
            }
            _ => json_answer(StatusCode::NOT_FOUND, &json!({"path": path})),
        }
    }

    fn discovery(&self) -> Response {
        self.discoveries.fetch_add(1, Ordering::SeqCst);
        if matches!(*self.behaviour.lock().unwrap(), Behaviour::Away) {
            return json_answer(StatusCode::BAD_GATEWAY, &json!({}));
        }
        let base = self.issuer.strip_suffix("/realm").unwrap();
        let metadata = json!({
            "issuer": self.issuer,
            "authorization_endpoint": format!("{base}/authorize"),
            "token_endpoint": format!("{base}/token"),
            "jwks_uri": format!("{base}/jwks"),
            "response_types_supported": ["code"],
        });
        json_answer(StatusCode::OK, &metadata)
    }

    fn authorize(&self, params: &Params) -> Response {
        let get = |name: &str| params.get(name).unwrap_or_default();
        let good = get("response_type") == "code"
            && get("client_id") == CLIENT
            && get("redirect_uri") == self.redirect_uri
            && get("scope").split(' ').any(|scope| scope == "openid")
            && get("code_challenge_method") == "S256"
            && get("code_challenge").len() == 43
            && get("state").len() >= 32
            && get("nonce").len() >= 32;
        if !good {
            return json_answer(StatusCode::BAD_REQUEST, &json!({"error": "invalid_request"}));
        }
        let mut codes = self.codes.lock().unwrap();
        let code = format!("code {}", codes.len());
        let issued =
            Code { challenge: get("code_challenge").to_owned(), nonce: get("nonce").to_owned() };
        codes.insert(code.clone(), issued);
        let query = [("code", code.as_str()), ("state", get("state"))];
        let query = query.map(|(name, value)| format!("{name}={}", http_kit::query::encode(value)));
        redirect(&format!("{}?{}", self.redirect_uri, query.join("&")))
    }

    fn exchange(&self, authorization: Option<&str>, params: &Params) -> Response {
        let behaviour = self.behaviour.lock().unwrap().clone();
        let get = |name: &str| params.get(name).unwrap_or_default();
        let error = |name: &str| json_answer(StatusCode::BAD_REQUEST, &json!({"error": name}));
        let known = if matches!(behaviour, Behaviour::PublicClient) {
            authorization.is_none() && get("client_id") == CLIENT
        } else {
            let pair = [CLIENT, SECRET].map(http_kit::query::encode).join(":");
            authorization == Some(&format!("Basic {}", STANDARD.encode(pair)))
        };
        if !known {
            return json_answer(StatusCode::UNAUTHORIZED, &json!({"error": "invalid_client"}));
        }
        if get("grant_type") != "authorization_code" {
            return error("unsupported_grant_type");
        }
        // Once, whatever becomes of it.
        let Some(code) = self.codes.lock().unwrap().remove(get("code")) else {
            return error("invalid_grant");
        };
        let digest = ring::digest::digest(&ring::digest::SHA256, get("code_verifier").as_bytes());
        let matches = URL_SAFE_NO_PAD.encode(digest.as_ref()) == code.challenge;
        if !matches || get("redirect_uri") != self.redirect_uri {
            return error("invalid_grant");
        }
        match behaviour {
            Behaviour::NoToken => json_answer(StatusCode::OK, &json!({"access_token": "x"})),
            Behaviour::Redirect => redirect("http://127.0.0.1:1/elsewhere"),
            Behaviour::Endless => {
                json_answer(StatusCode::OK, &json!({"id_token": "x".repeat(1_000_000)}))
            }
            behaviour => {
                let token = self.lie(&behaviour, self.claims(&code.nonce));
                let answer =
                    json!({"access_token": "x", "token_type": "Bearer", "id_token": token});
                json_answer(StatusCode::OK, &answer)
            }
        }
    }

    fn claims(&self, nonce: &str) -> Map<String, Value> {
        let claims = json!({
            "iss": self.issuer,
            "sub": "42",
            "aud": CLIENT,
            "exp": self.now + 300,
            "iat": self.now,
            "nonce": nonce,
            "email": "ann@example.com",
            "email_verified": true,
        });
        claims.as_object().unwrap().clone()
    }

    fn lie(&self, behaviour: &Behaviour, mut claims: Map<String, Value>) -> String {
        let key = self.key.lock().unwrap().clone();
        match behaviour {
            Behaviour::Claim(name, value) => {
                claims.insert((*name).to_owned(), value.clone());
                key.sign_payload(&claims, Some(key.kid())).unwrap()
            }
            Behaviour::AlgNone(signature) => {
                by_hand("none", key.kid(), &claims, |_| (*signature).to_owned())
            }
            Behaviour::Hs256 => by_hand("HS256", key.kid(), &claims, |message| {
                let secret = key.public().pem();
                let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
                URL_SAFE_NO_PAD.encode(ring::hmac::sign(&secret, message.as_bytes()))
            }),
            Behaviour::OtherKey => new_key().sign_payload(&claims, Some(key.kid())).unwrap(),
            Behaviour::UnknownKid => key.sign_payload(&claims, Some("unknown")).unwrap(),
            _ => key.sign_payload(&claims, Some(key.kid())).unwrap(),
        }
    }
}

fn by_hand(
    algorithm: &str,
    kid: &str,
    claims: &Map<String, Value>,
    sign: impl FnOnce(&str) -> String,
) -> String {
    let header = json!({"alg": algorithm, "kid": kid}).to_string();
    let payload = serde_json::to_string(claims).unwrap();
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = sign(&message);
    format!("{message}.{signature}")
}

fn json_answer(status: StatusCode, value: &Value) -> Response {
    let builder =
        http::Response::builder().status(status).header("content-type", "application/json");
    builder.body(Body::from(value.to_string())).unwrap()
}

fn redirect(location: &str) -> Response {
    let builder = http::Response::builder().status(StatusCode::FOUND).header("location", location);
    builder.body(Body::Empty).unwrap()
}
