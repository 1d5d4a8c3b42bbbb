//! Every Mesos wire type, v0 and v1: protobuf and Mesos-flavoured JSON both ways, RecordIO framing, the resource algebra.
//!
//! It is not: a client or a server; it does no I/O and knows no clock.
#![forbid(unsafe_code)]

/// The generated types, in the modules of their protobuf packages.
#[allow(clippy::all, clippy::pedantic, unreachable_pub, rustdoc::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}

pub mod attributes;
pub mod content;
pub mod fuzz;
pub mod json;
pub mod recordio;
pub mod required;
pub mod resources;
pub mod time;
pub mod v0;
pub mod validate;
mod wire;

pub use generated::google;
pub use generated::mesos::internal;
pub use generated::mesos::scheduler as v0_scheduler;
pub use generated::mesos::v1;
