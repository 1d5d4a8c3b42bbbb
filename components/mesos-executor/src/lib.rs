//! The command executor: one task, its checks and its end, told to the agent over the v1 executor API.
//!
//! It is not: asynchronous: one thread and one poll loop keep it small. It is no container either:
//! whoever starts it (the containerizer) isolates it and ends what it leaves behind.
//!
//! - [`command::core`] decides: a state machine without sockets, processes or clocks.
//! - [`command::checks`] schedules and judges checks and health checks, in the same manner.
//! - [`command::shell`] polls two connections and the children's ends, and does what was decided.
//! - Every check runs as a child process, HTTP and TCP ones too (this same program), so that no
//!   check can hold up the loop, and a TLS library costs memory only while one runs.

pub mod command;
