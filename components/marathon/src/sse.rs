//! `/v2/events`: everything that happens, as server-sent events.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_kit::{Body, Response, respond};
use marathon_core::{Event, EventKind};
use tokio::{sync::mpsc, time};

use crate::{
    Handle,
    events::Subscription,
    http::{Api, Numbers, Problem, Query, now},
    render::event,
};

/// An empty line after so much silence: proxies and clients close what says nothing.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A client that takes nothing for so long does not read any more.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pieces that wait for the connection. What waits longer waits in the subscription, whose
/// limit cuts off who does not read.
const PIECES: usize = 4;
/// Bytes that are sent as one piece, unless one event has more.
const PIECE: usize = 64 * 1024;

/// The stream, for a client that takes one.
pub(crate) fn respond(
    api: &Arc<Api>,
    headers: &HeaderMap,
    query: &Query,
    peer: SocketAddr,
) -> Result<Response, Problem> {
    if !accepts_stream(headers) {
        return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"));
    }
    let types = query.all("event_type").map(str::to_owned).collect();
    let (pieces, body) = Body::channel(PIECES);
    let stream = Stream {
        handle: api.handle.clone(),
        events: api.handle.events(),
        types,
        pieces,
        peer: peer.ip(),
        numbers: api.numbers.clone(),
    };
    // Ends with the connection, or when it is cut off.
    tokio::spawn(stream.run());
    let kind = HeaderValue::from_static("text/event-stream;charset=utf-8");
    let mut response = respond::with_body(StatusCode::OK, kind, body);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}

fn accepts_stream(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = ranges
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim());
    kinds.any(|kind| kind == "text/event-stream")
}

struct Stream {
    handle: Handle,
    events: Subscription,
    /// Empty: all but those that have to be named.
    types: Vec<String>,
    pieces: mpsc::Sender<Bytes>,
    peer: IpAddr,
    numbers: Arc<Numbers>,
}

impl Stream {
    async fn run(mut self) {
        self.numbers.streams.fetch_add(1, Ordering::Relaxed);
        let remote = self.peer.to_string();
        self.publish(EventKind::StreamAttached { remote: remote.clone() });
        self.follow().await;
        self.numbers.streams.fetch_sub(1, Ordering::Relaxed);
        self.publish(EventKind::StreamDetached { remote });
    }

    fn publish(&self, kind: EventKind) {
        self.handle.publish(Event { at: now(), kind });
    }

    /// Until the client leaves, reads too slowly, or the service ends.
    async fn follow(&mut self) {
        let mut heartbeat = time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        heartbeat.tick().await;
        loop {
            let pieces = tokio::select! {
                batch = self.events.next() => match batch {
                    Some(batch) => self.encode(&batch),
                    None => return,
                },
                _ = heartbeat.tick() => vec![Bytes::from_static(b"\r\n")],
                () = self.pieces.closed() => return,
            };
            for piece in pieces {
                self.numbers.stream_bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
                if !self.send(piece).await {
                    return;
                }
            }
        }
    }

    /// False when the client is gone, or is taken for gone.
    async fn send(&self, piece: Bytes) -> bool {
        tokio::select! {
            biased;
            sent = time::timeout(PATIENCE, self.pieces.send(piece)) => matches!(sent, Ok(Ok(()))),
            () = self.events.cut_off() => false,
        }
    }

    fn encode(&self, batch: &[Event]) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        let mut out = Vec::new();
        for event in batch.iter().filter(|event| self.wants(event)) {
            frame(&mut out, event);
            if out.len() >= PIECE {
                pieces.push(std::mem::take(&mut out).into());
            }
        }
        if !out.is_empty() {
            pieces.push(out.into());
        }
        pieces
    }

    fn wants(&self, event: &Event) -> bool {
        let name = event.kind.name();
        match self.types.is_empty() {
            true => !event.named_only(),
            false => self.types.iter().any(|wanted| wanted == name),
        }
    }
}

/// One event as lines.
fn frame(out: &mut Vec<u8>, event: &Event) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(event.kind.name().as_bytes());
    out.extend_from_slice(b"\r\ndata: ");
    // JSON escapes the ends of lines.
    event::write(out, event);
    out.extend_from_slice(b"\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use marathon_model::Timestamp;

    #[test]
    fn who_takes_a_stream() {
        let accepts = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, value.parse().unwrap());
            accepts_stream(&headers)
        };
        assert!(accepts("text/event-stream"));
        assert!(accepts("application/json, text/event-stream;q=0.5"));
        assert!(!accepts("application/json") && !accepts("*/*"));
        assert!(!accepts_stream(&HeaderMap::new()));
    }

    #[test]
    fn an_event_is_two_lines_and_an_empty_one() {
        let mut out = Vec::new();
        let kind = EventKind::StreamAttached { remote: "10.0.0.1".into() };
        frame(&mut out, &Event { at: Timestamp(0), kind });
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "event: event_stream_attached\r\n\
             data: {\"remoteAddress\":\"10.0.0.1\",\"eventType\":\"event_stream_attached\",\
             \"timestamp\":\"1970-01-01T00:00:00.000Z\"}\r\n\r\n"
        );
    }
}
