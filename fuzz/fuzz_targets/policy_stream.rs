//! The stream of policy changes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| identity::fuzz::policy_stream(data));
