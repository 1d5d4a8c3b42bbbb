//! `POST /api/v1/scheduler`: the calls of schedulers and the stream of events to them.
use std::sync::Arc;

use axum::Router;

use super::HttpState;

/// The scheduler API.
pub fn routes() -> Router<Arc<HttpState>> {
    Router::new()
}
