//! Turning a snapshot into bytes: in parts, on several threads, streamed, shared between readers.
//!
//! A [`Plan`] says what the answer consists of: literal text and pieces of work
//! that each write a stretch of a list. [`Rendering`] is the answer as it comes
//! into being; any number of readers follow it. Nothing here stops the owner of
//! the state: the snapshot is immutable.
mod cache;
mod plan;
pub(crate) mod proto;
pub(crate) mod text;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use http_kit::{Body, Response, respond};
use tokio::sync::{Notify, OwnedSemaphorePermit};

pub(crate) use cache::{ReadKey, ReadKind, Reads};
pub(crate) use plan::{Plan, render_now};

/// Answers up to this size are sent as one piece, with their length.
const WHOLE: usize = 256 * 1024;
/// A reader that takes nothing for so long is given up.
pub(crate) const STALLED: Duration = Duration::from_secs(60);

/// An answer that is being made, or is made.
#[derive(Debug, Default)]
pub(crate) struct Rendering {
    state: Mutex<State>,
    changed: Notify,
    /// Held for as long as a large answer takes memory.
    _room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Default)]
struct State {
    pieces: Vec<Bytes>,
    size: usize,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    Failed,
}

/// What a reader finds when it looks.
enum Look {
    /// Everything, in pieces.
    Complete(Vec<Bytes>),
    /// Too much to wait for the end.
    Large,
    Failed,
    NotYet,
}

/// How an answer is labelled.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    kind: HeaderValue,
    /// The function of `?jsonp=`.
    function: Option<String>,
}

// === impl Label ===

impl Label {
    pub(crate) fn of_type(kind: &'static str) -> Label {
        Label { kind: HeaderValue::from_static(kind), function: None }
    }

    /// JSON, or the script asked for.
    pub(crate) fn json(function: Option<&str>) -> Label {
        match function {
            None => Label::of_type("application/json"),
            Some(function) => {
                Label { kind: respond::javascript_type(), function: Some(function.to_owned()) }
            }
        }
    }

    fn before(&self) -> Option<Bytes> {
        self.function.as_ref().map(|function| Bytes::from(format!("{function}(")))
    }

    fn after(&self) -> Option<Bytes> {
        self.function.as_ref().map(|_| Bytes::from_static(b")"))
    }
}

// === impl Rendering ===

impl Rendering {
    fn new(room: Option<OwnedSemaphorePermit>) -> Rendering {
        Rendering { _room: room, ..Rendering::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        let mut state = self.state();
        state.size += piece.len();
        state.pieces.push(piece);
        drop(state);
        self.changed.notify_waiters();
    }

    fn end(&self, end: End) {
        self.state().end.get_or_insert(end);
        self.changed.notify_waiters();
    }

    fn is_large(&self) -> bool {
        self.state().size > WHOLE
    }

    fn look(&self) -> Look {
        let state = self.state();
        match state.end {
            _ if state.size > WHOLE => Look::Large,
            Some(End::Complete) => Look::Complete(state.pieces.clone()),
            Some(End::Failed) => Look::Failed,
            None => Look::NotYet,
        }
    }

    /// The piece at `index`; none at the end.
    async fn piece(&self, index: usize) -> Option<Bytes> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let state = self.state();
                if let Some(piece) = state.pieces.get(index) {
                    return Some(piece.clone());
                }
                if state.end.is_some() {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// The answer of one reader, if it can be given at once.
    pub(crate) fn respond_now(&self, label: &Label) -> Option<Response> {
        match self.look() {
            Look::Complete(pieces) => Some(whole(pieces, label)),
            Look::Failed => Some(failed()),
            Look::Large | Look::NotYet => None,
        }
    }

    /// The answer of one reader.
    pub(crate) async fn respond(self: Arc<Rendering>, label: Label) -> Response {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.look() {
                Look::Complete(pieces) => return whole(pieces, &label),
                Look::Failed => return failed(),
                Look::Large => break,
                Look::NotYet => changed.await,
            }
        }
        let (pieces, body) = Body::channel(8);
        let kind = label.kind.clone();
        tokio::spawn(self.follow(label, pieces));
        respond::with_body(StatusCode::OK, kind, body)
    }

    async fn follow(self: Arc<Rendering>, label: Label, to: tokio::sync::mpsc::Sender<Bytes>) {
        let mut index = 0;
        let mut next = label.before();
        loop {
            let piece = match next.take() {
                Some(piece) => piece,
                None => match self.piece(index).await {
                    Some(piece) => {
                        index += 1;
                        piece
                    }
                    None => break,
                },
            };
            if to.send_timeout(piece, STALLED).await.is_err() {
                return;
            }
        }
        if let Some(last) = label.after() {
            let _ = to.send_timeout(last, STALLED).await;
        }
    }
}

fn failed() -> Response {
    respond::internal_error("The answer could not be made")
}

fn whole(mut pieces: Vec<Bytes>, label: &Label) -> Response {
    let body = match (pieces.len(), &label.function) {
        (1, None) => pieces.pop().unwrap_or_default(),
        _ => {
            let all: Vec<Bytes> =
                label.before().into_iter().chain(pieces).chain(label.after()).collect();
            all.concat().into()
        }
    };
    respond::with_body(StatusCode::OK, label.kind.clone(), body)
}
