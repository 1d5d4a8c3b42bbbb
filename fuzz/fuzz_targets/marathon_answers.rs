//! Marathon's apps and tasks, as the gateway reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| admin_router::knowledge::fuzz::marathon_answers(data));
