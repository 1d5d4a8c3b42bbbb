//! Calls in protobuf, of every API, v0 among them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| mesos_messages::fuzz::calls_protobuf(data));
