//! Everything secret that the service works with, opened together at its start.

use std::sync::Arc;

use cluster_state::ClusterState;

use crate::Config;
use crate::ca::{Authority, CaError};
use crate::clock::Clock;
use crate::oidc::Sso;
use crate::password::Passwords;
use crate::providers::ProvidersError;
use crate::sealing::{NodeKey, SealError};
use crate::secrets::{self, SecretFileError};
use crate::signing::{Keyring, SigningError, SigningSettings};

const NODE_KEY_FILE: &str = "node.key";
const CA_FILE: &str = "ca.crt";

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error(transparent)]
    File(#[from] SecretFileError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error(transparent)]
    Providers(#[from] ProvidersError),
}

/// The keys of this instance, which are the cluster's.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) node_key: Arc<NodeKey>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) passwords: Passwords,
    pub(crate) sso: Arc<Sso>,
}

impl Keys {
    /// Opens them, makes those that are missing at the first start, and writes the authority's
    /// certificate to a file.
    pub(crate) async fn open(
        config: &Config,
        state: &Arc<dyn ClusterState>,
        clock: Clock,
    ) -> Result<Keys, KeysError> {
        secrets::create_folder(&config.data_dir)?;
        let node_key = NodeKey::load(&config.data_dir.join(NODE_KEY_FILE), &**state).await?;
        let node_key = Arc::new(node_key);
        let settings = SigningSettings {
            token_lifetime: config.token_lifetime,
            token_longest: config.token_longest,
            publish_ahead: config.key_publish_ahead,
            rotate_after: config.key_rotation,
        };
        let keyring =
            Keyring::open(Arc::clone(state), Arc::clone(&node_key), settings, clock.clone());
        let authority = Authority::open(state, &node_key, clock.clone());
        let (keyring, authority) = tokio::join!(keyring, authority);
        let (keyring, authority) = (keyring?, Arc::new(authority?));
        secrets::publish(&config.data_dir.join(CA_FILE), authority.pem().as_bytes())?;
        let sso = Arc::new(Sso::open(Arc::clone(state), Arc::clone(&node_key), clock).await?);
        Ok(Keys { node_key, keyring, authority, passwords: Passwords::new(), sso })
    }
}
