//! Apps and their labels, as the public edge reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    edge::fuzz::apps(data);
    edge::fuzz::port_labels(data);
});
