//! Answers over HTTP/2: heads without what only HTTP/1.1 knows, bodies as the client takes them.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::SendStream;
use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{Response, StatusCode, Version};

use crate::deadline::Watch;
use crate::worker;

/// The way back to a client, with the client's time limit.
pub(super) struct Outlet {
    pub(super) stream: SendStream<Bytes>,
    watch: Watch,
    stalled: bool,
    pub(super) sent: u64,
}

/// The client left or takes nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lost {
    Gone,
    TooSlow,
}

/// A head as HTTP/2 carries it.
pub(super) fn head(
    context: &worker::Context,
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    length: Option<u64>,
) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = Version::HTTP_2;
    let map = response.headers_mut();
    map.reserve(headers.len() + 2);
    for (name, value) in headers {
        if !is_of_connections(&name) {
            // Refused only beyond tens of thousands of names.
            let _ = map.try_append(name, value);
        }
    }
    if let Some(length) = length {
        map.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if !map.contains_key(DATE) {
        let mut date = Vec::with_capacity(29);
        context.write_date(&mut date);
        if let Ok(date) = HeaderValue::from_maybe_shared(Bytes::from(date)) {
            map.insert(DATE, date);
        }
    }
    response
}

fn is_of_connections(name: &HeaderName) -> bool {
    [CONNECTION, TRANSFER_ENCODING, UPGRADE, TE].contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

// === impl Outlet ===

impl Outlet {
    pub(super) fn new(stream: SendStream<Bytes>, watch: Watch) -> Outlet {
        Outlet { stream, watch, stalled: false, sent: 0 }
    }

    /// How many of `wanted` bytes the client takes now; at least one.
    pub(super) fn poll_room(
        &mut self,
        cx: &mut Context<'_>,
        wanted: usize,
        limit: std::time::Duration,
    ) -> Poll<Result<usize, Lost>> {
        self.stream.reserve_capacity(wanted);
        loop {
            let room = self.stream.capacity().min(wanted);
            if room > 0 {
                if std::mem::take(&mut self.stalled) {
                    self.watch.set(None);
                }
                return Poll::Ready(Ok(room));
            }
            match self.stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Err(Lost::Gone)),
                Poll::Pending => break,
            }
        }
        self.watch.attach(cx.waker());
        if !self.stalled {
            self.stalled = true;
            self.watch.set(Some(limit));
        }
        if self.watch.expired() { Poll::Ready(Err(Lost::TooSlow)) } else { Poll::Pending }
    }

    pub(super) fn send(&mut self, data: Bytes, last: bool) -> Result<(), Lost> {
        self.sent += data.len() as u64;
        self.stream.send_data(data, last).map_err(|_| Lost::Gone)
    }

    /// Sends as much of `data` as the client takes; ready when nothing is left.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        data: &mut Bytes,
        limit: std::time::Duration,
    ) -> Poll<Result<(), Lost>> {
        while !data.is_empty() {
            let room = ready!(self.poll_room(cx, data.len(), limit))?;
            let piece = data.split_to(room);
            let last = data.is_empty();
            self.send(piece, last)?;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_reset(cx).map(|_| ())
    }
}
