//! Paths and queries of Marathon's API.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| marathon::fuzz::request(data));
