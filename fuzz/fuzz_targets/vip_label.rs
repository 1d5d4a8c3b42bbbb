//! Labels that ask for virtual addresses.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| load_balancer::fuzz::vip_label(data));
