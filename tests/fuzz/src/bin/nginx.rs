//! Any bytes through the pipeline `nginx`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sekisho_fuzz::decode("nginx", bytes));
