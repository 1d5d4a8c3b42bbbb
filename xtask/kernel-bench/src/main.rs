//! Benchmarks of the kernel: master, agent, allocator, with and without sockets.
//!
//! It is not: a test; nothing here passes or fails.
fn main() {}
