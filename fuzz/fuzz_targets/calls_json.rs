//! Calls in JSON, of every API.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| mesos_messages::fuzz::calls_json(data));
