//! Raw records → the index. I/O.
//!
//! It reads every raw partition by itself, from where the index says it ended, so an index that is slow, full or deleted
//! never touches detection. Any fault of the index closes its writer; it is opened again and goes on from its own
//! positions. Deliberately without a stage of the journal: the index holds its positions in its own commits, and retention
//! asks for them.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::catalog::{Catalog, PipelineIndex};
use crate::event::{FlawKind, Input, Place, Time};
use crate::fold::{RawRecord, Reader, caught};
use crate::index::{self, Batch, Index, IndexError, Writer, WriterCounts, WriterSettings};
use crate::journal::{Fetched, Journal, JournalError};

use super::steps::{Step, Steps};

/// Bytes read at a time of one partition.
const READ_BYTES: usize = 4 << 20;

/// Keeps the index up to date.
pub struct Indexer<J> {
    journal: Arc<J>,
    catalog: Arc<Catalog>,
    /// By [`PipelineIndex`].
    readers: Vec<Option<Reader>>,
    index: Index,
    writer: Writer,
    durable: Durable,
    /// Records that retention deleted before they were indexed.
    missed: u64,
    pub(super) steps: Steps,
}

/// How far the index is durable: what retention must not pass. Clones are the same.
#[derive(Clone, Default)]
pub struct Durable(Arc<Mutex<Vec<(Input, u64)>>>);

/// What kept a step from being done.
#[derive(Debug, thiserror::Error)]
pub enum IndexerError {
    /// The journal failed: the node must end.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The index failed: it is opened again.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl Durable {
    /// The next offset of each input that the index still needs.
    pub fn positions(&self) -> Vec<(Input, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, positions: Vec<(Input, u64)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = positions;
    }
}

impl<J: Journal> Indexer<J> {
    /// Opens the index for writing. `catalog` keeps every field.
    ///
    /// # Errors
    /// Those of opening the index.
    pub fn open(
        journal: Arc<J>,
        catalog: Arc<Catalog>,
        index: &Index,
        settings: WriterSettings,
    ) -> Result<Indexer<J>, IndexError> {
        let writer = Writer::open(index, settings)?;
        let durable = Durable::default();
        durable.set(writer.positions());
        let readers = catalog.pipelines.iter().map(|_| None).collect();
        let (index, steps) = (index.clone(), Steps::default());
        Ok(Indexer { journal, catalog, readers, index, writer, durable, missed: 0, steps })
    }

    /// Indexes what there is, a few megabytes of each partition, and commits where that is due. Gives how many records
    /// it read.
    ///
    /// # Errors
    /// After [`IndexerError::Index`] the writer is closed: [`Indexer::reopen`].
    pub fn step(&mut self) -> Result<u64, IndexerError> {
        let mut records = 0;
        let known = self.writer.positions();
        for pipeline in 0..self.catalog.pipelines.len() {
            let partitions = self.journal.partitions(&self.catalog.pipelines[pipeline].name)?;
            for (input, range) in partitions {
                let next = known.iter().find(|(known, _)| *known == input).map(|(_, next)| *next);
                records += self.partition(PipelineIndex(pipeline), &input, (next, range))?;
            }
        }
        if self.writer.is_due() {
            self.commit()?;
        }
        Ok(records)
    }

    /// Whether the disk has room for more (index-durability sheet §3.3): the journal needs what is left.
    pub fn has_room(&self) -> bool {
        let Ok(disk) = rustix::fs::statvfs(self.index.directory()) else { return true };
        // About what documents take of their lines, with the raw line kept (limits sheet §5).
        let taken = self.index.status().raw_bytes / 2;
        index::may_write(disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize, taken)
    }

    /// Makes everything added durable.
    ///
    /// # Errors
    /// As [`Indexer::step`].
    pub fn commit(&mut self) -> Result<(), IndexError> {
        let positions = self.writer.commit()?;
        self.steps.reach(Step::IndexCommitted);
        self.durable.set(positions);
        Ok(())
    }

    /// Opens the index again after a fault.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn reopen(&mut self) -> Result<(), IndexError> {
        self.writer.reopen()?;
        self.durable.set(self.writer.positions());
        Ok(())
    }

    /// Drops what is older or more than retention says; `now` is the journal's time.
    ///
    /// # Errors
    /// Where files cannot be removed.
    pub fn retain(&mut self, now: Time) -> Result<usize, IndexError> {
        self.writer.retain(now)
    }

    /// How far the index is durable.
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// What was counted since the index was opened, and the records that were gone before they were read.
    pub fn counts(&self) -> (WriterCounts, u64) {
        (self.writer.counts(), self.missed)
    }

    fn partition(
        &mut self,
        pipeline: PipelineIndex,
        input: &Input,
        (next, range): (Option<u64>, Range<u64>),
    ) -> Result<u64, IndexerError> {
        let from = next.unwrap_or(range.start);
        if from < range.start {
            self.missed += range.start - from;
            self.writer.skip_to(input, range.start)?;
        }
        let from = from.max(range.start);
        if from >= range.end {
            return Ok(0);
        }
        let blocks = self.journal.read(input, from, READ_BYTES)?;
        let mut records = 0;
        for block in &blocks {
            records += block.offsets().end - block.offsets().start;
            self.block(pipeline, block)?;
            self.steps.reach(Step::IndexAdded);
        }
        Ok(records)
    }

    fn block(&mut self, pipeline: PipelineIndex, block: &Fetched) -> Result<(), IndexError> {
        let mut batch = self.writer.batch();
        let mut from = block.offsets().start;
        for record in block {
            let raw = RawRecord { offset: record.offset, bytes: record.value, spoofable: record.spoofable };
            self.record(pipeline, &block.input, (raw, record.appended_at), &mut batch);
            if batch.is_full() {
                let full = std::mem::replace(&mut batch, self.writer.batch());
                self.writer.add(full, &[(block.input.clone(), from..record.offset + 1)])?;
                from = record.offset + 1;
            }
        }
        let end = block.offsets().end;
        if from < end { self.writer.add(batch, &[(block.input.clone(), from..end)]) } else { Ok(()) }
    }

    /// A record on which our own code gives up is not searchable; ingest has made a dead letter of it.
    fn record(
        &mut self,
        pipeline: PipelineIndex,
        input: &Input,
        (record, at): (RawRecord<'_>, Time),
        batch: &mut Batch,
    ) {
        let (catalog, slot) = (&self.catalog, &mut self.readers[pipeline.0]);
        let reader = slot.get_or_insert_with(|| Reader::new(Arc::clone(catalog), pipeline));
        let name = catalog.pipeline(pipeline).name.as_str();
        let time = catalog.time;
        let read = caught(|| {
            reader.read(record, at, |event, item| {
                let ahead = event.occurred_at.is_some_and(|claimed| claimed.since(at) > time.future);
                let arrival: &[FlawKind] = if ahead { &[FlawKind::FutureTime] } else { &[] };
                let place = Place { offset: record.offset, item };
                batch.push(&index::Entry { event, input, place, pipeline: name, appended_at: at, arrival });
            });
        });
        if read.is_err() {
            *slot = None;
        }
    }
}
