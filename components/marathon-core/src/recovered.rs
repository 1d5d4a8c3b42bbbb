//! What a start finds in the store.

use crate::{Instance, TaskFailure};
use marathon_model::{group::Root, plan::Plan};

/// The result of all writes so far.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    pub framework_id: Option<String>,
    pub root: Root,
    pub instances: Vec<Instance>,
    /// In the order in which they were begun.
    pub deployments: Vec<Plan>,
    pub failures: Vec<TaskFailure>,
}
