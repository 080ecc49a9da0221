//! Any bytes through the pipeline `apache`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sekisho_fuzz::decode("apache", bytes));
