//! Apps that a request is changing right now: another change of the same app is refused, so that
//! what was looked at still holds when Marathon is told.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Failure;

/// The apps that are held.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims(Arc<Mutex<HashSet<String>>>);

/// One app, held until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    claims: Claims,
    app_id: String,
}

// === impl Claims ===

impl Claims {
    /// Holds an app, unless somebody else does.
    pub(crate) fn take(&self, app_id: &str) -> Result<Claim, Failure> {
        if !self.held().insert(app_id.to_owned()) {
            return Err(Failure::concurrent_access());
        }
        Ok(Claim { claims: self.clone(), app_id: app_id.to_owned() })
    }

    pub(crate) fn is_held(&self, app_id: &str) -> bool {
        self.held().contains(app_id)
    }

    fn held(&self) -> MutexGuard<'_, HashSet<String>> {
        // No change of the set stops half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Claim ===

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.held().remove(&self.app_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_held_once() {
        let claims = Claims::default();
        let claim = claims.take("/a").unwrap();
        assert_eq!(claims.take("/a").unwrap_err().kind, "ConcurrentAccess");
        let other = claims.take("/b").unwrap();
        drop((claim, other));
        assert!(!claims.is_held("/a") && claims.take("/a").is_ok());
    }
}
