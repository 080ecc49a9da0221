//! The index's one writer: open → add → commit, and closed by any fault. I/O.
//!
//! ```text
//! OPEN   lock → newest split → its payload says how far it has read
//! RUN    add documents in the order of the journal; commit documents and positions in one rename
//! FAULT  any error or panic drops the writer; open again, and add from its positions
//! ```
//!
//! A commit is always `prepare_commit` with a payload, then the directory is written through; only then may the caller
//! report positions as durable. A writer is never used after a fault: a merge of Tantivy's would publish documents under
//! the old positions (index-durability sheet §3.1). Deliberately without a journal: positions come in as values.
#![expect(clippy::disallowed_methods, reason = "freshness is counted by the process's own clock")]

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tantivy::IndexWriter;
use tantivy::directory::Directory;
use tantivy::indexer::UserOperation;

use super::batch::{Batch, Permit};
use super::document::Document;
use super::error::IndexError;
use super::index::Index;
use super::payload::Payload;
use super::policy::{Aged, Pending, Retention, SplitLimits};
use super::schema::Columns;
use super::split::{self, OpenDirectory, SplitPath};
use super::view::{OpenSplit, View};
use crate::event::{Input, Time};

/// Batches handed over and not yet indexed. Tantivy's own queue takes ten thousand entries, which would be ten million
/// events.
const BATCHES_ON_THEIR_WAY_MAX: usize = 16;
/// A batch is taken in milliseconds; after this the index is stuck (a dead disk), and the caller must know.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// How to write.
#[derive(Clone, Debug)]
pub struct WriterSettings {
    /// Threads that index; each makes a segment per commit.
    pub threads: usize,
    /// Bytes each of them may fill before it writes a segment; 15 MB at least. 100 MB is as fast as more (limits §5).
    pub memory_bytes: usize,
    pub split: SplitLimits,
    pub retention: Retention,
}

/// What a writer has counted since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterCounts {
    pub events: u64,
    pub raw_bytes: u64,
    pub commits: u64,
    /// Events below the known position, left out (law 4).
    pub repeated: u64,
    /// Texts cut in their column.
    pub texts_cut: u64,
    /// Names without a slot, per batch, that got no column because the split has its [`EXTRA_COLUMNS_MAX`] already.
    ///
    /// [`EXTRA_COLUMNS_MAX`]: super::EXTRA_COLUMNS_MAX
    pub names_without_column: u64,
    /// Splits dropped by retention.
    pub splits_dropped: u64,
}

/// The writer. One per index directory, in one process.
pub struct Writer {
    pub(super) index: Index,
    pub(super) columns: Arc<Columns>,
    pub(super) directory: PathBuf,
    settings: WriterSettings,
    open_directory: OpenDirectory,
    _lock: File,
    open: Option<Open>,
    counts: WriterCounts,
    #[cfg(test)]
    pub(super) mutant: Option<Mutant>,
}

/// Deliberate faults, to see that the tests find them.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutant {
    /// `commit()` without a payload.
    PlainCommit,
    /// Tantivy's writer is used on after an error, from the positions of the last commit.
    KeptAfterError,
}

/// A split that takes documents.
pub(super) struct Open {
    writer: IndexWriter<Document>,
    pub(super) split: OpenSplit,
    /// As of everything added; what the next commit says.
    pub(super) payload: Payload,
    pending: Pending,
    /// When the oldest and the newest of what is pending came.
    since: Option<(Instant, Instant)>,
    permits: (crossbeam_channel::Sender<()>, crossbeam_channel::Receiver<()>),
}

impl Writer {
    /// Locks the index, and opens its newest split, or makes the first.
    ///
    /// # Errors
    /// [`IndexError::Locked`] where another process writes it; [`IndexError::NoPayload`], [`IndexError::Incompatible`]
    /// and [`IndexError::Damaged`] where it must be rebuilt.
    pub fn open(index: &Index, settings: WriterSettings) -> Result<Self, IndexError> {
        Self::open_through(index, settings, split::on_disk)
    }

    pub(super) fn open_through(
        index: &Index,
        settings: WriterSettings,
        open_directory: OpenDirectory,
    ) -> Result<Self, IndexError> {
        let directory = index.directory().to_owned();
        let lock = split::lock(&directory)?;
        let mut writer = Writer {
            index: index.clone(),
            columns: index.columns().clone(),
            directory,
            settings,
            open_directory,
            _lock: lock,
            open: None,
            counts: WriterCounts::default(),
            #[cfg(test)]
            mutant: None,
        };
        writer.reopen()?;
        Ok(writer)
    }

    /// Opens the index again after a fault; what was added since the last commit is gone, and [`Writer::positions`] says
    /// where to begin. Also makes the index anew where its directory was deleted.
    ///
    /// # Errors
    /// As [`Writer::open`].
    pub fn reopen(&mut self) -> Result<(), IndexError> {
        #[cfg(test)]
        if let (Some(Mutant::KeptAfterError), Some(open)) = (self.mutant, &mut self.open) {
            open.payload = split::open(&open.split.split.path, &self.columns, split::on_disk)?.2;
            return Ok(());
        }
        self.open = None;
        if !self.directory.join("lock").exists() {
            self._lock = split::lock(&self.directory)?;
        }
        split::clear_leftovers(&self.directory)?;
        let split = match split::list(&self.directory)?.pop() {
            Some(split) => split,
            None => self.create_split(1, None)?,
        };
        let mut open = self.open_split(split)?;
        if open.payload.sealed {
            let next = self.create_split(open.split.split.number + 1, Some(&open.payload))?;
            open = self.open_split(next)?;
        }
        self.open = Some(open);
        self.publish_all()
    }

    /// How far each input is indexed, added or committed: the next offset, exclusive. Empty for a new index.
    pub fn positions(&self) -> Vec<(Input, u64)> {
        let parts = self.open.iter().flat_map(|open| open.payload.parts.iter());
        parts.map(|part| (part.input(), part.next)).collect()
    }

    /// What was counted since the writer was opened.
    pub fn counts(&self) -> WriterCounts {
        self.counts
    }

    /// An empty batch for this index.
    pub fn batch(&self) -> Batch {
        Batch::new(self.columns.clone())
    }

    /// Adds the events of a batch, and moves positions: `read` says for every input which offsets the batch was made
    /// from, also those that gave no event. All items of a record are in one batch. Events below a known position are left
    /// out. Waits while enough is on its way.
    ///
    /// # Errors
    /// [`IndexError::Gap`] where a range begins behind the known position, and then nothing was changed. After any other
    /// error the writer is closed.
    pub fn add(&mut self, batch: Batch, read: &[(Input, std::ops::Range<u64>)]) -> Result<(), IndexError> {
        let open = self.open.as_mut().ok_or(IndexError::Closed)?;
        for (input, range) in read {
            if let Some(expected) = open.payload.next(input).filter(|next| *next < range.start) {
                return Err(IndexError::Gap { input: input.clone(), expected, found: range.start });
            }
        }
        let result = open.add(batch, read, &mut self.counts);
        self.closing(result)
    }

    /// Moves the position of an input on without documents: the journal's start has moved past what was not indexed yet.
    ///
    /// # Errors
    /// [`IndexError::Closed`].
    pub fn skip_to(&mut self, input: &Input, offset: u64) -> Result<(), IndexError> {
        let open = self.open.as_mut().ok_or(IndexError::Closed)?;
        open.payload.advance(input, offset, offset);
        open.moved();
        Ok(())
    }

    /// Whether it is time to commit: by age, events or bytes.
    pub fn is_due(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.pending().is_due())
    }

    /// Makes everything added durable and visible to searches, and gives the positions that are durable now. A split
    /// that is full is closed and the next one opened.
    ///
    /// # Errors
    /// After any error the writer is closed, and the index is as of its last commit.
    pub fn commit(&mut self) -> Result<Vec<(Input, u64)>, IndexError> {
        #[cfg(test)]
        let mutant = self.mutant;
        let open = self.open.as_mut().ok_or(IndexError::Closed)?;
        let limits = self.settings.split;
        let payload = &mut open.payload;
        payload.sealed = limits.is_full(payload.documents, payload.raw_bytes, payload.opened_at, payload.newest_at);
        let result = open.commit(
            #[cfg(test)]
            mutant,
        );
        self.closing(result)?;
        self.counts.commits += 1;
        let result = self.publish();
        self.closing(result)?;
        let positions = self.positions();
        if self.open.as_ref().is_some_and(|open| open.payload.sealed) {
            self.next_split()?;
        }
        Ok(positions)
    }

    /// Drops the oldest splits by age and bytes. `now` is the journal's time.
    ///
    /// # Errors
    /// Where files cannot be removed; the writer stays open.
    pub fn retain(&mut self, now: Time) -> Result<usize, IndexError> {
        let view = self.index.view();
        let aged = |split: &Arc<super::view::SplitView>| Aged {
            newest_at: split.payload.newest_at,
            bytes: split::bytes(&split.path),
        };
        let splits: Vec<Aged> = view.splits.iter().map(aged).collect();
        let count = self.settings.retention.drop_count(&splits, now);
        let mut left = (*view).clone();
        for dropped in left.splits.drain(..count) {
            split::remove(&SplitPath { number: dropped.number, path: dropped.path.clone() })?;
            self.counts.splits_dropped += 1;
        }
        if count > 0 {
            left.index();
            self.index.set_view(left);
            split::sync_folder(&self.directory)?;
        }
        Ok(count)
    }

    /// Drops the writer after an error: it may never be used again.
    fn closing<T>(&mut self, result: Result<T, IndexError>) -> Result<T, IndexError> {
        #[cfg(test)]
        let kept = self.mutant == Some(Mutant::KeptAfterError);
        #[cfg(not(test))]
        let kept = false;
        if result.is_err() && !kept {
            self.open = None;
        }
        result
    }

    fn create_split(&self, number: u64, before: Option<&Payload>) -> Result<SplitPath, IndexError> {
        let payload = Payload::beginning(&self.columns.hash(), before);
        split::create(&self.directory, number, &self.columns, &payload)
    }

    pub(super) fn open_split(&self, split: SplitPath) -> Result<Open, IndexError> {
        let (index, _, payload) = split::open(&split.path, &self.columns, self.open_directory)?;
        let writer = split::writer(&index, &split.path, self.settings.threads, self.settings.memory_bytes)?;
        let permits = crossbeam_channel::bounded(BATCHES_ON_THEIR_WAY_MAX);
        let split = OpenSplit::new(split, index)?;
        Ok(Open { writer, split, payload, pending: Pending::default(), since: None, permits })
    }

    /// Closes the full split, its merges finished, and opens the next.
    fn next_split(&mut self) -> Result<(), IndexError> {
        let full = self.open.take().ok_or(IndexError::Closed)?;
        let (split, payload) = full.finish_merges()?;
        self.index.replace(split.view(payload.clone())?);
        let next = self.create_split(split.split.number + 1, Some(&payload))?;
        self.open = Some(self.open_split(next)?);
        self.publish()
    }

    /// Lets searches see the split that takes documents, as of now.
    fn publish(&self) -> Result<(), IndexError> {
        let open = self.open.as_ref().ok_or(IndexError::Closed)?;
        self.index.replace(open.split.view(open.payload.clone())?);
        Ok(())
    }

    /// Lets searches see what is on disk, all of it.
    fn publish_all(&mut self) -> Result<(), IndexError> {
        self.index.set_view(View::read(&self.directory, &self.columns)?);
        self.publish()
    }
}

impl Open {
    /// Waits for the merges that are under way; afterwards the split takes nothing more.
    pub(super) fn finish_merges(self) -> Result<(OpenSplit, Payload), IndexError> {
        let path = self.split.split.path.clone();
        let merged = self.writer.wait_merging_threads();
        merged.map_err(|source| IndexError::tantivy("finish merging", &path, source))?;
        Ok((self.split, self.payload))
    }

    pub(super) fn add(
        &mut self,
        mut batch: Batch,
        read: &[(Input, std::ops::Range<u64>)],
        counts: &mut WriterCounts,
    ) -> Result<(), IndexError> {
        self.leave_out_repeated(&mut batch, counts);
        for input in &batch.inputs {
            let from = read.iter().find(|(of, _)| of == input).map_or(0, |(_, range)| range.start);
            self.payload.advance(input, from, from);
        }
        let ordinal = |input: &Input| self.payload.ordinal(input).unwrap_or_default();
        batch.ordinals = batch.inputs.iter().map(ordinal).collect();
        batch.has_column = batch.name_list.iter().map(|name| self.payload.column_for(name)).collect();
        counts.names_without_column += batch.has_column.iter().filter(|has| !**has).count() as u64;
        counts.texts_cut += batch.texts_cut();
        self.note(&batch, counts);
        self.hand_over(batch)?;
        for (input, range) in read {
            self.payload.advance(input, range.start, range.end);
        }
        self.moved();
        Ok(())
    }

    /// Events below a known position were indexed before.
    fn leave_out_repeated(&self, batch: &mut Batch, counts: &mut WriterCounts) {
        let known: Vec<u64> = batch.inputs.iter().map(|input| self.payload.next(input).unwrap_or(0)).collect();
        let before = batch.documents.len();
        batch.documents.retain(|placed| placed.offset >= known[placed.input as usize]);
        counts.repeated += (before - batch.documents.len()) as u64;
    }

    fn note(&mut self, batch: &Batch, counts: &mut WriterCounts) {
        let raw_bytes: u64 = batch.documents.iter().map(|placed| u64::from(placed.raw.end - placed.raw.start)).sum();
        let events = batch.documents.len() as u64;
        batch.documents.iter().for_each(|placed| self.payload.took(Time(placed.appended_at)));
        self.payload.documents += events;
        self.payload.raw_bytes += raw_bytes;
        self.pending.events += events;
        self.pending.raw_bytes += raw_bytes;
        counts.events += events;
        counts.raw_bytes += raw_bytes;
    }

    fn hand_over(&mut self, mut batch: Batch) -> Result<(), IndexError> {
        if batch.is_empty() {
            return Ok(());
        }
        let permit = self.permits.0.send_timeout((), STALLED_AFTER);
        permit.map_err(|_| IndexError::Stalled { seconds: STALLED_AFTER.as_secs() })?;
        batch.permit = Some(Permit(self.permits.1.clone()));
        let writer = &self.writer;
        let operations = batch.into_documents().map(UserOperation::Add);
        self.caught("add documents", move || writer.run(operations).map(|_| ()))
    }

    pub(super) fn commit(&mut self, #[cfg(test)] mutant: Option<Mutant>) -> Result<(), IndexError> {
        let text = self.payload.write();
        let path = self.split.split.path.clone();
        let writer = &mut self.writer;
        let directory = self.split.index.directory();
        let work = || {
            #[cfg(test)]
            if mutant == Some(Mutant::PlainCommit) {
                return writer.commit().map(|_| ());
            }
            let mut commit = writer.prepare_commit()?;
            commit.set_payload(&text);
            commit.commit()?;
            Ok(directory.sync_directory()?)
        };
        caught("commit", &path, work)?;
        self.pending = Pending::default();
        self.since = None;
        Ok(())
    }

    fn pending(&self) -> Pending {
        let Some((oldest, newest)) = self.since else { return self.pending };
        Pending { waited: oldest.elapsed(), rested: newest.elapsed(), ..self.pending }
    }

    fn moved(&mut self) {
        self.pending.moved = true;
        let now = Instant::now();
        self.since = Some((self.since.map_or(now, |(oldest, _)| oldest), now));
    }

    fn caught(&self, doing: &'static str, work: impl FnOnce() -> tantivy::Result<()>) -> Result<(), IndexError> {
        caught(doing, &self.split.split.path, work)
    }
}

/// Runs a piece of Tantivy; a panic of it is an error, after which the writer is dropped.
fn caught(
    doing: &'static str,
    path: &std::path::Path,
    work: impl FnOnce() -> tantivy::Result<()>,
) -> Result<(), IndexError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|source| IndexError::tantivy(doing, path, source)),
        Err(_) => Err(IndexError::Panicked { doing, path: path.to_owned() }),
    }
}
