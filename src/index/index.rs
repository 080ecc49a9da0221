//! The index as everyone but its writer sees it: searches, counts, single events. I/O.
//!
//! A handle is cheap to clone and shared by threads. Every search works on the view of one moment; a commit of the
//! writer puts a new one in its place. Deliberately without writing.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::counts::{self, DISTINCT_VALUES_MAX, HISTOGRAM_BUCKETS_MAX, Histogram, Terms};
use super::error::IndexError;
use super::gather::{Gather, Run};
use super::hit::{Hit, HitReader, LEARNED_TOGETHER};
use super::hits::{Found, Hits, Sort};
use super::query::{Known, Name, Query, QueryError, parse};
use super::schema::Columns;
use super::view::{SplitView, View};
use crate::event::{Input, Layout, Place, Position, Time};

/// Hits that one search gives at most (index-durability sheet §3.7); more are read page by page.
pub const HITS_MAX: usize = 10_000;
/// Values that one count gives at most.
pub const TERMS_MAX: usize = 10_000;

/// How searches run.
#[derive(Clone, Copy, Debug)]
pub struct SearchSettings {
    /// Threads of one search.
    pub threads: usize,
    /// Searches at one time; more are refused.
    pub searches_max: usize,
    /// After this a search is ended.
    pub timeout: Duration,
}

impl Default for SearchSettings {
    /// Two threads, four searches, 30 s (Quickwit's).
    fn default() -> Self {
        SearchSettings { threads: 2, searches_max: 4, timeout: Duration::from_secs(30) }
    }
}

/// A handle to the index.
#[derive(Clone, Debug)]
pub struct Index(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    columns: Arc<Columns>,
    settings: SearchSettings,
    view: Mutex<Arc<View>>,
    running: AtomicUsize,
}

/// Which events, of which time.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub query: &'a Query,
    /// Inclusive.
    pub from: Time,
    /// Exclusive.
    pub to: Time,
    /// Set by whoever no longer waits: a client that hung up.
    pub cancelled: &'a AtomicBool,
}

/// Which of the found events to give, and how.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    pub sort: Sort,
    pub limit: usize,
    /// Time and position of the last hit of the page before.
    pub after: Option<&'a (Time, Position)>,
    pub layout: Layout,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundEvents {
    /// Events that fit, whether they are on this page or not.
    pub total: u64,
    pub hits: Vec<Hit>,
}

/// Counts per value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueCounts {
    /// Events that fit.
    pub total: u64,
    /// The most frequent values, most frequent first, equal counts by value.
    pub values: Vec<(String, u64)>,
    /// How many different values there are in all.
    pub distinct: u64,
}

/// How the index stands, for status and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexStatus {
    pub documents: u64,
    pub raw_bytes: u64,
    pub splits: usize,
    pub segments: usize,
    /// How far each input can be searched: the next offset, exclusive.
    pub positions: Vec<(Input, u64)>,
    /// Splits that cannot be read, with the reason: their events are missing from every result.
    pub damaged: Vec<(PathBuf, String)>,
}

impl Index {
    /// Opens what is there for searching; an index that is not there is empty.
    ///
    /// # Errors
    /// Where the directory cannot be read. A split that cannot be read is named in [`IndexStatus::damaged`].
    pub fn open(directory: &Path, settings: SearchSettings) -> Result<Self, IndexError> {
        let columns = Arc::new(Columns::new());
        let view = View::read(directory, &columns)?;
        let directory = directory.to_owned();
        let (view, running) = (Mutex::new(Arc::new(view)), AtomicUsize::new(0));
        Ok(Index(Arc::new(Shared { directory, columns, settings, view, running })))
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.0.directory
    }

    /// Bytes of its files, read from the disk.
    pub fn bytes(&self) -> u64 {
        self.view().splits.iter().map(|split| super::split::bytes(&split.path)).sum()
    }

    pub(super) fn columns(&self) -> &Arc<Columns> {
        &self.0.columns
    }

    /// What is searched now.
    pub(super) fn view(&self) -> Arc<View> {
        self.0.view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_view(&self, view: View) {
        *self.0.view.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    /// Puts a split's new state in the place of its old one.
    pub(super) fn replace(&self, split: SplitView) {
        let mut view = (*self.view()).clone();
        view.splits.retain(|other| other.number != split.number);
        view.splits.push(Arc::new(split));
        view.splits.sort_by_key(|split| split.number);
        view.index();
        self.set_view(view);
    }

    /// Puts a split that was made again in the place of its damaged self.
    pub(super) fn mended(&self, path: &Path, split: SplitView) {
        let mut view = (*self.view()).clone();
        view.damaged.retain(|(damaged, _)| damaged != path);
        self.set_view(view);
        self.replace(split);
    }

    /// How the index stands.
    pub fn status(&self) -> IndexStatus {
        let view = self.view();
        let newest = view.splits.last().map(|split| &split.payload);
        IndexStatus {
            documents: view.splits.iter().map(|split| split.payload.documents).sum(),
            raw_bytes: view.splits.iter().map(|split| split.payload.raw_bytes).sum(),
            splits: view.splits.len(),
            segments: view.splits.iter().map(|split| split.segments.len()).sum(),
            positions: newest.iter().flat_map(|it| it.parts.iter()).map(|part| (part.input(), part.next)).collect(),
            damaged: view.damaged.clone(),
        }
    }

    /// The fields that have a value in some event, besides those with a slot.
    pub fn known(&self) -> Known {
        Known(self.view().extras.clone())
    }

    /// Reads a query.
    ///
    /// # Errors
    /// The first fault, at its character.
    pub fn parse(&self, text: &str) -> Result<Query, QueryError> {
        parse(text, &self.known())
    }

    /// The events that fit, the first of them with documents.
    ///
    /// # Errors
    /// Where a limit is passed, the time is up, or the index cannot be read.
    pub fn search(&self, ask: &Ask<'_>, page: &Page<'_>) -> Result<FoundEvents, IndexError> {
        if page.limit > HITS_MAX {
            return Err(IndexError::TooCostly(format!(
                "a search gives at most {HITS_MAX} events; read on with `search_after`"
            )));
        }
        let view = self.view();
        let hits = self.gather(&view, ask, || Hits::new(&view, page.sort, page.limit, page.after))?;
        let total = hits.iter().map(|hits| hits.total).sum();
        let found = Hits::merge(hits, page.limit);
        Ok(FoundEvents { total, hits: self.read(&view, &found, page.layout)? })
    }

    /// How many events fit in each stretch of `interval` milliseconds; stretches begin at multiples of it. Empty ones
    /// are given too.
    ///
    /// # Errors
    /// As [`Index::search`].
    pub fn histogram(&self, ask: &Ask<'_>, interval: i64) -> Result<Vec<(Time, u64)>, IndexError> {
        let start = Time(ask.from.0.div_euclid(interval.max(1)) * interval.max(1));
        let buckets = ask.to.since(start).max(0) as u64;
        let buckets = if interval < 1 { u64::MAX } else { buckets.div_ceil(interval as u64) };
        if buckets > HISTOGRAM_BUCKETS_MAX as u64 {
            return Err(IndexError::TooCostly(format!(
                "a histogram has at most {HISTOGRAM_BUCKETS_MAX} buckets; ask for less time or a longer interval"
            )));
        }
        let buckets = buckets as usize;
        let all = self.gather(&self.view(), ask, || Histogram::new(start, interval, buckets))?;
        let count = |bucket: usize| all.iter().map(|part| part.counts[bucket]).sum();
        Ok((0..buckets).map(|bucket| (Time(start.0 + bucket as i64 * interval), count(bucket))).collect())
    }

    /// How many of the fitting events have each value of a field; a list counts each of its values.
    ///
    /// # Errors
    /// As [`Index::search`].
    pub fn terms(&self, ask: &Ask<'_>, name: &Name, size: usize) -> Result<ValueCounts, IndexError> {
        if !counts::is_countable(name) || size > TERMS_MAX {
            let message = format!("`{}` cannot be counted by value; take `client.ip` or another field", name.as_str());
            let message = if size > TERMS_MAX { format!("a count gives at most {TERMS_MAX} values") } else { message };
            return Err(IndexError::TooCostly(message));
        }
        let all = self.gather(&self.view(), ask, || Terms::new(name))?;
        let (counted, total) = counts::merged(all);
        if counted.len() > DISTINCT_VALUES_MAX {
            return Err(IndexError::TooCostly(format!(
                "`{}` has more than {DISTINCT_VALUES_MAX} different values here; ask for less time",
                name.as_str()
            )));
        }
        let (values, distinct) = counts::most(counted, name, size);
        Ok(ValueCounts { total, values, distinct })
    }

    /// The event at a position, if it is indexed.
    ///
    /// # Errors
    /// Where the index cannot be read.
    pub fn event(&self, position: &Position, layout: Layout) -> Result<Option<Hit>, IndexError> {
        let fault = |source| IndexError::tantivy("read the index", &self.0.directory, source);
        let view = self.view();
        let input = Input { topic: position.topic.clone(), partition: position.partition };
        for split in &view.splits {
            let Some(ordinal) = split.payload.ordinal(&input) else { continue };
            for segment in &split.segments {
                let place = Place { offset: position.offset, item: position.item };
                if let Some(document) = segment.document_at(ordinal, place) {
                    let mut reader = HitReader::new(split, segment, &self.0.columns, layout).map_err(fault)?;
                    return reader.read(document).map(Some).map_err(fault);
                }
            }
        }
        Ok(None)
    }

    fn gather<G: Gather>(&self, view: &View, ask: &Ask<'_>, make: impl Fn() -> G + Sync) -> Result<Vec<G>, IndexError> {
        let _running = self.running()?;
        let SearchSettings { threads, timeout, .. } = self.0.settings;
        let Ask { query, from, to, cancelled } = *ask;
        let (columns, directory) = (&self.0.columns, &*self.0.directory);
        Run { view, columns, query, from, to, threads, timeout, cancelled, directory }.gather(make)
    }

    fn running(&self) -> Result<Running<'_>, IndexError> {
        let running = Running(&self.0.running);
        if self.0.running.fetch_add(1, Ordering::AcqRel) >= self.0.settings.searches_max {
            return Err(IndexError::Busy(self.0.settings.searches_max));
        }
        Ok(running)
    }

    /// Documents of found places, in their order, read segment by segment.
    fn read(&self, view: &View, found: &[Found], layout: Layout) -> Result<Vec<Hit>, IndexError> {
        let fault = |source| IndexError::tantivy("read the index", &self.0.directory, source);
        let mut order: Vec<usize> = (0..found.len()).collect();
        order.sort_unstable_by_key(|at| (found[*at].1, found[*at].2));
        let mut hits: Vec<Option<Hit>> = vec![None; found.len()];
        for group in order.chunk_by(|a, b| found[*a].1 == found[*b].1) {
            let at = found[group[0]].1;
            let split = &view.splits[at.split];
            let mut reader =
                HitReader::new(split, &split.segments[at.segment], &self.0.columns, layout).map_err(fault)?;
            for together in group.chunks(LEARNED_TOGETHER) {
                reader.learn(together.iter().map(|at| found[*at].2)).map_err(fault)?;
                for at in together {
                    hits[*at] = Some(reader.read(found[*at].2).map_err(fault)?);
                }
            }
        }
        Ok(hits.into_iter().flatten().collect())
    }
}

/// One of the searches that may run at once.
struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
