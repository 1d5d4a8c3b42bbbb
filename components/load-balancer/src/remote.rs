//! What a node hears of a controller: its stream of services, over HTTP.
//!
//! While no controller answers, what was heard stays at work.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use cluster_events::asking::{Ask, AskError, Backoff, Server};
use http_body_util::BodyExt;
use http_kit::guard::{Lines, TooLong};
use tokio::time::{sleep, timeout};

use crate::kernel::Vip;
use crate::view::{Update, View};
use crate::vips::label::Host;
use crate::vips::offer::Service;
use crate::wire::{Entry, LARGEST_LINE, Line};

pub(crate) const PATH: &str = "/v1/vips/stream?backends=true";
/// A controller says something every five seconds.
const PATIENCE: Duration = Duration::from_secs(16);

#[derive(Debug, thiserror::Error)]
enum End {
    #[error("{0}")]
    Ask(#[from] AskError),
    #[error("it was closed")]
    Closed,
    #[error("it broke: {0}")]
    Broken(String),
    #[error("nothing came for {PATIENCE:?}")]
    Silent,
    #[error("a line cannot be read: {0}")]
    Line(#[from] serde_json::Error),
    #[error(transparent)]
    Long(#[from] TooLong),
}

/// Follows one controller after the other, whichever answers. May be dropped at any moment.
pub(crate) async fn run(ask: Arc<Ask>, controllers: Vec<Server>, view: Arc<View>) {
    let mut heard = Heard { view, services: BTreeMap::new() };
    let mut backoff = Backoff::default();
    for server in controllers.iter().cycle() {
        let mut begun = false;
        let Err(end) = follow(&ask, server, &mut heard, &mut begun).await;
        heard.view.set_led(false);
        if begun {
            backoff.reset();
            tracing::warn!(%server, reason = %end, "the stream of virtual addresses ended");
        } else {
            tracing::info!(%server, reason = %end, "no stream of virtual addresses");
        }
        sleep(backoff.pause()).await;
    }
}

async fn follow(
    ask: &Ask,
    server: &Server,
    heard: &mut Heard,
    begun: &mut bool,
) -> Result<Infallible, End> {
    let request = |server: &Server| http::Request::get(server.url(PATH)).body(Default::default());
    let (_, mut stream) = ask.stream(server.clone(), request).await?;
    let mut lines = Lines::with_limit(LARGEST_LINE);
    loop {
        let frame = timeout(PATIENCE, stream.frame()).await.map_err(|_| End::Silent)?;
        let frame = frame.ok_or(End::Closed)?.map_err(|error| End::Broken(error.to_string()))?;
        let Ok(piece) = frame.into_data() else { continue };
        let mut updates = Vec::new();
        let mut whole = false;
        lines.push(&piece, |line| {
            let line: Line = serde_json::from_slice(line)?;
            whole |= line.vips.is_some();
            updates.append(&mut heard.enter(line));
            Ok::<(), End>(())
        })?;
        // A controller that knows nothing yet says nothing of services.
        *begun |= whole;
        if *begun && (whole || !updates.is_empty()) {
            heard.view.publish(updates);
            heard.view.set_led(true);
        }
    }
}

/// All that was heard.
struct Heard {
    view: Arc<View>,
    services: BTreeMap<Vip, Service>,
}

// === impl Heard ===

impl Heard {
    fn enter(&mut self, line: Line) -> Vec<Update> {
        let mut updates = Vec::new();
        if let Some(all) = line.vips {
            let mut old = std::mem::take(&mut self.services);
            for entry in all {
                let key = entry.key();
                updates.append(&mut self.put(entry));
                if old.get(&key) == self.services.get(&key) {
                    old.remove(&key);
                }
            }
            let stays: std::collections::BTreeSet<&Service> = self.services.values().collect();
            let gone = old.into_values().filter(|service| !stays.contains(service));
            updates.extend(gone.map(|service| (service, None)));
        }
        if let Some(gone) = line.gone
            && let Some(service) = self.services.remove(&gone.key())
        {
            updates.push((service, None));
        }
        if let Some(entry) = line.put {
            updates.append(&mut self.put(entry));
        }
        updates
    }

    /// Whoever had its place has it no more.
    fn put(&mut self, entry: Entry) -> Vec<Update> {
        let host = match entry.vip.parse() {
            Ok(address) => Host::Address(address),
            Err(_) => Host::Name(entry.vip.as_str().into()),
        };
        let service = Service { host, protocol: entry.protocol, port: entry.port };
        let before = self.services.insert(entry.key(), service.clone());
        let gone = before.filter(|before| *before != service).map(|before| (before, None));
        gone.into_iter().chain([(service, Some(Arc::new(entry)))]).collect()
    }
}

/// Whatever a controller says, the view is what it said last; for fuzzing.
pub(crate) fn fuzz(data: &[u8]) {
    let view = Arc::new(View::default());
    let mut heard = Heard { view: Arc::clone(&view), services: BTreeMap::new() };
    let mut lines = Lines::with_limit(LARGEST_LINE);
    for piece in data.chunks(7) {
        let read = lines.push(piece, |line| {
            if let Ok(line) = serde_json::from_slice::<Line>(line) {
                view.publish(heard.enter(line));
            }
            Ok::<(), TooLong>(())
        });
        assert!(read.is_ok());
    }
    let mut listener = view.listen(1);
    let told = listener.as_mut().map(|one| one.services(&view)).unwrap_or_default();
    let all = told.into_iter().filter_map(|line| line.vips).flatten();
    for entry in all {
        let targets = entry.targets(None);
        assert!(targets.all().count() <= entry.backends.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_new_beginning_takes_away_what_it_does_not_have() {
        let view = Arc::new(View::default());
        let mut heard = Heard { view: Arc::clone(&view), services: BTreeMap::new() };
        let entry = |vip: &str, ip: &str| {
            format!(r#"{{"vip":"{vip}","protocol":"tcp","ip":"{ip}","port":80,"backends":[]}}"#)
        };
        let all = |entries: &[String]| line(&format!(r#"{{"vips":[{}]}}"#, entries.join(",")));
        let shown = || {
            let entries = view.snapshot().services;
            entries.iter().map(|one| format!("{} {}", one.vip, one.ip)).collect::<Vec<_>>()
        };
        view.publish(heard.enter(all(&[entry("a.m", "11.0.0.1"), entry("b.m", "11.0.0.2")])));
        assert_eq!(shown(), ["a.m 11.0.0.1", "b.m 11.0.0.2"]);
        // While it was away one went, one moved, one came.
        let now = [entry("b.m", "11.0.0.3"), entry("1.2.3.4", "1.2.3.4")];
        view.publish(heard.enter(all(&now)));
        assert_eq!(shown(), ["b.m 11.0.0.3", "1.2.3.4 1.2.3.4"]);
        let gone = line(r#"{"gone":{"protocol":"tcp","ip":"11.0.0.3","port":80}}"#);
        view.publish(heard.enter(gone));
        view.publish(heard.enter(line(&format!(r#"{{"put":{}}}"#, entry("c.m", "11.0.0.2")))));
        assert_eq!(shown(), ["c.m 11.0.0.2", "1.2.3.4 1.2.3.4"]);
        view.publish(heard.enter(line(&format!(r#"{{"put":{}}}"#, entry("d.m", "11.0.0.2")))));
        assert_eq!(shown(), ["d.m 11.0.0.2", "1.2.3.4 1.2.3.4"], "two are never at one place");
        assert!(heard.enter(line("{}")).is_empty());
    }
}
