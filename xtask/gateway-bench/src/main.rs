//! Measures the gateway side by side with nginx, haproxy and caddy.
//!
//! It is not: a test; nothing depends on its figures.
#![forbid(unsafe_code)]

fn main() {}
