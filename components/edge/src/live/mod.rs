//! What is served right now: read by every request, changed when Marathon tells something.

mod backend;
pub(crate) mod counts;
pub(crate) mod edit;
mod table;

pub use backend::{Backend, Hint, Server, Servers, Usual};
pub(crate) use counts::Active;
pub use counts::Counts;
pub use edit::COOKIE;
pub use table::{Place, Ports, Table};
