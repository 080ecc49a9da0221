//! Recorded logs of the data folder (`SEKISHO_DATA`, else `../shared/data`). I/O.

use std::io::Read;
use std::path::PathBuf;

/// The contents of a file of the data folder, unpacked; says so and gives nothing where it is missing.
pub fn data(name: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("SEKISHO_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let Ok(bytes) = std::fs::read(folder.join(name)) else {
        println!("not run: {} is not there", folder.join(name).display());
        return None;
    };
    if !name.ends_with(".gz") {
        return Some(bytes);
    }
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut text).expect("a gzip file");
    Some(text)
}
