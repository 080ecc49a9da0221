//! Any bytes through the pipeline `login`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sekisho_fuzz::decode("login", bytes));
