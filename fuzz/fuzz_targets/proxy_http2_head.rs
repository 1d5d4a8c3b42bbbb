//! Requests as HTTP/2 carries them: nothing in them that HTTP/1.1 would read otherwise.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    proxy::fuzz::http2_head(data);
});
