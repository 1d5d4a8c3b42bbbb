//! Requests to providers: their configuration, their keys, codes for tokens. Few, short, and
//! only to where the administrator's configuration leads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cluster_state::Version;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use http_kit::{Client, ClientConfig};
use identity::{KeySet, TokenError};
use serde_json::{Map, Value};

use super::discovery::{self, ClientAuth, Metadata};
use super::flow::{Flow, component, form};
use crate::clock::Clock;
use crate::providers::Provider;

/// Of a configuration, a key set, a token answer.
const MAX_ANSWER: usize = 256 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Of a whole exchange: an answer that drips does not hold a login for ever.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(20);
/// What was fetched is fetched again after an hour: a key that a provider withdrew is gone then.
const MAX_AGE: i64 = 3600;
/// Between two looks for a key that was not there, and between two tries of what failed.
const MIN_AGE: i64 = 10;

/// Why a provider could not be asked, for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    #[error(transparent)]
    Client(#[from] http_kit::ClientError),
    #[error(transparent)]
    Discovery(#[from] discovery::DiscoveryError),
    #[error("the provider did not answer in time")]
    Timeout,
    #[error("the provider answered {0}")]
    Status(StatusCode),
    #[error("the provider's keys are not usable")]
    Keys(#[from] identity::KeyError),
    #[error("the provider's answer has no ID token")]
    NoToken,
    #[error("the provider could not be asked a moment ago")]
    Recently,
    #[error("the provider's configuration here is not usable: {0}")]
    Config(String),
}

/// All providers that were asked.
#[derive(Debug)]
pub(super) struct Remote {
    clock: Clock,
    peers: Mutex<HashMap<String, Arc<Peer>>>,
}

/// One provider, in one version of its configuration.
#[derive(Debug)]
struct Peer {
    version: Version,
    client: Client,
    cached: tokio::sync::Mutex<Cached>,
}

#[derive(Debug, Default)]
struct Cached {
    metadata: Option<(Arc<Metadata>, i64)>,
    keys: Option<(KeySet, i64)>,
    failed: Option<i64>,
    keys_failed: Option<i64>,
}

impl Remote {
    pub(super) fn new(clock: Clock) -> Remote {
        Remote { clock, peers: Mutex::default() }
    }

    /// What the provider says of itself; asked once an hour.
    pub(super) async fn metadata(&self, provider: &Provider) -> Result<Arc<Metadata>, RemoteError> {
        let peer = self.peer(provider)?;
        let mut cached = peer.cached.lock().await;
        self.cached_metadata(provider, &peer, &mut cached).await
    }

    /// The payload of an ID token that one of the provider's keys signed.
    pub(super) async fn verify(
        &self,
        provider: &Provider,
        token: &str,
    ) -> Result<Result<Map<String, Value>, TokenError>, RemoteError> {
        let peer = self.peer(provider)?;
        let mut cached = peer.cached.lock().await;
        let metadata = self.cached_metadata(provider, &peer, &mut cached).await?;
        let now = self.clock.now();
        // Whoever has any token may bring it: each would be a request to a provider that fails.
        let recently = cached.keys_failed.is_some_and(|at| is_within(now, at, MIN_AGE));
        let known = cached.keys.as_ref().filter(|(_, at)| is_within(now, *at, MAX_AGE));
        if let Some((keys, at)) = known {
            let verified = keys.verify_signature(token);
            // The provider may have changed its keys; asking for any token would be too often.
            let looked = recently || is_within(now, *at, MIN_AGE);
            if verified != Err(TokenError::UnknownKey) || looked {
                return Ok(verified);
            }
        }
        if recently {
            return Err(RemoteError::Recently);
        }
        match fetch_keys(&peer, &metadata.jwks_uri).await {
            Ok(keys) => {
                let verified = keys.verify_signature(token);
                cached.keys = Some((keys, now));
                cached.keys_failed = None;
                Ok(verified)
            }
            Err(error) => {
                cached.keys_failed = Some(now);
                Err(error)
            }
        }
    }

    /// An ID token for the code that the browser brought.
    pub(super) async fn exchange(
        &self,
        provider: &Provider,
        flow: &Flow,
        code: &str,
    ) -> Result<String, RemoteError> {
        let metadata = self.metadata(provider).await?;
        let config = &provider.config;
        let redirect_uri = config.redirect_uri();
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &redirect_uri),
            ("code_verifier", &flow.verifier),
        ];
        let mut request = Request::builder().method(Method::POST).uri(&metadata.token_endpoint);
        let secret = config.client_secret.as_deref();
        match (metadata.client_auth(secret.is_some()), secret) {
            (ClientAuth::Basic, Some(secret)) => {
                request = request.header(AUTHORIZATION, basic(&config.client_id, secret)?);
            }
            (ClientAuth::Post, Some(secret)) => {
                pairs.push(("client_id", &config.client_id));
                pairs.push(("client_secret", secret));
            }
            _ => pairs.push(("client_id", &config.client_id)),
        }
        let request = request
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(Full::from(form(&pairs)))
            .map_err(|error| RemoteError::Config(error.to_string()))?;
        let answer = self.peer(provider)?.ask(request).await?;
        let answer: Value = serde_json::from_slice(&answer).map_err(|_| RemoteError::NoToken)?;
        let token = answer.get("id_token").and_then(Value::as_str).ok_or(RemoteError::NoToken)?;
        Ok(token.to_owned())
    }

    async fn cached_metadata(
        &self,
        provider: &Provider,
        peer: &Peer,
        cached: &mut Cached,
    ) -> Result<Arc<Metadata>, RemoteError> {
        let now = self.clock.now();
        if let Some((metadata, at)) = &cached.metadata
            && is_within(now, *at, MAX_AGE)
        {
            return Ok(Arc::clone(metadata));
        }
        // Everybody may begin a login: each would be a request to a provider that is away.
        if cached.failed.is_some_and(|at| is_within(now, at, MIN_AGE)) {
            return Err(RemoteError::Recently);
        }
        match fetch_metadata(provider, peer).await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                cached.metadata = Some((Arc::clone(&metadata), now));
                cached.failed = None;
                Ok(metadata)
            }
            Err(error) => {
                cached.failed = Some(now);
                Err(error)
            }
        }
    }

    fn peer(&self, provider: &Provider) -> Result<Arc<Peer>, RemoteError> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = peers.get(&provider.id)
            && peer.version == provider.version
        {
            return Ok(Arc::clone(peer));
        }
        let authorities = provider.config.authorities().map_err(RemoteError::Config)?;
        let client = Client::new(ClientConfig {
            connect_timeout: CONNECT_TIMEOUT,
            response_timeout: ANSWER_TIMEOUT,
            read_timeout: ANSWER_TIMEOUT,
            body_limit: MAX_ANSWER,
            authorities,
            ..ClientConfig::default()
        });
        let cached = tokio::sync::Mutex::default();
        let peer = Arc::new(Peer { version: provider.version, client, cached });
        peers.insert(provider.id.clone(), Arc::clone(&peer));
        Ok(peer)
    }
}

impl Peer {
    async fn get(&self, uri: &Uri) -> Result<Bytes, RemoteError> {
        let request = Request::builder().uri(uri).header(ACCEPT, "application/json");
        let request = request.body(Full::default());
        self.ask(request.map_err(|error| RemoteError::Config(error.to_string()))?).await
    }

    /// Redirects are not followed: they lead where nobody configured.
    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Bytes, RemoteError> {
        let answer = tokio::time::timeout(EXCHANGE_TIMEOUT, self.client.fetch(request)).await;
        let answer = answer.map_err(|_| RemoteError::Timeout)??;
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            status => Err(RemoteError::Status(status)),
        }
    }
}

async fn fetch_metadata(provider: &Provider, peer: &Peer) -> Result<Metadata, RemoteError> {
    let issuer = &provider.config.issuer;
    let config = |reason: &str| RemoteError::Config(reason.to_owned());
    let site = provider.config.site().map_err(config)?;
    let location = discovery::location(issuer);
    let location: Uri = location.parse().map_err(|_| config("its issuer is not a URL"))?;
    let answer = peer.get(&location).await?;
    Ok(Metadata::parse(&answer, issuer, site)?)
}

async fn fetch_keys(peer: &Peer, uri: &Uri) -> Result<KeySet, RemoteError> {
    Ok(KeySet::parse(&peer.get(uri).await?)?)
}

/// RFC 6749, 2.3.1: both are escaped as in a form before they are joined.
fn basic(client_id: &str, secret: &str) -> Result<HeaderValue, RemoteError> {
    let pair = format!("{}:{}", component(client_id), component(secret));
    let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)));
    let mut value = value.map_err(|error| RemoteError::Config(error.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether `at` is less than `age` ago; never for moments to come.
fn is_within(now: i64, at: i64, age: i64) -> bool {
    (0..age).contains(&now.saturating_sub(at))
}
