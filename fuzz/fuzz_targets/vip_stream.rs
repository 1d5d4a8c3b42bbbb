//! What a controller of virtual addresses tells its nodes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| load_balancer::fuzz::vip_stream(data));
