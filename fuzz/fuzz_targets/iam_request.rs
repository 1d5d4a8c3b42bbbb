//! Paths, headers and bodies of IAM's API.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| iam::fuzz::request(data));
