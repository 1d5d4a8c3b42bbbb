//! A master's events, and what they add up to.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| cluster_events::fuzz::picture(data));
