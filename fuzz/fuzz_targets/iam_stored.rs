//! What IAM keeps: records in the cluster's state, lines of its audit log.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| iam::fuzz::stored(data));
