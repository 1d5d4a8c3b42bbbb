//! Benchmarks of the services: Marathon over real HTTP with simulated agents, Cosmos on the Universe.
//!
//! It is not: a test; nothing here fails for being slow.
#![forbid(unsafe_code)]

fn main() {}
