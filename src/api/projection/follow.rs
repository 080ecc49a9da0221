//! The one thread that keeps a projection up to date. I/O.
//!
//! It reads each topic to its end, then waits for the next commit. What the journal no longer holds is counted and stepped
//! over; a journal that stopped ends it, and the projection says so. Deliberately without a position of its own in the
//! journal: it begins at the seed each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::journal::{Fetched, JournalError};

use super::super::services::Log;
use super::alerts::ALERTS_PLACED_MAX;
use super::{ALERTS, ANSWERS, BLOCKS, INCIDENTS, Projection, TOPICS, input};

/// Bytes read at a time: the lock is held while they are folded in, some milliseconds.
const READ_BYTES: usize = 1 << 20;
/// How long the thread waits for a commit before it looks whether it shall stop.
const WAIT: Duration = Duration::from_millis(200);

/// The thread; it ends when this is dropped.
pub struct Follower {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Starts following. What is in the journal already has been read when this returns, unless it lies elsewhere and does not
/// answer now: then it is as soon as it does.
///
/// # Errors
/// Where the journal cannot be read, or there is no thread to be had.
pub fn follow(projection: &Arc<Projection>, log: Log) -> Result<Follower, JournalError> {
    let begun = match begin(projection, &log).and_then(|()| catch_up(projection, &log)) {
        Err(error) if error.is_passing() => false,
        done => done.map(|()| true)?,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let (theirs, projection) = (Arc::clone(&stop), Arc::clone(projection));
    let thread =
        std::thread::Builder::new().name("projection".to_owned()).spawn(move || run(&projection, &log, begun, &theirs));
    let thread = thread.map_err(|error| JournalError::Refused { why: format!("no thread to follow it: {error}") })?;
    Ok(Follower { stop, thread: Some(thread) })
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // A panic of the thread has been reported by itself.
        self.thread.take().map(JoinHandle::join);
    }
}

fn run(projection: &Projection, log: &Log, mut begun: bool, stop: &AtomicBool) {
    let mut seen = 0;
    while !stop.load(Ordering::Acquire) {
        seen = log.wait(seen, WAIT);
        if !begun {
            begun = begin(projection, log).is_ok();
            continue;
        }
        match catch_up(projection, log) {
            Ok(()) => {}
            Err(error) if error.is_passing() => std::thread::sleep(WAIT),
            Err(error) => {
                projection.view_mut().fault = Some(error.to_string());
                projection.announce();
                return;
            }
        }
    }
}

/// Sets where each topic begins: at the seed, else at the log's start. Of alerts only the last are wanted.
fn begin(projection: &Projection, log: &Log) -> Result<(), JournalError> {
    for topic in TOPICS {
        let offsets = log.offsets(&input(topic))?;
        let mut view = projection.view_mut();
        let last = if topic == ALERTS { offsets.end.saturating_sub(ALERTS_PLACED_MAX as u64) } else { 0 };
        let begin = view.next(topic).unwrap_or(offsets.start).max(last);
        view.set_next(topic, begin);
        view.set_cursor();
    }
    Ok(())
}

/// Reads every topic to its end. Answers are fetched first and folded in last: what a command did is in the same commit
/// as its answer, so whoever sees the answer sees that too.
fn catch_up(projection: &Projection, log: &Log) -> Result<(), JournalError> {
    loop {
        let answers = fetch(projection, log, ANSWERS)?;
        for topic in [ALERTS, BLOCKS, INCIDENTS] {
            while take_in(projection, topic, fetch(projection, log, topic)?) {}
        }
        if !take_in(projection, ANSWERS, answers) {
            return Ok(());
        }
    }
}

/// Some records behind what was read so far; what is gone is stepped over.
fn fetch(projection: &Projection, log: &Log, topic: &'static str) -> Result<Vec<Fetched>, JournalError> {
    loop {
        let next = projection.view().next(topic).unwrap_or(0);
        match log.read(&input(topic), next, READ_BYTES) {
            Err(JournalError::Trimmed { start, .. }) if start > next => {
                let mut view = projection.view_mut();
                view.counts.missed += start - next;
                view.set_next(topic, start);
                // Streams must not step over it unseen: they read the journal, and say what is gone.
                view.set_cursor();
            }
            other => return other,
        }
    }
}

/// Folds records in; whether there was any.
fn take_in(projection: &Projection, topic: &'static str, fetched: Vec<Fetched>) -> bool {
    if fetched.is_empty() {
        return false;
    }
    let mut view = projection.view_mut();
    fetched.iter().for_each(|block| view.apply(topic, block));
    drop(view);
    projection.announce();
    true
}
