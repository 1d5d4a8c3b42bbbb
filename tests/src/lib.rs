//! End-to-end tests: whole clusters, real clients, faults.
//!
//! It is not: a library; it only carries the tests.
#![forbid(unsafe_code)]
