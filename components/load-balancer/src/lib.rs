//! Virtual addresses of services: which there are, where they lead, and the kernel's rules that
//! carry connections there.
//!
//! It is not: a proxy for traffic from outside, which is `edge`.

#![forbid(unsafe_code)]
