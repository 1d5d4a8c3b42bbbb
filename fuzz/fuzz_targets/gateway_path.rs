//! Paths at the gateway.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| admin_router::fuzz::gateway_path(data));
