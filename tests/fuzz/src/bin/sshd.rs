//! Any bytes through the pipeline `sshd`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sekisho_fuzz::decode("sshd", bytes));
