//! Raw records → the index. I/O.
//!
//! It reads every raw partition by itself, from where the index says it ended, so an index that is slow, full or deleted
//! never touches detection. Any fault of the index closes its writer; it is opened again and goes on from its own
//! positions. Deliberately without a stage of the journal: the index holds its positions in its own commits, and retention
//! asks for them.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::api::Histogram;
use crate::catalog::{Catalog, PipelineIndex};
use crate::event::{FlawKind, Input, Place, Time};
use crate::fold::{RawRecord, Reader, caught};
use crate::index::{self, Batch, Index, IndexError, Rebuild, Writer, WriterCounts, WriterSettings};
use crate::journal::{Fetched, Journal, JournalError};

use super::attempts::Attempts;
use super::steps::{Step, Steps};
use super::topic_ids::TopicIds;

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
    pub(super) attempts: Attempts,
    topics: TopicIds,
    /// How long commits take, where that is counted.
    pub(super) commits: Option<Histogram>,
}

/// Where a batch of the records of these offsets goes.
type Add<'a> = &'a mut dyn FnMut(&mut Writer, Batch, Range<u64>) -> Result<(), IndexError>;

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
        let (index, steps, attempts) = (index.clone(), Steps::default(), Attempts::default());
        let directory = index.directory();
        let topics = TopicIds::open(directory).map_err(|error| IndexError::io("read", directory, error))?;
        let commits = None;
        Ok(Indexer { journal, catalog, readers, index, writer, durable, missed: 0, steps, attempts, topics, commits })
    }

    /// Indexes what there is, a few megabytes of each partition, and commits where that is due. Gives how many records
    /// it read.
    ///
    /// # Errors
    /// After [`IndexerError::Index`] the writer is closed: [`Indexer::reopen`].
    pub fn step(&mut self) -> Result<u64, IndexerError> {
        let mut records = 0;
        let known = self.writer.positions();
        for topic in self.journal.topics()? {
            let Some(pipeline) = self.catalog.pipeline_of(&topic) else { continue };
            for (input, range) in self.journal.partitions(&topic)? {
                let next = known.iter().find(|(known, _)| *known == input).map(|(_, next)| *next);
                records += self.partition(pipeline, &input, (next, range))?;
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
        let positions = match &self.commits {
            Some(commits) => commits.time(|| self.writer.commit())?,
            None => self.writer.commit()?,
        };
        self.steps.reach(Step::IndexCommitted);
        self.attempts.done(&positions);
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

    /// Makes a sealed split again from the journal; gives how many events it has now. The damaged one serves until then,
    /// and stays where the journal no longer holds all that it has read (`None`): what can still be read of it is worth more.
    ///
    /// # Errors
    /// Those of the journal and of the index; the split is then as it was.
    pub fn mend(&mut self, number: u64) -> Result<Option<u64>, IndexerError> {
        let mut rebuild = self.writer.rebuild(number)?;
        let read = rebuild.read().to_vec();
        for (input, range) in &read {
            let there = self.journal.partitions(&input.topic)?.into_iter().find(|(known, _)| known == input);
            if there.is_none_or(|(_, there)| there.start > range.start) && !range.is_empty() {
                return Ok(None);
            }
        }
        for (input, range) in read {
            self.mend_input(&mut rebuild, &input, range)?;
        }
        Ok(Some(rebuild.finish(&self.writer)?.events))
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
        self.same_topic(&input.topic)?;
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

    /// Refuses a topic that was made anew: other records lie at the places that the index knows.
    fn same_topic(&mut self, topic: &str) -> Result<(), IndexerError> {
        let Some(id) = self.journal.topic_id(topic)? else { return Ok(()) };
        let directory = self.index.directory();
        if self.topics.is_same(topic, &id).map_err(|error| IndexError::io("write", directory, error))? {
            return Ok(());
        }
        let why = format!(
            "{topic} was deleted and made anew, and the index holds records of the topic that was\n  = move {} away; the next \
             start makes the index again from what the topics hold",
            directory.display()
        );
        Err(JournalError::Refused { why }.into())
    }

    fn block(&mut self, pipeline: PipelineIndex, block: &Fetched) -> Result<(), IndexError> {
        self.batches(pipeline, block, block.offsets(), &mut |writer, batch, range| {
            writer.add(batch, &[(block.input.clone(), range)])
        })
    }

    /// Hands the records of a block that lie `within` over in batches.
    fn batches(
        &mut self,
        pipeline: PipelineIndex,
        block: &Fetched,
        within: Range<u64>,
        add: Add<'_>,
    ) -> Result<(), IndexError> {
        self.attempts.begin([(block.input.clone(), within.clone())].into_iter());
        let done = self.noted_batches(pipeline, block, within, add);
        self.attempts.end();
        done
    }

    fn noted_batches(
        &mut self,
        pipeline: PipelineIndex,
        block: &Fetched,
        within: Range<u64>,
        add: Add<'_>,
    ) -> Result<(), IndexError> {
        let mut batch = self.writer.batch();
        let mut from = within.start;
        for record in block.iter().filter(|record| within.contains(&record.offset)) {
            let raw = RawRecord { offset: record.offset, bytes: record.value, spoofable: record.spoofable };
            self.record(pipeline, &block.input, (raw, record.appended_at), &mut batch);
            if batch.is_full() {
                let full = std::mem::replace(&mut batch, self.writer.batch());
                add(&mut self.writer, full, from..record.offset + 1)?;
                from = record.offset + 1;
            }
        }
        if from < within.end { add(&mut self.writer, batch, from..within.end) } else { Ok(()) }
    }

    /// What a split under repair has read of one input.
    fn mend_input(&mut self, rebuild: &mut Rebuild, input: &Input, range: Range<u64>) -> Result<(), IndexerError> {
        // Of a pipeline that is no more, nothing can be read.
        let pipeline = self.catalog.pipeline_of(&input.topic);
        let mut next = range.start;
        while let Some(pipeline) = pipeline.filter(|_| next < range.end) {
            let blocks = self.journal.read(input, next, READ_BYTES)?;
            if blocks.is_empty() {
                break;
            }
            for block in &blocks {
                let within = next..block.offsets().end.min(range.end).max(next);
                next = within.end;
                let add: Add<'_> = &mut |_, batch, range| rebuild.add(batch, &[(input.clone(), range)]);
                self.batches(pipeline, block, within, add)?;
            }
        }
        if next < range.end {
            rebuild.add(self.writer.batch(), &[(input.clone(), next..range.end)])?;
        }
        Ok(())
    }

    /// A record on which our own code gives up, or with which it ended, is not searchable; ingest has made a dead letter
    /// of it.
    fn record(
        &mut self,
        pipeline: PipelineIndex,
        input: &Input,
        (record, at): (RawRecord<'_>, Time),
        batch: &mut Batch,
    ) {
        if !self.attempts.may_examine(input, record.offset) {
            return;
        }
        self.steps.examine(record.bytes);
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
        self.attempts.examined();
        if read.is_err() {
            *slot = None;
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "damages a file")]
mod tests {
    use crate::index::{Retention, SearchSettings, SplitLimits, Verified};

    use super::super::tests::{CATALOG, World, append};
    use super::*;

    fn verified(folder: &std::path::Path) -> Verified {
        index::verify(folder, || true).expect("a folder")
    }

    #[test]
    fn a_damaged_split_is_made_again_from_the_journal() {
        let mut world = World::new(3);
        let journal = world.open().expect("a log");
        let folder = tempfile::tempdir().expect("a folder");
        let index = Index::open(folder.path(), SearchSettings::default()).expect("an index");
        let split = SplitLimits { documents_max: 40, ..SplitLimits::default() };
        let retention = Retention { age_max: i64::MAX, bytes_max: u64::MAX };
        let settings = WriterSettings { threads: 1, memory_bytes: 15 << 20, split, retention };
        let opened = Indexer::open(Arc::clone(&journal), Arc::clone(&CATALOG.0), &index, settings);
        let mut indexer = opened.expect("an index");
        for _ in 0..30 {
            let (input, records) = world.lines();
            append(&journal, input, records).expect("there is room");
            indexer.step().expect("the index takes it");
            indexer.commit().expect("a commit");
        }
        let before = verified(folder.path());
        assert!(before.splits > 2 && before.faults.is_empty(), "{before:?}");
        let splits = std::fs::read_dir(folder.path()).expect("splits").map(|entry| entry.expect("a split").path());
        let first_split = splits.filter(|path| path.is_dir()).min().expect("a sealed split");
        let files = std::fs::read_dir(&first_split).expect("files").map(|entry| entry.expect("a file").path());
        let store = files.filter(|path| path.extension().is_some_and(|end| end == "store")).min().expect("a store");
        let mut bytes = std::fs::read(&store).expect("bytes");
        bytes[3] ^= 1;
        std::fs::write(&store, bytes).expect("bytes");
        let damaged = verified(folder.path());
        let number = damaged.faults.first().expect("a fault").number;
        assert!(damaged.faults.iter().all(|fault| fault.number == number && fault.split == first_split), "{damaged:?}");
        assert!(indexer.mend(number).expect("it is made again") > Some(0));
        assert_eq!(verified(folder.path()), before);
    }
}
