//! Answers over HTTP/2: heads without what only HTTP/1.1 knows, bodies as the client takes them.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Response, StatusCode, Version};

use crate::worker;

/// The way back to a client.
pub(super) struct Outlet {
    stream: SendStream<Bytes>,
    sent: u64,
    over: bool,
}

/// The client is not there any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gone;

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

/// A head before the real one.
pub(super) fn interim(status: StatusCode, headers: Vec<(HeaderName, HeaderValue)>) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    let map = response.headers_mut();
    for (name, value) in headers {
        if !is_of_connections(&name) {
            // Refused only beyond tens of thousands of names.
            let _ = map.try_append(name, value);
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
    /// `over` when the head is all there is.
    pub(super) fn new(stream: SendStream<Bytes>, over: bool) -> Outlet {
        Outlet { stream, sent: 0, over }
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// The client has got all of the answer, or will.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// How many of `wanted` bytes the client takes now; at least one.
    pub(super) fn poll_room(
        &mut self,
        cx: &mut Context<'_>,
        wanted: usize,
    ) -> Poll<Result<usize, Gone>> {
        self.stream.reserve_capacity(wanted);
        loop {
            let room = self.stream.capacity().min(wanted);
            if room > 0 {
                return Poll::Ready(Ok(room));
            }
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(Gone)),
            }
        }
    }

    pub(super) fn send(&mut self, data: Bytes, last: bool) -> Result<(), Gone> {
        self.sent += data.len() as u64;
        self.over = last;
        self.stream.send_data(data, last).map_err(|_| Gone)
    }

    pub(super) fn send_trailers(&mut self, trailers: HeaderMap) -> Result<(), Gone> {
        self.over = true;
        self.stream.send_trailers(trailers).map_err(|_| Gone)
    }

    pub(super) fn reset(&mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }

    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_reset(cx).map(|_| ())
    }
}
