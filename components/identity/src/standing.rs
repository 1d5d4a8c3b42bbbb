//! Tokens that counted when something long began, and are asked of again while it goes on.

use std::sync::Arc;

use crate::{Claims, PublicKey, Snapshot, TokenError};

/// Who somebody was when they came. Without the token: it is not kept.
#[derive(Clone, Debug)]
pub struct Standing {
    claims: Claims,
    key: Arc<PublicKey>,
}

impl Standing {
    pub fn uid(&self) -> &str {
        &self.claims.uid
    }
}

impl Snapshot {
    /// As [`Snapshot::authenticate`], to be asked again.
    pub fn standing(&self, token: &str, now_unix: i64) -> Result<Standing, TokenError> {
        let (claims, key) = self.keys.verify_with_key(token, now_unix)?;
        self.policy.check(&claims)?;
        Ok(Standing { claims, key })
    }

    /// Whether the token would still count: its key is there, its time has not passed, its user
    /// is active and it has not been revoked.
    pub fn stands(&self, standing: &Standing, now_unix: i64) -> Result<(), TokenError> {
        let Standing { claims, key } = standing;
        if self.keys.get(key.kid()) != Some(key) {
            return Err(TokenError::UnknownKey);
        }
        claims.check_time(now_unix)?;
        self.policy.check(claims).map(|_| ())
    }
}
