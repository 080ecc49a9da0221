//! An ingest body → records, as it comes: compression undone, lines split, everything counted and bounded. Pure.
//!
//! A line is a record, exactly as for `sekisho replay`: an empty one is one too, a carriage return before the end goes, and
//! of a line over the limit one byte more than the limit is kept, so that whoever decodes it sees that it was cut. Memory is
//! that of the records: nothing is decompressed into a buffer of its own. Deliberately one layer of compression.

use std::io::{self, Write};
use std::sync::Arc;

use axum::http::StatusCode;
use flate2::write::MultiGzDecoder;
use memchr::memchr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zstd::stream::raw::{DParameter, Decoder};
use zstd::stream::zio::Writer;

use crate::event::LINE_BYTES_MAX;
use crate::journal::{NewRecord, Records};

use super::fault::ApiFault;
use super::limits::{INGEST_BYTES_MAX, INGEST_RATIO_AFTER_BYTES, INGEST_RATIO_MAX, ZSTD_WINDOW_LOG_MAX};
use super::state::HELD_PIECE_BYTES;

/// Of a line too long one byte more than the limit is kept.
const KEPT_BYTES_MAX: usize = LINE_BYTES_MAX + 1;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Gzip,
    Zstd,
}

/// A body on its way.
pub(super) struct Unpacker(Inner);

enum Inner {
    Plain(Box<Lines>),
    Gzip(Box<MultiGzDecoder<Lines>>),
    Zstd(Box<Writer<Lines, Decoder<'static>>>),
}

/// The records of a body.
pub(super) struct Lines {
    pub records: Records,
    /// Lines that were cut.
    pub cut: u64,
    /// Bytes after decompression.
    pub bytes: u64,
    /// What the body says, for telling a repeat from another body under the same key.
    pub hasher: Option<blake3::Hasher>,
    /// What the first record is marked with.
    key: Option<[u8; 32]>,
    wire: u64,
    line: Vec<u8>,
    length: u64,
    held: Held,
    fault: Option<ApiFault>,
}

/// Memory that was asked for.
struct Held {
    of: Arc<Semaphore>,
    permits: Vec<OwnedSemaphorePermit>,
    pieces: usize,
}

impl Encoding {
    /// What `Content-Encoding` says.
    ///
    /// # Errors
    /// Any other, and more than one.
    pub fn of(header: Option<&str>) -> Result<Encoding, ApiFault> {
        match header.unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Encoding::Plain),
            "gzip" | "x-gzip" => Ok(Encoding::Gzip),
            "zstd" => Ok(Encoding::Zstd),
            _ => {
                let message = "this Content-Encoding is not undone here";
                let fault = ApiFault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding", message);
                Err(fault.hint("send gzip, zstd or plain text, compressed once"))
            }
        }
    }
}

impl Unpacker {
    /// Begins a body; its memory is taken from `held`. A `key` marks the first record, and the body is hashed.
    ///
    /// # Errors
    /// Where there is no memory for a window of zstd.
    pub fn new(encoding: Encoding, key: Option<[u8; 32]>, held: &Arc<Semaphore>) -> Result<Unpacker, ApiFault> {
        let held = Held { of: Arc::clone(held), permits: Vec::new(), pieces: 0 };
        let mut lines = Lines {
            records: Records::default(),
            cut: 0,
            bytes: 0,
            hasher: key.map(|_| blake3::Hasher::new()),
            key,
            wire: 0,
            line: Vec::new(),
            length: 0,
            held,
            fault: None,
        };
        Ok(Unpacker(match encoding {
            Encoding::Plain => Inner::Plain(Box::new(lines)),
            Encoding::Gzip => Inner::Gzip(Box::new(MultiGzDecoder::new(lines))),
            Encoding::Zstd => {
                lines.held.pieces = (1 << ZSTD_WINDOW_LOG_MAX) / HELD_PIECE_BYTES;
                lines.held.grow(lines.held.pieces)?;
                Inner::Zstd(Box::new(Writer::new(lines, zstd_decoder().map_err(|error| broken(&error))?)))
            }
        }))
    }

    /// Takes the next part of the body.
    ///
    /// # Errors
    /// A limit that is passed, memory that is not there, data that cannot be decompressed.
    pub fn take(&mut self, part: &[u8]) -> Result<(), ApiFault> {
        self.lines().wire += part.len() as u64;
        if self.lines().wire > INGEST_BYTES_MAX as u64 {
            return Err(over());
        }
        let written = match &mut self.0 {
            Inner::Plain(lines) => lines.write_all(part),
            Inner::Gzip(decoder) => decoder.write_all(part),
            Inner::Zstd(writer) => writer.write_all(part),
        };
        self.checked(written)
    }

    /// Ends the body.
    ///
    /// # Errors
    /// As [`Unpacker::take`], and compressed data that ends in the middle.
    pub fn finish(mut self) -> Result<Lines, ApiFault> {
        let finished = match &mut self.0 {
            Inner::Plain(_) => Ok(()),
            Inner::Gzip(decoder) => decoder.try_finish(),
            Inner::Zstd(writer) => writer.finish(),
        };
        self.checked(finished)?;
        let ended = self.lines().end();
        self.checked(ended)?;
        match self.0 {
            Inner::Plain(lines) => Ok(*lines),
            Inner::Gzip(decoder) => decoder.finish().map_err(|error| broken(&error)),
            Inner::Zstd(writer) => Ok(writer.into_inner().0),
        }
    }

    fn lines(&mut self) -> &mut Lines {
        match &mut self.0 {
            Inner::Plain(lines) => lines,
            Inner::Gzip(decoder) => decoder.get_mut(),
            Inner::Zstd(writer) => writer.writer_mut(),
        }
    }

    fn checked(&mut self, written: io::Result<()>) -> Result<(), ApiFault> {
        written.map_err(|error| self.lines().fault.take().unwrap_or_else(|| broken(&error)))
    }
}

fn zstd_decoder() -> io::Result<Decoder<'static>> {
    let mut decoder = Decoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
    Ok(decoder)
}

fn broken(error: &io::Error) -> ApiFault {
    let message = if error.kind() == io::ErrorKind::UnexpectedEof {
        "the compressed body ends in the middle".to_owned()
    } else {
        format!("the compressed body is damaged: {error}")
    };
    ApiFault::new(StatusCode::BAD_REQUEST, "broken_body", message).hint("nothing of it was taken; send it again, whole")
}

fn over() -> ApiFault {
    let fault = ApiFault::too_large(format!("a body is at most {INGEST_BYTES_MAX} bytes, decompressed too"));
    fault
        .hint("send it in several requests: `split -C 8m access.log` cuts between lines; nothing of this one was taken")
}

impl Lines {
    fn put(&mut self, line: &[u8], length: u64) {
        let cut = length > LINE_BYTES_MAX as u64;
        self.cut += u64::from(cut);
        let value = if cut { line } else { line.strip_suffix(b"\r").unwrap_or(line) };
        let key = self.key.take();
        self.records.push(NewRecord { key: key.as_ref().map(|key| &key[..]), value, spoofable: false });
    }

    /// A last line without its end counts.
    fn end(&mut self) -> io::Result<()> {
        if self.length > 0 {
            let (line, length) = (std::mem::take(&mut self.line), std::mem::take(&mut self.length));
            self.put(&line, length);
        }
        self.check()
    }

    fn extend(&mut self, part: &[u8]) {
        let room = KEPT_BYTES_MAX - self.line.len();
        self.line.extend_from_slice(&part[..part.len().min(room)]);
        self.length += part.len() as u64;
    }

    /// Fails where a limit is passed; the fault says which.
    fn check(&mut self) -> io::Result<()> {
        let fault = self.beyond().err();
        if fault.is_some() {
            self.fault = fault;
            return Err(io::Error::other("over a limit"));
        }
        Ok(())
    }

    fn beyond(&mut self) -> Result<(), ApiFault> {
        if self.bytes > INGEST_BYTES_MAX as u64 || self.records.bytes() > INGEST_BYTES_MAX {
            return Err(over());
        }
        if self.bytes > INGEST_RATIO_AFTER_BYTES && self.bytes / INGEST_RATIO_MAX > self.wire {
            let message =
                format!("the body grows more than {INGEST_RATIO_MAX} times when decompressed, as a bomb does");
            return Err(ApiFault::too_large(message).hint("if these are logs you trust, send them uncompressed"));
        }
        let pieces = (self.records.bytes() + self.line.len()).div_ceil(HELD_PIECE_BYTES);
        self.held.cover(pieces)
    }
}

/// Lines come in as they are decompressed, some KiB at a time.
impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        self.check()?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        let mut rest = bytes;
        while let Some(at) = memchr(b'\n', rest) {
            let part = &rest[..at];
            if self.length == 0 {
                self.put(&part[..at.min(KEPT_BYTES_MAX)], at as u64);
            } else {
                self.extend(part);
                let (mut line, length) = (std::mem::take(&mut self.line), std::mem::take(&mut self.length));
                self.put(&line, length);
                line.clear();
                self.line = line;
            }
            rest = &rest[at + 1..];
        }
        self.extend(rest);
        self.check()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Held {
    /// Sees to it that so many pieces are held beyond those of a window.
    fn cover(&mut self, pieces: usize) -> Result<(), ApiFault> {
        let held: usize = self.permits.iter().map(OwnedSemaphorePermit::num_permits).sum();
        let wanted = (self.pieces + pieces).saturating_sub(held);
        if wanted == 0 { Ok(()) } else { self.grow(wanted) }
    }

    fn grow(&mut self, pieces: usize) -> Result<(), ApiFault> {
        let asked = u32::try_from(pieces).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.of).try_acquire_many_owned(asked);
        let permit = permit.map_err(|_| {
            ApiFault::busy("the node holds as many bodies as it has room for").hint("nothing of this one was taken")
        })?;
        match self.permits.first_mut() {
            Some(first) => first.merge(permit),
            None => self.permits.push(permit),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn room() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(1_024))
    }

    fn unpack(encoding: Encoding, body: &[u8], part: usize) -> Result<(Records, u64), ApiFault> {
        let room = room();
        let mut unpacker = Unpacker::new(encoding, None, &room)?;
        body.chunks(part).try_for_each(|part| unpacker.take(part))?;
        let lines = unpacker.finish()?;
        let found = (lines.records.clone(), lines.cut);
        drop(lines);
        assert_eq!(room.available_permits(), 1_024);
        Ok(found)
    }

    fn records<T: AsRef<[u8]>>(lines: &[T]) -> Records {
        let mut records = Records::default();
        lines.iter().for_each(|line| records.push(NewRecord { value: line.as_ref(), ..NewRecord::default() }));
        records
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    proptest! {
        #[test]
        fn lines_are_those_of_a_plain_split(text in "[ab\r\n]{0,200}", part in 1usize..50) {
            let body = text.strip_suffix('\n').unwrap_or(&text);
            let expected: Vec<Vec<u8>> = body.split('\n').filter(|_| !text.is_empty())
                .map(|line| line.strip_suffix('\r').unwrap_or(line).as_bytes().to_vec()).collect();
            let (plain, expected) = (text.as_bytes(), records(&expected));
            prop_assert_eq!(&unpack(Encoding::Plain, plain, part).unwrap().0, &expected);
            prop_assert_eq!(&unpack(Encoding::Gzip, &gzip(plain), part).unwrap().0, &expected);
            prop_assert_eq!(&unpack(Encoding::Zstd, &zstd::encode_all(plain, 1).unwrap(), part).unwrap().0, &expected);
        }

        #[test]
        fn any_bytes_are_unpacked_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), part in 1usize..60) {
            for encoding in [Encoding::Plain, Encoding::Gzip, Encoding::Zstd] {
                let _ = unpack(encoding, &bytes, part);
            }
        }
    }

    #[test]
    fn a_long_line_is_cut_as_in_replay() {
        let body =
            [&b"first\n"[..], &vec![b'x'; LINE_BYTES_MAX + 9], b"\r\n", &vec![b'y'; LINE_BYTES_MAX], b"\r"].concat();
        let long = [vec![b'x'; LINE_BYTES_MAX + 1], [&vec![b'y'; LINE_BYTES_MAX][..], b"\r"].concat()];
        let expected = records(&[b"first".to_vec(), long[0].clone(), long[1].clone()]);
        assert_eq!(unpack(Encoding::Plain, &body, 10_000), Ok((expected, 2)));
    }

    #[test]
    fn members_and_frames_follow_one_another() {
        assert_eq!(unpack(Encoding::Gzip, &[gzip(b"a\n"), gzip(b"b")].concat(), 7).unwrap().0, records(&[b"a", b"b"]));
        let frame = |text: &[u8]| zstd::encode_all(text, 1).unwrap();
        assert_eq!(
            unpack(Encoding::Zstd, &[frame(b"a\n"), frame(b"b")].concat(), 7).unwrap().0,
            records(&[b"a", b"b"])
        );
    }

    #[test]
    fn damage_and_bombs_are_told_apart() {
        let noise: Vec<u8> = (0..100_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let fault = |encoding, body: &[u8]| unpack(encoding, body, 4_096).unwrap_err();
        for (encoding, whole) in
            [(Encoding::Gzip, gzip(&noise)), (Encoding::Zstd, zstd::encode_all(&noise[..], 1).unwrap())]
        {
            assert!(fault(encoding, &whole[..whole.len() / 2]).message.contains("ends in the middle"));
            assert_eq!(fault(encoding, b"no such thing at all").code, "broken_body");
        }
        let zeros = vec![0; 300 << 20];
        assert!(fault(Encoding::Gzip, &gzip(&zeros)).message.contains("as a bomb does"));
        assert!(fault(Encoding::Zstd, &zstd::encode_all(&zeros[..], 1).unwrap()).message.contains("as a bomb does"));
        assert_eq!(fault(Encoding::Plain, &vec![b'\n'; INGEST_BYTES_MAX / 4]).code, "too_large");
        assert_eq!(fault(Encoding::Plain, &vec![b'a'; INGEST_BYTES_MAX + 1]).code, "too_large");
    }

    #[test]
    fn memory_that_is_not_there_is_said() {
        let room = Arc::new(Semaphore::new(2));
        let mut unpacker = Unpacker::new(Encoding::Plain, None, &room).unwrap();
        unpacker.take(&vec![b'a'; HELD_PIECE_BYTES]).unwrap();
        assert_eq!(unpacker.take(&vec![b'a'; 2 * HELD_PIECE_BYTES]).unwrap_err().code, "busy");
        assert_eq!(Unpacker::new(Encoding::Zstd, None, &room).err().unwrap().code, "busy");
        drop(unpacker);
        assert_eq!(room.available_permits(), 2);
    }

    #[test]
    fn encodings() {
        assert_eq!(Encoding::of(None), Ok(Encoding::Plain));
        assert_eq!(Encoding::of(Some("GZIP")), Ok(Encoding::Gzip));
        assert!(Encoding::of(Some("gzip, gzip")).is_err() && Encoding::of(Some("br")).is_err());
    }
}
