//! The command executor as a process, with a fake agent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod executor {
    mod agent;
    mod tasks;
}
