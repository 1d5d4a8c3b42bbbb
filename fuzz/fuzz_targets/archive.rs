//! Archives that are unpacked into a sandbox.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| mesos_fetcher::fuzz::archive(data));
