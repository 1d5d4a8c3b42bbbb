//! Marathon's stream of events, as every follower reads it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| cluster_events::fuzz::marathon_stream(data));
