//! Bodies in the chunked coding.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    proxy::fuzz::chunked_body(data);
});
