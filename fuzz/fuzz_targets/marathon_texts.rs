//! Label selectors, ids and moments as text.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| marathon_model::fuzz::texts(data));
