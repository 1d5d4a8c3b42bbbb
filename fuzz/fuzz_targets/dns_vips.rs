//! The stream of virtual addresses.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| dns::fuzz::vips(data));
