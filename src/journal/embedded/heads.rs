//! Walks the frames of one segment, and looks for the next whole one behind damage. I/O.
//!
//! Nothing is believed before its checksum. Deliberately without state: what frames mean for the log is [`super::state`]'s.

use std::io;
use std::sync::Arc;

use crate::event::Input;
use crate::journal::{Fetched, JournalError};

use super::disk::DiskFile;
use super::frame::{Body, Flaw, HEADER_BYTES, Header, MAGIC, Section, lengths, read_head};
use super::prepare::RAW_BYTES_MAX;

/// Read at once where only heads are wanted: a head with a few sections takes some 200 bytes.
pub(super) const WINDOW_HEADS: usize = 8 << 10;
/// Read at once where everything is checked.
pub(super) const WINDOW_WHOLE: usize = 1 << 20;

/// A frame whose head is whole, and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub at: u64,
    pub header: Header,
    pub body: Body,
}

impl Found {
    /// Where the next frame begins.
    pub fn end(&self) -> u64 {
        self.at + u64::from(self.header.total)
    }
}

/// Why a walk does not go on.
#[derive(Debug)]
pub(super) enum Stop {
    /// What is there is no whole frame of this log.
    Flaw { at: u64, flaw: Flaw },
    /// The disk did not give it.
    Disk(JournalError),
}

/// The frames of a segment from a place on.
pub(super) struct Heads {
    file: Arc<dyn DiskFile>,
    title: String,
    log: Option<u64>,
    at: u64,
    end: u64,
    window: Vec<u8>,
    window_at: u64,
    window_bytes: usize,
}

impl Heads {
    /// From byte `at` to `end`. Frames of another log than `log` are none; `None` takes the log of the first frame.
    pub fn new(
        file: Arc<dyn DiskFile>,
        title: String,
        log: Option<u64>,
        (at, end): (u64, u64),
        window: usize,
    ) -> Heads {
        Heads { file, title, log, at, end, window: Vec::new(), window_at: 0, window_bytes: window }
    }

    /// Where the next frame is looked for.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Goes on elsewhere.
    pub fn move_to(&mut self, at: u64) {
        self.at = at;
    }

    /// More of the file has become durable.
    pub fn extend(&mut self, end: u64) {
        if end != self.end {
            self.window.clear();
            self.end = end;
        }
    }

    /// The frame here, head only; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Found>, Stop> {
        if self.at >= self.end {
            return Ok(None);
        }
        let found = self.frame(self.at)?;
        self.at = found.end();
        self.log = Some(found.header.log);
        Ok(Some(found))
    }

    /// As [`Heads::next`], with the payload checked too.
    pub fn next_whole(&mut self) -> Result<Option<Found>, Stop> {
        let before = self.at;
        let Some(found) = self.next()? else { return Ok(None) };
        let mut at = found.at + u64::from(found.header.head);
        for section in &found.body.sections {
            let payload = self.bytes(at, section.stored as usize)?;
            if crc32c::crc32c(payload) != section.crc {
                self.at = before;
                return Err(Stop::Flaw { at: before, flaw: Flaw::Checksum });
            }
            at += u64::from(section.stored);
        }
        Ok(Some(found))
    }

    fn frame(&mut self, at: u64) -> Result<Found, Stop> {
        let log = self.log;
        let stop = |flaw| Stop::Flaw { at, flaw };
        let header = self.bytes(at, HEADER_BYTES)?.first_chunk::<HEADER_BYTES>().copied();
        let (head, total) = lengths(&header.ok_or(stop(Flaw::Short))?).map_err(stop)?;
        let (header, body) = read_head(self.bytes(at, head)?).map_err(stop)?;
        if log.is_some_and(|log| log != header.log) {
            return Err(stop(Flaw::NoFrame));
        }
        if at + total as u64 > self.end {
            return Err(stop(Flaw::Short));
        }
        Ok(Found { at, header, body })
    }

    /// Bytes of the file, through the window.
    fn bytes(&mut self, at: u64, length: usize) -> Result<&[u8], Stop> {
        if at.checked_add(length as u64).is_none_or(|until| until > self.end) {
            return Err(Stop::Flaw { at: self.at, flaw: Flaw::Short });
        }
        let held = self.window_at..self.window_at + self.window.len() as u64;
        if !held.contains(&at) || at + length as u64 > held.end {
            let wanted = (length.max(self.window_bytes) as u64).min(self.end - at);
            self.window.resize(wanted as usize, 0);
            self.window_at = at;
            let read = self.file.read_at(&mut self.window, at);
            if let Err(why) = read {
                self.window.clear();
                return Err(self.disk_stop(at, &why));
            }
        }
        let start = (at - self.window_at) as usize;
        Ok(&self.window[start..start + length])
    }

    fn disk_stop(&self, at: u64, why: &io::Error) -> Stop {
        if why.kind() == io::ErrorKind::UnexpectedEof {
            return Stop::Flaw { at, flaw: Flaw::Short };
        }
        Stop::Disk(JournalError::Unreadable { file: self.title.clone(), offset: at, why: why.to_string() })
    }

    /// The records of one section of a frame, checked and decompressed.
    pub fn block(&mut self, found: &Found, which: usize) -> Result<Fetched, Stop> {
        let before: u64 = found.body.sections[..which].iter().map(|section| u64::from(section.stored)).sum();
        let section = &found.body.sections[which];
        let at = found.at + u64::from(found.header.head) + before;
        let mut stored = vec![0; section.stored as usize];
        self.file.read_at(&mut stored, at).map_err(|why| self.disk_stop(at, &why))?;
        let stop = |flaw| Stop::Flaw { at: found.at, flaw };
        if crc32c::crc32c(&stored) != section.crc {
            return Err(stop(Flaw::Checksum));
        }
        let raw = expand(section, stored).ok_or(stop(Flaw::Nonsense))?;
        let input: Input = section.input.clone();
        Fetched::block(input, found.header.appended_at, section.base, raw, section.count).ok_or(stop(Flaw::Nonsense))
    }

    /// The payload of a frame as it is stored, checked.
    pub fn payload(&mut self, found: &Found) -> Result<Vec<u8>, Stop> {
        let head = u64::from(found.header.head);
        let payload = u64::from(found.header.total) - head;
        self.bytes(found.at + head, payload as usize).map(<[u8]>::to_vec)
    }

    /// The first whole head at or after `from`, searched byte by byte. No log line can hold one: it would have to know
    /// the log's secret number.
    pub fn search(&mut self, from: u64) -> Result<Option<Found>, Stop> {
        let mut at = from;
        while at + HEADER_BYTES as u64 <= self.end {
            let length = (WINDOW_WHOLE as u64).min(self.end - at) as usize;
            let window = self.bytes(at, length)?.to_vec();
            let log = self.log.map(u64::to_le_bytes);
            for hit in memchr::memmem::find_iter(&window, &MAGIC) {
                let secret = window.get(hit + 8..hit + 16);
                if log.is_some_and(|log| secret.is_some_and(|secret| secret != log)) {
                    continue;
                }
                if let Ok(found) = self.frame(at + hit as u64) {
                    return Ok(Some(found));
                }
            }
            // A frame may begin in the last bytes of a window: they are looked at again.
            at += (length - (MAGIC.len() - 1).min(length - 1)) as u64;
        }
        Ok(None)
    }

    /// Whether only zeros are left: space that was reserved and not written to.
    pub fn is_blank(&mut self, from: u64) -> Result<bool, Stop> {
        let mut at = from;
        while at < self.end {
            let length = (WINDOW_WHOLE as u64).min(self.end - at) as usize;
            if self.bytes(at, length)?.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            at += length as u64;
        }
        Ok(true)
    }
}

fn expand(section: &Section, stored: Vec<u8>) -> Option<Vec<u8>> {
    if section.raw == section.stored {
        return Some(stored);
    }
    if section.raw > RAW_BYTES_MAX {
        return None;
    }
    let mut raw = vec![0; section.raw as usize];
    let length = lz4_flex::block::decompress_into(&stored, &mut raw).ok()?;
    (length == raw.len()).then_some(raw)
}
