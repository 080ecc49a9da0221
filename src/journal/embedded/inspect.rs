//! Looks at every frame of a log, whatever state it is in: `sekisho journal list`, `dump` and `verify`. I/O.
//!
//! Nothing is changed, and damage never ends the walk: it is named and the next whole frame is looked for. Deliberately
//! without the lock: frames that a running node writes meanwhile look like a torn tail at worst.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::event::{Input, Time};
use crate::journal::{Fetched, JournalError, Mark};

use super::disk::Disk;
use super::frame::{Flaw, Kind};
use super::heads::{Found, Heads, Stop, WINDOW_WHOLE};
use super::names::{segment_name, segment_number};
use super::open::{io_error, open_segment, was_durable};

/// Damages that are listed; a log with more is counted on.
pub const DAMAGES_MAX: usize = 1_000;

/// A place where bytes are not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub file: String,
    pub offset: u64,
    pub what: String,
}

/// What a check of everything found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub segments: usize,
    pub frames: u64,
    pub records: u64,
    pub bytes: u64,
    /// The first of them, at most [`DAMAGES_MAX`].
    pub damages: Vec<Damage>,
    pub damages_total: u64,
    /// What earlier repairs could not save: offsets without records.
    pub lost: Vec<(Input, Range<u64>)>,
    /// An unfinished write at the end: the next start cuts it. No damage.
    pub torn_tail: Option<Damage>,
}

/// One segment, as `sekisho journal list` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentListed {
    pub file: String,
    pub number: u64,
    /// Bytes of whole frames.
    pub bytes: u64,
    pub frames: u64,
    pub records: u64,
    pub first_sequence: u64,
    pub appended_at: Option<(Time, Time)>,
    pub partitions: BTreeMap<Input, Range<u64>>,
    /// What a repair could not save.
    pub lost: Vec<(Input, Range<u64>)>,
}

/// One frame, as `sekisho journal dump` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameDumped {
    pub file: String,
    pub offset: u64,
    pub kind: Kind,
    pub bytes: u32,
    pub sequence: u64,
    pub epoch: u64,
    pub appended_at: Time,
    /// Stage, input, next offset.
    pub positions: Vec<(String, Input, u64)>,
    pub marks: Vec<Mark>,
    pub lost: Vec<(Input, Range<u64>)>,
    /// Its records.
    pub blocks: Vec<Fetched>,
}

/// What a walk meets.
pub(super) enum Seen<'a> {
    Segment(u64, &'a str),
    Frame(&'a mut Heads, &'a Found, &'a str),
    Damage(Damage),
    TornTail(Damage),
}

type Visit<'a> = &'a mut dyn FnMut(Seen<'_>) -> Result<(), JournalError>;

/// Checks every byte that was written.
///
/// # Errors
/// Where the folder cannot be read, or holds a newer format.
pub fn verify(disk: &dyn Disk) -> Result<Verified, JournalError> {
    let mut verified = Verified::default();
    walk(disk, &mut |seen| {
        match seen {
            Seen::Segment(..) => verified.segments += 1,
            Seen::Frame(heads, found, file) => {
                verified.frames += 1;
                verified.bytes += u64::from(found.header.total);
                verified.lost.extend(found.body.lost.iter().cloned());
                match blocks(heads, found) {
                    Ok(blocks) => verified.records += records(&blocks),
                    Err(stop) => note(&mut verified, damage(file, stop)),
                }
            }
            Seen::Damage(damage) => note(&mut verified, damage),
            Seen::TornTail(tail) => verified.torn_tail = Some(tail),
        }
        Ok(())
    })?;
    Ok(verified)
}

fn note(verified: &mut Verified, damage: Damage) {
    verified.damages_total += 1;
    if verified.damages.len() < DAMAGES_MAX {
        verified.damages.push(damage);
    }
}

fn records(blocks: &[Fetched]) -> u64 {
    blocks.iter().map(|block| block.offsets().end - block.offsets().start).sum()
}

pub(super) fn blocks(heads: &mut Heads, found: &Found) -> Result<Vec<Fetched>, Stop> {
    (0..found.body.sections.len()).map(|which| heads.block(found, which)).collect()
}

/// All segments in order, from their whole frames.
///
/// # Errors
/// As [`verify`].
pub fn list(disk: &dyn Disk) -> Result<Vec<SegmentListed>, JournalError> {
    let mut listed: Vec<SegmentListed> = Vec::new();
    walk(disk, &mut |seen| {
        match seen {
            Seen::Segment(number, file) => {
                listed.push(SegmentListed { number, file: file.to_owned(), ..SegmentListed::default() });
            }
            Seen::Frame(_, found, _) => {
                if let Some(segment) = listed.last_mut() {
                    segment.add(found);
                }
            }
            Seen::Damage(_) | Seen::TornTail(_) => {}
        }
        Ok(())
    })?;
    Ok(listed)
}

impl SegmentListed {
    fn add(&mut self, found: &Found) {
        let at = found.header.appended_at;
        if self.frames == 0 {
            self.first_sequence = found.header.sequence;
        }
        self.frames += 1;
        self.bytes += u64::from(found.header.total);
        self.appended_at = Some((self.appended_at.map_or(at, |(first, _)| first), at));
        self.lost.extend(found.body.lost.iter().cloned());
        for section in &found.body.sections {
            let end = section.base.saturating_add(u64::from(section.count));
            self.records += u64::from(section.count);
            self.partitions.entry(section.input.clone()).or_insert(section.base..end).end = end;
        }
    }
}

/// Gives every whole frame with its records to `visit`, in order.
///
/// # Errors
/// As [`verify`], and whatever `visit` gives.
pub fn dump(
    disk: &dyn Disk,
    visit: &mut dyn FnMut(FrameDumped) -> Result<(), JournalError>,
) -> Result<(), JournalError> {
    walk(disk, &mut |seen| {
        let Seen::Frame(heads, found, file) = seen else { return Ok(()) };
        let (header, body) = (&found.header, &found.body);
        visit(FrameDumped {
            file: file.to_owned(),
            offset: found.at,
            kind: header.kind,
            bytes: header.total,
            sequence: header.sequence,
            epoch: header.epoch,
            appended_at: header.appended_at,
            positions: body.positions.clone(),
            marks: body.marks.clone(),
            lost: body.lost.clone(),
            blocks: blocks(heads, found).unwrap_or_default(),
        })
    })
}

/// Visits everything in order.
pub(super) fn walk(disk: &dyn Disk, visit: Visit<'_>) -> Result<(), JournalError> {
    let names = disk.list().map_err(|why| io_error(disk, "list", "", &why))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    let log = numbers.iter().find_map(|number| log_of(disk, *number));
    let mut expected = None;
    for (index, number) in numbers.iter().enumerate() {
        let file = disk.title(&segment_name(*number));
        if index > 0 && numbers[index - 1] + 1 != *number {
            let what = "the segment before this one is missing".to_owned();
            visit(Seen::Damage(Damage { file: file.clone(), offset: 0, what }))?;
        }
        visit(Seen::Segment(*number, &file))?;
        let last = index + 1 == numbers.len();
        let (content, length) = open_segment(disk, *number)?;
        let heads = Heads::new(content, file.clone(), log, (0, length), WINDOW_WHOLE);
        Walk { heads, file, number: *number, last, length }.run(&mut expected, visit)?;
    }
    Ok(())
}

/// The secret number of the log, from the first frame of a segment that is whole.
fn log_of(disk: &dyn Disk, number: u64) -> Option<u64> {
    let (file, length) = open_segment(disk, number).ok()?;
    let mut heads = Heads::new(file, String::new(), None, (0, length), WINDOW_WHOLE);
    match heads.next() {
        Ok(found) => found.map(|found| found.header.log),
        Err(_) => heads.search(1).ok()?.map(|found| found.header.log),
    }
}

/// Sequence and CRC of the frame before; none at the beginning and behind damage.
type Expected = Option<(u64, u32)>;

struct Walk {
    heads: Heads,
    file: String,
    number: u64,
    last: bool,
    length: u64,
}

impl Walk {
    fn run(mut self, expected: &mut Expected, visit: Visit<'_>) -> Result<(), JournalError> {
        loop {
            match self.heads.next_whole() {
                Ok(None) => return Ok(()),
                Ok(Some(found)) => self.frame(&found, expected, visit)?,
                Err(Stop::Flaw { flaw: Flaw::Newer(version), .. }) => {
                    return Err(JournalError::Newer { file: self.file, version, known: super::frame::VERSION });
                }
                Err(stop) => {
                    if !self.flaw(stop, expected, visit)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn frame(&mut self, found: &Found, expected: &mut Expected, visit: Visit<'_>) -> Result<(), JournalError> {
        let header = &found.header;
        let chained = expected.is_none_or(|(sequence, crc)| header.sequence == sequence + 1 && header.previous == crc);
        if header.segment != self.number {
            let what = format!("a frame of segment {}", header.segment);
            return visit(Seen::Damage(Damage { file: self.file.clone(), offset: found.at, what }));
        }
        if !chained {
            let what = "the frame does not follow the one before it".to_owned();
            visit(Seen::Damage(Damage { file: self.file.clone(), offset: found.at, what }))?;
        }
        *expected = Some((header.sequence, header.crc));
        visit(Seen::Frame(&mut self.heads, found, &self.file))
    }

    /// What a flaw is, and whether there is more behind it.
    fn flaw(&mut self, stop: Stop, expected: &mut Expected, visit: Visit<'_>) -> Result<bool, JournalError> {
        let unreadable = matches!(stop, Stop::Disk(_));
        let at = self.heads.at();
        let damage = Damage { offset: at, ..damage(&self.file, stop) };
        if self.last && !unreadable {
            let sequence = expected.map_or(0, |(sequence, _)| sequence + 1);
            let blank = self.heads.is_blank(at).unwrap_or(false);
            let torn = !blank && !was_durable(&mut self.heads, at, sequence).unwrap_or(true);
            if blank {
                return Ok(false);
            }
            if torn {
                visit(Seen::TornTail(damage))?;
                return Ok(false);
            }
        }
        visit(Seen::Damage(damage))?;
        *expected = None;
        // What the disk does not give is passed over in steps; each try gets further.
        let mut from = at + if unreadable { WINDOW_WHOLE as u64 } else { 1 };
        while from < self.length {
            match self.heads.search(from) {
                Ok(Some(found)) => {
                    self.heads.move_to(found.at);
                    return Ok(true);
                }
                Ok(None) => return Ok(false),
                Err(_) => from += WINDOW_WHOLE as u64,
            }
        }
        Ok(false)
    }
}

pub(super) fn damage(file: &str, stop: Stop) -> Damage {
    match stop {
        Stop::Flaw { at, flaw } => Damage { file: file.to_owned(), offset: at, what: flaw.text().to_owned() },
        Stop::Disk(error) => Damage { file: file.to_owned(), offset: 0, what: error.to_string() },
    }
}
