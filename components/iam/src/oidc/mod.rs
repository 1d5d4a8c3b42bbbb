//! Login at an OpenID Connect provider: the authorization code flow with PKCE, as the client.
//!
//! 1. [`Sso::start`] sends the browser to the provider; what has to be remembered goes along in
//!    a sealed cookie (`flow`), so that nothing is kept here.
//! 2. [`Sso::finish`] takes the browser's return: the state must be the cookie's, the code is
//!    exchanged at the provider of that login (`remote`), and the ID token is checked (`idtoken`).
//! 3. [`Sso::user`] finds or makes the user, who always belongs to exactly one provider.
//!
//! It is not: a provider, and no access token is kept or used.

mod discovery;
mod flow;
mod idtoken;
mod remote;
pub(crate) mod url;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use cluster_state::ClusterState;
use http_kit::Params;
use identity::TokenError;
use tokio::sync::Semaphore;

pub(crate) use self::flow::COOKIE;
use self::flow::Flow;
use self::idtoken::{Expected, IdTokenError};
use self::remote::{Remote, RemoteError};
pub(crate) use self::url::{Target, program};
use crate::clock::Clock;
use crate::model::{Command, Credential, NewUser, ProviderType, User};
use crate::providers::{Provider, Providers, ProvidersError};
use crate::sealing::NodeKey;
use crate::store::{Store, StoreError};
use crate::{ApiError, providers};

/// Logins that talk to providers at once.
const AT_ONCE: usize = 32;
const MAX_CODE: usize = 4096;

/// Why a login did not happen. The texts are for whoever wanted to log in; what was wrong at
/// the provider is logged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SsoError {
    #[error(transparent)]
    Refused(#[from] ApiError),
    #[error("The target of the login is not a path of this cluster.")]
    Target,
    #[error("Too many logins are under way.")]
    Busy,
    #[error("The login provider cannot be asked at the moment.")]
    Remote(#[from] RemoteError),
    #[error("This login has expired, or began in another browser. Begin again.")]
    Flow,
    /// By the provider's own code, which is a word.
    #[error("The login provider refused: {0}")]
    Provider(String),
    #[error("ID Token login failed: bad token")]
    Token(TokenError),
    #[error("ID Token login failed: {0}")]
    IdToken(#[from] IdTokenError),
    #[error("ID Token login failed: user unknown")]
    UnknownUser,
    #[error("ID Token login failed: the user belongs to another provider")]
    OtherProvider,
    #[error("ID Token login failed: the user is disabled")]
    Disabled,
    #[error("The login cannot be begun.")]
    Internal,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where the browser is sent, and what it has to carry.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) location: String,
    /// `Set-Cookie`
    pub(crate) cookie: String,
}

/// A browser's return that belongs to a login of ours.
#[derive(Debug)]
pub(crate) struct Returned {
    flow: Flow,
    provider: Arc<Provider>,
}

/// A login that happened.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) login: Login,
    pub(crate) target: Target,
}

/// Whom a provider vouches for.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) uid: String,
    description: String,
    provider: Arc<Provider>,
}

/// Logins at providers.
#[derive(Debug)]
pub(crate) struct Sso {
    pub(crate) providers: Providers,
    node_key: Arc<NodeKey>,
    remote: Remote,
    clock: Clock,
    turns: Semaphore,
}

impl SsoError {
    /// Whether nothing was looked at, so that it is no failure of whoever wanted to log in.
    pub(crate) fn is_unjudged(&self) -> bool {
        matches!(
            self,
            SsoError::Busy
                | SsoError::Internal
                | SsoError::Store(_)
                | SsoError::Remote(RemoteError::Recently)
        )
    }

    /// Whether the one who wanted to log in is to blame, and not we or the provider.
    pub(crate) fn is_refusal(&self) -> bool {
        !matches!(
            self,
            SsoError::Busy | SsoError::Remote(_) | SsoError::Internal | SsoError::Store(_)
        )
    }
}

impl Login {
    pub(crate) fn provider_id(&self) -> &str {
        &self.provider.id
    }
}

// === impl Sso ===

impl Sso {
    pub(crate) async fn open(
        state: Arc<dyn ClusterState>,
        node_key: Arc<NodeKey>,
        clock: Clock,
    ) -> Result<Sso, ProvidersError> {
        let providers = Providers::open(state, Arc::clone(&node_key)).await?;
        let remote = Remote::new(clock.clone());
        Ok(Sso { providers, node_key, remote, clock, turns: Semaphore::new(AT_ONCE) })
    }

    /// `GET /auth/login?oidc-provider=…&target=…`
    pub(crate) async fn start(&self, id: &str, target: Option<&str>) -> Result<Start, SsoError> {
        let provider = self.providers.find(id).ok_or_else(|| providers::unknown(id))?;
        let config = &provider.config;
        let target = url::target(target, &config.base_url).map_err(|_| SsoError::Target)?;
        let _turn = self.turns.try_acquire().map_err(|_| SsoError::Busy)?;
        let metadata = self.remote.metadata(&provider).await?;
        let flow = Flow::new(id, &config.issuer, target, self.clock.now());
        let scope = std::iter::once("openid").chain(config.scopes.iter().map(String::as_str));
        let scope: Vec<&str> = scope.collect();
        let query = flow::form(&[
            ("response_type", "code"),
            ("client_id", &config.client_id),
            ("redirect_uri", &config.redirect_uri()),
            ("scope", &scope.join(" ")),
            ("state", &flow.state),
            ("nonce", &flow.nonce),
            ("code_challenge", &flow.challenge()),
            ("code_challenge_method", "S256"),
        ]);
        let endpoint = metadata.authorization_endpoint.to_string();
        let separator = if endpoint.contains('?') { '&' } else { '?' };
        let cookie = flow.seal(&self.node_key).ok_or(SsoError::Internal)?;
        Ok(Start {
            location: format!("{endpoint}{separator}{query}"),
            cookie: flow::set_cookie(&cookie, is_secure(&provider)),
        })
    }

    /// `GET /auth/oidc/callback?code=…&state=…`, with the cookie of [`COOKIE`]: which login it
    /// belongs to. Nobody is asked for that.
    pub(crate) fn returned(
        &self,
        query: &Params,
        cookie: Option<&str>,
    ) -> Result<Returned, SsoError> {
        let state = query.get("state").ok_or(SsoError::Flow)?;
        let cookie = cookie.ok_or(SsoError::Flow)?;
        let now = self.clock.now();
        let flow = Flow::open(&self.node_key, cookie, state, now).ok_or(SsoError::Flow)?;
        let provider = self.providers.find(&flow.provider);
        // Removed meanwhile, or made anew for another issuer.
        let provider = provider.filter(|provider| provider.config.issuer == flow.issuer);
        let provider = provider.ok_or(SsoError::Flow)?;
        Ok(Returned { flow, provider })
    }

    /// Exchanges what the browser returned with at the provider.
    pub(crate) async fn finish(
        &self,
        returned: Returned,
        query: &Params,
    ) -> Result<Finished, SsoError> {
        let Returned { flow, provider } = returned;
        let _turn = self.turns.try_acquire().map_err(|_| SsoError::Busy)?;
        let metadata = self.remote.metadata(&provider).await?;
        // The answer of another provider than the one that was asked (RFC 9207).
        match query.get("iss") {
            Some(issuer) if issuer != flow.issuer => return Err(SsoError::Flow),
            None if metadata.names_issuer => return Err(SsoError::Flow),
            _ => {}
        }
        if let Some(error) = query.get("error") {
            return Err(SsoError::Provider(word(error)));
        }
        let code = query.get("code").filter(|code| (1..=MAX_CODE).contains(&code.len()));
        let code = code.ok_or(SsoError::Flow)?;
        let token = self.remote.exchange(&provider, &flow, code).await?;
        let login = self.login(&provider, &token, Some(&flow.nonce)).await?;
        Ok(Finished { login, target: flow.target })
    }

    /// `POST /auth/login` with nothing but an ID token, as clients of open DC/OS do it: whose it
    /// would be.
    pub(crate) fn id_token_provider(&self, token: &str) -> Result<Arc<Provider>, SsoError> {
        let issuer = unverified_issuer(token).ok_or(SsoError::Token(TokenError::Malformed))?;
        let provider = self.providers.by_issuer(&issuer);
        let provider = provider.filter(|provider| provider.config.id_token_login);
        provider.ok_or(SsoError::IdToken(IdTokenError::Issuer))
    }

    /// Whether the ID token is one of that provider.
    pub(crate) async fn id_token(
        &self,
        provider: &Arc<Provider>,
        token: &str,
    ) -> Result<Login, SsoError> {
        let _turn = self.turns.try_acquire().map_err(|_| SsoError::Busy)?;
        self.login(provider, token, None).await
    }

    /// `Set-Cookie` for whoever returned, however it ended.
    pub(crate) fn clear_cookie(secure: bool) -> String {
        flow::clear_cookie(secure)
    }

    /// The user of a login; none where there is none yet that may be made, which the provider's
    /// configuration says.
    pub(crate) fn known_user(store: &Store, login: &Login) -> Result<Option<Arc<User>>, SsoError> {
        if let Ok(user) = store.state().user(&login.uid) {
            return check_user(user, login).map(Some);
        }
        if !login.provider.config.auto_create_users {
            return Err(SsoError::UnknownUser);
        }
        Ok(None)
    }

    /// Makes the user of a login; says no when it was another login that did.
    pub(crate) async fn make_user(
        store: &Store,
        login: &Login,
    ) -> Result<(Arc<User>, bool), SsoError> {
        let command = Command::CreateUser(NewUser {
            uid: login.uid.clone(),
            description: login.description.clone(),
            credential: Credential::Remote {
                provider_type: ProviderType::Oidc,
                provider_id: login.provider.id.clone(),
            },
        });
        let made = match store.run(&command).await {
            // Made by another login at the same moment.
            Err(StoreError::Refused(error)) if error.code == Some("ERR_USER_EXISTS") => false,
            Err(error) => return Err(error.into()),
            Ok(_) => true,
        };
        let state = store.state();
        let user = check_user(state.user(&login.uid).map_err(SsoError::Refused)?, login)?;
        Ok((user, made))
    }

    async fn login(
        &self,
        provider: &Arc<Provider>,
        token: &str,
        nonce: Option<&str>,
    ) -> Result<Login, SsoError> {
        let verified = self.remote.verify(provider, token).await?;
        let claims = verified.map_err(SsoError::Token)?;
        let config = &provider.config;
        let expected = Expected {
            issuer: &config.issuer,
            client_id: &config.client_id,
            nonce,
            uid_claim: &config.uid_claim,
            now: self.clock.now(),
        };
        let subject = idtoken::check(&claims, &expected)?;
        Ok(Login {
            uid: subject.uid,
            description: subject.description,
            provider: Arc::clone(provider),
        })
    }
}

/// A user belongs to one provider: another one cannot vouch for them, nor for local users. By
/// the provider's id here, or by its issuer, as open DC/OS kept it.
fn check_user(user: &Arc<User>, login: &Login) -> Result<Arc<User>, SsoError> {
    let own = [login.provider.id.as_str(), login.provider.config.issuer.as_str()];
    if user.provider_type != ProviderType::Oidc || !own.contains(&user.provider_id.as_str()) {
        return Err(SsoError::OtherProvider);
    }
    if !user.active {
        return Err(SsoError::Disabled);
    }
    Ok(Arc::clone(user))
}

fn is_secure(provider: &Provider) -> bool {
    provider.config.base_url.starts_with("https://")
}

/// An error code of RFC 6749 is a word; anything else is not repeated to people.
fn word(text: &str) -> String {
    let good = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if good { text.to_owned() } else { "error".to_owned() }
}

/// Only to find the provider whose keys are to be asked.
fn unverified_issuer(token: &str) -> Option<String> {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    identity::Jws::parse(token).ok()?;
    let payload = token.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let payload: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    payload.get("iss")?.as_str().map(str::to_owned)
}

/// What a provider and a browser send, without the network. For fuzzing.
pub(crate) fn fuzz(text: &str) {
    const ISSUER: &str = "https://idp.example.com";
    let parsed = discovery::Metadata::parse(text.as_bytes(), ISSUER, url::Site::Remote);
    if let Ok(metadata) = parsed {
        let endpoints =
            [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri];
        assert!(endpoints.iter().all(|uri| uri.scheme_str() == Some("https")));
    }
    if let Ok(serde_json::Value::Object(claims)) = serde_json::from_str(text) {
        let expected = Expected {
            issuer: ISSUER,
            client_id: "dcos",
            nonce: Some("nonce"),
            uid_claim: "sub",
            now: 1_700_000_000,
        };
        if let Ok(subject) = idtoken::check(&claims, &expected) {
            assert!(crate::model::check_uid(&subject.uid).is_ok());
            assert_eq!(claims.get("iss").and_then(|issuer| issuer.as_str()), Some(ISSUER));
        }
    }
    let _ = unverified_issuer(text);
    if let Ok(Target::Path(path)) = url::target(Some(text), "https://cluster.example.com") {
        assert!(path.starts_with('/') && !path.starts_with("//") && !path.contains('\\'));
    }
    if let Ok(key) = NodeKey::from_bytes(&[1; 32]) {
        assert!(Flow::open(&key, text, "state", 0).is_none(), "nobody can make a cookie");
    }
}
