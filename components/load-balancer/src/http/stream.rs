//! `/v1/vips/stream`: lines of JSON, first everything, then changes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use http_kit::{Body, Reply, respond};
use serde::Serialize;
use tokio::sync::mpsc::Sender;
use tokio::time::interval;

use super::Shared;
use crate::user_space::stand_in;
use crate::view::{Listener, View};
use crate::wire::{Line, NameLine};

/// Somebody is told something at least that often.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Listeners at once.
const MOST: usize = 4096;
/// Pieces that wait for a slow listener; changes beyond come together.
const PIECES: usize = 4;
const KIND: HeaderValue = HeaderValue::from_static("application/x-ndjson");

pub(super) fn backends(shared: &Arc<Shared>) -> Reply {
    begin(shared, |listener, view, _| listener.services(view), Line::default())
}

pub(super) fn names(shared: &Arc<Shared>) -> Reply {
    let names = |listener: &mut Listener, view: &View, stands_in: bool| {
        listener.names(view, |ip| if stands_in { stand_in(ip) } else { ip })
    };
    begin(shared, names, NameLine::default())
}

/// The stream is its own task's; that ends with the client or the process.
fn begin<L: Serialize + Send + 'static>(
    shared: &Arc<Shared>,
    hear: fn(&mut Listener, &View, bool) -> Vec<L>,
    nothing: L,
) -> Reply {
    let Some(mut listener) = shared.view.listen(MOST) else {
        return Reply::Now(respond::unavailable("There are too many streams."));
    };
    let (to, body) = Body::channel(PIECES);
    let (view, stands_in) = (Arc::clone(&shared.view), shared.listening.is_some());
    let (stop, heartbeat) = (shared.stop.clone(), line(&nothing));
    tokio::spawn(async move {
        let mut beat = interval(HEARTBEAT);
        let tell = async {
            loop {
                let lines = hear(&mut listener, &view, stands_in);
                let told = send(&to, lines.iter().flat_map(line).collect()).await;
                let lives = tokio::select! {
                    () = listener.changed() => told,
                    _ = beat.tick() => told && send(&to, heartbeat.clone()).await,
                    () = to.closed() => false,
                };
                if !lives {
                    return;
                }
            }
        };
        let _ = stop.run_until_cancelled(tell).await;
    });
    Reply::Now(respond::with_body(StatusCode::OK, KIND, body))
}

async fn send(to: &Sender<Bytes>, bytes: Vec<u8>) -> bool {
    bytes.is_empty() || to.send(bytes.into()).await.is_ok()
}

fn line<L: Serialize>(line: &L) -> Vec<u8> {
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    text
}
