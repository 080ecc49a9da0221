//! Questions to the events: the index answers, and the journal where the index is behind. I/O.
//!
//! An alert names its evidence by position at once, seconds before the index is there: such an event is read from the
//! journal and decoded again, which gives the same document. Deliberately without a query language: that is the index's.

#![expect(clippy::disallowed_methods, reason = "a tail waits no longer than it was told")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::api::{
    Events, HistogramRequest, Hit, Order, SearchFault, SearchPage, SearchRequest, TailPage, TailRequest, TermsRequest,
    ValueCounts,
};
use crate::catalog::Catalog;
use crate::event::{Event, Input, Layout, Place, Position, Time};
use crate::fold::{RawRecord, Reader};
use crate::index::{self, Ask, Entry, Index, IndexError, Page, Query, QueryError, Sort};
use crate::journal::{Fetched, Journal, JournalError};

use super::services::Lent;

/// Bytes of the journal that one look of a tail reads of a partition.
const TAIL_BYTES: usize = 1 << 20;
/// How long a tail waits for a commit before it looks whether anybody still waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What answers the API's questions.
pub fn events<J: Journal + 'static>(lent: &Lent<J>) -> Events {
    let source =
        Source { index: lent.index.clone(), journal: Arc::clone(&lent.journal), catalog: Arc::clone(&lent.reading) };
    let source = Arc::new(source);
    let [search, histogram, terms, event, tail] = [(); 5].map(|()| Arc::clone(&source));
    Events {
        search: Arc::new(move |asked, cancelled| search.search(asked, cancelled)),
        histogram: Arc::new(move |asked, cancelled| histogram.histogram(asked, cancelled)),
        terms: Arc::new(move |asked, cancelled| terms.terms(asked, cancelled)),
        event: Arc::new(move |(position, layout), _| event.event(position, *layout)),
        tail: Arc::new(move |asked, cancelled| tail.tail(asked, cancelled)),
    }
}

struct Source<J> {
    index: Index,
    journal: Arc<J>,
    catalog: Arc<Catalog>,
}

impl<J: Journal> Source<J> {
    fn search(&self, asked: &SearchRequest, cancelled: &AtomicBool) -> Result<SearchPage, SearchFault> {
        let selection = &asked.selection;
        let query = self.parse(&selection.query)?;
        let ask = Ask { query: &query, from: selection.from, to: selection.to, cancelled };
        let sort = match asked.order {
            Order::Newest => Sort::Newest,
            Order::Oldest => Sort::Oldest,
        };
        let page = Page { sort, limit: asked.limit, after: asked.after.as_ref(), layout: asked.layout };
        let found = self.index.search(&ask, &page).map_err(fault)?;
        let hit = |hit: index::Hit| Hit { timestamp: hit.timestamp, position: hit.position, document: hit.document };
        Ok(SearchPage { total: found.total, hits: found.hits.into_iter().map(hit).collect() })
    }

    fn histogram(&self, asked: &HistogramRequest, cancelled: &AtomicBool) -> Result<Vec<(Time, u64)>, SearchFault> {
        let selection = &asked.selection;
        let query = self.parse(&selection.query)?;
        let ask = Ask { query: &query, from: selection.from, to: selection.to, cancelled };
        self.index.histogram(&ask, asked.interval).map_err(fault)
    }

    fn terms(&self, asked: &TermsRequest, cancelled: &AtomicBool) -> Result<ValueCounts, SearchFault> {
        let selection = &asked.selection;
        let query = self.parse(&selection.query)?;
        let name = self.index.known().name(&asked.field).map_err(SearchFault::Asked)?;
        let ask = Ask { query: &query, from: selection.from, to: selection.to, cancelled };
        let counts = self.index.terms(&ask, &name, asked.size).map_err(fault)?;
        Ok(ValueCounts { total: counts.total, values: counts.values, distinct: counts.distinct })
    }

    fn event(&self, position: &Position, layout: Layout) -> Result<Option<Vec<u8>>, SearchFault> {
        // A split that cannot be read does not hide what the journal still holds.
        if let Ok(Some(hit)) = self.index.event(position, layout) {
            return Ok(Some(hit.document));
        }
        let input = Input { topic: position.topic.clone(), partition: position.partition };
        let blocks = match self.journal.read(&input, position.offset, 1) {
            Ok(blocks) => blocks,
            Err(JournalError::Trimmed { .. }) => return Ok(None),
            Err(error) => return Err(SearchFault::Unavailable(error.to_string())),
        };
        let mut found = None;
        let mut readers = Readers::new(&self.catalog);
        for block in &blocks {
            readers.each(block, &mut |entry| {
                if entry.place == (Place { offset: position.offset, item: position.item }) {
                    found = Some(index::document_of(entry, layout));
                }
            });
        }
        Ok(found)
    }

    /// What was appended since the last page and fits, in the journal's order of each partition.
    fn tail(&self, asked: &TailRequest, cancelled: &AtomicBool) -> Result<TailPage, SearchFault> {
        let query = self.parse(&asked.query)?;
        let mut places = match &asked.after {
            Some(after) => read_places(after)?,
            None => self.ends()?,
        };
        let until = Instant::now() + asked.wait;
        let mut seen = 0;
        loop {
            let events = self.since(&query, &mut places, asked)?;
            if !events.is_empty() || Instant::now() >= until {
                return Ok(TailPage { events, next: write_places(&places) });
            }
            if cancelled.load(Ordering::Relaxed) {
                return Err(SearchFault::Cancelled);
            }
            seen = self.journal.wait(seen, LOOK_EVERY.min(until.saturating_duration_since(Instant::now())));
        }
    }

    fn since(&self, query: &Query, places: &mut Places, asked: &TailRequest) -> Result<Vec<Vec<u8>>, SearchFault> {
        let mut events = Vec::new();
        let mut readers = Readers::new(&self.catalog);
        for (input, range) in self.partitions()? {
            let next = places.entry((input.topic.clone(), input.partition)).or_insert(0);
            *next = (*next).max(range.start);
            if *next >= range.end || events.len() >= asked.limit {
                continue;
            }
            let blocks = self.journal.read(&input, *next, TAIL_BYTES).map_err(unavailable)?;
            for block in &blocks {
                readers.each(block, &mut |entry| {
                    if events.len() < asked.limit {
                        if index::matches(query, entry) {
                            events.push(index::document_of(entry, asked.layout));
                        }
                        *next = entry.place.offset + 1;
                    }
                });
                if events.len() >= asked.limit {
                    break;
                }
                *next = block.offsets().end;
            }
        }
        Ok(events)
    }

    fn ends(&self) -> Result<Places, SearchFault> {
        let end = |(input, range): (Input, std::ops::Range<u64>)| ((input.topic, input.partition), range.end);
        Ok(self.partitions()?.into_iter().map(end).collect())
    }

    /// The raw partitions of every pipeline.
    fn partitions(&self) -> Result<Vec<(Input, std::ops::Range<u64>)>, SearchFault> {
        let mut all = Vec::new();
        for topic in self.journal.topics().map_err(unavailable)? {
            if self.catalog.pipeline_of(&topic).is_some() {
                all.extend(self.journal.partitions(&topic).map_err(unavailable)?);
            }
        }
        Ok(all)
    }

    fn parse(&self, query: &str) -> Result<Query, SearchFault> {
        self.index.parse(query).map_err(query_fault)
    }
}

/// The next offset of each partition.
type Places = BTreeMap<(String, u32), u64>;

/// A node that never had a line has no partition; an empty text would be no place at all, and a tail would begin anew.
const NOWHERE: &str = "none";

fn write_places(places: &Places) -> String {
    if places.is_empty() {
        return NOWHERE.to_owned();
    }
    let place = |((topic, partition), next): (&(String, u32), &u64)| format!("{topic}/{partition}:{next}");
    places.iter().map(place).collect::<Vec<_>>().join(",")
}

fn read_places(text: &str) -> Result<Places, SearchFault> {
    let place = |text: &str| {
        let (input, next) = text.rsplit_once(':')?;
        let (topic, partition) = input.rsplit_once('/')?;
        Some(((topic.to_owned(), partition.parse().ok()?), next.parse().ok()?))
    };
    let places: Option<Places> = text.split(',').filter(|part| *part != NOWHERE).map(place).collect();
    places.ok_or_else(|| SearchFault::Asked("`after` is not what a page before gave as `next`".to_owned()))
}

/// Readers of blocks, by pipeline.
struct Readers<'c> {
    catalog: &'c Arc<Catalog>,
    readers: BTreeMap<usize, Reader>,
}

impl<'c> Readers<'c> {
    fn new(catalog: &'c Arc<Catalog>) -> Readers<'c> {
        Readers { catalog, readers: BTreeMap::new() }
    }

    /// Shows every event of a block. A topic that no pipeline reads has none.
    fn each(&mut self, block: &Fetched, show: &mut dyn FnMut(&Entry<'_>)) {
        let Some(pipeline) = self.catalog.pipeline_of(&block.input.topic) else { return };
        let reader = self.readers.entry(pipeline.0).or_insert_with(|| Reader::new(Arc::clone(self.catalog), pipeline));
        let name = &self.catalog.pipeline(pipeline).name;
        for record in block {
            let raw = RawRecord { offset: record.offset, bytes: record.value, spoofable: record.spoofable };
            reader.read(raw, record.appended_at, |event: &Event<'_>, item| {
                let place = Place { offset: record.offset, item };
                let appended_at = record.appended_at;
                show(&Entry { event, input: &block.input, place, pipeline: name, appended_at, arrival: &[] });
            });
        }
    }
}

fn unavailable(error: JournalError) -> SearchFault {
    SearchFault::Unavailable(error.to_string())
}

fn query_fault(error: QueryError) -> SearchFault {
    SearchFault::Query { character: error.at, length: error.length, message: error.message }
}

fn fault(error: IndexError) -> SearchFault {
    let words = error.to_string();
    match error {
        IndexError::Query(error) => query_fault(error),
        IndexError::Timeout { .. } => SearchFault::Timeout(words),
        IndexError::Cancelled => SearchFault::Cancelled,
        IndexError::Busy(_) => SearchFault::Busy(words),
        IndexError::TooCostly(_) => SearchFault::TooCostly(words),
        IndexError::Locked(_)
        | IndexError::Incompatible { .. }
        | IndexError::NoPayload(_)
        | IndexError::Damaged { .. }
        | IndexError::Io { .. }
        | IndexError::Tantivy { .. }
        | IndexError::Panicked { .. }
        | IndexError::Gap { .. }
        | IndexError::Closed
        | IndexError::Stalled { .. } => SearchFault::Unavailable(words),
    }
}
