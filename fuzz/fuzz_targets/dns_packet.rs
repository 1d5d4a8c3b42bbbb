//! Packets and connections of DNS.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| dns::fuzz::packets(data));
