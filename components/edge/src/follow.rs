//! Marathon's documents and events in the words of [`crate::routes`].

use std::sync::Arc;

use cluster_events::marathon::sse::Event;
use cluster_events::marathon::{Decode, Told};
use serde_json::Value;

use crate::routes::facts::{self, AppFact, TaskNews};

/// Events about tasks, besides those of their states.
const MORE: [&str; 4] = [
    "health_status_changed_event",
    "instance_changed_event",
    "instance_health_changed_event",
    "unhealthy_instance_kill_event",
];

/// Reads all apps: which of them matter is said by their labels, and those may change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader;

impl Decode for Reader {
    type App = AppFact;
    type Task = TaskNews;

    fn app(&self, app: Value) -> Option<AppFact> {
        AppFact::read(&app)
    }

    fn task(&self, data: &[u8]) -> Result<Option<TaskNews>, serde_json::Error> {
        Ok(facts::status_update(&serde_json::from_slice(data)?))
    }

    fn more_events(&self) -> &[&str] {
        &MORE
    }

    fn event(&self, event: &Event) -> Result<Option<Told<TaskNews>>, serde_json::Error> {
        let data: Value = serde_json::from_slice(&event.data)?;
        Ok(facts::instance_event(&event.name, &data).map(Told::Task))
    }
}

/// What the follower tells.
pub(crate) type Heard = (cluster_events::marathon::Turn, cluster_events::marathon::EventOf<Reader>);

/// Which hosts' addresses are looked up at once.
pub(crate) async fn look_up(host: Arc<str>) -> (Arc<str>, Option<std::net::IpAddr>) {
    let found = tokio::net::lookup_host((&*host, 0)).await.ok();
    // As the original: the first address of version 4.
    let all: Vec<_> = found.into_iter().flatten().map(|address| address.ip()).collect();
    let first = all.iter().find(|ip| ip.is_ipv4()).or(all.first()).copied();
    (host, first)
}
