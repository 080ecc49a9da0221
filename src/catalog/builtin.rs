//! The rules and pipelines that travel inside the binary. Pure data.

use super::{File, Files, Maker};

/// Path and text of each file, in the order of their paths; listed by the build script.
mod list {
    include!(concat!(env!("OUT_DIR"), "/built_in.rs"));
}

/// The built-in files, without GeoIP databases: those are the user's.
pub fn built_in() -> Files {
    let files = |list: &[(&str, &str)]| {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
            maker: Maker::Sekisho,
        };
        list.iter().map(file).collect()
    };
    Files { pipelines: files(list::PIPELINES), rules: files(list::RULES), country: None, asn: None }
}
