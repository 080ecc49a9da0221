//! Opens inputs and undoes their compression: plain, gzip or zstd by magic bytes, `-` for stdin. I/O.
//!
//! Everything streams, so the size of an input costs no memory. Deliberately one layer of compression: a gzip inside a
//! gzip is read as the binary it is.

#![expect(clippy::disallowed_methods, reason = "this is where log files enter")]

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use crate::event::Time;

use super::error::ReplayError;

/// So much of each input is looked at before the start, for a full date and for signs of a binary (outputs sheet).
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// A compressed input may grow by this factor (security sheet §4.4): logs compress 20 to 40 times.
pub const RATIO_MAX: u64 = 100;
/// The factor is judged once so much came out: short repetitive logs may compress better, and cost nothing.
pub const RATIO_AFTER_BYTES: u64 = 64 * 1024 * 1024;
/// The longest mark by which a compression is known.
const MAGIC_BYTES: u64 = 6;
/// Bytes taken from the file at a time.
const BLOCK_BYTES: usize = 128 * 1024;

/// An opened input, its compression undone.
pub struct Source {
    /// As given on the command line.
    pub path: String,
    /// The first bytes, at most [`HEAD_BYTES_MAX`]; reading starts with them again.
    pub head: Arc<[u8]>,
    /// The file's modification time, where it is a file.
    pub modified: Option<Time>,
    /// The size of the file as it lies there, where it is one.
    pub size: Option<u64>,
    /// How many bytes of the file have been read, as it lies there: for progress.
    pub taken: Arc<AtomicU64>,
    reader: Box<dyn Read + Send>,
}

/// How messages name an input.
pub(super) fn shown(path: &str) -> String {
    if path == "-" { "stdin".to_owned() } else { path.to_owned() }
}

/// Opens an input and reads its head.
///
/// # Errors
/// [`ReplayError::Input`] where there is no such file, it is a directory, may not be read, or its first bytes are
/// damaged.
pub fn open(path: &str) -> Result<Source, ReplayError> {
    let taken = Arc::new(AtomicU64::new(0));
    if path == "-" {
        return with_head(&shown(path), None, None, Counted { inner: io::stdin(), taken });
    }
    let metadata = std::fs::metadata(path).map_err(|error| unopened(path, &error))?;
    if metadata.is_dir() {
        return Err(ReplayError::input(path, "is a directory", "name a file in it: --pipeline NAME=FILE"));
    }
    let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let modified = modified.map(|since| Time(0).plus(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)));
    let size = metadata.is_file().then_some(metadata.len());
    let file = File::open(path).map_err(|error| unopened(path, &error))?;
    with_head(path, modified, size, Counted { inner: file, taken })
}

fn unopened(path: &str, error: &io::Error) -> ReplayError {
    let parent = Path::new(path).parent().filter(|parent| !parent.as_os_str().is_empty());
    if error.kind() == io::ErrorKind::NotFound {
        let advice = match parent {
            Some(parent) if !parent.exists() => format!("there is no folder {} either", parent.display()),
            Some(_) | None => "check the name".to_owned(),
        };
        return ReplayError::input(path, "is not there", advice);
    }
    if error.kind() == io::ErrorKind::PermissionDenied {
        return ReplayError::input(path, "may not be read", "run as a user who may read it");
    }
    ReplayError::input(path, format!("cannot be opened: {error}"), "check the path")
}

fn with_head<R: Read + Send + 'static>(
    path: &str,
    modified: Option<Time>,
    size: Option<u64>,
    file: Counted<R>,
) -> Result<Source, ReplayError> {
    let taken = Arc::clone(&file.taken);
    let mut reader = decompressed(file).map_err(|error| broken(path, &error))?;
    let mut head = Vec::new();
    reader.by_ref().take(HEAD_BYTES_MAX as u64).read_to_end(&mut head).map_err(|error| broken(path, &error))?;
    let reader = Box::new(Cursor::new(head.clone()).chain(reader));
    Ok(Source { path: path.to_owned(), head: head.into(), modified, size, taken, reader })
}

fn decompressed<R: Read + Send + 'static>(file: Counted<R>) -> io::Result<Box<dyn Read + Send>> {
    let taken = Arc::clone(&file.taken);
    let mut buffered = BufReader::with_capacity(BLOCK_BYTES, file);
    let magic = first_bytes(&mut buffered)?;
    let buffered = Cursor::new(magic.clone()).chain(buffered);
    Ok(match magic[..] {
        [0x1f, 0x8b, ..] => {
            let inner = flate2::bufread::MultiGzDecoder::new(buffered);
            Box::new(Capped { inner, taken, given: 0 })
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let inner = zstd::stream::read::Decoder::with_buffer(buffered)?;
            Box::new(Capped { inner, taken, given: 0 })
        }
        _ => match foreign(&magic) {
            Some(kind) => return Err(io::Error::new(io::ErrorKind::Unsupported, kind)),
            None => Box::new(buffered),
        },
    })
}

/// Archives and compressions that are not undone here: as lines they would be noise.
fn foreign(magic: &[u8]) -> Option<&'static str> {
    let begins = |bytes: &[u8]| magic.starts_with(bytes);
    match magic {
        [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', ..] => Some("bzip2"),
        _ if begins(b"\xfd7zXZ\0") => Some("xz"),
        _ if begins(b"PK\x03\x04") => Some("zip"),
        _ if begins(b"7z\xbc\xaf\x27\x1c") => Some("7z"),
        _ if begins(b"\x04\x22\x4d\x18") => Some("lz4"),
        _ => None,
    }
}

/// The first bytes: a pipe may give fewer at a time.
fn first_bytes<R: BufRead>(reader: &mut R) -> io::Result<Vec<u8>> {
    let mut magic = Vec::new();
    reader.take(MAGIC_BYTES).read_to_end(&mut magic)?;
    Ok(magic)
}

/// What a failed read of `path` means for the user.
pub(super) fn broken(path: &str, error: &io::Error) -> ReplayError {
    let kind = error.kind();
    if kind == io::ErrorKind::UnexpectedEof {
        let advice = "copy it again, whole; or decompress it yourself as far as it goes";
        return ReplayError::input(path, "is cut short: its compressed data ends in the middle", advice);
    }
    if kind == io::ErrorKind::FileTooLarge {
        let what = format!("grows more than {RATIO_MAX} times when decompressed, as a bomb does");
        let advice = "if it is a log you trust, decompress it yourself and give the plain file, or `-` and a pipe";
        return ReplayError::input(path, what, advice);
    }
    if kind == io::ErrorKind::IsADirectory {
        return ReplayError::input(path, "is a directory", "name a file in it: --pipeline NAME=FILE");
    }
    if kind == io::ErrorKind::Unsupported && error.get_ref().is_some() {
        let advice = "gzip and zstd are undone here; decompress others on the way: xz -dc FILE | sekisho replay --pipeline NAME=-";
        return ReplayError::input(path, format!("is {error}, which is not undone here"), advice);
    }
    if error.to_string().contains("too much memory") {
        let advice = "decompress it on the way: zstd -dc --long=31 FILE | sekisho replay --pipeline NAME=-";
        return ReplayError::input(path, "needs more than 128 MiB of memory to be decompressed", advice);
    }
    if matches!(kind, io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::Other) {
        let advice = "copy it again, or decompress it yourself as far as it goes";
        return ReplayError::input(path, format!("is damaged: {error}"), advice);
    }
    ReplayError::environment(path, format!("cannot be read: {error}"), "look after the disk or mount that it lies on")
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

/// Counts what is read from the file.
struct Counted<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Refuses to go on where too much comes out of too little.
struct Capped<R> {
    inner: R,
    taken: Arc<AtomicU64>,
    given: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.given += count as u64;
        if self.given > RATIO_AFTER_BYTES && self.given / RATIO_MAX > self.taken.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, ReplayError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input").display().to_string();
        std::fs::write(&path, bytes).unwrap();
        let mut source = open(&path)?;
        let mut out = Vec::new();
        source.read_to_end(&mut out).map_err(|error| broken(&path, &error))?;
        Ok(out)
    }

    #[test]
    fn compression_is_known_by_its_first_bytes() {
        let text = "line\n".repeat(50_000).into_bytes();
        let members = [gzip(b"a\n"), gzip(b"b\n")].concat();
        assert_eq!(read(&text).unwrap(), text);
        assert_eq!(read(&gzip(&text)).unwrap(), text);
        assert_eq!(read(&members).unwrap(), b"a\nb\n");
        assert_eq!(read(&zstd::encode_all(&text[..], 1).unwrap()).unwrap(), text);
        assert_eq!(read(b"").unwrap(), b"");
        assert_eq!(read(b"\x1f").unwrap(), b"\x1f");
    }

    #[test]
    fn damage_is_told_apart() {
        let whole = gzip(&(0..100_000u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
        let message = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        assert!(message(&whole[..whole.len() / 2]).contains("cut short"));
        assert!(message(b"\x1f\x8b\x08junkjunkjunk").contains("damaged"));
        assert!(message(&gzip(&vec![0; 70 * 1024 * 1024])).contains("as a bomb does"));
        assert!(message(&zstd::encode_all(&vec![0; 70 * 1024 * 1024][..], 1).unwrap()).contains("as a bomb does"));
    }

    #[test]
    fn other_compressions_are_named() {
        for (bytes, name) in [(&b"BZh91AY&SY"[..], "bzip2"), (b"\xfd7zXZ\0\0", "xz"), (b"PK\x03\x04\0\0", "zip")] {
            assert!(read(bytes).unwrap_err().to_string().contains(&format!("is {name}, which is not undone")));
        }
        assert_eq!(read(b"BZh9 is no bzip2\n").unwrap(), b"BZh9 is no bzip2\n");
    }

    #[test]
    fn what_is_no_file_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let message = |path: &Path| open(&path.display().to_string()).err().unwrap().to_string();
        assert!(message(folder.path()).contains("is a directory"));
        assert!(message(&folder.path().join("none")).contains("is not there"));
    }
}
