//! The command executor: one task, its checks and its end, told to the agent over the v1 executor API.
//!
//! It is not: asynchronous: one thread and one poll loop keep it small.
