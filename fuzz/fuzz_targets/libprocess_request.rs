//! Requests that carry messages between processes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| libprocess::fuzz::request(data));
