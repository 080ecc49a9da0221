//! Any bytes through the pipeline `modsecurity`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sekisho_fuzz::decode("modsecurity", bytes));
