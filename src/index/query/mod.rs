//! The query language: text → [`Query`] → Tantivy, and the same query over one event. Pure, but for what Tantivy does.
//!
//! ```text
//! client.ip:203.0.113.0/24 AND http.response.status_code:>=500 AND url.path:*admin*
//! ```
//!
//! The parser finds faults and says at which character; the evaluator says what a query means, one event at a time;
//! the compiler must agree with it, which a property test holds it to. Deliberately without regular expressions: a
//! wildcard costs the same whatever is written.

mod ast;
mod compile;
mod error;
mod evaluate;
mod fill;
mod literal;
mod names;
mod parse;
mod pattern;
mod scan;

pub use ast::{Dynamic, Matcher, Query, TextMatch, WordMatch};
pub use error::QueryError;
pub use evaluate::matches;
pub use names::{Known, Name};
pub use parse::{CLAUSES_MAX, NESTING_MAX, QUERY_BYTES_MAX, parse};
pub use pattern::{PATTERN_BYTES_MAX, PATTERN_WILDCARDS_MAX, Pattern};

pub(super) use compile::compile;
pub(super) use scan::Stop;
