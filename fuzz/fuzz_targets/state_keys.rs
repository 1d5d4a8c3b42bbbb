//! Keys and prefixes of the cluster state.
#![no_main]

use cluster_state::limits::{check_key, check_prefix};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if check_key(text).is_ok() {
        assert!(check_prefix(&format!("{text}/")).is_ok(), "{text:?}");
        assert!(check_prefix(text).is_err(), "{text:?} is a key and a prefix");
    }
});
