//! Certificate signing requests, and the hosts asked for.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| iam::fuzz::certificate_request(data));
