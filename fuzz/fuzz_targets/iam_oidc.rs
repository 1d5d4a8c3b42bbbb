//! What OpenID Connect providers and returning browsers send.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| iam::fuzz::oidc(data));
