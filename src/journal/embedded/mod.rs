//! The journal on one machine's disk: one write-ahead log for all topics (index-durability sheet §3.8). I/O.
//!
//! A commit is one frame, so outputs, positions and marks are durable together or not at all; what waits at the same time
//! shares one write and one sync. Files, in the order of their use: [`disk`] what is asked of a disk, `frame` the bytes,
//! `heads` walks them, `state` adds them up, `open` finds the end, `prepare`, `shared`, `writer` and `rotate` commit,
//! `read` and `stage` read, `retain` deletes, [`inspect`] and [`repair`] look at logs that may be damaged. Deliberately
//! without threads, without replication, and without an index on disk: everything but the frames can be built again.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Input, Time};
use crate::journal::{Commit, Committed, Fetched, Journal, JournalError, Subscription};

pub mod disk;
mod files;
mod frame;
mod heads;
pub mod inspect;
pub mod mutants;
mod names;
mod open;
mod prepare;
mod read;
pub mod repair;
mod retain;
mod rotate;
mod shared;
mod simulated;
mod stage;
mod state;
#[cfg(test)]
mod tests;
mod writer;

pub use disk::{Disk, DiskFile, Step, Steps};
pub use files::{FOLDER, Files, Lock};
pub use frame::Kind;
pub use open::{Cut, Opened};
pub use prepare::{COMMIT_BYTES_MAX, MARK_BYTES_MAX, NAME_BYTES_MAX, RAW_BYTES_MAX};
pub use retain::{Keep, Retained};
pub use shared::{Clock, Counters, RESERVE_BYTES, SEGMENT_BYTES, Settings, Timed};
pub use simulated::{Fault, SimulatedDisk};
pub use stage::EmbeddedStage;
pub use state::{MARKS_BYTES_MAX, MARKS_MAX, PARTITIONS_MAX, POSITIONS_MAX};

use frame::Body;
use read::Cursor;
use shared::{Shared, held};
use state::POSITION_GONE;
use writer::Draft;

/// The log, open for this process alone. Clones are handles of the same log.
#[derive(Clone)]
pub struct Embedded {
    shared: Arc<Shared>,
    opened: Opened,
}

impl Embedded {
    /// Opens the log of a data directory, or begins one. `clock` is asked once per commit.
    ///
    /// # Errors
    /// [`JournalError::Locked`], [`JournalError::Unwritable`], [`JournalError::Newer`] and [`JournalError::Corrupt`] say
    /// what to do; [`JournalError::Full`] only where there is no log yet.
    pub fn open(data: &Path, clock: Clock, settings: Settings) -> Result<Embedded, JournalError> {
        Embedded::open_on(Arc::new(Files::open(data)?), clock, settings)
    }

    /// The same over any disk.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn open_on(disk: Arc<dyn Disk>, clock: Clock, settings: Settings) -> Result<Embedded, JournalError> {
        let (shared, opened) = open::open(disk, clock, settings)?;
        Ok(Embedded { shared: Arc::new(shared), opened })
    }

    /// What the opening found: a torn tail that was cut should be logged.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// What it did since then.
    pub fn counters(&self) -> Counters {
        let marks_expired = self.shared.state().marks_expired;
        Counters { marks_expired, ..*held(&self.shared.counters) }
    }

    /// Bytes of all frames that are kept.
    pub fn bytes(&self) -> u64 {
        self.shared.state().segments.iter().map(|segment| segment.end).sum()
    }

    /// The journal's time: that of the last commit.
    pub fn appended_at(&self) -> Time {
        self.shared.state().appended_at
    }

    /// The number of the last durable commit.
    pub fn sequence(&self) -> u64 {
        self.shared.state().sequence - 1
    }

    /// The committed positions of a stage, whether it has a handle or not.
    pub fn positions(&self, stage: &str) -> Vec<(Input, u64)> {
        let state = self.shared.state();
        let inputs = state.positions.get(stage);
        inputs.into_iter().flatten().map(|(input, next)| (input.clone(), *next)).collect()
    }

    /// Forgets a stage that is no more, so that its positions no longer hold retention back. A handle of it is fenced.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn forget(&self, stage: &str) -> Result<Committed, JournalError> {
        held(&self.shared.stages).remove(stage);
        let mut writer = held(&self.shared.writer);
        let gone = self.positions(stage).into_iter().map(|(input, _)| (stage.to_owned(), input, POSITION_GONE));
        let body = Body { positions: gone.collect(), ..Body::default() };
        let now = (self.shared.clock)().max(writer.appended_at);
        writer.write_frame(&self.shared, Draft::of(Kind::Commit, body, now), &[])
    }

    /// Deletes whole segments that are older than `keep` says, or beyond its size, counted from `now`. Never one that
    /// holds a record at or after a stage's position, or after one of the `floors` (who needs it, input, next offset).
    ///
    /// # Errors
    /// The disk's; what was deleted is deleted.
    pub fn retain(&self, keep: Keep, now: Time, floors: &[(String, Input, u64)]) -> Result<Retained, JournalError> {
        retain::retain(&self.shared, keep, now, floors)
    }
}

impl Journal for Embedded {
    type Stage = EmbeddedStage;

    fn append(&self, commit: Commit) -> Result<Committed, JournalError> {
        self.shared.commit(commit, None)
    }

    fn read(&self, input: &Input, from: u64, bytes: usize) -> Result<Vec<Fetched>, JournalError> {
        Cursor::at(from).fetch(&self.shared, input, bytes)
    }

    fn partitions(&self, topic: &str) -> Result<Vec<(Input, Range<u64>)>, JournalError> {
        let state = self.shared.state();
        let first = Input { topic: topic.to_owned(), partition: 0 };
        let inputs = state.nexts.range(first..).map(|(input, _)| input).take_while(|input| input.topic == topic);
        Ok(inputs.map(|input| (input.clone(), state.offsets(input))).collect())
    }

    fn topics(&self) -> Result<Vec<String>, JournalError> {
        let mut topics: Vec<String> = self.shared.state().nexts.keys().map(|input| input.topic.clone()).collect();
        topics.dedup();
        Ok(topics)
    }

    fn mark(&self, key: &str) -> Option<Vec<u8>> {
        let state = self.shared.state();
        state.marks.get(key, state.appended_at).map(<[u8]>::to_vec)
    }

    fn marks(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let state = self.shared.state();
        state.marks.starting(prefix, state.appended_at)
    }

    fn stage(&self, name: &str, subscription: Subscription) -> Result<EmbeddedStage, JournalError> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(JournalError::Refused { why: format!("a stage's name has 1 to {NAME_BYTES_MAX} bytes") });
        }
        Ok(EmbeddedStage::new(self.shared.clone(), name, subscription))
    }

    fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        self.shared.wait(seen, timeout)
    }
}
