//! Client side of the v1 scheduler API.
//!
//! It is not: a framework; callers decide on offers.
