//! Where frameworks' schedulers listen: the master's stream does not say it, its summary does. Of
//! a scheduler that listens nowhere, the machine that it says to run on counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster_events::asking::{Ask, Backoff, Server};
use cluster_events::master::Event;
use cluster_events::picture::{Id, Input};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Frameworks that wait; of those beyond, the next one that comes tells.
const WAITING: usize = 4096;
/// Frameworks come in groups: one question for all.
const SETTLE: Duration = Duration::from_millis(20);
const RESOLVE: Duration = Duration::from_secs(5);
/// How often it is tried; a master that does not say it once more will when a framework changes.
const TRIES: usize = 5;

/// Somebody to be looked for.
#[derive(Debug)]
pub(super) enum Wanted {
    /// From now on this master is asked.
    Leader(Server),
    Framework {
        id: Id,
        hostname: Box<str>,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Asker(Sender<Wanted>);

#[derive(Deserialize)]
struct Summary {
    #[serde(default)]
    frameworks: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: Box<str>,
    pid: Option<Box<str>>,
}

pub(super) fn channel() -> (Asker, Receiver<Wanted>) {
    let (to, wanted) = mpsc::channel(WAITING);
    (Asker(to), wanted)
}

// === impl Asker ===

impl Asker {
    pub(super) fn look_at(&self, event: &Event<Input>) {
        match event {
            Event::Connected { leader, input: Input::State(state) } => {
                let ip = leader.address.ip().to_string();
                self.want(Wanted::Leader(Server::new(leader.is_tls, &ip, leader.address.port())));
                for framework in &state.frameworks {
                    self.want(Wanted::Framework {
                        id: framework.id.clone(),
                        hostname: framework.hostname.clone(),
                    });
                }
            }
            Event::Change(Input::Framework(framework)) => self.want(Wanted::Framework {
                id: framework.id.clone(),
                hostname: framework.hostname.clone(),
            }),
            _ => {}
        }
    }

    fn want(&self, wanted: Wanted) {
        if self.0.try_send(wanted).is_err() {
            tracing::debug!("too many frameworks at once: where one listens is found out later");
        }
    }
}

/// Looks until nobody wants to know any more.
pub(super) async fn run(ask: Arc<Ask>, mut wanted: Receiver<Wanted>, to: Sender<Input>) {
    let mut leader: Option<Server> = None;
    let mut waiting: FxHashMap<Id, Box<str>> = FxHashMap::default();
    let mut batch = Vec::new();
    while wanted.recv_many(&mut batch, WAITING).await > 0 {
        tokio::time::sleep(SETTLE).await;
        while let Ok(more) = wanted.try_recv() {
            batch.push(more);
        }
        for one in batch.drain(..) {
            match one {
                Wanted::Leader(server) => leader = Some(server),
                Wanted::Framework { id, hostname } => drop(waiting.insert(id, hostname)),
            }
        }
        let pids = match &leader {
            Some(leader) if !waiting.is_empty() => pids(&ask, leader).await,
            _ => FxHashMap::default(),
        };
        for (framework, hostname) in std::mem::take(&mut waiting) {
            let address = match pids.get(&*framework) {
                Some(address) => Some(*address),
                None => resolve(&hostname).await,
            };
            if to.send(Input::Scheduler { framework, address }).await.is_err() {
                return;
            }
        }
    }
}

async fn pids(ask: &Ask, leader: &Server) -> FxHashMap<Box<str>, SocketAddr> {
    let mut backoff = Backoff::default();
    for _ in 0..TRIES {
        match ask.get(&leader.url("/master/state-summary")).await {
            Ok(Some(answer)) => return summary(&answer),
            Ok(None) => break,
            Err(error) => tracing::debug!(%leader, %error, "no summary of frameworks"),
        }
        tokio::time::sleep(backoff.pause()).await;
    }
    FxHashMap::default()
}

fn summary(answer: &[u8]) -> FxHashMap<Box<str>, SocketAddr> {
    let summary: Summary = serde_json::from_slice(answer).unwrap_or_else(|error| {
        tracing::warn!(%error, "the master's summary cannot be read");
        Summary { frameworks: Vec::new() }
    });
    let listens = |entry: Entry| {
        let address = entry.pid?.rsplit_once('@')?.1.parse().ok()?;
        Some((entry.id, address))
    };
    summary.frameworks.into_iter().filter_map(listens).collect()
}

/// Port 0: that something listens there is not said.
async fn resolve(hostname: &str) -> Option<SocketAddr> {
    if hostname.is_empty() {
        return None;
    }
    let looked = tokio::time::timeout(RESOLVE, tokio::net::lookup_host((hostname, 0))).await;
    looked.ok()?.ok()?.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedulers_listen_where_their_pids_say() {
        let found = summary(
            br#"{"cluster":"x","frameworks":[
                {"id":"a","name":"one","pid":"scheduler-1@10.0.0.1:4000","active":true},
                {"id":"b","name":"two","hostname":"x"},
                {"id":"c","pid":"scheduler@host:1"},
                {"id":"d","pid":"scheduler(1)@[2001:db8::1]:25501"}]}"#,
        );
        assert_eq!(found.len(), 2);
        assert_eq!(found.get("a"), "10.0.0.1:4000".parse().ok().as_ref());
        assert_eq!(found.get("d"), "[2001:db8::1]:25501".parse().ok().as_ref());
        assert!(summary(b"[").is_empty());
    }
}
