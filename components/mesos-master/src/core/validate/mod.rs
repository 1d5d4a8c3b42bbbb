//! What makes calls and messages valid, in the original's order and words: schedulers read these texts.
mod agent;
mod call;
mod common;
mod executor;
mod framework;
mod group;
mod resource;
mod task;

pub(super) use agent::{register, reregister};
pub use call::scheduler_call;
pub(crate) use framework::roles;
pub(super) use framework::{framework, offer_constraint_roles, suppressed_roles, update};
pub(super) use group::group;
pub(super) use resource::operation as operation_resources;
pub(super) use task::{TaskContext, TaskResources, task};

/// Why something was refused; the text goes to whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

/// The outcome of a check.
pub type Check = Result<(), Invalid>;

fn invalid<T>(text: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid(text.into()))
}

/// Puts `what` before the reason of a failed check.
fn within(check: Check, what: &str) -> Check {
    check.map_err(|reason| Invalid(format!("{what}: {reason}")))
}
