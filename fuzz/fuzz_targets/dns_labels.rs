//! Names of tasks and frameworks, and what is made of them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| dns::fuzz::labels(data));
