//! `POST /api/v1/scheduler`: the calls of schedulers and the stream of events to them.
use std::sync::Arc;

use http_kit::{Endpoint, Request, Response, respond};

use super::{ACTOR, HttpState, SCHEDULER};

/// The scheduler API.
pub fn endpoint(state: Arc<HttpState>) -> Endpoint {
    Endpoint::new(ACTOR, "/api/v1/scheduler", move |request| answer(Arc::clone(&state), request))
        .realm(SCHEDULER)
        .help("The v1 scheduler API")
}

async fn answer(_state: Arc<HttpState>, _request: Request) -> Response {
    respond::not_implemented("The scheduler API")
}
