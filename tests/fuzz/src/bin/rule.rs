//! Any text as a rule file: faults, never a panic.
#![no_main]

use sekisho::catalog::{Catalog, File, Files, KeepExtras, Maker};
use sekisho::config::Config;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let file = File { path: "fuzz.yml".to_owned(), text: text.to_owned(), maker: Maker::User };
    let files = Files { rules: vec![file], ..Files::default() };
    let _ = Catalog::build(&Config::default(), &files, KeepExtras::All);
});
