//! Who a request is from, and whether they may.
//!
//! 1. The token is found ([`credentials`]) and judged by the snapshot of IAM's policy that the
//!    guard follows: nobody is asked, and a change is in force with the next request.
//! 2. A token that came by cookie counts for changes only from the gateway's own pages
//!    ([`origin`]).
//! 3. Without a policy, or with one that is too old, nobody with a token gets in.

pub(crate) mod credentials;
pub(crate) mod origin;

use std::sync::Arc;

use http::HeaderValue;
use http_kit::guard::{Guard, Mode, Principal, Refusal};
use identity::Action;
use proxy::{Peer, RequestHead};

use credentials::Presented;

/// Why a request goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// No token, or one that does not count.
    Unauthenticated,
    Forbidden,
    /// A page of another origin made the browser send it.
    Foreign,
    /// Nobody knows who may do what.
    Unavailable,
}

/// Who a request is from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    /// None where nobody was asked.
    principal: Option<Principal>,
    /// What the upstream gets where the token came by cookie.
    pub(crate) authorization: Option<HeaderValue>,
}

/// Judges requests.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Guard);

// === impl Caller ===

impl Caller {
    /// Somebody who need not say who they are.
    pub(crate) fn nobody() -> Caller {
        Caller::default()
    }

    pub(crate) fn uid(&self) -> Option<&str> {
        self.principal.as_ref().map(Principal::uid)
    }

    /// For the access log.
    pub(crate) fn user(&self) -> Option<Arc<str>> {
        self.uid().map(Arc::from)
    }
}

// === impl Gate ===

impl Gate {
    pub(crate) fn new(guard: Guard) -> Gate {
        Gate(guard)
    }

    /// Who it is from; an error for whoever has no token that counts.
    pub(crate) fn identify(&self, head: &RequestHead, peer: &Peer) -> Result<Caller, Denial> {
        if self.0.mode() == Mode::Disabled {
            return Ok(Caller::nobody());
        }
        match credentials::presented(head) {
            Presented::Nothing | Presented::Unusable => Err(Denial::Unauthenticated),
            Presented::Header(token) => {
                let principal = self.0.authenticate(token)?;
                Ok(Caller { principal: Some(principal), authorization: None })
            }
            Presented::Cookie(candidates) => {
                let (token, principal) = self.only(&candidates)?;
                if origin::needs_proof(head) && !origin::is_own(head, peer.scheme) {
                    return Err(Denial::Foreign);
                }
                Ok(Caller { principal: Some(principal), authorization: header(token) })
            }
        }
    }

    /// The one user whose token is among these: what does not count harms nobody, but between
    /// two users nobody can choose.
    fn only<'a>(&self, candidates: &[&'a str]) -> Result<(&'a str, Principal), Denial> {
        let mut found: Option<(&str, Principal)> = None;
        for token in candidates {
            match (self.0.authenticate(token), &found) {
                (Ok(principal), None) => found = Some((token, principal)),
                (Ok(principal), Some((_, known))) if known.uid() == principal.uid() => {}
                (Ok(_), Some(_)) => return Err(Denial::Unauthenticated),
                (Err(Refusal::Unavailable), _) => return Err(Denial::Unavailable),
                (Err(_), _) => {}
            }
        }
        found.ok_or(Denial::Unauthenticated)
    }

    /// Whether the caller has `full` on a resource.
    pub(crate) fn permit(&self, caller: &Caller, rid: &str) -> Result<(), Denial> {
        Ok(self.0.permit(caller.principal.as_ref(), rid, Action::Full)?)
    }
}

/// A token as upstreams get it.
fn header(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("token={token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Denial {
        match refusal {
            Refusal::Unauthenticated => Denial::Unauthenticated,
            Refusal::Forbidden => Denial::Forbidden,
            Refusal::Unavailable => Denial::Unavailable,
        }
    }
}
