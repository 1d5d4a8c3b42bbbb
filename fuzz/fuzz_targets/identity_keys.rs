//! Key sets and keys in PEM.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| identity::fuzz::keys_of(data));
