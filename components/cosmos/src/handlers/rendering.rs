//! Rendering off the runtime's threads: a schema may take long to check, or for ever.

use std::sync::Arc;
use std::time::Duration;

use universe::{Object, Package, marathon_app};

use crate::error::Failure;

/// The most that a client waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// The Marathon app of a package; none where there is nothing to run.
pub(super) async fn rendered(
    package: &Arc<Package>,
    uri: &str,
    options: Option<&Object>,
    app_id: Option<&str>,
) -> Result<Option<Object>, Failure> {
    let named = format!("{} {}", package.name(), package.version());
    let (package, uri) = (Arc::clone(package), uri.to_owned());
    let (options, app_id) = (options.cloned(), app_id.map(str::to_owned));
    let work = tokio::task::spawn_blocking(move || {
        marathon_app(&package, &uri, options.as_ref(), app_id.as_deref())
    });
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(app)) => Ok(app?),
        Ok(Err(_)) => Err(Failure::unhandled(format!("{named} cannot be rendered"))),
        Err(_) => Err(Failure::unhandled(format!("{named} takes too long to render"))),
    }
}
