//! Who somebody is and what they may do: tokens, keys, permissions; without any I/O.
//!
//! - A [`KeySet`] says whose signature counts; each key is pinned to one algorithm, and a token
//!   that names another is refused before anything is computed.
//! - [`KeySet::verify`] reads a token strictly: what is of the wrong type is an error, never
//!   taken for absent. A [`TokenCache`] remembers what was verified, for one thread.
//! - A [`Policy`] answers whether a user may do something; a [`Snapshot`] is the keys and the
//!   policy as of one version, and [`wire`] is how they travel from IAM to the components.
//!
//! It is not: the service that keeps users (that is `iam`), nor the extractor of requests (that
//! is `http_kit::guard`).
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod cache;
mod der;
mod error;
pub mod fuzz;
mod generate;
mod key;
mod keyset;
pub mod pieces;
mod policy;
pub mod provider;
mod rid;
mod service;
mod signing;
mod snapshot;
mod standing;
mod strict;
mod token;
pub mod wire;

pub use cache::TokenCache;
pub use error::{KeyError, RidError, SnapshotError, TokenError};
pub use key::{Algorithm, PublicKey};
pub use keyset::KeySet;
pub use policy::{Action, Actions, Policy, User};
pub use rid::{SUPERUSER, check_rid, check_uid, covering, is_plainly_written, push_part};
pub use service::{
    SERVICE_LOGIN_LIFETIME, SERVICE_LOGIN_LONGEST, service_login_token, verify_service_login,
};
pub use signing::SigningKey;
pub use snapshot::Snapshot;
pub use standing::Standing;
pub use token::{Claims, Jws, MAX_TOKEN_LENGTH, SKEW_SECONDS, unverified_expiry};
