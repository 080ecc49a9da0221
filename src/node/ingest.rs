//! Raw records → packs: what one thread of a node does with all raw partitions it reads. I/O only through the journal.
//!
//! Each commit holds the packs of what was read, the positions behind it and the state of every input it moved, so a
//! restart goes on where the last commit ended. Quiet inputs get empty packs once a second: they are the clock of decide.
//! Deliberately without a clock of its own: when a second has passed is the caller's word.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::catalog::{Catalog, CatalogText, PipelineIndex};
use crate::event::{Entry, Input, Pack, SIGNALS};
use crate::fold::{Batch, Examiner, Ingest, InputState, Poison, RawRecord, Sightings, caught, signals};
use crate::journal::{Commit, Fetched, Journal, JournalError, NewRecord, Records, Stage, StoredRecord, Subscription};

use super::attempts::{Attempts, ENDED};
use super::outputs::Outputs;
use super::steps::{Step, Steps};
use super::{NodeError, catalogs, retry};

/// The name that owns the positions of ingest.
pub const STAGE: &str = "ingest";
/// Bytes read at a time: some thousand lines, so that a sync costs next to nothing per line, and a burst does not make
/// anybody wait.
const POLL_BYTES: usize = 1 << 20;
/// A pack stays under 512 KiB (design §3); the estimate is rather too large.
const BATCH_BYTES_MAX: usize = 400 * 1024;

/// One thread's ingest.
pub struct Ingester<S> {
    stage: S,
    catalog: Arc<Catalog>,
    /// By [`PipelineIndex`].
    examiners: Vec<Option<Examiner>>,
    ingest: Ingest,
    /// What is known of each input, by its index.
    inputs: Vec<Lane>,
    sightings: Sightings,
    batch: Batch,
    pub(super) steps: Steps,
    pub(super) attempts: Attempts,
}

/// One input of an ingester.
#[derive(Clone, Copy)]
struct Lane {
    pipeline: PipelineIndex,
    /// Whether nothing came since the last tick.
    quiet: bool,
}

/// What goes into one commit.
#[derive(Default)]
struct Draft {
    packs: Records,
    outputs: Outputs,
    positions: Vec<(Input, u64)>,
}

impl<S: Stage> Ingester<S> {
    /// Takes ingest up where the journal says it was, and journals the catalog it works with.
    ///
    /// # Errors
    /// Those of the journal.
    pub fn start<J: Journal<Stage = S>>(
        journal: &J,
        catalog: Arc<Catalog>,
        text: &CatalogText,
    ) -> Result<Ingester<S>, NodeError> {
        announce(journal, &catalog, text)?;
        let stage = journal.stage(STAGE, Subscription::topics(catalog.topics()))?;
        Ok(Ingester {
            stage,
            examiners: catalog.pipelines.iter().map(|_| None).collect(),
            ingest: Ingest::new(Arc::clone(&catalog), Vec::new()),
            catalog,
            inputs: Vec::new(),
            sightings: Sightings::default(),
            batch: Batch::default(),
            steps: Steps::default(),
            attempts: Attempts::default(),
        })
    }

    /// Reads what there is, waiting for it up to `timeout`, and commits what it means. Gives how many records it was.
    ///
    /// # Errors
    /// [`NodeError`]; then this ingester is of no more use.
    pub fn step(&mut self, timeout: Duration, stop: &AtomicBool) -> Result<u64, NodeError> {
        let blocks = self.stage.poll(POLL_BYTES, timeout)?;
        for input in self.stage.moved() {
            self.take_up(&input);
        }
        let mut draft = Draft::default();
        if !blocks.is_empty() {
            self.attempts.begin(blocks.iter().map(|block| (block.input.clone(), block.offsets())));
        }
        let records = blocks.iter().map(|block| self.block(block, &mut draft)).sum();
        self.attempts.end();
        if records > 0 {
            self.steps.reach(Step::IngestExamined);
            let positions = draft.positions.clone();
            self.commit(draft, stop)?;
            self.attempts.done(&positions);
            self.steps.reach(Step::IngestCommitted);
        }
        Ok(records)
    }

    /// A second has passed: inputs that were quiet in it say so.
    ///
    /// # Errors
    /// As [`Ingester::step`].
    pub fn tick(&mut self, stop: &AtomicBool) -> Result<(), NodeError> {
        let mut draft = Draft::default();
        for (input, lane) in self.inputs.iter_mut().enumerate() {
            if std::mem::replace(&mut lane.quiet, true) {
                draft.pack(self.ingest.quiet_pack(input));
            }
        }
        if draft.packs.is_empty() { Ok(()) } else { self.commit(draft, stop) }
    }

    /// What was counted, over all inputs in the order in which they came.
    pub fn states(&self) -> impl Iterator<Item = (&Input, &InputState)> {
        self.ingest.inputs().iter().enumerate().map(|(index, input)| (input, self.ingest.state(index)))
    }

    fn block(&mut self, block: &Fetched, draft: &mut Draft) -> u64 {
        let Some(input) = self.input(&block.input) else { return 0 };
        self.inputs[input].quiet = false;
        let mut records = 0;
        for record in block.iter() {
            self.record(input, &record, draft);
            records += 1;
            if self.batch.bytes() > BATCH_BYTES_MAX {
                self.cut(draft);
            }
        }
        self.cut(draft);
        draft.positions.push((block.input.clone(), block.offsets().end));
        records
    }

    /// What another process may have worked is not known any more; what was worked and is ours now is known from its note,
    /// so that it has its clock also while it is quiet.
    fn take_up(&mut self, input: &Input) {
        if let Some(index) = self.ingest.forget(input) {
            self.inputs.remove(index);
        }
        if self.stage.owns(input) && self.stage.note(input).is_some() {
            self.input(input);
        }
    }

    /// The index of an input; `None` where no pipeline reads its topic.
    fn input(&mut self, input: &Input) -> Option<usize> {
        let pipeline = self.catalog.pipeline_of(&input.topic)?;
        let state = || self.stage.note(input).and_then(|note| postcard::from_bytes(&note).ok()).unwrap_or_default();
        let index = self.ingest.input(input, state);
        if index == self.inputs.len() {
            self.inputs.push(Lane { pipeline, quiet: false });
        }
        Some(index)
    }

    fn record(&mut self, input: usize, record: &StoredRecord<'_>, draft: &mut Draft) {
        let pipeline = self.inputs[input].pipeline;
        let slot = &mut self.examiners[pipeline.0];
        let examiner = slot.get_or_insert_with(|| Examiner::new(Arc::clone(&self.catalog), pipeline));
        let raw = RawRecord { offset: record.offset, bytes: record.value, spoofable: record.spoofable };
        self.sightings.clear();
        let examined = if self.attempts.may_examine(&self.ingest.inputs()[input], record.offset) {
            self.steps.examine(record.value);
            caught(|| examiner.examine(raw, record.appended_at, &mut self.sightings))
        } else {
            Err(ENDED.to_owned())
        };
        self.attempts.examined();
        if let Err(reason) = examined {
            // What was being changed when it gave up is not to be trusted: the next record gets a new one.
            *slot = None;
            self.sightings.clear();
            let Input { topic, partition } = &self.ingest.inputs()[input];
            let poison = Poison::new(0, record.offset, record.value, reason);
            draft.outputs.dead_letter(&poison.letter(topic, *partition, record.appended_at));
        }
        if self.sightings.items.is_empty() {
            self.ingest.cover(input, record.offset, record.appended_at, &mut self.batch);
        }
        for index in 0..self.sightings.items.len() {
            self.ingest.place(input, (&self.sightings, index), record.appended_at, &mut self.batch);
        }
    }

    /// Ends the packs of what was placed.
    fn cut(&mut self, draft: &mut Draft) {
        let packs = self.batch.take_packs(self.ingest.inputs(), self.catalog.hash);
        packs.into_iter().for_each(|pack| draft.pack(pack));
    }

    fn commit(&mut self, draft: Draft, stop: &AtomicBool) -> Result<(), NodeError> {
        let Draft { packs, outputs, positions } = draft;
        let moved =
            positions.iter().filter_map(|(input, _)| self.ingest.inputs().iter().position(|known| known == input));
        let notes = moved.filter_map(|input| self.note(input)).collect();
        let appends = [(signals(), packs)].into_iter().chain(outputs.appends()).collect();
        let commit = Commit { appends, positions, notes, ..Commit::default() };
        retry::commit(&mut self.stage, &commit, stop).map(|_| ())
    }

    fn note(&self, input: usize) -> Option<(Input, Vec<u8>)> {
        let state = postcard::to_stdvec(self.ingest.state(input)).ok()?;
        Some((self.ingest.inputs()[input].clone(), state))
    }
}

impl Draft {
    fn pack(&mut self, pack: Pack) {
        let value = Entry::Pack(pack).encode();
        self.packs.push(NewRecord { key: None, value: &value, spoofable: false });
    }
}

/// Says in the journal which catalog judges from now on, and what it is where the journal does not know it yet.
fn announce<J: Journal>(journal: &J, catalog: &Catalog, text: &CatalogText) -> Result<(), NodeError> {
    let mut appends = Vec::new();
    if catalogs::find(journal, catalog.hash)?.is_none() {
        let value = text.encode().map_err(|error| JournalError::Refused { why: error.to_string() })?;
        let key = catalog.hash.to_string();
        let mut records = Records::default();
        records.push(NewRecord { key: Some(key.as_bytes()), value: &value, spoofable: false });
        appends.push((catalogs::input(), records));
    }
    let mut records = Records::default();
    records.push(NewRecord { key: None, value: &Entry::Catalog(catalog.hash).encode(), spoofable: false });
    appends.push((Input { topic: SIGNALS.to_owned(), partition: 0 }, records));
    journal.append(Commit { appends, ..Commit::default() })?;
    Ok(())
}
