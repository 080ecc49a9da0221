//! The index against a model of it: the same events in a list, asked one by one. I/O: temporary folders.

mod faults;
mod model;
mod parsing;
mod sample;

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::{Ask, Index, Page, Query, Retention, SearchSettings, Sort, SplitLimits, Writer, WriterSettings};
use crate::event::{Input, Layout, Time};
use sample::Sample;

/// A search that nobody cancels.
static WANTED: AtomicBool = AtomicBool::new(false);

fn settings() -> WriterSettings {
    WriterSettings {
        threads: 2,
        memory_bytes: 15_000_000,
        split: SplitLimits::default(),
        retention: Retention { age_max: i64::MAX, bytes_max: u64::MAX },
    }
}

fn open(directory: &Path, settings: WriterSettings) -> (Index, Writer) {
    let index = Index::open(directory, SearchSettings::default()).unwrap();
    let writer = Writer::open(&index, settings).unwrap();
    (index, writer)
}

fn ask(query: &Query) -> Ask<'_> {
    Ask { query, from: Time::MIN, to: Time::MAX, cancelled: &WANTED }
}

fn page(limit: usize) -> Page<'static> {
    Page { sort: Sort::Newest, limit, after: None, layout: Layout::Nested }
}

/// Adds samples as one batch, with the ranges of offsets they span.
fn add(writer: &mut Writer, samples: &[Sample]) -> Result<(), super::IndexError> {
    let mut batch = writer.batch();
    let mut read: Vec<(Input, Range<u64>)> = Vec::new();
    for sample in samples {
        sample.with_entry(|entry| batch.push(entry));
        let next = sample.place.offset + 1;
        match read.iter_mut().find(|(input, _)| *input == sample.input) {
            Some((_, range)) => range.end = range.end.max(next),
            None => read.push((sample.input.clone(), sample.place.offset..next)),
        }
    }
    writer.add(batch, &read)
}

/// Those of `samples` that the writer has not read yet.
fn unread(writer: &Writer, samples: &[Sample]) -> Vec<Sample> {
    let positions = writer.positions();
    let next = |input: &Input| positions.iter().find(|(of, _)| of == input).map_or(0, |(_, next)| *next);
    samples.iter().filter(|sample| sample.place.offset >= next(&sample.input)).cloned().collect()
}

/// The index must hold exactly these, each once, and have nothing wrong.
fn holds_exactly(index: &Index, samples: &[Sample]) {
    let verified = super::verify(index.directory(), || true).unwrap();
    assert_eq!(verified.faults, []);
    assert_eq!(verified.documents, samples.len() as u64);
    let found = index.search(&ask(&Query::All), &page(10_000)).unwrap();
    assert_eq!(found.total, samples.len() as u64);
    let mut positions: Vec<_> = found.hits.into_iter().map(|hit| hit.position).collect();
    let mut expected: Vec<_> = samples.iter().map(|sample| sample.input.position(sample.place)).collect();
    positions.sort();
    expected.sort();
    assert_eq!(positions, expected);
}
