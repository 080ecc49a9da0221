//! What the embedded journal promises, over simulated and real disks. I/O.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::event::{Input, Time};
use crate::journal::{Commit, Journal, JournalError, Mark, NewRecord, Records};

use super::{Clock, Embedded, Settings, SimulatedDisk};

mod crash;
mod damage;
mod group;
mod model;
mod real;
mod retention;
mod space;

/// Small enough that a few commits fill a segment.
const SEGMENT: u64 = 4 << 10;

fn settings() -> Settings {
    Settings { segment_bytes: SEGMENT, reserve_bytes: SEGMENT, ..Settings::default() }
}

/// A clock that goes on by a millisecond each time it is asked.
fn clock() -> Clock {
    let now = AtomicI64::new(1_000);
    Arc::new(move || Time(now.fetch_add(1, Ordering::Relaxed)))
}

fn open(disk: &SimulatedDisk) -> Result<Embedded, JournalError> {
    Embedded::open_on(Arc::new(disk.clone()), clock(), settings())
}

fn input(topic: &str, partition: u32) -> Input {
    Input { topic: topic.to_owned(), partition }
}

fn records<'a>(values: impl IntoIterator<Item = &'a str>) -> Records {
    let mut records = Records::default();
    for value in values {
        records.push(NewRecord { value: value.as_bytes(), ..NewRecord::default() });
    }
    records
}

fn append(input: Input, values: &[&str]) -> Commit {
    Commit { appends: vec![(input, records(values.iter().copied()))], ..Commit::default() }
}

fn mark(key: &str, value: &str) -> Mark {
    Mark { key: key.to_owned(), value: Some(value.as_bytes().to_vec()), expires_at: None }
}

/// Every record of a partition that is there: (offset, value); lost offsets as `None`.
fn read_all(journal: &Embedded, input: &Input, budget: usize) -> Result<Vec<(u64, Option<String>)>, JournalError> {
    let partitions = journal.partitions(&input.topic)?;
    let Some((_, there)) = partitions.into_iter().find(|(found, _)| found == input) else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    let mut next = there.start;
    while next < there.end {
        let blocks = journal.read(input, next, budget)?;
        assert!(!blocks.is_empty(), "nothing at {next} of {there:?}");
        for block in blocks {
            assert_eq!(block.offsets().start, next);
            let text = |value: &[u8]| Some(String::from_utf8_lossy(value).into_owned());
            all.extend(block.iter().map(|record| (record.offset, text(record.value))));
            if block.is_lost() {
                all.extend(block.offsets().map(|offset| (offset, None)));
            }
            next = block.offsets().end;
        }
    }
    Ok(all)
}
