//! One opened log file: which one it is, and what it says where. I/O.
//!
//! Everything is read by position, so a handle has no state, and a file that was renamed or deleted is read on.
//! Deliberately without cursors: what was taken is not known here.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::cursor::{Cursor, HEAD_BYTES_MAX, Identity, TAIL_BYTES_MAX, Witness};
use super::packed::{self, Packing, Unpacked};
use crate::event::LINE_BYTES_MAX;

/// How a file looks from outside; where it stays the same, nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub size: u64,
    /// When it was written last, in nanoseconds since 1970.
    pub modified: i128,
}

/// Why a file is not read.
#[derive(Debug)]
pub enum Unopened {
    /// It is not there; it may come.
    Gone,
    /// This user may not read it.
    Denied,
    /// No more files can be open.
    TooMany,
    /// It is no file: what it is.
    NoFile(&'static str),
    /// It is compressed in a way that is not undone.
    Foreign(&'static str),
    Other(io::Error),
}

/// An open log file.
pub struct LogFile {
    file: Arc<File>,
    pub identity: Identity,
    packing: Option<Packing>,
}

/// Which file this is.
pub fn identity(metadata: &Metadata) -> Identity {
    let born = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let born = born.and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(0);
    Identity { device: metadata.dev(), inode: metadata.ino(), born }
}

/// How it looks.
pub fn stamp(metadata: &Metadata) -> Stamp {
    let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Stamp { size: metadata.len(), modified }
}

/// What lies there instead of a file.
pub fn no_file(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return None;
    }
    Some(if kind.is_dir() { "a directory" } else { "no regular file" })
}

impl LogFile {
    /// Opens a regular file.
    ///
    /// # Errors
    /// Where it is none, is not there, may not be read, or is compressed in a way that is not undone.
    pub fn open(path: &Path) -> Result<LogFile, Unopened> {
        // A pipe that somebody put in place of the file must not make the opening wait for a writer.
        let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY).bits();
        let file =
            OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path).map_err(Unopened::from)?;
        let metadata = file.metadata().map_err(Unopened::from)?;
        if let Some(kind) = no_file(&metadata) {
            return Err(Unopened::NoFile(kind));
        }
        let mut log = LogFile { file: Arc::new(file), identity: identity(&metadata), packing: None };
        let mut magic = [0; packed::MAGIC_BYTES];
        let count = log.read_at(0, &mut magic)?;
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        if let Some(kind) = packed::foreign(&name, &magic[..count]) {
            return Err(Unopened::Foreign(kind));
        }
        log.packing = packed::packing(&name, &magic[..count]);
        Ok(log)
    }

    /// Its size and time now, and how many names it still has.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn look(&self) -> io::Result<(Stamp, u64)> {
        let metadata = self.file.metadata()?;
        Ok((stamp(&metadata), metadata.nlink()))
    }

    /// Whether it is compressed.
    pub fn is_packed(&self) -> bool {
        self.packing.is_some()
    }

    /// What it says without its compression, from the start; `None` where it has none.
    ///
    /// # Errors
    /// Where the decoder gets no memory.
    pub fn unpack(&self) -> io::Result<Option<Unpacked>> {
        self.packing.map(|packing| Unpacked::new(Arc::clone(&self.file), packing)).transpose()
    }

    /// Fills `block` with the bytes from `offset` on, as far as there are any.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn read_at(&self, offset: u64, block: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < block.len() {
            match self.file.read_at(&mut block[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// The first bytes of what it says, at most `max`, its compression undone.
    ///
    /// # Errors
    /// Those of the file system and of the decoder.
    pub fn head(&self, max: usize) -> io::Result<Vec<u8>> {
        let Some(unpacked) = self.unpack()? else { return self.bytes(0, max) };
        let mut head = Vec::new();
        unpacked.take(max as u64).read_to_end(&mut head)?;
        Ok(head)
    }

    fn bytes(&self, offset: u64, max: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; max];
        let count = self.read_at(offset, &mut bytes)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// Whether it still says what the cursor's print remembers. Of a compressed file only the first bytes are compared:
    /// the others show when it is read.
    ///
    /// # Errors
    /// Those of the file system and of the decoder.
    pub fn is_like(&self, cursor: &Cursor) -> io::Result<bool> {
        let print = &cursor.print;
        if !print.begins(&self.head(print.head_bytes)?) {
            return Ok(false);
        }
        let start = cursor.offset.saturating_sub(print.tail_bytes as u64);
        Ok(self.is_packed() || print.ends(&self.bytes(start, print.tail_bytes)?))
    }

    /// Whether all that it says is what `other` says at the same place, as far as its first and last bytes tell: it is
    /// a copy, perhaps one that is still being made. Nothing is no copy.
    ///
    /// # Errors
    /// Those of the file system and of the decoder.
    pub fn is_part_of(&self, other: &LogFile) -> io::Result<bool> {
        let head = self.head(HEAD_BYTES_MAX)?;
        if other.is_packed() || head.is_empty() || other.bytes(0, head.len())? != head {
            return Ok(false);
        }
        if self.is_packed() {
            return Ok(true);
        }
        let start = self.look()?.0.size.saturating_sub(TAIL_BYTES_MAX as u64);
        let tail = self.bytes(start, TAIL_BYTES_MAX)?;
        Ok(other.bytes(start, tail.len())? == tail)
    }

    /// What was taken of it up to `offset`, read again.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn witness(&self, offset: u64) -> io::Result<Witness> {
        let held = |max: usize| usize::try_from(offset).unwrap_or(max).min(max);
        let tail = held(TAIL_BYTES_MAX);
        Ok(Witness::of(&self.bytes(0, held(HEAD_BYTES_MAX))?, &self.bytes(offset - tail as u64, tail)?))
    }

    /// Where its last whole line ends; where the last line is longer than any is kept, the end.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn end(&self) -> io::Result<u64> {
        let size = self.look()?.0.size;
        let start = size.saturating_sub(LINE_BYTES_MAX as u64);
        let mut last = self.bytes(start, LINE_BYTES_MAX)?;
        last.truncate(usize::try_from(size - start).unwrap_or(usize::MAX));
        let end = memchr::memrchr(b'\n', &last).map(|end| start + end as u64 + 1);
        Ok(end.unwrap_or(if start == 0 { 0 } else { size }))
    }
}

impl From<io::Error> for Unopened {
    fn from(error: io::Error) -> Unopened {
        let too_many = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
        if too_many.contains(&error.raw_os_error()) {
            return Unopened::TooMany;
        }
        if error.kind() == io::ErrorKind::NotFound {
            return Unopened::Gone;
        }
        if error.kind() == io::ErrorKind::PermissionDenied { Unopened::Denied } else { Unopened::Other(error) }
    }
}

impl Unopened {
    /// A fragment and what to do; `None` for what is not worth a word.
    pub fn words(&self) -> Option<(String, String)> {
        let (what, advice) = match self {
            Unopened::Gone => return None,
            Unopened::Denied => {
                ("may not be read", "let this user read it and its folders; it is tried again all the time")
            }
            Unopened::TooMany => {
                ("cannot be opened: too many files are open", "raise LimitNOFILE of the unit, or `ulimit -n`")
            }
            Unopened::NoFile(kind) => {
                return Some((format!("is {kind}"), "let the pattern match files only".to_owned()));
            }
            Unopened::Foreign(kind) => {
                return Some((
                    format!("is {kind}, which is not undone here"),
                    "put it there decompressed, or as gzip or zstd".to_owned(),
                ));
            }
            Unopened::Other(error) => {
                return Some((
                    format!("cannot be read: {error}"),
                    "look after the disk or mount that it lies on".to_owned(),
                ));
            }
        };
        Some((what.to_owned(), advice.to_owned()))
    }
}
