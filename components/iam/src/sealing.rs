//! Keys at rest: sealed under the node key, a file that never leaves the masters.
//!
//! A sealed value is bound to the path it is kept at: moved to another one it does not open.

use std::path::{Path, PathBuf};

use cluster_state::{ClusterState, StateError, When};
use rand::RngCore;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};

use crate::secrets::{self, SecretFileError};

const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 32;
/// The first byte of a sealed value: AES-256-GCM with a random nonce.
const FORMAT: u8 = 1;
/// What every node key in use has sealed, so that a wrong one is noticed before it seals.
const CHECK_PATH: &str = "/iam/sealing/check";
const CHECK_TEXT: &[u8] = b"dais iam node key";

/// Why something was not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error(transparent)]
    File(#[from] SecretFileError),
    #[error("{} has {size} bytes; a node key has 32", path.display())]
    Size { path: PathBuf, size: usize },
    #[error(
        "the node key {} is missing, but the cluster's state has keys sealed under it; bring it \
         back from a backup or from another master (nothing was changed)",
        path.display()
    )]
    Lost { path: PathBuf },
    #[error(
        "the node key {} is not the one that the keys in the cluster's state are sealed under \
         (nothing was changed)",
        path.display()
    )]
    Another { path: PathBuf },
    #[error("the value at {path} cannot be opened: it was changed, or sealed elsewhere")]
    Broken { path: String },
    #[error("the value for {path} cannot be sealed")]
    Seal { path: String },
    #[error("cannot read or write the cluster's state")]
    State(#[from] StateError),
}

/// The key of this node; the same file on every master.
pub(crate) struct NodeKey {
    values: LessSafeKey,
    bytes: [u8; KEY_BYTES],
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeKey(…)")
    }
}

impl NodeKey {
    /// The key in `path`; made at the very first start, and only then.
    pub(crate) async fn load(path: &Path, state: &dyn ClusterState) -> Result<NodeKey, SealError> {
        let check = state.get(CHECK_PATH).await?;
        let bytes = match secrets::read(path)? {
            Some(bytes) => bytes,
            None if check.is_some() => return Err(SealError::Lost { path: path.to_owned() }),
            None => create(path)?,
        };
        let size = bytes.len();
        let key = <[u8; KEY_BYTES]>::try_from(bytes);
        let key = key.map_err(|_| SealError::Size { path: path.to_owned(), size })?;
        let key = NodeKey::from_bytes(&key)?;
        let check = match check {
            Some(check) => check.value,
            None => match key.put_check(state).await? {
                None => return Ok(key),
                // Another one was first: its key is the cluster's.
                Some(value) => value,
            },
        };
        match key.open(CHECK_PATH, &check) {
            Ok(text) if text == CHECK_TEXT => Ok(key),
            _ => Err(SealError::Another { path: path.to_owned() }),
        }
    }

    /// A key from its bytes.
    pub(crate) fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Result<NodeKey, SealError> {
        let key = UnboundKey::new(&AES_256_GCM, bytes);
        let broken = |_| SealError::Seal { path: "the node key".to_owned() };
        Ok(NodeKey { values: LessSafeKey::new(key.map_err(broken)?), bytes: *bytes })
    }

    /// Seals `plain` for `path`.
    pub(crate) fn seal(&self, path: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0_u8; NONCE_LEN];
        // Random nonces are safe for 2^32 values; a cluster seals a handful a day.
        rand::rng().fill_bytes(&mut nonce);
        let mut text = plain.to_vec();
        let aad = Aad::from(path.as_bytes());
        let nonce_value = Nonce::assume_unique_for_key(nonce);
        let sealed = self.values.seal_in_place_append_tag(nonce_value, aad, &mut text);
        sealed.map_err(|_| SealError::Seal { path: path.to_owned() })?;
        let mut value = Vec::with_capacity(1 + NONCE_LEN + text.len());
        value.push(FORMAT);
        value.extend_from_slice(&nonce);
        value.extend_from_slice(&text);
        Ok(value)
    }

    /// Opens what was sealed for `path`.
    pub(crate) fn open(&self, path: &str, value: &[u8]) -> Result<Vec<u8>, SealError> {
        let broken = || SealError::Broken { path: path.to_owned() };
        let rest = value.strip_prefix(&[FORMAT]).ok_or_else(broken)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(broken)?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let aad = Aad::from(path.as_bytes());
        let plain = self.values.open_in_place(nonce, aad, &mut text).map_err(|_| broken())?;
        let length = plain.len();
        text.truncate(length);
        Ok(text)
    }

    /// Seals something that somebody else keeps for a while, for `purpose`. Each gets a key of
    /// its own: whoever asks for millions of them comes no closer to two of the same nonce.
    pub(crate) fn seal_ticket(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let failed = || SealError::Seal { path: purpose.to_owned() };
        let mut salt = [0_u8; SALT_BYTES];
        rand::rng().fill_bytes(&mut salt);
        let key = self.ticket_key(&salt, purpose).ok_or_else(failed)?;
        let mut text = plain.to_vec();
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        key.seal_in_place_append_tag(nonce, Aad::empty(), &mut text).map_err(|_| failed())?;
        Ok([&salt[..], &text].concat())
    }

    /// Opens what was sealed for `purpose` by any instance with this key.
    pub(crate) fn open_ticket(&self, purpose: &str, value: &[u8]) -> Result<Vec<u8>, SealError> {
        let broken = || SealError::Broken { path: purpose.to_owned() };
        let (salt, text) = value.split_first_chunk::<SALT_BYTES>().ok_or_else(broken)?;
        let key = self.ticket_key(salt, purpose).ok_or_else(broken)?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let plain = key.open_in_place(nonce, Aad::empty(), &mut text).map_err(|_| broken())?;
        let length = plain.len();
        text.truncate(length);
        Ok(text)
    }

    fn ticket_key(&self, salt: &[u8], purpose: &str) -> Option<LessSafeKey> {
        let extracted = Salt::new(HKDF_SHA256, salt).extract(&self.bytes);
        let info = [b"dais iam ticket ", purpose.as_bytes()];
        let key: UnboundKey = extracted.expand(&info, &AES_256_GCM).ok()?.into();
        Some(LessSafeKey::new(key))
    }

    /// Leaves the proof which key is the cluster's; answers the one found if there was one.
    async fn put_check(&self, state: &dyn ClusterState) -> Result<Option<bytes::Bytes>, SealError> {
        let value = self.seal(CHECK_PATH, CHECK_TEXT)?;
        match state.put(CHECK_PATH, value.into(), When::Absent).await {
            Ok(_) => Ok(None),
            Err(StateError::Conflict { .. }) => {
                Ok(state.get(CHECK_PATH).await?.map(|entry| entry.value))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn create(path: &Path) -> Result<Vec<u8>, SealError> {
    let mut bytes = [0_u8; KEY_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    if secrets::create(path, &bytes)? {
        return Ok(bytes.to_vec());
    }
    // Somebody else made it at the same moment.
    secrets::read(path)?.ok_or_else(|| SealError::Lost { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn key(byte: u8) -> NodeKey {
        NodeKey::from_bytes(&[byte; 32]).unwrap()
    }

    #[test]
    fn a_value_opens_at_its_path_with_its_key_only() {
        let sealed = key(1).seal("/iam/keys/a", b"private").unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"private"));
        assert_eq!(key(1).open("/iam/keys/a", &sealed).unwrap(), b"private");
        assert!(key(1).open("/iam/keys/b", &sealed).is_err());
        assert!(key(2).open("/iam/keys/a", &sealed).is_err());
        for index in 0..sealed.len() {
            let mut broken = sealed.clone();
            broken[index] ^= 1;
            assert!(key(1).open("/iam/keys/a", &broken).is_err(), "byte {index}");
            assert!(key(1).open("/iam/keys/a", &sealed[..index]).is_err(), "{index} bytes");
        }
        assert_ne!(key(1).seal("/iam/keys/a", b"private").unwrap(), sealed);
    }

    #[test]
    fn a_ticket_opens_for_its_purpose_only() {
        let ticket = key(1).seal_ticket("login", b"state").unwrap();
        assert_eq!(key(1).open_ticket("login", &ticket).unwrap(), b"state");
        assert!(key(1).open_ticket("other", &ticket).is_err());
        assert!(key(2).open_ticket("login", &ticket).is_err());
        assert_ne!(key(1).seal_ticket("login", b"state").unwrap(), ticket);
        for index in 0..ticket.len() {
            let mut broken = ticket.clone();
            broken[index] ^= 1;
            assert!(key(1).open_ticket("login", &broken).is_err(), "byte {index}");
            assert!(key(1).open_ticket("login", &ticket[..index]).is_err(), "{index} bytes");
        }
    }

    #[tokio::test]
    async fn the_key_is_made_once_and_its_loss_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let state = cluster_state::embedded::open(folder.path().join("state")).unwrap();
        let path = folder.path().join("node.key");
        let first = NodeKey::load(&path, &*state).await.unwrap();
        let facts = std::fs::metadata(&path).unwrap();
        assert_eq!((facts.len(), facts.permissions().mode() & 0o777), (32, 0o600));
        let sealed = first.seal("/x", b"text").unwrap();
        let again = NodeKey::load(&path, &*state).await.unwrap();
        assert_eq!(again.open("/x", &sealed).unwrap(), b"text");

        let kept = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let lost = NodeKey::load(&path, &*state).await;
        assert!(matches!(lost, Err(SealError::Lost { .. })), "{lost:?}");
        assert!(!path.exists(), "no new key is made");

        secrets::create(&path, &[7; 32]).unwrap();
        let another = NodeKey::load(&path, &*state).await;
        assert!(matches!(another, Err(SealError::Another { .. })), "{another:?}");
        secrets::replace(&path, &[7; 31]).unwrap();
        let short = NodeKey::load(&path, &*state).await;
        assert!(matches!(short, Err(SealError::Size { size: 31, .. })), "{short:?}");
        secrets::replace(&path, &kept).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let open = NodeKey::load(&path, &*state).await;
        assert!(matches!(open, Err(SealError::File(SecretFileError::Mode { .. }))), "{open:?}");
    }
}
