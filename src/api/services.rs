//! What the node lends the API: the journal's door, searches, how it stands. I/O behind the closures.
//!
//! Closures and not traits: each has one maker, the node, and the API must not know which journal or index is behind
//! them. Deliberately nothing that would let the API change state otherwise than by a record of the journal.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::event::{Input, Layout, Position, Time};
use crate::journal::{Commit, Committed, Fetched, Journal, JournalError};

use super::metrics::Metrics;
use super::projection::Projection;

/// The time of day: an argument like all time.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;
/// A question to the events; the flag is set once nobody waits for the answer.
pub type Ask<Q, A> = Arc<dyn Fn(&Q, &AtomicBool) -> Result<A, SearchFault> + Send + Sync>;

/// All that the API needs.
#[derive(Clone)]
pub struct Services {
    pub log: Log,
    /// Where the lines of each pipeline go that come over HTTP.
    pub pipelines: BTreeMap<String, Input>,
    pub events: Events,
    pub projection: Arc<Projection>,
    pub metrics: Arc<Metrics>,
    /// The node's part of `/api/v1/status`.
    pub status: Arc<dyn Fn() -> Map<String, Value> + Send + Sync>,
    /// What must hold for the node to be of use.
    pub checks: Arc<dyn Fn() -> Vec<Check> + Send + Sync>,
    /// Whether the node's loops go on.
    pub live: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Networks that the settings protect, with the key that says so.
    pub protected: Vec<(IpNet, &'static str)>,
    pub clock: Clock,
    /// The data directory: the keys are in it.
    pub data: PathBuf,
}

/// One thing that must hold.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    pub name: &'static str,
    pub ok: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

type Append = dyn Fn(Commit) -> Result<Committed, JournalError> + Send + Sync;
type Read = dyn Fn(&Input, u64, usize) -> Result<Vec<Fetched>, JournalError> + Send + Sync;
type Partitions = dyn Fn(&str) -> Result<Vec<(Input, Range<u64>)>, JournalError> + Send + Sync;
type ReadMark = dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync;
type Wait = dyn Fn(u64, Duration) -> u64 + Send + Sync;

/// The shared door of a journal, whichever it is.
#[derive(Clone)]
pub struct Log {
    append: Arc<Append>,
    read: Arc<Read>,
    partitions: Arc<Partitions>,
    mark: Arc<ReadMark>,
    wait: Arc<Wait>,
}

impl Log {
    /// The door of this journal.
    pub fn of<J: Journal + 'static>(journal: &Arc<J>) -> Log {
        let [append, read, partitions, mark, wait] = [(); 5].map(|()| Arc::clone(journal));
        Log {
            append: Arc::new(move |commit| append.append(commit)),
            read: Arc::new(move |input, from, bytes| read.read(input, from, bytes)),
            partitions: Arc::new(move |topic| partitions.partitions(topic)),
            mark: Arc::new(move |key| mark.mark(key)),
            wait: Arc::new(move |seen, timeout| wait.wait(seen, timeout)),
        }
    }

    /// [`Journal::append`].
    ///
    /// # Errors
    /// Those of the journal.
    pub fn append(&self, commit: Commit) -> Result<Committed, JournalError> {
        (self.append)(commit)
    }

    /// [`Journal::read`].
    ///
    /// # Errors
    /// Those of the journal.
    pub fn read(&self, input: &Input, from: u64, bytes: usize) -> Result<Vec<Fetched>, JournalError> {
        (self.read)(input, from, bytes)
    }

    /// The offsets of one partition, from the log's start to the next one to be given; empty at 0 where there is none.
    ///
    /// # Errors
    /// Those of the journal.
    pub fn offsets(&self, input: &Input) -> Result<Range<u64>, JournalError> {
        let found = (self.partitions)(&input.topic)?.into_iter().find(|(other, _)| other == input);
        Ok(found.map_or(0..0, |(_, offsets)| offsets))
    }

    /// [`Journal::mark`].
    pub fn mark(&self, key: &str) -> Option<Vec<u8>> {
        (self.mark)(key)
    }

    /// [`Journal::wait`].
    pub fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        (self.wait)(seen, timeout)
    }
}

/// Questions to the events: from the index, and from the journal where the index is behind.
#[derive(Clone)]
pub struct Events {
    pub search: Ask<SearchRequest, SearchPage>,
    pub histogram: Ask<HistogramRequest, Vec<(Time, u64)>>,
    pub terms: Ask<TermsRequest, ValueCounts>,
    /// The document of the event at a position.
    pub event: Ask<(Position, Layout), Option<Vec<u8>>>,
    /// What came since: for following along. May wait as long as the request says.
    pub tail: Ask<TailRequest, TailPage>,
}

/// Which events, of which time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// `*` for all.
    pub query: String,
    /// Inclusive.
    pub from: Time,
    /// Exclusive.
    pub to: Time,
}

/// A page of found events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchRequest {
    pub selection: Selection,
    pub order: Order,
    pub limit: usize,
    /// Time and position of the last hit of the page before.
    pub after: Option<(Time, Position)>,
    pub layout: Layout,
}

/// Which end of the time comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Newest,
    Oldest,
}

/// Found events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchPage {
    /// Events that fit, whether they are on this page or not.
    pub total: u64,
    pub hits: Vec<Hit>,
}

/// One found event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub timestamp: Time,
    pub position: Position,
    /// The ECS document, one line of JSON.
    pub document: Vec<u8>,
}

/// Counts over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramRequest {
    pub selection: Selection,
    /// Milliseconds.
    pub interval: i64,
}

/// Counts by value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermsRequest {
    pub selection: Selection,
    pub field: String,
    pub size: usize,
}

/// The most frequent values, most frequent first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValueCounts {
    /// Events that fit.
    pub total: u64,
    pub values: Vec<(String, u64)>,
    /// How many different values there are in all.
    pub distinct: u64,
}

/// Events as they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailRequest {
    pub query: String,
    /// Where the page before ended, in the node's own words; `None` begins with what comes from now on.
    pub after: Option<String>,
    pub limit: usize,
    /// How long to wait for a first event.
    pub wait: Duration,
    pub layout: Layout,
}

/// Events that came, and where to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TailPage {
    pub events: Vec<Vec<u8>>,
    pub next: String,
}

/// Why a question was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchFault {
    /// The query is wrong at these characters, from 0.
    Query { character: usize, length: usize, message: String },
    /// Something else that was asked is wrong.
    Asked(String),
    /// It would cost too much.
    TooCostly(String),
    /// Too many at a time.
    Busy(String),
    /// It took too long.
    Timeout(String),
    /// Nobody waits any more.
    Cancelled,
    /// Nothing can be searched now.
    Unavailable(String),
}
