//! What browsers and programs send to the gateway: tokens, cookies, origins, places to go.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| admin_router::fuzz::gateway_fields(data));
