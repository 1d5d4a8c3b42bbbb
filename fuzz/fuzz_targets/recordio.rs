//! Framing: any bytes, cut anywhere.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| mesos_messages::fuzz::recordio(data));
