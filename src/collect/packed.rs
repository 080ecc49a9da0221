//! Undoes the compression of rotated files: gzip and zstd, by name and first bytes. I/O only through the file it is given.
//!
//! Streams, with a cap on how much may come out of how little. Both the name and the bytes must say that a file is
//! compressed: text alone can be written into a log by whoever is logged. Deliberately one layer of compression.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A compressed file may grow by this factor (security sheet §4.4): logs compress 20 to 40 times.
const RATIO_MAX: u64 = 100;
/// The factor is judged once so much came out: short repetitive logs may compress better, and cost nothing.
const RATIO_AFTER_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes taken from the file at a time.
const BLOCK_BYTES: usize = 128 * 1024;
/// The longest mark by which a compression is known.
pub const MAGIC_BYTES: usize = 6;

/// A compression that is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Gzip,
    Zstd,
}

/// The compression of a file with this name and these first bytes, if it is one that is undone.
pub fn packing(name: &str, magic: &[u8]) -> Option<Packing> {
    match magic {
        [0x1f, 0x8b, ..] if name.contains(".gz") => Some(Packing::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] if name.contains(".zst") => Some(Packing::Zstd),
        _ => None,
    }
}

/// The name of a compression or archive that is not undone: its lines would be noise.
pub fn foreign(name: &str, magic: &[u8]) -> Option<&'static str> {
    let kinds: [(&str, &[u8], &'static str); 5] = [
        (".bz2", b"BZh", "bzip2"),
        (".xz", b"\xfd7zXZ\0", "xz"),
        (".zip", b"PK\x03\x04", "zip"),
        (".7z", b"7z\xbc\xaf\x27\x1c", "7z"),
        (".lz4", b"\x04\x22\x4d\x18", "lz4"),
    ];
    kinds.into_iter().find(|(end, mark, _)| name.contains(end) && magic.starts_with(mark)).map(|(_, _, kind)| kind)
}

/// What a compressed file says, from its start.
pub struct Unpacked {
    reader: Box<dyn Read + Send>,
    taken: Arc<AtomicU64>,
    given: u64,
}

impl Unpacked {
    /// Starts at the beginning of `file`, whatever its own cursor.
    ///
    /// # Errors
    /// Where the decoder gets no memory.
    pub fn new(file: Arc<File>, packing: Packing) -> io::Result<Unpacked> {
        let taken = Arc::new(AtomicU64::new(0));
        let whole = FromStart { file, at: 0, taken: Arc::clone(&taken) };
        let buffered = BufReader::with_capacity(BLOCK_BYTES, whole);
        let reader: Box<dyn Read + Send> = match packing {
            Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered)),
            Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(buffered)?),
        };
        Ok(Unpacked { reader, taken, given: 0 })
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.given += count as u64;
        if self.given > RATIO_AFTER_BYTES && self.given / RATIO_MAX > self.taken.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(count)
    }
}

/// A file read from its start without its own cursor, and how much of it was.
struct FromStart {
    file: Arc<File>,
    at: u64,
    taken: Arc<AtomicU64>,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        self.taken.store(self.at, Ordering::Relaxed);
        Ok(count)
    }
}

/// What a failed read of a compressed file means: a fragment and what to do.
pub fn broken(error: &io::Error) -> (String, &'static str) {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return ("is cut short: its compressed data ends in the middle".to_owned(), "copy it again, whole");
    }
    if error.kind() == io::ErrorKind::FileTooLarge {
        let what = format!("grows more than {RATIO_MAX} times when decompressed, as a bomb does");
        return (what, "if it is a log you trust, put it there decompressed");
    }
    (format!("is damaged or cannot be read: {error}"), "copy it again, or put it there decompressed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(bytes: &[u8], packing: Packing) -> io::Result<Vec<u8>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut out = Vec::new();
        Unpacked::new(Arc::new(file), packing)?.read_to_end(&mut out)?;
        Ok(out)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn name_and_bytes_must_both_say_it() {
        assert_eq!(packing("a.log.1.gz", b"\x1f\x8b\x08"), Some(Packing::Gzip));
        assert_eq!(packing("a.log-20261124.zst", b"\x28\xb5\x2f\xfd"), Some(Packing::Zstd));
        assert_eq!(packing("a.log", b"\x1f\x8b\x08"), None);
        assert_eq!(packing("a.log.gz", b"plain"), None);
        assert_eq!(foreign("a.bz2", b"BZh91AY"), Some("bzip2"));
        assert_eq!(foreign("a.log", b"BZh91AY"), None);
    }

    #[test]
    fn damage_and_bombs_are_told_apart() {
        let whole = gzip(&(0..100_000u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
        assert_eq!(read(&whole, Packing::Gzip).unwrap().len(), 400_000);
        let said = |bytes: &[u8], packing| broken(&read(bytes, packing).unwrap_err()).0;
        assert!(said(&whole[..whole.len() / 2], Packing::Gzip).contains("cut short"));
        assert!(said(b"\x1f\x8b\x08junkjunkjunk", Packing::Gzip).contains("damaged"));
        assert!(said(&gzip(&vec![0; 70 * 1024 * 1024]), Packing::Gzip).contains("as a bomb"));
        assert!(said(&zstd::encode_all(&vec![0; 70 << 20][..], 1).unwrap(), Packing::Zstd).contains("as a bomb"));
    }
}
