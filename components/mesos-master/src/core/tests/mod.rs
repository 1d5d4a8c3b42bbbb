//! Tests of the core alone: inputs in, effects out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accepting;
mod agents;
mod frameworks;
mod reconciling;
mod simulation;
mod world;
