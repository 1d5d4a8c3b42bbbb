//! Everything Marathon stores.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| marathon::fuzz::stored(data));
