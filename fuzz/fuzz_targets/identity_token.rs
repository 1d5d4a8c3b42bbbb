//! Tokens: none that the fuzzer makes counts.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| identity::fuzz::token(data));
