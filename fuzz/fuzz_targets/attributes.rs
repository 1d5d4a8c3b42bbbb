//! Attributes as text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesos_messages::attributes::{self, AttributeText};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for attribute in attributes::parse(text).unwrap_or_default() {
        let _ = AttributeText(&attribute).to_string();
        let _ = attributes::is_valid(&attribute);
    }
});
