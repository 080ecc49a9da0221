//! The one unit of writing: a frame holds a whole commit, or a checkpoint, or a gap. Pure.
//!
//! Layout, numbers little-endian: a header of [`HEADER_BYTES`], the lists of [`Body`], then the payload of each section
//! in order. One CRC covers header and lists, and they hold the CRC of each payload, so that the reader of one topic
//! checks and decompresses its own section alone. Each header holds its predecessor's CRC (a chain) and the log's secret
//! number, without which no text in a log line can pose as a frame. Deliberately without files.

use std::ops::Range;

use crate::event::{Input, Time};
use crate::journal::Mark;

/// How every frame begins. Magic, log, CRC, version and lengths keep their places in every later format.
pub(super) const MAGIC: [u8; 8] = *b"\x89SEKISHO";
/// The format that is written.
pub(super) const VERSION: u16 = 1;
/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 80;
/// Header and lists of one frame: all marks (two classes of [`super::state::MARKS_BYTES_MAX`]), positions and
/// partitions fit in; whatever claims more is damage and is not allocated.
pub(super) const HEAD_BYTES_MAX: u32 = 64 << 20;
/// A whole frame: head and payload.
pub(super) const FRAME_BYTES_MAX: u32 = 256 << 20;
/// Where the CRC stands, and where what it covers goes on behind magic and log.
const CRC_AT: usize = 16;
const COVERED_FROM: usize = 20;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A commit.
    Commit,
    /// Everything that older segments said and retention may not forget. Opens every segment.
    Checkpoint,
    /// Offsets that a repair could not save.
    Gap,
}

/// The fixed part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub kind: Kind,
    /// Nobody outside knows it; one per log.
    pub log: u64,
    /// Of the whole frame.
    pub total: u32,
    /// Of header and lists.
    pub head: u32,
    pub crc: u32,
    /// The CRC of the frame before.
    pub previous: u32,
    pub sequence: u64,
    /// All frames below this sequence were synced when this one was written: where one of them is bad, it was damaged,
    /// not torn.
    pub durable: u64,
    /// Raised by each open.
    pub epoch: u64,
    pub appended_at: Time,
    /// The segment it was written to.
    pub segment: u64,
}

/// Records of one partition within a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub input: Input,
    pub base: u64,
    pub count: u32,
    /// Bytes before compression.
    pub raw: u32,
    /// Bytes in the frame; as many as `raw` where compression would not have helped.
    pub stored: u32,
    pub crc: u32,
}

/// The lists of a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Body {
    pub sections: Vec<Section>,
    /// Stage, input, next offset.
    pub positions: Vec<(String, Input, u64)>,
    pub marks: Vec<Mark>,
    /// Next offset of every partition; of checkpoints.
    pub nexts: Vec<(Input, u64)>,
    /// Of gaps.
    pub lost: Vec<(Input, Range<u64>)>,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Not how a frame begins.
    NoFrame,
    /// The frame goes on where the file does not.
    Short,
    /// Its checksum says otherwise.
    Checksum,
    /// A later format, and whole.
    Newer(u16),
    /// Whole, and yet not what this program writes.
    Nonsense,
}

impl Flaw {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Flaw::NoFrame => "no frame begins here",
            Flaw::Short => "the frame is cut short",
            Flaw::Checksum => "the checksum does not fit",
            Flaw::Newer(_) => "the frame is of a newer format",
            Flaw::Nonsense => "the frame is whole and makes no sense",
        }
    }
}

/// Appends header and lists, sealed by their CRC, and gives that CRC. `payload` is what will follow.
pub(super) fn write_head(header: &Header, body: &Body, payload: usize, out: &mut Vec<u8>) -> Option<u32> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    write_body(body, out);
    let head = u32::try_from(out.len() - start).ok().filter(|head| *head <= HEAD_BYTES_MAX)?;
    let total = u32::try_from(payload).ok()?.checked_add(head).filter(|total| *total <= FRAME_BYTES_MAX)?;
    let frame = &mut out[start..];
    let mut put = |at: usize, bytes: &[u8]| frame[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &MAGIC);
    put(8, &header.log.to_le_bytes());
    put(20, &VERSION.to_le_bytes());
    put(22, &[kind_code(header.kind)]);
    put(24, &total.to_le_bytes());
    put(28, &head.to_le_bytes());
    put(32, &header.previous.to_le_bytes());
    put(40, &header.sequence.to_le_bytes());
    put(48, &header.durable.to_le_bytes());
    put(56, &header.epoch.to_le_bytes());
    put(64, &header.appended_at.0.to_le_bytes());
    put(72, &header.segment.to_le_bytes());
    let crc = checksum(frame);
    frame[CRC_AT..COVERED_FROM].copy_from_slice(&crc.to_le_bytes());
    Some(crc)
}

fn checksum(head: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&head[..CRC_AT]), &head[COVERED_FROM..])
}

fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::Commit => 1,
        Kind::Checkpoint => 2,
        Kind::Gap => 3,
    }
}

/// The lengths that a header claims, before anything of it is believed: (head, total).
pub(super) fn lengths(header: &[u8; HEADER_BYTES]) -> Result<(usize, usize), Flaw> {
    if header[..8] != MAGIC {
        return Err(Flaw::NoFrame);
    }
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (total, head) = (number(24), number(28));
    let plausible =
        head as usize >= HEADER_BYTES && head <= HEAD_BYTES_MAX && head <= total && total <= FRAME_BYTES_MAX;
    plausible.then_some((head as usize, total as usize)).ok_or(Flaw::Checksum)
}

/// Reads header and lists; `head` is exactly as long as [`lengths`] says.
pub(super) fn read_head(head: &[u8]) -> Result<(Header, Body), Flaw> {
    let mut bytes = Bytes(head.get(8..).ok_or(Flaw::Short)?);
    let header = read_header(&mut bytes, head)?;
    let body = read_body(&mut bytes).filter(|_| bytes.0.is_empty()).ok_or(Flaw::Nonsense)?;
    let payload: u64 = body.sections.iter().map(|section| u64::from(section.stored)).sum();
    let fits = u64::from(header.head) + payload == u64::from(header.total) && header.head as usize == head.len();
    fits.then_some((header, body)).ok_or(Flaw::Nonsense)
}

fn read_header(bytes: &mut Bytes<'_>, head: &[u8]) -> Result<Header, Flaw> {
    let log = bytes.u64().ok_or(Flaw::Short)?;
    let crc = bytes.u32().ok_or(Flaw::Short)?;
    if crc != checksum(head) {
        return Err(Flaw::Checksum);
    }
    let version = bytes.u16().ok_or(Flaw::Short)?;
    if version != VERSION {
        return Err(Flaw::Newer(version));
    }
    let kind = match bytes.u8() {
        Some(1) => Kind::Commit,
        Some(2) => Kind::Checkpoint,
        Some(3) => Kind::Gap,
        _ => return Err(Flaw::Nonsense),
    };
    let read = |bytes: &mut Bytes<'_>| {
        bytes.u8()?;
        let (total, length, previous) = (bytes.u32()?, bytes.u32()?, bytes.u32()?);
        bytes.u32()?;
        let (sequence, durable, epoch) = (bytes.u64()?, bytes.u64()?, bytes.u64()?);
        let (appended_at, segment) = (Time(bytes.u64()? as i64), bytes.u64()?);
        Some(Header { kind, log, total, head: length, crc, previous, sequence, durable, epoch, appended_at, segment })
    };
    read(bytes).ok_or(Flaw::Short)
}

fn write_body(body: &Body, out: &mut Vec<u8>) {
    put_count(out, body.sections.len());
    for section in &body.sections {
        put_input(out, &section.input);
        out.extend_from_slice(&section.base.to_le_bytes());
        for number in [section.count, section.raw, section.stored, section.crc] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    put_count(out, body.positions.len());
    for (stage, input, next) in &body.positions {
        put_text(out, stage);
        put_offset(out, input, *next);
    }
    put_count(out, body.marks.len());
    for mark in &body.marks {
        put_mark(out, mark);
    }
    put_count(out, body.nexts.len());
    for (input, next) in &body.nexts {
        put_offset(out, input, *next);
    }
    put_count(out, body.lost.len());
    for (input, offsets) in &body.lost {
        put_offset(out, input, offsets.start);
        out.extend_from_slice(&offsets.end.to_le_bytes());
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

/// Texts are held to [`super::prepare::NAME_BYTES_MAX`] before they come here.
fn put_text(out: &mut Vec<u8>, text: &str) {
    put_count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn put_input(out: &mut Vec<u8>, input: &Input) {
    put_text(out, &input.topic);
    out.extend_from_slice(&input.partition.to_le_bytes());
}

fn put_offset(out: &mut Vec<u8>, input: &Input, offset: u64) {
    put_input(out, input);
    out.extend_from_slice(&offset.to_le_bytes());
}

fn put_mark(out: &mut Vec<u8>, mark: &Mark) {
    put_text(out, &mark.key);
    out.push(u8::from(mark.value.is_some()) | u8::from(mark.expires_at.is_some()) << 1);
    out.extend_from_slice(&mark.expires_at.unwrap_or_default().0.to_le_bytes());
    let value = mark.value.as_deref().unwrap_or_default();
    put_count(out, value.len());
    out.extend_from_slice(value);
}

fn read_body(bytes: &mut Bytes<'_>) -> Option<Body> {
    Some(Body {
        sections: bytes.list(|bytes| {
            let (input, base) = (bytes.input()?, bytes.u64()?);
            let (count, raw, stored, crc) = (bytes.u32()?, bytes.u32()?, bytes.u32()?, bytes.u32()?);
            Some(Section { input, base, count, raw, stored, crc })
        })?,
        positions: bytes.list(|bytes| Some((bytes.text()?, bytes.input()?, bytes.u64()?)))?,
        marks: bytes.list(read_mark)?,
        nexts: bytes.list(|bytes| Some((bytes.input()?, bytes.u64()?)))?,
        lost: bytes.list(|bytes| Some((bytes.input()?, bytes.u64()?..bytes.u64()?)))?,
    })
}

fn read_mark(bytes: &mut Bytes<'_>) -> Option<Mark> {
    let (key, flags, expires_at) = (bytes.text()?, bytes.u8()?, Time(bytes.u64()? as i64));
    let length = bytes.u32()? as usize;
    let value = bytes.take(length)?;
    let value = (flags & 1 != 0).then(|| value.to_vec());
    Some(Mark { key, value, expires_at: (flags & 2 != 0).then_some(expires_at) })
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let length = self.u32()? as usize;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    fn input(&mut self) -> Option<Input> {
        Some(Input { topic: self.text()?, partition: self.u32()? })
    }

    /// A counted list; the count is not believed before its elements are there.
    fn list<T>(&mut self, mut element: impl FnMut(&mut Bytes<'a>) -> Option<T>) -> Option<Vec<T>> {
        let count = self.u32()?;
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(element(self)?);
        }
        Some(list)
    }
}
