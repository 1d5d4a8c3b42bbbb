//! Durations and sizes as text: what is printed can be read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesos_messages::time::{format_duration, format_size, parse_duration, parse_size};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(duration) = parse_duration(text) {
        assert!(parse_duration(&format_duration(duration)).is_ok(), "{duration:?}");
    }
    if let Ok(bytes) = parse_size(text) {
        assert!(parse_size(&format_size(bytes)).is_ok(), "{bytes}");
    }
});
