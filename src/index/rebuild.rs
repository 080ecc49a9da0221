//! Making one split again from the journal, beside the damaged one, which serves until it is exchanged. I/O.
//!
//! A sealed split says which offsets it has read; where that cannot be read any more, its neighbours say where they end
//! and begin. The newest split has no neighbour behind it: it is dropped, and the writer reads on from the one before.
//! Deliberately without the journal: the caller reads it, and what it no longer holds is lost to searches.

use std::ops::Range;
use std::path::Path;

use super::batch::Batch;
use super::error::IndexError;
use super::payload::{Part, Payload};
use super::split::{self, SplitPath};
use super::writer::{Open, Writer, WriterCounts};
use crate::event::Input;

/// A split that is being made again.
pub struct Rebuild {
    split: SplitPath,
    read: Vec<(Input, Range<u64>)>,
    open: Open,
    counts: WriterCounts,
}

impl Writer {
    /// Begins to make a sealed split again.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] where neither the split nor its neighbours say what it has read.
    pub fn rebuild(&self, number: u64) -> Result<Rebuild, IndexError> {
        let splits = split::list(&self.directory)?;
        let at = splits.iter().position(|split| split.number == number);
        let damaged = |detail: &str| IndexError::Damaged { path: self.directory.clone(), detail: detail.to_owned() };
        let at = at.filter(|at| at + 1 < splits.len()).ok_or_else(|| damaged("there is no such sealed split"))?;
        let payload = |split: &SplitPath| split::open(&split.path, &self.columns, split::on_disk).map(|open| open.2);
        let parts = match payload(&splits[at]) {
            Ok(own) => own.parts,
            Err(_) => {
                let before = at.checked_sub(1).map(|before| payload(&splits[before])).transpose()?;
                between(before.as_ref(), &payload(&splits[at + 1])?)
            }
        };
        let read = parts.iter().map(|part| (part.input(), part.from..part.next)).collect();
        let mut first = Payload::beginning(&self.columns.hash(), None);
        first.parts = parts.into_iter().map(|part| Part { next: part.from, ..part }).collect();
        let split = splits[at].clone();
        let path = split::create_beside(&split.path, &self.columns, &first)?;
        let open = self.open_split(SplitPath { number, path })?;
        Ok(Rebuild { split, read, open, counts: WriterCounts::default() })
    }
}

/// What lies between the end of one split and the beginning of another.
fn between(before: Option<&Payload>, after: &Payload) -> Vec<Part> {
    let from = |part: &Part| before.and_then(|before| before.next(&part.input())).unwrap_or(0);
    after.parts.iter().map(|part| Part { from: from(part), next: part.from, ..part.clone() }).collect()
}

impl Rebuild {
    /// The offsets to read from the journal and to add, as far as it still holds them.
    pub fn read(&self) -> &[(Input, Range<u64>)] {
        &self.read
    }

    /// Adds events, as [`Writer::add`] does. Offsets that the journal no longer holds are left out of the batch, not of
    /// `read`.
    ///
    /// # Errors
    /// As [`Writer::add`]; the rebuilding is then given up, and the split is as it was.
    pub fn add(&mut self, batch: Batch, read: &[(Input, Range<u64>)]) -> Result<(), IndexError> {
        self.open.add(batch, read, &mut self.counts)
    }

    /// Puts the new split in the place of the old one, once it is durable.
    ///
    /// # Errors
    /// [`IndexError::Gap`] where not everything was added.
    pub fn finish(mut self, writer: &Writer) -> Result<WriterCounts, IndexError> {
        for (input, range) in self.read {
            let next = self.open.payload.next(&input).unwrap_or(range.start);
            if next < range.end {
                return Err(IndexError::Gap { input, expected: next, found: range.end });
            }
        }
        self.open.payload.sealed = true;
        self.open.commit(
            #[cfg(test)]
            None,
        )?;
        self.open.finish_merges()?;
        split::exchange(&self.split)?;
        writer.index.mended(&self.split.path, super::view::read_split(&self.split, &writer.columns)?);
        Ok(self.counts)
    }
}

/// Drops the newest split of an index that no process writes: its damage keeps the writer from opening. What it held is
/// read from the journal again, from where the split before it ends.
///
/// # Errors
/// [`IndexError::Locked`] while a process writes the index.
pub fn drop_newest(directory: &Path) -> Result<(), IndexError> {
    let _lock = split::lock(directory)?;
    match split::list(directory)?.pop() {
        Some(newest) => split::remove(&newest),
        None => Ok(()),
    }
}
