//! What users ask for.

use crate::Instance;
use marathon_model::{App, InstanceId, ModelError, PathId, Timestamp, change::Change};
use std::sync::Arc;
use thiserror::Error;

/// A write of the API.
#[derive(Clone, Debug)]
pub enum Command {
    Change {
        change: Change,
        force: bool,
    },
    /// What the change would do; nothing is changed.
    DryRun {
        change: Change,
    },
    Kill {
        what: KillWhat,
        /// Lower the count by the number killed, as a deployment.
        scale: bool,
        /// Forget the instances: their places get new ids.
        wipe: bool,
        force: bool,
    },
    CancelDeployment {
        id: String,
        /// Leave everything as it is now; otherwise roll back.
        force: bool,
    },
    /// Forget the back-off of an app.
    ResetDelay {
        app: PathId,
    },
}

/// Which instances are to be killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KillWhat {
    /// Unknown ones are ignored.
    Ids(Vec<InstanceId>),
    /// Those of an app, or only those on a host.
    App { id: PathId, host: Option<String> },
}

/// What came of a command.
pub type Reply = Result<Done, Refusal>;

/// It was done, or has begun.
#[derive(Clone, Debug)]
pub enum Done {
    Deployment {
        id: String,
        version: Timestamp,
        /// The app of a change to one app, as it is now.
        app: Option<Arc<App>>,
        /// Whether that app (or group) did not exist before.
        created: bool,
    },
    /// The answer of a dry run.
    Impact(serde_json::Value),
    Killed(Vec<Arc<Instance>>),
    Nothing,
}

/// It was not done.
#[derive(Clone, Debug, Error)]
pub enum Refusal {
    #[error("{0}")]
    Model(#[from] ModelError),
    /// The orchestrator stops or has no time.
    #[error("{0}")]
    Unavailable(String),
}
