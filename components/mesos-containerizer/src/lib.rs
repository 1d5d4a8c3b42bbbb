//! Containers as processes: launchers, isolation, limits, statistics, and the end of every descendant.
//!
//! It is not: aware of tasks or status updates.
