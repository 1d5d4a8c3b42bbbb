//! New RSA keys.

use identity::SigningKey;

use super::SigningError;

/// As the original's.
const BITS: usize = 2048;

/// A new key as PKCS#8, made where nobody waits for this thread.
pub(super) async fn rsa_key() -> Result<Vec<u8>, SigningError> {
    let made = tokio::task::spawn_blocking(|| SigningKey::generate_rs256(BITS));
    Ok(made.await.map_err(|_| SigningError::Generate)??)
}
