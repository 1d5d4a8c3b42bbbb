//! `render-haproxy`: the configuration of HAProxy's for what Marathon has at this moment.

use std::sync::Arc;
use std::time::Duration;

use cluster_events::marathon::{Event, Follower};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::follow::{Reader, look_up};
use crate::haproxy::{Frame, Secrets, render};
use crate::routes::facts::AppFact;
use crate::routes::{Reported, Routes, Service};
use crate::run::{StartError, asking};

/// How long Marathon may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("Marathon was not read within {} s", PATIENCE.as_secs())]
    Silent,
    #[error("these are no apps as /v2/apps?embed=apps.tasks lists them")]
    Malformed,
}

/// A configuration, and what labels ask for that is not in it.
#[derive(Debug)]
pub struct Rendered {
    pub text: String,
    pub problems: Vec<Reported>,
}

/// Of apps as Marathon lists them in JSON, at `/v2/apps?embed=apps.tasks`. Hosts of tasks are
/// looked up where they are names.
///
/// # Errors
/// It is no such list.
pub async fn of_json(config: &Config, text: &[u8]) -> Result<Rendered, RenderError> {
    let list: Value = serde_json::from_slice(text).map_err(|_| RenderError::Malformed)?;
    let apps = list.get("apps").and_then(Value::as_array).ok_or(RenderError::Malformed)?;
    Ok(of(config, apps.iter().filter_map(AppFact::read).collect()).await)
}

/// Of what Marathon has.
///
/// # Errors
/// Marathon does not answer.
pub async fn of_marathon(config: &Config) -> Result<Rendered, RenderError> {
    let token = CancellationToken::new();
    let _end = token.clone().drop_guard();
    let (ask, _login) = asking(config, &token)?;
    let (to, mut heard) = mpsc::channel(16);
    let marathons = config.marathons.clone();
    let follower = Follower { ask, marathons, decoder: Arc::new(Reader), after: 0, to };
    let read = async {
        while let Some((_, event)) = heard.recv().await {
            if let Event::Apps { apps, .. } = event {
                return Some(apps);
            }
        }
        None
    };
    let apps = tokio::select! {
        apps = tokio::time::timeout(PATIENCE, read) => apps.ok().flatten(),
        () = follower.run() => None,
    };
    Ok(of(config, apps.ok_or(RenderError::Silent)?).await)
}

async fn of(config: &Config, apps: Vec<AppFact>) -> Rendered {
    let mut routes = Routes::new(config.scope.clone());
    routes.all(0, apps);
    let hosts: Vec<_> = routes.unresolved().cloned().collect();
    for host in hosts {
        if let (host, Some(address)) = look_up(host).await {
            routes.resolved(&host, address);
        }
    }
    let services = routes.services();
    let services: Vec<&Service> = services.iter().map(|service| &**service).collect();
    let text = render(&Frame { config, secrets: Secrets::Shown }, &services);
    Rendered { text, problems: routes.problems() }
}
