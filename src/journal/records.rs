//! Records on their way into the journal and out of it, many to a buffer. Pure.
//!
//! A record is copied once into a buffer that is compressed as a whole, and borrowed from one when it is read: nothing
//! is allocated per record. Layout of one: flags (1 byte: bit 0 spoofable, bit 1 has a key, bit 2 has a place of its own,
//! bit 3 is the last of its key), value length (u32), key length (u32, only with a key), offset (u64) and time (i64, both only with a place), key, value;
//! numbers are little-endian. A place of its own is what Kafka's records have: offsets there have gaps, and each record has
//! its time. Deliberately without any compression or checksum: that is the log's.

use std::ops::Range;

use crate::event::{Input, Record, Time};

const SPOOFABLE: u8 = 1;
const KEYED: u8 = 2;
const PLACED: u8 = 4;
const LAST: u8 = 8;
/// Flags, two lengths and a place.
const HEAD_BYTES_MAX: usize = 25;
const FLAGS_KNOWN: u8 = SPOOFABLE | KEYED | PLACED | LAST;

/// One record to be appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewRecord<'a> {
    /// What compaction keeps one value of; `None` for log lines.
    pub key: Option<&'a [u8]>,
    pub value: &'a [u8],
    /// Whether anybody could have forged it: a datagram from elsewhere than loopback. It never blocks anyone.
    pub spoofable: bool,
}

/// Records for one partition, in order, in one buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    buffer: Vec<u8>,
    count: u32,
    /// A key or value had a length that 32 bits do not hold: the journal refuses the whole.
    oversize: bool,
}

impl Records {
    /// None yet, with memory for so many bytes of records: a batch that grows step by step is copied several times.
    pub fn with_capacity(bytes: usize) -> Records {
        Records { buffer: Vec::with_capacity(bytes), ..Records::default() }
    }

    /// Adds one record at the end.
    pub fn push(&mut self, record: NewRecord<'_>) {
        self.put(record, 0, None);
    }

    /// Adds one record with the offset and the time it has already.
    pub fn push_placed(&mut self, record: NewRecord<'_>, offset: u64, appended_at: Time) {
        self.put(record, 0, Some((offset, appended_at)));
    }

    /// Adds one record after which nothing is to be kept under its key: a journal that keeps one value of each key
    /// forgets it then.
    pub fn push_last(&mut self, record: NewRecord<'_>) {
        self.put(record, LAST, None);
    }

    /// What was pushed, in order; with each whether it is the last of its key.
    pub fn iter(&self) -> impl Iterator<Item = (NewRecord<'_>, bool)> {
        let mut rest = self.buffer.as_slice();
        std::iter::from_fn(move || {
            let last = rest.first().is_some_and(|flags| flags & LAST != 0);
            let (record, _, behind) = split(rest)?;
            rest = behind;
            Some((record, last))
        })
    }

    fn put(&mut self, record: NewRecord<'_>, flags: u8, place: Option<OwnPlace>) {
        let (Ok(value), Ok(key)) = (length(record.value), length(record.key.unwrap_or_default())) else {
            self.oversize = true;
            return;
        };
        let keyed = record.key.map_or(0, |_| KEYED);
        let spoofable = if record.spoofable { SPOOFABLE } else { 0 };
        let placed = place.map_or(0, |_| PLACED);
        self.buffer.reserve(HEAD_BYTES_MAX + record.value.len() + record.key.map_or(0, <[u8]>::len));
        self.buffer.push(flags | keyed | spoofable | placed);
        self.buffer.extend_from_slice(&value);
        if record.key.is_some() {
            self.buffer.extend_from_slice(&key);
        }
        if let Some((offset, appended_at)) = place {
            self.buffer.extend_from_slice(&offset.to_le_bytes());
            self.buffer.extend_from_slice(&appended_at.0.to_le_bytes());
        }
        self.buffer.extend_from_slice(record.key.unwrap_or_default());
        self.buffer.extend_from_slice(record.value);
        self.count = self.count.saturating_add(1);
    }

    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What it takes in memory and, before compression, in the log.
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.count = 0;
        self.oversize = false;
    }

    /// The encoded records.
    pub(super) fn encoded(&self) -> &[u8] {
        &self.buffer
    }

    /// Whether a record was left out because its length cannot be written.
    pub(super) fn is_oversize(&self) -> bool {
        self.oversize || self.count == u32::MAX
    }
}

fn length(bytes: &[u8]) -> Result<[u8; 4], std::num::TryFromIntError> {
    u32::try_from(bytes.len()).map(u32::to_le_bytes)
}

/// Records of one partition, in order, in one block; or offsets that a repair could not save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    pub input: Input,
    /// The journal's time of all of them.
    pub appended_at: Time,
    offsets: Range<u64>,
    lost: bool,
    block: Vec<u8>,
    /// Where the first record begins in the block.
    start: usize,
}

/// One record as it lies in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRecord<'a> {
    pub offset: u64,
    /// The journal's own time.
    pub appended_at: Time,
    pub key: Option<&'a [u8]>,
    pub value: &'a [u8],
    /// See [`NewRecord::spoofable`].
    pub spoofable: bool,
}

impl<'a> StoredRecord<'a> {
    /// What the fold knows of it.
    pub fn record(&self) -> Record<'a> {
        Record { offset: self.offset, appended_at: self.appended_at, bytes: self.value }
    }
}

impl Fetched {
    /// A block of records from `base` on; `None` where its bytes are not exactly `count` records.
    pub fn block(input: Input, appended_at: Time, base: u64, block: Vec<u8>, count: u32) -> Option<Fetched> {
        let fetched = Fetched {
            input,
            appended_at,
            offsets: base..base.checked_add(u64::from(count))?,
            lost: false,
            block,
            start: 0,
        };
        let mut rest = fetched.block.as_slice();
        for _ in 0..count {
            rest = split(rest)?.2;
        }
        rest.is_empty().then_some(fetched)
    }

    /// Records that have their places already, which end at `end`, exclusive: gaps are part of it.
    pub fn placed(input: Input, appended_at: Time, (start, end): (u64, u64), records: Records) -> Fetched {
        Fetched { input, appended_at, offsets: start..end, lost: false, block: records.buffer, start: 0 }
    }

    /// Offsets that are no more, since a repair left them out.
    pub fn lost(input: Input, appended_at: Time, offsets: Range<u64>) -> Fetched {
        Fetched { input, appended_at, offsets, lost: true, block: Vec::new(), start: 0 }
    }

    /// Without the records before `from`.
    pub fn skip_to(mut self, from: u64) -> Fetched {
        while !self.lost && self.offsets.start < from.min(self.offsets.end) {
            let Some((_, place, rest)) = split(&self.block[self.start..]) else { break };
            if place.is_some_and(|(offset, _)| offset >= from) {
                break;
            }
            self.start = self.block.len() - rest.len();
            self.offsets.start = place.map_or(self.offsets.start, |(offset, _)| offset) + 1;
        }
        self.offsets.start = self.offsets.start.max(from.min(self.offsets.end));
        self
    }

    /// The same, speaking also of the offsets from `from` on, where there are no records.
    pub fn reaching_back(mut self, from: u64) -> Fetched {
        self.offsets.start = self.offsets.start.min(from);
        self
    }

    /// The offsets it speaks of; their end is where the next one goes on.
    pub fn offsets(&self) -> Range<u64> {
        self.offsets.clone()
    }

    /// Whether its offsets hold nothing: damaged, and left out by `sekisho journal repair`. A reader must say so.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// What its records take in memory.
    pub fn bytes(&self) -> usize {
        self.block.len() - self.start
    }

    /// Its records in order; none where they are lost.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.block[self.start..], offset: self.offsets.start, appended_at: self.appended_at }
    }
}

impl<'a> IntoIterator for &'a Fetched {
    type Item = StoredRecord<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The records of a block, borrowed from it.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a [u8],
    offset: u64,
    appended_at: Time,
}

impl<'a> Iterator for Iter<'a> {
    type Item = StoredRecord<'a>;

    fn next(&mut self) -> Option<StoredRecord<'a>> {
        let (record, place, rest) = split(self.rest)?;
        self.rest = rest;
        let NewRecord { key, value, spoofable } = record;
        let (offset, appended_at) = place.unwrap_or((self.offset, self.appended_at));
        self.offset = offset + 1;
        Some(StoredRecord { offset, appended_at, key, value, spoofable })
    }
}

/// An offset and a time that a record has of its own.
type OwnPlace = (u64, Time);

/// The first record of a buffer, its place where it has one of its own, and what follows it.
fn split(bytes: &[u8]) -> Option<(NewRecord<'_>, Option<OwnPlace>, &[u8])> {
    let (flags, rest) = bytes.split_first()?;
    if flags & !FLAGS_KNOWN != 0 {
        return None;
    }
    let (value_length, rest) = rest.split_first_chunk::<4>()?;
    let (key_length, rest) = if flags & KEYED == 0 { (None, rest) } else { number(rest)? };
    let (place, rest) = if flags & PLACED == 0 { (None, rest) } else { place(rest)? };
    let (key, rest) = rest.split_at_checked(key_length.unwrap_or_default())?;
    let key = key_length.map(|_| key);
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*value_length) as usize)?;
    Some((NewRecord { key, value, spoofable: flags & SPOOFABLE != 0 }, place, rest))
}

fn number(bytes: &[u8]) -> Option<(Option<usize>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    Some((Some(u32::from_le_bytes(*length) as usize), rest))
}

fn place(bytes: &[u8]) -> Option<(Option<OwnPlace>, &[u8])> {
    let (offset, rest) = bytes.split_first_chunk::<8>()?;
    let (time, rest) = rest.split_first_chunk::<8>()?;
    let offset = u64::from_le_bytes(*offset).min(u64::MAX - 1);
    Some((Some((offset, Time(i64::from_le_bytes(*time)))), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn input() -> Input {
        Input { topic: "logs".to_owned(), partition: 3 }
    }

    proptest! {
        #[test]
        fn records_come_back_from_any_offset(
            records in prop::collection::vec((prop::option::of(prop::collection::vec(any::<u8>(), 0..9)),
                prop::collection::vec(any::<u8>(), 0..40), any::<bool>()), 0..20),
            base in 0u64..1_000,
            skip in 0u64..30,
        ) {
            let mut buffer = Records::default();
            for (key, value, spoofable) in &records {
                buffer.push(NewRecord { key: key.as_deref(), value, spoofable: *spoofable });
            }
            prop_assert_eq!(buffer.len(), records.len());
            prop_assert_eq!(buffer.iter().count(), records.len());
            let count = buffer.len() as u32;
            let fetched = Fetched::block(input(), Time(5), base, buffer.encoded().to_vec(), count).unwrap();
            let fetched = fetched.skip_to(base + skip);
            let left = records.iter().enumerate().skip(skip as usize);
            let expected: Vec<_> = left.map(|(at, (key, value, spoofable))| StoredRecord {
                offset: base + at as u64, appended_at: Time(5), key: key.as_deref(), value, spoofable: *spoofable,
            }).collect();
            prop_assert_eq!(fetched.iter().collect::<Vec<_>>(), expected);
            prop_assert_eq!(fetched.offsets().end, base + records.len() as u64);
        }

        #[test]
        fn records_with_places_come_back_from_any_offset(
            records in prop::collection::vec((prop::option::of("[a-z]{0,5}"), "[a-z]{0,9}", 1u64..9, -5i64..5), 1..20),
            skip in 0u64..200,
        ) {
            let (mut buffer, mut offset) = (Records::default(), 0);
            let mut expected = Vec::new();
            for (key, value, gap, time) in &records {
                offset += gap;
                let (key, value) = (key.as_ref().map(String::as_bytes), value.as_bytes());
                buffer.push_placed(NewRecord { key, value, spoofable: false }, offset, Time(*time));
                expected.push(StoredRecord { offset, appended_at: Time(*time), key, value, spoofable: false });
            }
            let fetched = Fetched::placed(input(), Time(0), (1, offset + 3), buffer).skip_to(skip);
            expected.retain(|record| record.offset >= skip);
            prop_assert_eq!(fetched.iter().collect::<Vec<_>>(), expected);
            prop_assert_eq!(fetched.offsets().end, offset + 3);
            prop_assert!(fetched.offsets().start >= skip.min(offset + 3));
        }

        #[test]
        fn any_bytes_are_a_block_or_none(bytes in prop::collection::vec(any::<u8>(), 0..60), count in 0u32..8) {
            if let Some(fetched) = Fetched::block(input(), Time(0), 0, bytes, count) {
                prop_assert_eq!(fetched.iter().count(), count as usize);
            }
        }
    }

    #[test]
    fn lost_offsets_hold_nothing_and_go_on_behind_them() {
        let lost = Fetched::lost(input(), Time(1), 4..9).skip_to(6);
        assert!(lost.is_lost() && lost.iter().next().is_none());
        assert_eq!(lost.offsets(), 6..9);
    }
}
