//! Answers of servers, as the client commands read and show them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| cli::fuzz::answer(data));
