//! The client against a fake master.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod scheduler {
    mod client;
    mod master;
}
