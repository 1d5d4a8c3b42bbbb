//! The Mesos master.
//!
//! It is not: a scheduler; it offers, frameworks decide.
