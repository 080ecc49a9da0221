//! Build script: lists the files of `rules/` and `pipelines/`, so that both travel inside the binary. I/O.
//!
//! It is compiled by cargo, not part of the library. A list by hand would be forgotten, and a macro that walks folders
//! does not see a new file until something else is rebuilt; cargo watches the folders named here. Deliberately without
//! reading any file: the compiler takes the contents in.
#![expect(clippy::disallowed_methods, reason = "a build script reads the folders of the package and writes its output")]

use std::env;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let mut code = String::new();
    for folder in ["pipelines", "rules"] {
        println!("cargo::rerun-if-changed={folder}");
        let mut files = Vec::new();
        collect(&root.join(folder), &mut files)?;
        files.sort();
        writeln!(code, "pub(super) const {}: &[(&str, &str)] = &[", folder.to_uppercase())?;
        for file in files {
            let name = file.strip_prefix(&root)?.to_str().ok_or("a file name is not UTF-8")?.replace('\\', "/");
            writeln!(code, "    ({name:?}, include_str!({:?})),", file.to_str().ok_or("a path is not UTF-8")?)?;
        }
        writeln!(code, "];")?;
    }
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("built_in.rs"), code)?;
    Ok(())
}

/// All YAML files below a folder; a folder that is not there holds none.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            files.push(path);
        }
    }
    Ok(())
}
