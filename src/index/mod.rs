//! The index: every event searchable, in Tantivy. I/O at its edges; each file says which.
//!
//! ```text
//! events ─► batch ─► writer ─► split-00000001 … split-0000000n ─► view ─► search, histogram, terms, event
//!           (documents)  (commit: documents and positions in one rename)
//! ```
//!
//! Splits follow one another in the order of the journal; each says which offsets it has read, so retention drops whole
//! splits, damage stays in one, and a search skips segments outside its time. The index is derived: deleted, it is built
//! again from the journal, and nothing of it ever holds detection up. Deliberately without the journal itself: positions
//! come in as values.

mod address;
mod batch;
mod counts;
mod document;
mod entry;
mod error;
mod gather;
mod hit;
mod hits;
#[expect(clippy::module_inception, reason = "the room's one shared handle bears its name")]
mod index;
mod payload;
mod policy;
mod query;
mod rebuild;
mod rest;
mod schema;
mod split;
mod verify;
mod view;
mod words;
mod writer;

#[cfg(test)]
mod tests;

pub use batch::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX, Batch};
pub use counts::{DISTINCT_VALUES_MAX, HISTOGRAM_BUCKETS_MAX};
pub use entry::Entry;
pub use error::IndexError;
pub use gather::RAW_LINES_MAX;
pub use hit::{Hit, document_of};
pub use hits::Sort;
pub use index::{Ask, FoundEvents, HITS_MAX, Index, IndexStatus, Page, SearchSettings, TERMS_MAX, ValueCounts};
pub use payload::EXTRA_COLUMNS_MAX;
pub use policy::{COMMIT_AFTER, COMMIT_BYTES, COMMIT_EVENTS, Pending, Retention, SplitLimits, may_write, reserve};
pub use query::{
    CLAUSES_MAX, Dynamic, Known, Matcher, NESTING_MAX, Name, PATTERN_BYTES_MAX, PATTERN_WILDCARDS_MAX, Pattern,
    QUERY_BYTES_MAX, Query, QueryError, TextMatch, WordMatch, matches, parse,
};
pub use rebuild::{Rebuild, drop_newest};
pub use schema::{Columns, TEXT_BYTES_MAX};
pub use split::settings as tantivy_settings;
pub use verify::{Fault, Verified, verify};
pub use writer::{Writer, WriterCounts, WriterSettings};

/// An error with what it stems from, in one line.
pub(crate) fn describe(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut source = fault.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
