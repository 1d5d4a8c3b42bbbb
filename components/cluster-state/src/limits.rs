//! What keys, values and transactions may look like, for every implementation.
//!
//! ZooKeeper refuses a request of 1 MiB or more, path and framing included,
//! and so does this crate's every implementation, with a little room.

use std::collections::HashSet;

use crate::{Op, StateError};

/// The most bytes one value may have.
pub const MAX_VALUE_BYTES: usize = 1_000_000;
/// The most bytes all keys and values of one transaction may have together.
pub const MAX_TRANSACTION_BYTES: usize = 1_000_000 + 16 * 1024;
/// The most steps one transaction may have.
pub const MAX_TRANSACTION_OPS: usize = 1024;
/// The most bytes one key may have.
pub const MAX_KEY_BYTES: usize = 1024;

/// Checks a key: `/a/b`, without empty, `.` or `..` parts or control characters.
pub fn check_key(key: &str) -> Result<(), StateError> {
    key_fault(key).map_or(Ok(()), |reason| invalid(key, reason))
}

/// Checks a prefix: `/`, or a key followed by a slash.
pub fn check_prefix(prefix: &str) -> Result<(), StateError> {
    if prefix == "/" {
        return Ok(());
    }
    match prefix.strip_suffix('/') {
        Some(key) => key_fault(key).map_or(Ok(()), |reason| invalid(prefix, reason)),
        None => invalid(prefix, "a prefix ends with a slash"),
    }
}

/// Checks the steps of a transaction before anything is queued.
pub fn check_transaction(ops: &[Op]) -> Result<(), StateError> {
    if ops.len() > MAX_TRANSACTION_OPS {
        return Err(too_large(ops.len(), "steps", MAX_TRANSACTION_OPS));
    }
    let mut seen = HashSet::with_capacity(ops.len());
    let mut bytes = 0;
    for op in ops {
        let key = match op {
            Op::Put { key, value, .. } => {
                check_value(key, value.len())?;
                bytes += value.len();
                key
            }
            Op::Delete { key, .. } | Op::Check { key, .. } => key,
            Op::Fence { election, .. } => {
                check_key(election)?;
                continue;
            }
        };
        check_key(key)?;
        bytes += key.len();
        if !seen.insert(key.as_str()) {
            return Err(StateError::DuplicateKey { key: key.clone() });
        }
    }
    if bytes > MAX_TRANSACTION_BYTES {
        return Err(too_large(bytes, "bytes", MAX_TRANSACTION_BYTES));
    }
    Ok(())
}

fn check_value(key: &str, size: usize) -> Result<(), StateError> {
    let limit = MAX_VALUE_BYTES;
    if size > limit {
        return Err(StateError::ValueTooLarge { key: key.to_owned(), size, limit });
    }
    Ok(())
}

fn too_large(size: usize, unit: &'static str, limit: usize) -> StateError {
    StateError::TransactionTooLarge { size, unit, limit }
}

fn invalid(key: &str, reason: &'static str) -> Result<(), StateError> {
    Err(StateError::InvalidKey { key: key.to_owned(), reason })
}

fn key_fault(key: &str) -> Option<&'static str> {
    let Some(rest) = key.strip_prefix('/') else { return Some("a key begins with a slash") };
    if key.len() > MAX_KEY_BYTES {
        return Some("it is longer than 1024 bytes");
    }
    if key.chars().any(char::is_control) {
        return Some("it has a control character");
    }
    rest.split('/').find_map(|part| match part {
        "" => Some("it has an empty part"),
        "." | ".." => Some("it has a part that is only dots"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        for good in ["/a", "/mesos/agents/S0", "/a/...", "/é"] {
            assert!(check_key(good).is_ok(), "{good}");
        }
        let long = format!("/{}", "x".repeat(MAX_KEY_BYTES));
        for bad in ["", "a", "/", "/a/", "//a", "/a//b", "/a/../b", "/.", "/a\0", "/a\nb", &long] {
            assert!(matches!(check_key(bad), Err(StateError::InvalidKey { .. })), "{bad:?}");
        }
    }

    #[test]
    fn prefixes() {
        for good in ["/", "/a/", "/a/b/"] {
            assert!(check_prefix(good).is_ok(), "{good}");
        }
        for bad in ["", "a/", "/a", "//", "/a//"] {
            assert!(check_prefix(bad).is_err(), "{bad:?}");
        }
    }
}
