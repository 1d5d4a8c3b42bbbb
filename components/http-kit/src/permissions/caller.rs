//! Whoever makes a request, as far as endpoints care.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Extensions, HeaderMap};
use identity::{Action, Snapshot};

use crate::Principal;
use crate::guard::{self, Guard, Refusal};

/// Whoever makes a request, in the extensions of requests handed to endpoints.
#[derive(Clone, Debug)]
pub struct Caller(Who);

#[derive(Clone, Debug)]
enum Who {
    /// Nothing is judged: the guard is off, it is somebody on this machine, or somebody with a
    /// password of the component's own.
    Free(Option<Principal>),
    /// Somebody with a token.
    Known { guard: Guard, who: guard::Principal, principal: Principal },
    /// Nobody that anything is known of.
    Nobody,
}

// === impl Caller ===

impl Caller {
    /// Who a request is from, or why it does not go on.
    pub fn of_request(
        guard: &Guard,
        headers: &HeaderMap,
        peer: SocketAddr,
    ) -> Result<Caller, Refusal> {
        Ok(match guard.identify(headers, peer)? {
            None => Caller::free(),
            Some(who) => {
                let principal = Principal(Arc::from(who.uid()));
                Caller(Who::Known { guard: guard.clone(), who, principal })
            }
        })
    }

    /// The caller that was put into a request's extensions. Where none was, whoever asks may do
    /// nothing: a forgotten guard must not open anything.
    pub fn of(extensions: &Extensions) -> Caller {
        extensions.get::<Caller>().cloned().unwrap_or_else(Caller::nobody)
    }

    /// Of whom nothing is asked.
    pub fn free() -> Caller {
        Caller(Who::Free(None))
    }

    /// Who has shown a password of the component's own, and may do what that opens.
    pub fn trusted(principal: Principal) -> Caller {
        Caller(Who::Free(Some(principal)))
    }

    /// Who may do nothing but what is public.
    pub fn nobody() -> Caller {
        Caller(Who::Nobody)
    }

    /// Whether nothing is judged.
    pub fn is_free(&self) -> bool {
        matches!(self.0, Who::Free(_))
    }

    /// Who it is, if that is known.
    pub fn principal(&self) -> Option<&Principal> {
        match &self.0 {
            Who::Free(principal) => principal.as_ref(),
            Who::Known { principal, .. } => Some(principal),
            Who::Nobody => None,
        }
    }

    /// Refuses those of whom nothing is known.
    pub fn require_known(&self) -> Result<(), Refusal> {
        match self.0 {
            Who::Nobody => Err(Refusal::Unauthenticated),
            Who::Free(_) | Who::Known { .. } => Ok(()),
        }
    }

    /// Refuses those who may not.
    pub fn require(&self, rid: &str, action: Action) -> Result<(), Refusal> {
        match &self.0 {
            Who::Free(_) => Ok(()),
            Who::Known { guard, who, .. } => guard.permit(Some(who), rid, action),
            Who::Nobody => Err(Refusal::Unauthenticated),
        }
    }

    /// What this caller may see, for lists: many questions, one state of knowledge, no log.
    pub fn sight(&self) -> Sight {
        match &self.0 {
            Who::Free(_) => Sight(Seen::Everything),
            Who::Known { guard, principal, .. } => match guard.snapshot() {
                Ok(snapshot) => Sight(Seen::Of(snapshot, principal.clone())),
                Err(_) => Sight(Seen::Nothing),
            },
            Who::Nobody => Sight(Seen::Nothing),
        }
    }
}

/// Answers what a caller may see.
#[derive(Clone, Debug)]
pub struct Sight(Seen);

#[derive(Clone, Debug)]
enum Seen {
    Everything,
    /// What this principal may see.
    Of(Arc<Snapshot>, Principal),
    Nothing,
}

// === impl Sight ===

impl Sight {
    /// Whether everything is seen.
    pub fn is_full(&self) -> bool {
        matches!(self.0, Seen::Everything)
    }

    /// Whether there is the permission.
    pub fn allows(&self, rid: &str, action: Action) -> bool {
        match &self.0 {
            Seen::Everything => true,
            Seen::Of(snapshot, principal) => snapshot.policy.allows(&principal.0, rid, action),
            Seen::Nothing => false,
        }
    }
}
