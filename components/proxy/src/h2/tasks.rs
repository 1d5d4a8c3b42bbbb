//! Tasks that serve one stream after the other: to make a task for each costs as much as a good
//! part of serving it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;

use super::{Active, stream};
use crate::deadline::Watch;
use crate::worker::Context;

/// Tasks that a worker keeps while there is nothing to do for them.
const KEPT: usize = 256;

/// The tasks of one worker that wait.
#[derive(Default)]
pub(crate) struct Tasks {
    idle: RefCell<Vec<Rc<Place>>>,
}

/// A stream to be served.
pub(super) struct Job {
    pub(super) active: Active,
    pub(super) watch: Watch,
    pub(super) request: Request<RecvStream>,
    pub(super) respond: SendResponse<Bytes>,
}

/// Where a task finds its next stream.
#[derive(Default)]
struct Place {
    job: Cell<Option<Job>>,
    waker: RefCell<Option<Waker>>,
}

// === impl Tasks ===

impl Tasks {
    /// Has a stream served.
    pub(super) fn serve(context: &Rc<Context>, job: Job) {
        let waiting = context.streams.idle.borrow_mut().pop();
        match waiting {
            Some(place) => {
                place.job.set(Some(job));
                if let Some(waker) = place.waker.borrow().as_ref() {
                    waker.wake_by_ref();
                }
            }
            None => {
                let place = Rc::new(Place { job: Cell::new(Some(job)), ..Place::default() });
                tokio::task::spawn_local(Box::pin(work(Rc::clone(context), place)));
            }
        }
    }
}

/// Ends with its worker at the latest; a stream that is served ends with its connection.
async fn work(context: Rc<Context>, place: Rc<Place>) {
    loop {
        let job = poll_fn(|cx| match place.job.take() {
            Some(job) => Poll::Ready(job),
            None => {
                *place.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        });
        let job = job.await;
        stream::serve(&context, job).await;
        let mut idle = context.streams.idle.borrow_mut();
        if idle.len() >= KEPT {
            return;
        }
        idle.push(Rc::clone(&place));
    }
}
