//! Rendering and other long computations, off the runtime's threads: a schema may take long to
//! check, or for ever.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;
use universe::{Object, Package, marathon_app};

use crate::Cosmos;
use crate::error::Failure;

/// The most that a client waits for the computation.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most that it waits for those of others.
const TURN: Duration = Duration::from_secs(10);

/// The Marathon app of a package; none where there is nothing to run.
pub(super) async fn rendered(
    cosmos: &Cosmos,
    package: &Arc<Package>,
    uri: &str,
    options: Option<&Object>,
    app_id: Option<&str>,
) -> Result<Option<Object>, Failure> {
    let named = format!("rendering {} {}", package.name(), package.version());
    let (package, uri) = (Arc::clone(package), uri.to_owned());
    let (options, app_id) = (options.cloned(), app_id.map(str::to_owned));
    let work = move || marathon_app(&package, &uri, options.as_ref(), app_id.as_deref());
    Ok(off_the_runtime(cosmos, &named, work).await??)
}

/// Computes on a thread for blocking work. Nothing can stop it there, so the permit goes with
/// it: computations without end take up their few places, and not every thread there is.
pub(super) async fn off_the_runtime<T: Send + 'static>(
    cosmos: &Cosmos,
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    within(&cosmos.renderings, [TURN, PATIENCE], what, work).await
}

async fn within<T: Send + 'static>(
    permits: &Arc<Semaphore>,
    [turn, patience]: [Duration; 2],
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let permit = timeout(turn, Arc::clone(permits).acquire_owned()).await;
    let Ok(Ok(permit)) = permit else { return Err(Failure::busy(what)) };
    let work = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    match timeout(patience, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => Err(Failure::unhandled(format!("{what} failed"))),
        Err(_) => Err(Failure::unhandled(format!("{what} takes too long"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_end_keeps_its_place_and_no_other() {
        let permits = Arc::new(Semaphore::new(1));
        let (short, long) = (Duration::from_millis(20), Duration::from_secs(60));
        let (end, ended) = std::sync::mpsc::sync_channel::<()>(1);
        let endless = move || ended.recv().is_err();
        let failure = within(&permits, [long, short], "it", endless).await.unwrap_err();
        assert_eq!(failure.message, "it takes too long");
        let failure = within(&permits, [short, long], "it", || ()).await.unwrap_err();
        assert_eq!((failure.kind, failure.status.as_u16()), ("Busy", 503));
        drop(end);
        assert_eq!(within(&permits, [long, long], "it", || 7).await, Ok(7));
    }
}
