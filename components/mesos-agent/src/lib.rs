//! The Mesos agent.
//!
//! It is not: a containerizer; it decides what runs, mesos-containerizer runs it.
