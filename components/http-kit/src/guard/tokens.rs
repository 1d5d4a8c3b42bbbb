//! A token of one's own, for calls to others.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::Full;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{AccountError, PlainWay, ServiceAccount, check_way, unix_now};
use crate::{Client, ClientError};

const LOGIN: &str = "/acs/api/v1/auth/login";
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A token that says nothing of its end is renewed that often.
const DEFAULT_LIFETIME: i64 = 3600;

/// How a component logs in.
#[derive(Clone, Debug)]
pub struct TokenSourceConfig {
    /// Where IAM is, such as `http://127.0.0.1:8101`; without it, where the account's file says.
    pub iam: Option<String>,
    /// The file of the service account; read at each login, so that it may come later or change.
    pub account: PathBuf,
    pub client: Client,
}

/// The current token of a component. Cheap to clone.
#[derive(Clone)]
pub struct TokenSource(Arc<Shared>);

struct Shared {
    current: ArcSwapOption<HeaderValue>,
    first: watch::Sender<bool>,
    again: Notify,
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenSource")
    }
}

impl Default for TokenSource {
    fn default() -> TokenSource {
        TokenSource::none()
    }
}

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error("the account's key does not sign")]
    Key(#[from] identity::KeyError),
    #[error("no address of IAM")]
    NoAddress,
    #[error(transparent)]
    Plain(#[from] PlainWay),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("IAM answers {0}")]
    Status(http::StatusCode),
    #[error("IAM's answer has no token")]
    NoToken,
}

// === impl TokenSource ===

impl TokenSource {
    /// Never has a token: calls go out without.
    pub fn none() -> TokenSource {
        let shared = Shared {
            current: ArcSwapOption::empty(),
            first: watch::Sender::new(false),
            again: Notify::new(),
        };
        TokenSource(Arc::new(shared))
    }

    /// Has this value of `Authorization`, for ever; none if it cannot be one.
    pub fn fixed(value: &str) -> Option<TokenSource> {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        let source = TokenSource::none();
        source.0.current.store(Some(Arc::new(value)));
        source.0.first.send_replace(true);
        Some(source)
    }

    /// Logs in, and again in time, until `stop`. The task is the caller's to wait for.
    pub fn start(
        config: TokenSourceConfig,
        stop: CancellationToken,
    ) -> (TokenSource, tokio::task::JoinHandle<()>) {
        let source = TokenSource::none();
        let task = source.clone();
        let join = tokio::spawn(async move {
            let _ = stop.run_until_cancelled(task.keep(config)).await;
        });
        (source, join)
    }

    /// The value of `Authorization`, once there is one. Reading it takes no lock.
    pub fn authorization(&self) -> Option<HeaderValue> {
        self.0.current.load().as_deref().cloned()
    }

    /// Puts the token into a request, unless it has one already.
    pub fn authorize(&self, headers: &mut http::HeaderMap) {
        if let Some(value) = self.authorization() {
            headers.entry(http::header::AUTHORIZATION).or_insert(value);
        }
    }

    /// Waits for the first token.
    pub async fn ready(&self) {
        // The sender lives as long as this source.
        let _ = self.0.first.subscribe().wait_for(|first| *first).await;
    }

    /// Somebody answered `401` to a request with these headers: if they had the current token,
    /// a new one is fetched.
    pub fn refused(&self, headers: &http::HeaderMap) {
        let current = self.authorization();
        if current.is_some() && headers.get(http::header::AUTHORIZATION) == current.as_ref() {
            self.0.again.notify_one();
        }
    }

    /// Those about the token of before.
    async fn forget_complaints(&self) {
        tokio::select! {
            biased;
            () = self.0.again.notified() => {}
            () = std::future::ready(()) => {}
        }
    }

    async fn keep(self, config: TokenSourceConfig) {
        let mut pause = FIRST_PAUSE;
        loop {
            match login(&config).await {
                Ok((value, renew_after)) => {
                    self.0.current.store(Some(Arc::new(value)));
                    self.0.first.send_replace(true);
                    self.forget_complaints().await;
                    tokio::select! {
                        () = tokio::time::sleep(renew_after) => pause = FIRST_PAUSE,
                        // However many complain, there is a pause between two logins.
                        () = self.0.again.notified() => {
                            tokio::time::sleep(pause).await;
                            pause = (pause * 2).min(LONGEST_PAUSE);
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot log in to IAM"
                    );
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

/// A token as a header's value, and when to renew it: at half of its life.
async fn login(config: &TokenSourceConfig) -> Result<(HeaderValue, Duration), LoginError> {
    let path = config.account.clone();
    let loaded = tokio::task::spawn_blocking(move || ServiceAccount::load(&path)).await;
    let Ok(account) = loaded else { return Err(LoginError::NoToken) };
    let account = account?;
    let now = unix_now();
    let url = match (&config.iam, account.login_endpoint()) {
        (Some(iam), _) => format!("{}{LOGIN}", iam.trim_end_matches('/')),
        (None, Some(endpoint)) => endpoint.to_owned(),
        (None, None) => return Err(LoginError::NoAddress),
    };
    if !config.client.config().plain_iam {
        check_way(&url)?;
    }
    let body = account.login_body(now)?;
    let request = http::Request::post(url)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| LoginError::NoAddress)?;
    let answer = config.client.fetch(request).await?;
    if !answer.status().is_success() {
        return Err(LoginError::Status(answer.status()));
    }
    let answer: Answer = serde_json::from_slice(answer.body()).map_err(|_| LoginError::NoToken)?;
    let mut value = HeaderValue::from_str(&format!("token={}", answer.token))
        .map_err(|_| LoginError::NoToken)?;
    value.set_sensitive(true);
    let exp = identity::unverified_expiry(&answer.token);
    let lifetime = exp.map_or(DEFAULT_LIFETIME, |exp| exp.saturating_sub(now)).max(2);
    Ok((value, Duration::from_secs(u64::try_from(lifetime / 2).unwrap_or(1))))
}

#[derive(serde::Deserialize)]
struct Answer {
    token: String,
}
