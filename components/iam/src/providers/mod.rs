//! The OpenID Connect providers of the cluster: kept sealed in its state, as their secrets are
//! in them.

mod config;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use cluster_state::{ClusterState, StateError, Version, When};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

pub(crate) use self::config::ProviderConfig;
use crate::ApiError;
use crate::sealing::{NodeKey, SealError};

const FOLDER: &str = "/iam/providers/";
/// Each of them is in every answer of the public list.
const MOST: usize = 64;
const MAX_ID: usize = 64;
const RETRY: Duration = Duration::from_secs(1);

/// Why a provider was not found or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProvidersError {
    #[error(transparent)]
    Refused(#[from] ApiError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("the provider at {path} in the cluster's state is not readable: {reason}")]
    Stored { path: String, reason: String },
    #[error("cannot read or write the cluster's state")]
    State(#[from] StateError),
}

/// A provider as it is stored.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) id: String,
    pub(crate) config: ProviderConfig,
    /// Changes with the configuration: what was fetched by an older one is not used.
    pub(crate) version: Version,
}

type All = BTreeMap<String, Arc<Provider>>;

/// All providers, and changes to them.
#[derive(Debug)]
pub(crate) struct Providers {
    state: Arc<dyn ClusterState>,
    node_key: Arc<NodeKey>,
    all: ArcSwap<All>,
}

impl Providers {
    pub(crate) async fn open(
        state: Arc<dyn ClusterState>,
        node_key: Arc<NodeKey>,
    ) -> Result<Providers, ProvidersError> {
        let providers = Providers { state, node_key, all: ArcSwap::default() };
        providers.load().await?;
        Ok(providers)
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<Provider>> {
        self.all.load().get(id).cloned()
    }

    pub(crate) fn by_issuer(&self, issuer: &str) -> Option<Arc<Provider>> {
        self.all.load().values().find(|provider| provider.config.issuer == issuer).cloned()
    }

    /// `GET /auth/providers`: every way to log in.
    pub(crate) fn ways_to_log_in(&self) -> Value {
        let local = |kind: &str, method: &str| {
            json!({
                "authentication-type": kind,
                "description": "Default DC/OS login provider",
                "client-method": method,
                "config": { "start_flow_url": "/acs/api/v1/auth/login" },
            })
        };
        let mut ways = Map::new();
        let users = local("dcos-uid-password", "dcos-usercredential-post-receive-authtoken");
        ways.insert("dcos-users".to_owned(), users);
        let services =
            local("dcos-uid-servicekey", "dcos-servicecredential-post-receive-authtoken");
        ways.insert("dcos-services".to_owned(), services);
        for (id, provider) in self.all.load().iter() {
            ways.insert(id.clone(), provider.config.listed(id));
        }
        Value::Object(ways)
    }

    /// `GET /auth/oidc/providers`: ids and descriptions.
    pub(crate) fn descriptions(&self) -> Value {
        let all = self.all.load();
        let one = |(id, provider): (&String, &Arc<Provider>)| {
            (id.clone(), Value::from(provider.config.description.clone()))
        };
        Value::Object(all.iter().map(one).collect())
    }

    /// `GET /auth/oidc/providers/{id}`
    pub(crate) fn show(&self, id: &str) -> Result<Value, ApiError> {
        self.find(id).map(|provider| provider.config.shown()).ok_or_else(|| unknown(id))
    }

    /// `PUT /auth/oidc/providers/{id}`
    pub(crate) async fn create(&self, id: &str, body: Value) -> Result<(), ProvidersError> {
        check_id(id)?;
        let config = ProviderConfig::from_json(body)?;
        if self.all.load().len() >= MOST {
            return Err(ApiError::invalid_data("There are too many providers.").into());
        }
        match self.put(id, &config, When::Absent).await {
            Err(ProvidersError::State(StateError::Conflict { .. })) => {
                let text = format!("OIDC provider with ID `{id}` already exists.");
                Err(ApiError::conflict("ERR_OIDC_PROVIDER_EXISTS", text).into())
            }
            other => other,
        }
    }

    /// `PATCH /auth/oidc/providers/{id}`
    pub(crate) async fn patch(&self, id: &str, patch: Value) -> Result<(), ProvidersError> {
        let provider = self.find(id).ok_or_else(|| unknown(id))?;
        let config = provider.config.patched(patch)?;
        match self.put(id, &config, When::Version(provider.version)).await {
            Err(ProvidersError::State(StateError::Conflict { .. })) => {
                self.load().await?;
                let text = format!("OIDC provider with ID `{id}` was changed at the same moment.");
                Err(ApiError::conflict("ERR_OIDC_PROVIDER_CHANGED", text).into())
            }
            other => other,
        }
    }

    /// `DELETE /auth/oidc/providers/{id}`
    pub(crate) async fn delete(&self, id: &str) -> Result<(), ProvidersError> {
        let provider = self.find(id).ok_or_else(|| unknown(id))?;
        let key = format!("{FOLDER}{}", provider.id);
        self.state.delete(&key, When::Any).await?;
        self.load().await
    }

    /// Follows what other instances change, until told to stop.
    pub(crate) async fn keep(&self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                followed = self.follow() => if let Err(error) = followed {
                    tracing::error!(error = &error as &dyn std::error::Error, "OIDC providers");
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    async fn follow(&self) -> Result<(), ProvidersError> {
        let mut watch = self.state.watch(FOLDER).await?;
        loop {
            self.load().await?;
            watch.next().await?;
        }
    }

    async fn put(
        &self,
        id: &str,
        config: &ProviderConfig,
        when: When,
    ) -> Result<(), ProvidersError> {
        let path = format!("{FOLDER}{id}");
        let plain = serde_json::to_vec(config).map_err(|error| stored(&path, error))?;
        let sealed = self.node_key.seal(&path, &plain)?;
        self.state.put(&path, sealed.into(), when).await?;
        self.load().await
    }

    async fn load(&self) -> Result<(), ProvidersError> {
        let mut all = All::new();
        for entry in self.state.list(FOLDER).await? {
            let plain = self.node_key.open(&entry.key, &entry.value)?;
            let config = serde_json::from_slice(&plain).map_err(|e| stored(&entry.key, e))?;
            let id = entry.key.strip_prefix(FOLDER).unwrap_or_default().to_owned();
            let provider = Provider { id: id.clone(), config, version: entry.version };
            all.insert(id, Arc::new(provider));
        }
        self.all.store(Arc::new(all));
        Ok(())
    }
}

/// A word that can stand in a URL, and is none of the ways to log in that are always there.
fn check_id(id: &str) -> Result<(), ApiError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let good = (1..=MAX_ID).contains(&id.len())
        && id.bytes().all(allowed)
        && !matches!(id, "dcos-users" | "dcos-services");
    if good {
        return Ok(());
    }
    let shown: String = id.chars().take(MAX_ID).collect();
    Err(ApiError::bad("ERR_INVALID_PROVIDER_ID", format!("Invalid provider ID: {shown}")))
}

pub(crate) fn unknown(id: &str) -> ApiError {
    let shown: String = id.chars().take(MAX_ID).collect();
    ApiError::bad("ERR_UNKNOWN_PROVIDER_ID", format!("OIDC provider with ID `{shown}` not known."))
}

fn stored(path: &str, error: impl std::fmt::Display) -> ProvidersError {
    ProvidersError::Stored { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(issuer: &str) -> Value {
        json!({
            "description": "Ours",
            "issuer": issuer,
            "base_url": "https://cluster.example.com",
            "client_id": "dcos",
            "client_secret": "s3cret",
        })
    }

    async fn open(state: &Arc<dyn ClusterState>) -> Providers {
        let key = Arc::new(NodeKey::from_bytes(&[1; 32]).unwrap());
        Providers::open(Arc::clone(state), key).await.unwrap()
    }

    #[tokio::test]
    async fn providers_are_kept_sealed_and_shown_without_their_secret() {
        let folder = tempfile::tempdir().unwrap();
        let state = cluster_state::embedded::open(folder.path().join("state")).unwrap();
        let state = state as Arc<dyn ClusterState>;
        let one = open(&state).await;
        one.create("ours", body("https://a.example")).await.unwrap();
        let again = one.create("ours", body("https://b.example")).await;
        assert!(matches!(again, Err(ProvidersError::Refused(error)) if error.status == 409));
        let two = open(&state).await;
        assert_eq!(two.show("ours").unwrap()["issuer"], json!("https://a.example"));
        assert!(two.show("ours").unwrap().get("client_secret").is_none());
        let provider = two.find("ours").unwrap();
        assert_eq!(provider.config.client_secret.as_deref(), Some("s3cret"));
        for entry in state.list("/iam/").await.unwrap() {
            assert!(!String::from_utf8_lossy(&entry.value).contains("s3cret"), "{}", entry.key);
        }
        two.patch("ours", json!({"description": "Theirs"})).await.unwrap();
        let outdated = one.patch("ours", json!({"description": "x"})).await;
        assert!(matches!(outdated, Err(ProvidersError::Refused(error)) if error.status == 409));
        assert_eq!(one.descriptions(), json!({"ours": "Theirs"}));
        one.delete("ours").await.unwrap();
        assert_eq!(one.show("ours").unwrap_err().code, Some("ERR_UNKNOWN_PROVIDER_ID"));
    }

    #[tokio::test]
    async fn the_ways_to_log_in_are_the_originals() {
        let folder = tempfile::tempdir().unwrap();
        let state = cluster_state::embedded::open(folder.path().join("state")).unwrap();
        let state = state as Arc<dyn ClusterState>;
        let providers = open(&state).await;
        providers.create("ours", body("https://a.example")).await.unwrap();
        assert_eq!(
            providers.ways_to_log_in(),
            json!({
                "dcos-users": {
                    "authentication-type": "dcos-uid-password",
                    "description": "Default DC/OS login provider",
                    "client-method": "dcos-usercredential-post-receive-authtoken",
                    "config": {"start_flow_url": "/acs/api/v1/auth/login"},
                },
                "dcos-services": {
                    "authentication-type": "dcos-uid-servicekey",
                    "description": "Default DC/OS login provider",
                    "client-method": "dcos-servicecredential-post-receive-authtoken",
                    "config": {"start_flow_url": "/acs/api/v1/auth/login"},
                },
                "ours": {
                    "authentication-type": "oidc-authorization-code-flow",
                    "description": "Ours",
                    "client-method": "browser-prompt-authtoken",
                    "config": {
                        "start_flow_url": "/acs/api/v1/auth/login?oidc-provider=ours\
                                           &target=dcos:authenticationresponse:html",
                        "cli_flow": "v1",
                    },
                },
            })
        );
    }

    #[test]
    fn ids_are_words() {
        for good in ["google", "a-b_C9"] {
            assert!(check_id(good).is_ok(), "{good}");
        }
        for bad in ["", "a/b", "a b", "..", "dcos-users", "ä", &"a".repeat(65)] {
            assert!(check_id(bad).is_err(), "{bad}");
        }
    }
}
