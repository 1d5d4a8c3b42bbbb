//! Groups, and lists of updates of apps.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| marathon_model::fuzz::group(data));
