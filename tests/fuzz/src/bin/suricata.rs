//! Any bytes through the pipeline `suricata`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sekisho_fuzz::decode("suricata", bytes));
