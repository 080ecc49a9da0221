//! What all handles of one log share, and the group commit. I/O.
//!
//! Whoever finds nobody writing leads: it writes all that waits, in one group, and answers the others. Deliberately
//! without a thread of its own, so that a simulation runs on one.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use crate::event::Time;
use crate::journal::{Commit, Committed, JournalError, Subscription};

use super::disk::{Disk, Steps};
use super::mutants::Mutants;
use super::prepare::{Prepared, prepare};
use super::state::State;
use super::writer::Writer;

/// Gives the time of now; the journal only ever lets it go forward.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// Buffers that are kept for later commits: as many as threads commit at once, usually.
const BUFFERS_MAX: usize = 8;
/// A larger buffer is given back: one huge commit must not hold its memory for ever.
const BUFFER_BYTES_MAX: usize = 8 << 20;

/// How a log is kept.
#[derive(Clone)]
pub struct Settings {
    /// Size of a segment: a start reads one of them, retention deletes whole ones.
    pub segment_bytes: u64,
    /// Space kept back for last words.
    pub reserve_bytes: u64,
    /// Who is told of each step; for crash tests.
    pub steps: Steps,
    /// Who is told how long each durable write took.
    pub timed: Timed,
    /// Deliberate faults; none outside of test builds.
    pub mutants: Mutants,
}

/// Who is told how long something took; nobody, where it is left out.
#[derive(Clone, Default)]
pub struct Timed(Option<Arc<dyn Fn(Duration) + Send + Sync>>);

impl Timed {
    /// Tells this function, on the thread that waited.
    pub fn told(to: impl Fn(Duration) + Send + Sync + 'static) -> Timed {
        Timed(Some(Arc::new(to)))
    }

    /// Does it, and tells how long it took.
    #[expect(clippy::disallowed_methods, reason = "how long the disk took, for metrics alone")]
    pub(super) fn of<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(told) = &self.0 else { return work() };
        let started = Instant::now();
        let done = work();
        told(started.elapsed());
        done
    }
}

impl Settings {
    /// Small segments, for simulated disks and tests: many boundaries in little memory.
    pub fn small() -> Settings {
        Settings { segment_bytes: 64 << 10, reserve_bytes: 64 << 10, ..Settings::default() }
    }
}

/// A start checks the last segment whole: 64 MiB take a tenth of a second, and one sync in 200,000 records is for a new
/// segment.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// A checkpoint of full marks (16 MiB) and a state of as much again.
pub const RESERVE_BYTES: u64 = 32 << 20;

impl Default for Settings {
    fn default() -> Self {
        Settings {
            segment_bytes: SEGMENT_BYTES,
            reserve_bytes: RESERVE_BYTES,
            steps: Steps::default(),
            timed: Timed::default(),
            mutants: Mutants::default(),
        }
    }
}

/// What the log did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub commits: u64,
    pub records: u64,
    /// Bytes of records before compression.
    pub raw_bytes: u64,
    /// Bytes of frames written.
    pub stored_bytes: u64,
    /// Writes with their sync; commits share them.
    pub groups: u64,
    pub segments_begun: u64,
    pub segments_deleted: u64,
    /// Commits refused for want of space.
    pub full: u64,
    /// Times the clock was behind the journal's time, which then stood still.
    pub clock_backwards: u64,
    /// Marks forgotten at their time.
    pub marks_expired: u64,
}

/// A stage that has a handle.
pub(super) struct Registered {
    pub handle: u64,
    pub subscription: Subscription,
}

/// Commits on their way.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Vec<(u64, Prepared)>,
    done: BTreeMap<u64, Result<Committed, JournalError>>,
    ticket: u64,
    leading: bool,
}

/// One log, open.
pub(super) struct Shared {
    pub disk: Arc<dyn Disk>,
    pub clock: Clock,
    pub steps: Steps,
    pub settings: Settings,
    pub state: RwLock<State>,
    pub writer: Mutex<Writer>,
    pub counters: Mutex<Counters>,
    pub stages: Mutex<BTreeMap<String, Registered>>,
    /// The number of the next handle: no two are alike, also of a stage that was forgotten.
    pub handles: AtomicU64,
    /// One retention at a time.
    pub retention: Mutex<()>,
    queue: Mutex<Queue>,
    answered: Condvar,
    buffers: Mutex<Vec<Vec<u8>>>,
    newest: Mutex<u64>,
    news: Condvar,
}

/// A lock whose holder panicked guards a log of which nothing is known: nobody goes on.
pub(super) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread panics while it holds a lock of the journal")
}

impl Shared {
    pub fn new(disk: Arc<dyn Disk>, clock: Clock, settings: Settings, state: State, writer: Writer) -> Shared {
        Shared {
            disk,
            clock,
            steps: settings.steps.clone(),
            settings,
            newest: Mutex::new(state.sequence - 1),
            state: RwLock::new(state),
            writer: Mutex::new(writer),
            counters: Mutex::default(),
            stages: Mutex::default(),
            handles: AtomicU64::new(1),
            retention: Mutex::default(),
            queue: Mutex::default(),
            answered: Condvar::new(),
            buffers: Mutex::default(),
            news: Condvar::new(),
        }
    }

    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().expect("no thread panics while it changes the state")
    }

    pub fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().expect("no thread panics while it changes the state")
    }

    pub fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut held(&self.counters));
    }

    /// Whether this handle still is its stage's.
    pub fn admit(&self, stage: &Option<(String, u64)>) -> Result<(), JournalError> {
        let Some((name, handle)) = stage else { return Ok(()) };
        let current = held(&self.stages).get(name).is_some_and(|registered| registered.handle == *handle);
        if current { Ok(()) } else { Err(JournalError::Fenced { stage: name.clone() }) }
    }

    /// Makes a commit durable, together with all that wait at the same time.
    pub fn commit(&self, commit: Commit, stage: Option<(String, u64)>) -> Result<Committed, JournalError> {
        let buffer = held(&self.buffers).pop().unwrap_or_default();
        let prepared = prepare(commit, stage, buffer)?;
        let mut queue = held(&self.queue);
        let ticket = queue.ticket;
        queue.ticket += 1;
        queue.waiting.push((ticket, prepared));
        loop {
            if let Some(result) = queue.done.remove(&ticket) {
                return result;
            }
            if queue.leading {
                queue = self.answered.wait(queue).expect("no thread panics while it holds the queue");
                continue;
            }
            queue.leading = true;
            let group = std::mem::take(&mut queue.waiting);
            drop(queue);
            self.lead(group);
            queue = held(&self.queue);
        }
    }

    fn lead(&self, group: Vec<(u64, Prepared)>) {
        // Also where the writing panics: the others must not wait for ever.
        let _stepping_down = SteppingDown(self);
        let (tickets, mut commits): (Vec<u64>, Vec<Prepared>) = group.into_iter().unzip();
        let replies = held(&self.writer).write_group(self, &mut commits);
        let mut buffers = held(&self.buffers);
        let fit = commits.into_iter().map(|commit| commit.payload).filter(|b| b.capacity() <= BUFFER_BYTES_MAX);
        buffers.extend(fit);
        buffers.truncate(BUFFERS_MAX);
        drop(buffers);
        held(&self.queue).done.extend(tickets.into_iter().zip(replies));
    }

    /// Commits that wait for the one who leads.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        held(&self.queue).waiting.len()
    }

    /// Tells those who wait that this sequence is durable.
    pub fn announce(&self, sequence: u64) {
        *held(&self.newest) = sequence;
        self.news.notify_all();
    }

    pub fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        let newest = held(&self.newest);
        let waited = self.news.wait_timeout_while(newest, timeout, |newest| *newest <= seen);
        *waited.expect("no thread panics while it announces").0
    }
}

struct SteppingDown<'a>(&'a Shared);

impl Drop for SteppingDown<'_> {
    fn drop(&mut self) {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner).leading = false;
        self.0.answered.notify_all();
    }
}
