//! Finding documents by looking at a column from one end to the other. Pure.
//!
//! Columns without terms are looked through in blocks, and only where the other conditions of a query have not ruled a
//! document out. A scan ends early when the search was stopped; its result is then thrown away. Deliberately without
//! knowledge of what is looked for: [`Fill`] knows.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tantivy::index::SegmentReader;
use tantivy::query::{ConstScorer, EmptyScorer, EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::{DocId, DocSet, Score, SeekDangerResult, TERMINATED, TantivyError};

/// Documents looked at in one go.
const BLOCK: u32 = 1_024;
/// Documents looked at when another condition asks for one of them: its neighbours are likely to be asked for too.
const NEAR: u32 = 64;
/// What a look at a document costs, beside walking a list of them; it decides which condition leads.
const SCAN_COST: u64 = 4;
/// The same where each look reads the store.
const ONE_BY_ONE_COST: u64 = 1_000;

/// Appends those documents of a range that fit, in order.
pub(crate) type Fill = Box<dyn FnMut(Range<DocId>, &mut Vec<DocId>) + Send>;
/// Makes the [`Fill`] of a segment; `None` where no document of it can fit.
type MakeFill = dyn Fn(&SegmentReader) -> tantivy::Result<Option<Fill>> + Send + Sync;

/// Whether a search should end, and how many raw lines it may still read.
#[derive(Debug)]
pub(crate) struct Stop {
    stopped: AtomicBool,
    raw_lines_left: AtomicU64,
    raw_lines_spent: AtomicBool,
}

impl Stop {
    pub(crate) fn new(raw_lines_max: u64) -> Self {
        Stop {
            stopped: AtomicBool::new(false),
            raw_lines_left: AtomicU64::new(raw_lines_max),
            raw_lines_spent: AtomicBool::new(false),
        }
    }

    /// Ends the search at the next block.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Takes leave to read one raw line; at the end of the budget the search stops.
    pub(crate) fn raw_line(&self) -> bool {
        let taken = self.raw_lines_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if taken.is_err() {
            self.raw_lines_spent.store(true, Ordering::Relaxed);
            self.stop();
        }
        taken.is_ok()
    }

    /// Whether the budget of raw lines ended the search.
    pub(crate) fn raw_lines_spent(&self) -> bool {
        self.raw_lines_spent.load(Ordering::Relaxed)
    }
}

/// A query, and its weight, that scans.
#[derive(Clone)]
pub(crate) struct Scan {
    make: Arc<MakeFill>,
    stop: Arc<Stop>,
    /// Documents looked at when another condition asks for one of them.
    near: u32,
}

impl Scan {
    /// Looks at a document only when every cheaper condition fits it: each look is dear.
    pub(crate) fn one_by_one(
        stop: &Arc<Stop>,
        make: impl Fn(&SegmentReader) -> tantivy::Result<Option<Fill>> + Send + Sync + 'static,
    ) -> Self {
        Scan { make: Arc::new(make), stop: stop.clone(), near: 1 }
    }

    pub(crate) fn new(
        stop: &Arc<Stop>,
        make: impl Fn(&SegmentReader) -> tantivy::Result<Option<Fill>> + Send + Sync + 'static,
    ) -> Self {
        Scan { make: Arc::new(make), stop: stop.clone(), near: NEAR }
    }
}

impl Scan {
    fn documents(&self, reader: &SegmentReader) -> tantivy::Result<Option<Documents>> {
        let Some(fill) = (self.make)(reader)? else { return Ok(None) };
        Ok(Some(Documents {
            fill,
            stop: self.stop.clone(),
            near: self.near,
            end: reader.max_doc(),
            block: Vec::with_capacity(BLOCK as usize),
            at: 0,
            filled: 0..0,
            current: TERMINATED,
        }))
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scan")
    }
}

impl Query for Scan {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for Scan {
    fn scorer(&self, reader: &SegmentReader, _: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let Some(mut documents) = self.documents(reader)? else { return Ok(Box::new(EmptyScorer)) };
        documents.from(0);
        Ok(Box::new(ConstScorer::new(documents, 1.0)))
    }

    fn scorer_danger(
        &self,
        reader: &SegmentReader,
        target: DocId,
        _: Score,
    ) -> tantivy::Result<(SeekDangerResult, Box<dyn Scorer>)> {
        let Some(mut documents) = self.documents(reader)? else {
            return Ok((SeekDangerResult::SeekLowerBound(TERMINATED), Box::new(EmptyScorer)));
        };
        // Without a search for its own first document: that might be at the end of the segment.
        let result = documents.seek_danger(target);
        Ok((result, Box::new(ConstScorer::new(documents, 1.0))))
    }

    fn explain(&self, _: &SegmentReader, _: DocId) -> tantivy::Result<Explanation> {
        Err(TantivyError::InvalidArgument("a scan has no score to explain".to_owned()))
    }
}

/// The documents of one segment that fit, found as they are asked for.
struct Documents {
    fill: Fill,
    stop: Arc<Stop>,
    near: u32,
    end: DocId,
    /// Those of `filled` that fit, and which of them is next.
    block: Vec<DocId>,
    at: usize,
    filled: Range<DocId>,
    current: DocId,
}

impl Documents {
    /// Goes to the first document that fits, at `start` or behind it.
    fn from(&mut self, mut start: DocId) -> DocId {
        self.at = 0;
        self.block.clear();
        self.filled = start..start;
        while self.block.is_empty() && start < self.end && !self.stop.is_stopped() {
            let end = self.end.min(start.saturating_add(BLOCK));
            self.look_at(start..end);
            start = end;
        }
        self.current = self.block.first().copied().unwrap_or(TERMINATED);
        self.current
    }

    fn look_at(&mut self, range: Range<DocId>) {
        self.block.clear();
        (self.fill)(range.clone(), &mut self.block);
        self.filled = range;
    }
}

impl DocSet for Documents {
    fn advance(&mut self) -> DocId {
        self.at += 1;
        match self.block.get(self.at) {
            Some(next) => {
                self.current = *next;
                self.current
            }
            None => self.from(self.filled.end),
        }
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if !self.filled.contains(&target) {
            return self.from(target.min(self.end));
        }
        self.at = self.block.partition_point(|document| *document < target);
        match self.block.get(self.at) {
            Some(next) => {
                self.current = *next;
                self.current
            }
            None => self.from(self.filled.end),
        }
    }

    fn seek_danger(&mut self, target: DocId) -> SeekDangerResult {
        if target >= self.end || self.stop.is_stopped() {
            self.current = TERMINATED;
            return SeekDangerResult::SeekLowerBound(TERMINATED);
        }
        if !self.filled.contains(&target) {
            self.look_at(target..self.end.min(target.saturating_add(self.near)));
        }
        self.at = self.block.partition_point(|document| *document < target);
        match self.block.get(self.at) {
            Some(found) if *found == target => {
                self.current = target;
                SeekDangerResult::Found
            }
            Some(next) => SeekDangerResult::SeekLowerBound(*next),
            None => SeekDangerResult::SeekLowerBound(self.filled.end.max(target + 1)),
        }
    }

    fn doc(&self) -> DocId {
        self.current
    }

    fn size_hint(&self) -> u32 {
        // Unknown before the end; as many as there are keeps a scan behind every other condition.
        self.end
    }

    fn cost(&self) -> u64 {
        let each = if self.near == 1 { ONE_BY_ONE_COST } else { SCAN_COST };
        u64::from(self.end) * each
    }
}
