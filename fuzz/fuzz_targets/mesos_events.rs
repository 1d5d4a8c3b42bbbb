//! A master's events, as the gateway follows them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| admin_router::knowledge::fuzz::mesos_events(data));
