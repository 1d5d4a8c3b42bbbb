//! The master's HTTP interface; every path also answers below `/master`.
use std::sync::Arc;

use axum::Router;

use crate::handle::MasterHandle;

pub mod scheduler;

/// What every handler can reach.
#[derive(Clone, Debug)]
pub struct HttpState {
    pub handle: MasterHandle,
}

/// All routes, without the `/master` prefix.
pub fn router(state: Arc<HttpState>) -> Router {
    Router::new().merge(scheduler::routes()).with_state(state)
}
