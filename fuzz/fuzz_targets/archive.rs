//! Archives that tasks bring: nothing lands outside the folder.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| mesos_fetcher::fuzz::archive(data));
