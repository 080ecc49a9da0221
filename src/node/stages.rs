//! The threads of a node: each turns its stage until it is told to stop, and says when it cannot go on. I/O.
//!
//! A stage that is told to stop first finishes what is there; told to hurry, it leaves that to the next start, which is as
//! safe, and commits at most what it has.
//! Deliberately the only place of the stages that knows the clock: when a second has passed and when a snapshot is due.

#![expect(clippy::disallowed_methods, reason = "the threads of the stages start here, and time passes here")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::index::IndexError;
use crate::journal::{Journal, Stage};

use super::decide::Decider;
use super::gauges::Gauges;
use super::indexer::{Indexer, IndexerError};
use super::ingest::Ingester;
use super::{NodeError, Tell};

/// Quiet inputs say so this often: the clock of decide (design §3).
const TICK: Duration = Duration::from_secs(1);
/// How long a stage waits for records before it looks whether it shall stop.
const WAIT: Duration = Duration::from_millis(100);
/// A start folds again what came since the last snapshot: at a hundred thousand events a second this is some seconds.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(60);
/// A snapshot may take one part in so many of the time: the next one waits for so many times as long as it took.
const SNAPSHOT_SHARE: u32 = 50;
/// After a fault the index is opened again so much later: it is not worth more of the disk's time.
const REOPEN_AFTER: Duration = Duration::from_secs(2);

/// What the threads of a node share.
pub struct Shared {
    pub gauges: Gauges,
    pub tell: Tell,
    /// Set once the time for finishing what is there is over.
    pub hurry: AtomicBool,
    /// When each stage last came round, by the name of its thread.
    beats: Mutex<BTreeMap<String, Instant>>,
    failure: Mutex<Option<NodeError>>,
    failed: AtomicBool,
}

/// One thread.
pub struct Running {
    name: &'static str,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Shared {
    /// Nothing has happened yet.
    pub fn new(tell: Tell) -> Shared {
        Shared {
            gauges: Gauges::default(),
            tell,
            hurry: AtomicBool::new(false),
            beats: Mutex::default(),
            failure: Mutex::new(None),
            failed: AtomicBool::new(false),
        }
    }

    /// Whether a stage could not go on.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Why, once.
    pub fn take_failure(&self) -> Option<NodeError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// How long each stage did not come round, the one that came last first; none that this process does not have.
    pub fn quiet_for(&self) -> Vec<(String, Duration)> {
        let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        let mut quiet: Vec<_> = beats.iter().map(|(name, beat)| (name.clone(), beat.elapsed())).collect();
        quiet.sort_by_key(|(_, quiet)| *quiet);
        quiet
    }

    /// The stage of this thread has come round.
    pub fn beat(&self) {
        let thread = std::thread::current();
        let (name, mut beats) =
            (thread.name().unwrap_or_default(), self.beats.lock().unwrap_or_else(PoisonError::into_inner));
        match beats.get_mut(name) {
            Some(beat) => *beat = Instant::now(),
            None => drop(beats.insert(name.to_owned(), Instant::now())),
        }
    }

    fn fail(&self, error: NodeError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.failed.store(true, Ordering::Release);
    }

    fn hurries(&self) -> bool {
        self.hurry.load(Ordering::Relaxed)
    }
}

impl Running {
    /// Starts a thread. `work` ends when its flag is set, or with the reason why the node must.
    ///
    /// # Errors
    /// Where there is no thread to be had.
    pub fn start(
        name: &'static str,
        shared: &Arc<Shared>,
        work: impl FnOnce(&Shared, &AtomicBool) -> Result<(), NodeError> + Send + 'static,
    ) -> Result<Running, NodeError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (theirs, shared) = (Arc::clone(&stop), Arc::clone(shared));
        let run = move || {
            if let Err(error) = work(&shared, &theirs) {
                shared.fail(error);
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        let thread = thread.map_err(|error| NodeError::Environment {
            what: format!("the thread of {name}"),
            error: error.to_string(),
            advice: "raise the limit of threads of this user".to_owned(),
        })?;
        Ok(Running { name, stop, thread: Some(thread) })
    }

    /// Tells it to finish, and waits for that until the deadline. Whether it ended; a thread that panicked has.
    pub fn finish(&mut self, deadline: Instant) -> bool {
        self.stop.store(true, Ordering::Release);
        while !self.has_ended() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // A panic was reported by its thread.
        self.thread.take().map(JoinHandle::join);
        true
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it came to an end by itself.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// Turns ingest.
///
/// # Errors
/// Why the node must end.
pub fn ingest<S: Stage>(mut ingester: Ingester<S>, shared: &Shared, stop: &AtomicBool) -> Result<(), NodeError> {
    let mut ticked = Instant::now();
    loop {
        let stopping = stop.load(Ordering::Acquire);
        let wait = if stopping { Duration::ZERO } else { WAIT.min(TICK.saturating_sub(ticked.elapsed())) };
        let records = ingester.step(wait, &shared.hurry)?;
        if ticked.elapsed() >= TICK {
            ingester.tick(&shared.hurry)?;
            ticked = Instant::now();
        }
        shared.beat();
        shared.gauges.note_inputs(ingester.states());
        if shared.hurries() || stopping && records == 0 {
            return Ok(());
        }
    }
}

/// Turns decide, and writes snapshots to a folder.
///
/// # Errors
/// Why the node must end.
pub fn decide<J: Journal>(
    mut decider: Decider<J>,
    snapshots: &Path,
    shared: &Shared,
    stop: &AtomicBool,
) -> Result<(), NodeError> {
    let mut snapshot = Snapshots { folder: snapshots.to_owned(), due: Instant::now() + SNAPSHOT_EVERY, next: 0 };
    loop {
        let stopping = stop.load(Ordering::Acquire);
        let before = decider.folder().next();
        let folded = decider.step(if stopping { Duration::ZERO } else { WAIT }, &shared.hurry)?;
        shared.beat();
        shared.gauges.note_decided(decider.folder(), &folded);
        if shared.hurries() {
            return Ok(());
        }
        let drained = stopping && decider.folder().next() == before;
        if drained || Instant::now() >= snapshot.due {
            snapshot.write(&decider, shared);
        }
        if drained {
            return Ok(());
        }
    }
}

/// When and where snapshots are written.
struct Snapshots {
    folder: PathBuf,
    due: Instant,
    /// What the last one holds up to.
    next: u64,
}

impl Snapshots {
    fn write<J: Journal>(&mut self, decider: &Decider<J>, shared: &Shared) {
        let started = Instant::now();
        let next = decider.folder().next();
        if next != self.next {
            match decider.snapshot(&self.folder) {
                Ok(()) => self.next = next,
                Err(error) => (shared.tell)(&format!(
                    "{}: no snapshot could be written: {error}\n  = nothing is lost; the next start takes longer",
                    self.folder.display()
                )),
            }
        }
        self.due = Instant::now() + SNAPSHOT_EVERY.max(started.elapsed() * SNAPSHOT_SHARE);
    }
}

/// Turns the index. Faults of it are told and mended; only the journal's end the node.
///
/// # Errors
/// Why the node must end.
pub fn index<J: Journal>(
    (mut indexer, journal): (Indexer<J>, Arc<J>),
    shared: &Shared,
    stop: &AtomicBool,
) -> Result<(), NodeError> {
    let mut seen = 0;
    let mut room = Room::default();
    loop {
        let stopping = stop.load(Ordering::Acquire);
        if !room.is_there(&indexer, shared) && !stopping && !shared.hurries() {
            std::thread::sleep(WAIT);
            continue;
        }
        match indexer.step() {
            Ok(0) if stopping => break,
            Ok(0) => seen = journal.wait(seen, WAIT),
            Ok(_) => {}
            // What is wrong is told by the journal itself, once a minute.
            Err(IndexerError::Journal(error)) if error.is_passing() && stopping => break,
            Err(IndexerError::Journal(error)) if error.is_passing() => std::thread::sleep(REOPEN_AFTER),
            Err(IndexerError::Journal(error)) => return Err(error.into()),
            Err(IndexerError::Index(error)) => mend(&mut indexer, &error, shared, stop),
        }
        let (counts, missed) = indexer.counts();
        shared.gauges.note_index(&counts, missed);
        if shared.hurries() {
            break;
        }
    }
    if let Err(error) = indexer.commit() {
        (shared.tell)(&format!("{error}\n  = the next start indexes the rest again"));
    }
    Ok(())
}

/// Whether the index may write, asked once in a while.
#[derive(Default)]
struct Room {
    asked: Option<Instant>,
    missing: bool,
}

impl Room {
    fn is_there<J: Journal>(&mut self, indexer: &Indexer<J>, shared: &Shared) -> bool {
        if self.asked.is_some_and(|asked| asked.elapsed() < TICK) {
            return !self.missing;
        }
        self.asked = Some(Instant::now());
        let missing = !indexer.has_room();
        if missing && !self.missing {
            (shared.tell)(
                "the index waits: the disk is nearly full, and the journal needs what is left\n  = detection and searches go \
                 on; free some space, or lower retention.index.bytes",
            );
        }
        self.missing = missing;
        !missing
    }
}

/// Opens the index again until that works, or the node stops.
fn mend<J: Journal>(indexer: &mut Indexer<J>, error: &IndexError, shared: &Shared, stop: &AtomicBool) {
    let mut told = error.to_string();
    (shared.tell)(&format!("{told}\n  = detection goes on; the index is opened again"));
    shared.gauges.index_faults.fetch_add(1, Ordering::Relaxed);
    loop {
        let until = Instant::now() + REOPEN_AFTER;
        while Instant::now() < until {
            if stop.load(Ordering::Acquire) || shared.hurries() {
                return;
            }
            std::thread::sleep(WAIT);
        }
        match indexer.reopen() {
            Ok(()) => return,
            Err(error) if error.to_string() == told => {}
            Err(error) => {
                told = error.to_string();
                (shared.tell)(&told);
            }
        }
    }
}
