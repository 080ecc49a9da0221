//! Writes built-in files to a folder. I/O.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::catalog::File;

use super::CliError;
use super::check::counted;
use super::output;

/// What follows `export`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder; it is made where it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Replace files of the same names
    #[arg(long)]
    force: bool,
}

/// Writes all files below the folder, without the first part of their paths, which is `root`.
pub(super) fn run(arguments: &Arguments, root: &str, files: &[File]) -> Result<(), CliError> {
    let place = |file: &File| {
        let path = Path::new(&file.path);
        arguments.folder.join(path.strip_prefix(root).unwrap_or(path))
    };
    // All names are looked at first, so that a refusal leaves nothing half done.
    let there = files.iter().map(place).find(|path| !arguments.force && path.exists());
    if let Some(path) = there {
        let path = path.display();
        return Err(CliError::fault(format!("{path} is there already; name another folder, or add --force")));
    }
    for file in files {
        write(&place(file), &file.text, arguments.force).map_err(|(path, error)| failure(&path, &error))?;
    }
    output::remark(&format!("{} written to {}", counted(files.len(), "file"), arguments.folder.display()));
    Ok(())
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), (PathBuf, io::Error)> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|error| (parent.to_owned(), error))?;
    let mut options = OpenOptions::new();
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.write(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| (path.to_owned(), error))
}

fn failure(path: &Path, error: &io::Error) -> CliError {
    CliError::environment(format!("cannot write {}: {error}; choose a folder that can be written to", path.display()))
}
