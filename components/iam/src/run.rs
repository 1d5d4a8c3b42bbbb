//! Starting and stopping.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use cluster_state::{ClusterState, StateError};
use http_kit::ServeConfig;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::audit::{self, Audit, AuditError, Event, since_epoch};
use crate::bootstrap::{ADMIN, Bootstrap, BootstrapError, Places};
use crate::clock::Clock;
use crate::feed::Feed;
use crate::http::Api;
use crate::keys::{Keys, KeysError};
use crate::service::Iam;
use crate::store::{Store, StoreError};
use crate::{ApiError, Config};

/// The largest head of a request: a token has 8 KiB at most.
const MAX_HEAD: usize = 64 * 1024;

/// An identity service that runs until its token is cancelled.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// The first administrator.
    pub admin_uid: String,
    /// Where the password of the first administrator stands (0600); gone once an operator
    /// removed it.
    pub admin_password_file: PathBuf,
    /// The certificate of the cluster's authority.
    pub ca_file: PathBuf,
    /// Credentials of the components, `<uid>.json`.
    pub service_accounts: PathBuf,
    /// Ends when it has stopped.
    pub join: JoinHandle<Result<(), IamError>>,
}

/// Why the service did not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum IamError {
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot read or write the cluster's state")]
    State(#[from] StateError),
    #[error("what is stored at {key} is not what this program writes: {reason}")]
    Stored { key: String, reason: String },
    #[error("cannot use {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("the keys cannot be used")]
    Keys(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the first accounts cannot be made")]
    Bootstrap(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the configuration is not usable: {0}")]
    Config(String),
    #[error("the service refused its own change: {0}")]
    Refused(#[from] ApiError),
    #[error("a part of the service stopped unexpectedly")]
    Crashed,
}

/// Starts the service and returns when it answers requests.
pub async fn start(
    config: Config,
    state: Arc<dyn ClusterState>,
    shutdown: CancellationToken,
) -> Result<Running, IamError> {
    let clock = Clock::system();
    let wanted = SocketAddr::new(config.ip, config.port);
    let listen = |source| IamError::Listen { address: wanted, source };
    let listener = TcpListener::bind(wanted).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    // However it ends, all of it ends.
    let shutdown = shutdown.child_token();
    let guard = shutdown.clone().drop_guard();
    let keys = Keys::open(&config, &state, clock.clone()).await?;
    let audit_settings = audit::Settings {
        file_bytes: config.audit_file_bytes,
        files: config.audit_files,
        reserve_bytes: config.audit_reserve_bytes,
        ..audit::Settings::default()
    };
    let audit = Audit::open(&config.data_dir, &audit_settings)
        .map_err(|source| IamError::File { path: config.data_dir.clone(), source })?;
    let feed = Feed::new(shutdown.clone());
    let (store, watch) = Store::open(Arc::clone(&state), Arc::clone(&feed)).await?;
    tell_of_start(&audit, address).await?;
    let first = Bootstrap {
        store: &store,
        audit: &audit,
        cluster: &state,
        node_key: &keys.node_key,
        passwords: &keys.passwords,
        data_dir: &config.data_dir,
        address,
        superuser_account: config.superuser_service_account.as_ref(),
    };
    let Places { admin_password_file, service_accounts } = first.run().await?;
    tracing::info!(fingerprint = keys.authority.fingerprint(), "the cluster's authority");
    let ca_file = config.data_dir.join("ca.crt");
    feed.set_keys(keys.keyring.ring().key_set().to_json());
    let iam = Arc::new(Iam::new(
        config,
        Arc::clone(&store),
        Arc::clone(&feed),
        Arc::new(audit),
        keys,
        clock,
    ));
    let _ = guard.disarm();
    let join = tokio::spawn(serve(iam, listener, watch, shutdown));
    Ok(Running {
        address,
        admin_uid: ADMIN.to_owned(),
        admin_password_file,
        ca_file,
        service_accounts,
        join,
    })
}

/// What stands in the audit log before anything else.
async fn tell_of_start(audit: &Audit, address: SocketAddr) -> Result<(), IamError> {
    let object = address.to_string();
    let started = Event { event: "service-start", object, ..Event::default() };
    Ok(audit.record(started, since_epoch()).await?)
}

/// Serves until the end, which is also the end of any of its parts: a service that does not
/// learn of changes, or tells nobody of them, would be worse than none.
async fn serve(
    iam: Arc<Iam>,
    listener: TcpListener,
    watch: cluster_state::Watch,
    shutdown: CancellationToken,
) -> Result<(), IamError> {
    let (store, feed) = (Arc::clone(&iam.store), Arc::clone(&iam.feed));
    let keyring = Arc::clone(&iam.keys.keyring);
    let part = |token: &CancellationToken| token.clone().drop_guard();
    let (token, ends) = (shutdown.clone(), part(&shutdown));
    let follow = tokio::spawn(async move {
        let _ends = ends;
        store.follow(watch, token).await;
    });
    let (beating, ends) = (Arc::clone(&feed), part(&shutdown));
    let every = iam.config.heartbeat;
    let beat = tokio::spawn(async move {
        let _ends = ends;
        beating.beat(every).await;
    });
    let (token, ends, kept) = (shutdown.clone(), part(&shutdown), Arc::clone(&keyring));
    let keep = tokio::spawn(async move {
        let _ends = ends;
        kept.keep(token).await;
    });
    let (token, ends) = (shutdown.clone(), part(&shutdown));
    let publish = tokio::spawn(async move {
        let _ends = ends;
        let mut rings = keyring.subscribe();
        loop {
            let keys = rings.borrow_and_update().key_set().to_json();
            feed.set_keys(keys);
            tokio::select! {
                changed = rings.changed() => if changed.is_err() { return },
                () = token.cancelled() => return,
            }
        }
    });
    let (token, ends, sso) = (shutdown.clone(), part(&shutdown), Arc::clone(&iam.keys.sso));
    let providers = tokio::spawn(async move {
        let _ends = ends;
        sso.providers.keep(token).await;
    });
    let (token, ends, folding) = (shutdown.clone(), part(&shutdown), Arc::clone(&iam));
    let fold = tokio::spawn(async move {
        let _ends = ends;
        folding.keep_folding(token).await;
    });
    let config = ServeConfig { max_head_bytes: MAX_HEAD, ..ServeConfig::default() };
    http_kit::serve(listener, Arc::new(Api::new(Arc::clone(&iam))), config, shutdown.clone()).await;
    shutdown.cancel();
    let (follow, beat, keep, publish, providers, fold) =
        tokio::join!(follow, beat, keep, publish, providers, fold);
    // Nobody is served any more.
    iam.tell_folded().await;
    follow.and(beat).and(keep).and(publish).and(providers).and(fold).map_err(|_| IamError::Crashed)
}

impl From<StoreError> for IamError {
    fn from(error: StoreError) -> IamError {
        match error {
            StoreError::State(error) => IamError::State(error),
            StoreError::Record(error) => IamError::Stored { key: error.key, reason: error.reason },
            StoreError::Refused(error) => IamError::Refused(error),
            StoreError::Contended => {
                IamError::Config("other instances changed the state all the time".to_owned())
            }
        }
    }
}

impl From<KeysError> for IamError {
    fn from(error: KeysError) -> IamError {
        IamError::Keys(Box::new(error))
    }
}

impl From<BootstrapError> for IamError {
    fn from(error: BootstrapError) -> IamError {
        match error {
            BootstrapError::Store(error) => error.into(),
            error => IamError::Bootstrap(Box::new(error)),
        }
    }
}
