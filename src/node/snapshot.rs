//! The state of decide as bytes: in files beside the journal as a cache, and hourly in the journal itself. I/O.
//!
//! One form for both: magic, blake3 of the rest, zstd of postcard. What cannot be read is passed over, an older one
//! is taken, and in the end the journal alone: deleting every file gives the same outcomes. A file is written whole
//! under another name, synced and renamed, so that there is never half of one. Deliberately without the choice of when.

#![expect(clippy::disallowed_methods, reason = "snapshots are files")]

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::fold::{FolderState, STATE_FORM};

use super::steps::{Step, Steps};

/// Hourly states, written with the commit of the first record of an hour.
pub const STATES: &str = "sekisho.state";
/// So many files are kept: one may be damaged.
const KEPT: usize = 2;
const MAGIC: &[u8; 8] = b"sekisho\x01";
const HASH_BYTES: usize = 32;
/// The fastest level: states are written often and read seldom.
const LEVEL: i32 = 1;
/// A state may not unpack to more than this: windows 512 MiB, and tables of a million clients.
const STATE_BYTES_MAX: usize = 2 << 30;
const EXTENSION: &str = "state";

/// A state as bytes.
///
/// # Errors
/// Where there is no memory for it.
pub fn encode(state: &FolderState) -> io::Result<Vec<u8>> {
    let plain = postcard::to_stdvec(state).map_err(io::Error::other)?;
    let packed = zstd::bulk::compress(&plain, LEVEL)?;
    let mut bytes = Vec::with_capacity(MAGIC.len() + HASH_BYTES + packed.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(blake3::hash(&packed).as_bytes());
    bytes.extend_from_slice(&packed);
    Ok(bytes)
}

/// The state of bytes; `None` where they are damaged, or of another form: then it is derived again.
pub fn decode(bytes: &[u8]) -> Option<FolderState> {
    let (magic, rest) = bytes.split_at_checked(MAGIC.len())?;
    let (hash, packed) = rest.split_at_checked(HASH_BYTES)?;
    if magic != MAGIC || blake3::hash(packed).as_bytes() != hash {
        return None;
    }
    let plain = zstd::bulk::decompress(packed, STATE_BYTES_MAX).ok()?;
    let (form, _) = postcard::take_from_bytes::<u32>(&plain).ok()?;
    if form != STATE_FORM {
        return None;
    }
    postcard::from_bytes(&plain).ok()
}

/// Writes the state of the record before `next`, and removes files older than the last few.
///
/// # Errors
/// Those of the file system: then there is one cache less, and nothing is lost.
pub fn write(folder: &Path, next: u64, bytes: &[u8], steps: &Steps) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("{next:020}.{EXTENSION}"));
    let partial = path.with_extension("partial");
    let mut file = File::create(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    steps.reach(Step::SnapshotWritten);
    fs::rename(&partial, &path)?;
    steps.reach(Step::SnapshotRenamed);
    File::open(folder)?.sync_all()?;
    list(folder).into_iter().skip(KEPT).try_for_each(|(_, old)| fs::remove_file(old))
}

/// The files of a folder with the next offset of each, newest first. None where there is no such folder.
pub fn list(folder: &Path) -> Vec<(u64, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let next_of = |path: &Path| {
        let is_state = path.extension().is_some_and(|extension| extension == EXTENSION);
        path.file_stem().filter(|_| is_state)?.to_str()?.parse().ok()
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut found: Vec<(u64, PathBuf)> = paths.filter_map(|path| Some((next_of(&path)?, path))).collect();
    found.sort();
    found.reverse();
    found
}

/// The newest state of the folder's files that can be read and is not beyond `committed`.
pub fn newest(folder: &Path, committed: u64) -> Option<FolderState> {
    let fitting = list(folder).into_iter().filter(|(next, _)| *next <= committed);
    fitting.filter_map(|(_, path)| decode(&fs::read(path).ok()?)).find(|state| state.next <= committed)
}
