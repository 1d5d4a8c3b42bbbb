//! Definitions of apps: what becomes an app prints and reads back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| marathon_model::fuzz::app(data));
