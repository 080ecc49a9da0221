//! Running one query over all segments, on a few threads, within its time. I/O (threads, the process's clock).
//!
//! Segments outside the asked time are not opened, those wholly inside are not asked about time. Between segments, and
//! within scans, a search ends when its time is up or nobody waits for it any more. Deliberately without results: those
//! are gathered by whoever implements [`Gather`].
#![expect(clippy::disallowed_methods, reason = "a search has threads and a deadline")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tantivy::DocId;
use tantivy::query::{EnableScoring, Weight};

use super::error::IndexError;
use super::query::{Matcher, Name, Query, Stop, compile};
use super::schema::Columns;
use super::view::{SegmentView, View};
use crate::event::{Field, Time};

/// Raw lines one search may read to look into them, about a second of work: `event.original` has no index.
pub const RAW_LINES_MAX: u64 = 500_000;
/// How often a waiting search looks whether it was cancelled.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What one thread of a search gathers. A segment is begun, then gets its documents in rising order, then is ended.
pub(super) trait Gather: Send {
    fn begin(&mut self, at: SegmentAddress, segment: &SegmentView) -> tantivy::Result<()>;
    fn take(&mut self, segment: &SegmentView, documents: &[DocId]);
    fn end(&mut self, segment: &SegmentView) -> tantivy::Result<()>;
    /// Why the search must not go on, if it has grown beyond a limit.
    fn too_costly(&self) -> Option<String> {
        None
    }
}

/// Which segment of which split of the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentAddress {
    pub(super) split: usize,
    pub(super) segment: usize,
}

/// What is asked of the index, and by when.
pub(super) struct Run<'a> {
    pub(super) view: &'a View,
    pub(super) columns: &'a Arc<Columns>,
    pub(super) query: &'a Query,
    /// From inclusive to exclusive.
    pub(super) from: Time,
    pub(super) to: Time,
    pub(super) threads: usize,
    pub(super) timeout: Duration,
    pub(super) cancelled: &'a AtomicBool,
    pub(super) directory: &'a Path,
}

/// A segment to be asked, and whether its time must be asked about.
struct Task {
    at: SegmentAddress,
    whole: bool,
}

/// The segments to ask, and what: with the time asked about, and without.
struct Plan {
    tasks: Vec<Task>,
    weights: [Box<dyn Weight>; 2],
}

impl Run<'_> {
    /// Asks every segment; gives what each thread gathered.
    pub(super) fn gather<G: Gather>(&self, make: impl Fn() -> G + Sync) -> Result<Vec<G>, IndexError> {
        let stop = Arc::new(Stop::new(RAW_LINES_MAX));
        let fault = |source| IndexError::tantivy("search the index", self.directory, source);
        let plan = Plan { tasks: self.tasks(), weights: self.weights(&stop).map_err(fault)? };
        let (next, threads) = (AtomicUsize::new(0), self.threads.clamp(1, plan.tasks.len().max(1)));
        let (sender, receiver) = mpsc::channel();
        let work = || {
            let mut gathered = make();
            self.work(&mut gathered, &plan, &next, &stop).map(|()| gathered)
        };
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let (sender, work, stop) = (sender.clone(), &work, &stop);
                scope.spawn(move || {
                    let path = self.directory.to_owned();
                    let panicked = |_| Err(IndexError::Panicked { doing: "search the index", path });
                    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked);
                    if result.is_err() {
                        stop.stop();
                    }
                    // The receiver waits for every thread.
                    let _sent = sender.send(result);
                });
            }
            drop(sender);
            self.wait(&receiver, threads, &stop)
        })
    }

    fn wait<G>(
        &self,
        receiver: &mpsc::Receiver<Result<G, IndexError>>,
        threads: usize,
        stop: &Stop,
    ) -> Result<Vec<G>, IndexError> {
        let started = Instant::now();
        let (mut gathered, mut fault, mut left) = (Vec::with_capacity(threads), None, threads);
        while left > 0 {
            match receiver.recv_timeout(LOOK_EVERY) {
                Ok(result) => {
                    left -= 1;
                    match result {
                        Ok(found) => gathered.push(found),
                        Err(found) => fault = fault.or(Some(found)),
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if started.elapsed() >= self.timeout {
                        fault = fault.or(Some(IndexError::Timeout { seconds: self.timeout.as_secs() }));
                        stop.stop();
                    } else if self.cancelled.load(Ordering::Relaxed) {
                        fault = fault.or(Some(IndexError::Cancelled));
                        stop.stop();
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        if stop.raw_lines_spent() {
            let message = format!(
                "looking into raw lines is limited to {RAW_LINES_MAX} events; add a condition on address, time or path"
            );
            return Err(IndexError::TooCostly(message));
        }
        fault.map_or(Ok(gathered), Err)
    }

    fn work<G: Gather>(
        &self,
        gathered: &mut G,
        plan: &Plan,
        next: &AtomicUsize,
        stop: &Stop,
    ) -> Result<(), IndexError> {
        while let Some(task) = plan.tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
            if stop.is_stopped() {
                return Ok(());
            }
            let segment = &self.view.splits[task.at.split].segments[task.at.segment];
            let weight = &plan.weights[usize::from(task.whole)];
            let run = |gathered: &mut G| -> tantivy::Result<()> {
                gathered.begin(task.at, segment)?;
                weight.for_each_no_score(&segment.reader, &mut |documents| gathered.take(segment, documents))?;
                gathered.end(segment)
            };
            run(gathered).map_err(|source| IndexError::tantivy("search the index", self.directory, source))?;
            if let Some(message) = gathered.too_costly() {
                return Err(IndexError::TooCostly(message));
            }
        }
        Ok(())
    }

    /// The query with the time it is asked about, and without.
    fn weights(&self, stop: &Arc<Stop>) -> tantivy::Result<[Box<dyn Weight>; 2]> {
        let time =
            Query::Is(Name::Event(Field::Timestamp), Matcher::Integer(self.from.0..=self.to.0.saturating_sub(1)));
        let timed = Query::And(vec![self.query.clone(), time]);
        let scoring = || EnableScoring::disabled_from_schema(&self.columns.schema);
        let weight = |query: &Query| compile(query, self.columns, stop).weight(scoring());
        Ok([weight(&timed)?, weight(self.query)?])
    }

    /// Segments that may hold events of the asked time, the newest first.
    fn tasks(&self) -> Vec<Task> {
        let mut tasks = Vec::new();
        for (split, found) in self.view.splits.iter().enumerate() {
            for (segment, found) in found.segments.iter().enumerate() {
                let (first, last) = found.times();
                if last >= self.from && first < self.to {
                    let at = SegmentAddress { split, segment };
                    tasks.push((last, Task { at, whole: first >= self.from && last < self.to }));
                }
            }
        }
        tasks.sort_by_key(|(last, task)| (std::cmp::Reverse(*last), task.at));
        tasks.into_iter().map(|(_, task)| task).collect()
    }
}
