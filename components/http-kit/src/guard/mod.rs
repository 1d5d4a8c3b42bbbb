//! Who a request is from and whether they may: one extractor for all components.
//!
//! 1. A [`Guard`] judges requests by a snapshot of what IAM knows: keys, users, permissions. It
//!    asks nobody: a change is in force with the first request after it arrived.
//! 2. What each endpoint of a component needs stands in a table, see [`crate::permissions`].
//! 3. [`follow`] keeps the snapshot up to date from IAM's policy stream; when it is stale, or
//!    there is none yet, tokens are answered `503`: nobody gets in on what was true once.
//! 4. [`TokenSource`] logs a component in with its [`ServiceAccount`], for calls to others.

mod account;
mod follower;
mod headers;
mod lines;
mod refusal;
mod tokens;
mod way;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use http::HeaderMap;
use identity::{Action, Claims, Snapshot, TokenCache, TokenError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Response;

pub use account::{AccountError, ServiceAccount};
pub use follower::{FollowConfig, Following, follow};
pub use headers::{Token, is_direct, is_direct_loopback, is_loopback, token};
pub use lines::{Lines, TooLong};
pub use refusal::Refusal;
pub use tokens::{TokenSource, TokenSourceConfig};
pub use way::{PlainWay, check_way};

/// Tokens that one thread remembers.
const REMEMBERED_TOKENS: usize = 512;

/// Without a sign of life for that long, what is known does not count any more.
pub const STALE_AFTER: Duration = Duration::from_secs(60);

/// Whether requests are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is judged.
    #[default]
    Disabled,
    /// Whoever is on this machine, comes directly and shows no token may do everything; a token
    /// that is shown is judged, and everybody else needs one.
    Permissive,
    /// Everybody needs a token.
    Strict,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Disabled => "disabled",
            Mode::Permissive => "permissive",
            Mode::Strict => "strict",
        }
    }
}

impl std::str::FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Mode, String> {
        [Mode::Disabled, Mode::Permissive, Mode::Strict]
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| "expecting disabled, permissive or strict".to_owned())
    }
}

/// Who a request is from, by a token that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal(Arc<Claims>);

impl Principal {
    pub fn uid(&self) -> &str {
        &self.0.uid
    }

    pub fn claims(&self) -> &Claims {
        &self.0
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Verdict {
    /// It goes on; `None` where nobody had to say who they are.
    Allowed(Option<Principal>),
    /// The answer to give.
    Refused(Response),
}

/// Judges requests. Cheap to clone; clones share what they know.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    mode: Mode,
    known: ArcSwapOption<Snapshot>,
    /// The last sign of life, in milliseconds since `began`; the greatest number never ages.
    seen: AtomicU64,
    began: Instant,
    ready: watch::Sender<bool>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Guard({})", self.0.mode.name())
    }
}

impl Default for Guard {
    fn default() -> Guard {
        Guard::disabled()
    }
}

// === impl Guard ===

impl Guard {
    /// Judges nothing.
    pub fn disabled() -> Guard {
        Guard::empty(Mode::Disabled)
    }

    /// Judges by one snapshot for ever.
    pub fn fixed(mode: Mode, snapshot: Snapshot) -> Guard {
        let guard = Guard::empty(mode);
        guard.publish(snapshot);
        guard.0.seen.store(u64::MAX, Ordering::Release);
        guard
    }

    /// Knows nothing yet.
    pub(crate) fn empty(mode: Mode) -> Guard {
        Guard(Arc::new(Inner {
            mode,
            known: ArcSwapOption::empty(),
            seen: AtomicU64::new(0),
            began: Instant::now(),
            ready: watch::Sender::new(false),
        }))
    }

    pub(crate) fn publish(&self, snapshot: Snapshot) {
        self.touch();
        self.0.known.store(Some(Arc::new(snapshot)));
        self.0.ready.send_replace(true);
    }

    /// A sign of life: what is known still holds.
    pub(crate) fn touch(&self) {
        let now = self.0.began.elapsed().as_millis();
        self.0.seen.store(u64::try_from(now).unwrap_or(u64::MAX), Ordering::Release);
    }

    pub fn mode(&self) -> Mode {
        self.0.mode
    }

    /// Waits until there is a first snapshot.
    pub async fn ready(&self) {
        // The sender lives as long as this guard.
        let _ = self.0.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// What is known, unless it is too old to count.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, Refusal> {
        let seen = self.0.seen.load(Ordering::Acquire);
        let age = self.0.began.elapsed().as_millis().saturating_sub(u128::from(seen));
        let fresh = seen == u64::MAX || age <= STALE_AFTER.as_millis();
        self.0.known.load_full().filter(|_| fresh).ok_or(Refusal::Unavailable)
    }

    /// Whether a request of `peer` may do `action` with `rid`.
    pub fn judge(
        &self,
        headers: &HeaderMap,
        peer: SocketAddr,
        rid: &str,
        action: Action,
    ) -> Verdict {
        let outcome = self
            .identify(headers, peer)
            .and_then(|who| self.permit(who.as_ref(), rid, action).map(|()| who));
        match outcome {
            Ok(who) => Verdict::Allowed(who),
            Err(refusal) => Verdict::Refused(refusal.response()),
        }
    }

    /// Who a request is from; `None` is somebody who need not say so and may do everything.
    pub fn identify(
        &self,
        headers: &HeaderMap,
        peer: SocketAddr,
    ) -> Result<Option<Principal>, Refusal> {
        if self.0.mode == Mode::Disabled {
            return Ok(None);
        }
        match token(headers) {
            Token::None if self.0.mode == Mode::Permissive && is_direct_loopback(headers, peer) => {
                Ok(None)
            }
            Token::None | Token::Unusable => Err(Refusal::Unauthenticated),
            Token::Given(token) => self.authenticate(token).map(Some),
        }
    }

    /// Who a token is from.
    pub fn authenticate(&self, token: &str) -> Result<Principal, Refusal> {
        thread_local! {
            // An entry counts only with the key of the guard that asks, so guards may share it.
            static TOKENS: RefCell<TokenCache> = RefCell::new(TokenCache::new(REMEMBERED_TOKENS));
        }
        let snapshot = self.snapshot()?;
        let now = unix_now();
        let claims = TOKENS.with(|tokens| match tokens.try_borrow_mut() {
            Ok(mut tokens) => snapshot.authenticate_cached(&mut tokens, token, now),
            Err(_) => snapshot.authenticate(token, now).map(Arc::new),
        });
        claims.map(Principal).map_err(|error: TokenError| {
            tracing::debug!(%error, "a token is refused");
            Refusal::Unauthenticated
        })
    }

    /// Whether somebody that [`Guard::identify`] gave may do `action` with `rid`.
    pub fn permit(
        &self,
        who: Option<&Principal>,
        rid: &str,
        action: Action,
    ) -> Result<(), Refusal> {
        let Some(who) = who else { return Ok(()) };
        if self.snapshot()?.policy.allows(who.uid(), rid, action) {
            return Ok(());
        }
        tracing::info!(uid = who.uid(), rid, action = action.name(), "refused");
        Err(Refusal::Forbidden)
    }
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
