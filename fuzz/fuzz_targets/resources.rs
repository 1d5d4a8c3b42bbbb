//! Resources as text, as JSON and as protobuf.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesos_messages::resources;

fuzz_target!(|data: &[u8]| {
    resources::fuzz::resource_text(data);
    resources::fuzz::resource_proto(data);
});
